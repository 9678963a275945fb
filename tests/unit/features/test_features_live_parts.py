"""The parts of live tables: cells, pairs, rings and lists, against the obvious."""

from pathlib import Path
from typing import Literal

import numpy as np
import pytest

from winnow.core.time import days
from winnow.data.schema import Events, Kind, Table, categories, number
from winnow.data.schema import Path as KeyPath
from winnow.features.aggregate import Aggregate
from winnow.features.live.columns import ColumnTable
from winnow.features.live.files import FORMAT, Header, SharedSheet, blocks, boot_id, copy
from winnow.features.live.groups import Grouped
from winnow.features.live.layout import Caps, size
from winnow.features.live.lists import Lists
from winnow.features.live.pairs import PairIndex, oldest
from winnow.features.live.records import Cells, Reading, Ring, Series
from winnow.features.state import NEVER


def ints(*values: int) -> np.ndarray:
    return np.array(values, np.int64)


def test_untouched_cells_and_rows_outside_read_as_nothing(tmp_path: Path) -> None:
    sheet = SharedSheet(tmp_path / "s", 4, 2)
    sheet.write(ints(0, 3), 1, ints(7, 8)).publish()
    assert sheet.cell(ints(-1, 0, 1, 3, 4, 5, 10**9), 1).tolist() == [0, 7, 0, 8, 0, 0, 0]
    assert sheet.lines(ints(-1, 0, 4, 10**9)).tolist() == [[0, 0], [0, 7], [0, 0], [0, 0]]
    assert sheet.columns(ints(0, 3), ints(1, 0)[:, None]).tolist() == [[7, 8], [0, 0]]
    assert sheet.cells(ints(0, 3), ints(1, 0)).tolist() == [[7, 0], [8, 0]]


def test_a_write_is_not_seen_before_it_is_published_and_then_by_all_who_map_it(tmp_path: Path) -> None:
    one, two = (SharedSheet(tmp_path / "s", 4, 1) for _ in range(2))
    write = one.write(ints(2), 0, ints(5))
    assert two.cell(ints(2), 0).tolist() == [0]
    write.publish()
    assert two.cell(ints(2), 0).tolist() == [5]
    one.clear(ints(2)).publish()
    assert two.cell(ints(2), 0).tolist() == [0]


def test_files_are_sparse_and_copies_stay_so(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    sheet = SharedSheet(tmp_path / "a" / "s", 1 << 20, 16)
    sheet.write(ints(0, 1 << 19), 0, ints(1, 2)).publish()
    copy(tmp_path / "a", tmp_path / "b")
    again = SharedSheet(tmp_path / "b" / "s", 1 << 20, 16)
    assert again.cell(ints(0, 5, 1 << 19), 0).tolist() == [1, 0, 2]
    assert max(blocks(tmp_path / "a"), blocks(tmp_path / "b")) < 1 << 20 < (tmp_path / "b" / "s").stat().st_size


def test_a_header_is_sound_only_whole_and_of_this_boot(tmp_path: Path) -> None:
    header = Header(tmp_path / "h")
    assert not header.sound
    header.format, header.boot = FORMAT, boot_id()
    assert header.sound
    with header.publishing():
        assert not header.sound
    assert header.sound
    header.boot = boot_id() + 1
    assert not header.sound


def test_pairs_keep_their_slots(tmp_path: Path) -> None:
    random, seen = np.random.default_rng(0), {}
    index = PairIndex(tmp_path / "p", 4000)
    for _ in range(20):
        first, second = random.integers(0, 60, 500), random.integers(0, 60, 500)
        for a, b, slot in zip(first, second, index.claim(first, second), strict=True):
            assert seen.setdefault((a, b), slot) == slot
    assert sorted(seen.values()) == list(range(len(seen))) == list(range(index.used))
    again = PairIndex(tmp_path / "p", 4000)
    asked = ints(*(a for a, _ in seen)), ints(*(b for _, b in seen))
    np.testing.assert_array_equal(again.find(*asked), list(seen.values()))
    assert again.find(ints(-1, 0, 99), ints(0, -1, 99)).tolist() == [-1] * 3


def test_a_full_index_refuses_new_pairs_and_keeps_the_old(tmp_path: Path) -> None:
    index = PairIndex(tmp_path / "p", 64)
    slots = index.claim(np.arange(200), np.arange(200))
    assert (slots >= 0).sum() == 64 == index.used
    np.testing.assert_array_equal(index.claim(np.arange(200), np.arange(200)), slots)


def test_evicted_pairs_make_room_for_new_ones(tmp_path: Path) -> None:
    index, random = PairIndex(tmp_path / "p", 64), np.random.default_rng(5)
    keys = np.arange(64), random.integers(0, 9, 64)
    slots = index.claim(*keys)
    index.seen(slots, np.arange(64) * 10).publish()
    useless = np.zeros(64, bool)
    useless[slots[40]] = True
    victims = oldest(index, 3, useless=useless, busy=slots[:2])
    assert sorted(victims.tolist()) == sorted([slots[40], *slots[2:9]])
    writes = index.without(victims)
    np.testing.assert_array_equal(index.find(*keys), slots)  # nothing is seen before it is published
    for write in writes:
        write.publish()
    index.give_back(victims)
    gone = np.isin(slots, victims)
    for one in (index, PairIndex(tmp_path / "p", 64)):
        np.testing.assert_array_equal(one.find(*keys), np.where(gone, -1, slots))
        assert (one.used, one.room) == (56, 8)
    again = index.claim(np.arange(100, 110), np.zeros(10, np.int64))
    assert sorted(again[again >= 0].tolist()) == sorted(victims.tolist())
    assert (index.last(again[:8]) == NEVER).all()


def test_a_slot_whose_pair_was_never_entered_is_freed(tmp_path: Path) -> None:
    index = PairIndex(tmp_path / "p", 64)
    index.claim(np.arange(5), np.arange(5))
    index._head[0], index._pairs[5] = 6, 12345  # a writer died after taking the slot
    again = PairIndex(tmp_path / "p", 64)
    again.mend()
    assert (again.used, again.room) == (5, 59)


def test_crowded_buckets_overflow_into_the_next(tmp_path: Path) -> None:
    index = PairIndex(tmp_path / "p", 8)  # two buckets of eight: one of them overflows for some pairs
    found = [index.claim(np.arange(n, n + 1), np.arange(1)).tolist() for n in range(8)]
    assert found == [[n] for n in range(8)]
    assert index.find(np.arange(8), np.zeros(8, np.int64)).tolist() == list(range(8))


@pytest.mark.parametrize("op", ["sum", "max"])
@pytest.mark.parametrize("together", [1, 7])
def test_a_ring_is_a_window_over_any_order_of_arrival(tmp_path: Path, op: Literal["sum", "max"], together: int) -> None:
    random, kept = np.random.default_rng(1), list[tuple[int, int, int]]()
    sheet, waiting, now = SharedSheet(tmp_path / "r", 8, 7), list[tuple[int, int, int]](), 1000
    cells = [Cells("", op, 0, Ring(10, 5, 1, 2, 1)), Cells("", op, 0)]
    for step in range(60):
        now += int(random.integers(0, 40))
        rows, at = random.integers(0, 4, 6), now - random.integers(0, 90, 6)
        values = random.integers(-(2**62), 2**62, 6)  # totals wrap around; windows must not care
        waiting += zip(rows.tolist(), at.tolist(), values.tolist(), strict=True)
        if step % together:
            continue
        kept += waiting
        rows, at, values = np.array(waiting).T
        group = Grouped.of(rows, np.arange(len(rows)), at)
        for write in list(Series(sheet, cells).prepare(group, values[group.event])):
            write.publish()
        waiting.clear()
        asked = now + int(random.integers(0, 70))
        since = [asked // 10 - 5, -1]
        want = [[[v for r, t, v in kept if r == row and t // 10 > edge] for row in range(4)] for edge in since]
        for moments in (ints(asked), np.full(4, asked)):
            found = Reading(cells).read(sheet, np.arange(4), moments).tolist()
            assert found == [[(_wrapped(sum(v)) if op == "sum" else max(v, default=NEVER)) for v in w] for w in want]


def _wrapped(total: int) -> int:
    return (total + 2**63) % 2**64 - 2**63


def test_cells_do_not_depend_on_how_events_were_batched(tmp_path: Path) -> None:
    random = np.random.default_rng(4)
    rows, at, values = random.integers(0, 3, 400), np.arange(400) * 3 - random.integers(0, 90, 400), np.arange(400)
    lines = []
    for many in (1, 7, 400):
        for op in ("sum", "max"):
            sheet = SharedSheet(tmp_path / f"{op}{many}", 4, 13)
            series = Series(sheet, [Cells("", op, 0, Ring(10, 5, 1, 3, 2)), Cells("", op, 0, Ring(20, 4, 2, 4, 2))])
            for i in range(0, 400, many):
                group = Grouped.of(rows[i : i + many], np.arange(len(rows[i : i + many])), at[i : i + many])
                for write in list(series.prepare(group, values[i : i + many][group.event])):
                    write.publish()
            lines.append(sheet.lines(np.arange(4)).tolist())
    assert lines[:2] == lines[2:4] == lines[4:]


@pytest.mark.parametrize("together", [1, 5])
def test_lists_keep_the_newest_whatever_the_order_of_arrival(tmp_path: Path, together: int) -> None:
    random, kept, seq = np.random.default_rng(2), list[tuple[int, int, int]](), 0
    sheet = SharedSheet(tmp_path / "l", 8, Lists.width(3, values=True))
    lists = Lists(sheet, k=3, values=True, empty=-1)
    for _ in range(40):
        rows, at = random.integers(0, 3, 5 * together), seq // 10 + random.integers(0, 30, 5 * together)
        values = np.arange(seq, seq + 5 * together)
        kept += list(zip(rows.tolist(), at.tolist(), values.tolist(), strict=True))
        seq += 5 * together
        group = Grouped.of(rows, np.arange(len(rows)), at)
        for write in list(lists.prepare(sheet, group, values[group.event])):
            write.publish()
        found, times = lists.read(np.arange(4))
        for row in range(4):
            last = sorted(((t, v) for r, t, v in kept if r == row), reverse=True)[:3]
            last += [(NEVER, -1)] * (3 - len(last))
            assert list(zip(times[row].tolist(), found[row].tolist(), strict=True)) == last


@pytest.mark.parametrize(
    ("kind", "values"), [(number, np.array([1.5, np.nan, -0.0])), (categories, np.full((3, 8), 4))]
)
def test_a_column_keeps_the_latest_known_value(tmp_path: Path, kind: Kind, values: np.ndarray) -> None:
    sheet = SharedSheet(tmp_path / "c", 4, ColumnTable.width(kind))
    table = ColumnTable(sheet, kind)
    for write in list(table.prepare(sheet, ints(0, 1, 2), ints(10, 10, 10), values)):
        write.publish()
    for write in list(table.prepare(sheet, ints(0), ints(9), values[1:2] * 0)):  # known earlier than what is held
        write.publish()
    np.testing.assert_array_equal(table.read(np.arange(3)), values)
    assert table.known_at(np.arange(4)).tolist() == [10, 10, 10, NEVER]


def test_caps_by_domain() -> None:
    caps = Caps(rows=10, domains={"user": 3})
    assert (caps._cap("user"), caps._cap("video")) == (3, 10)


def test_predicted_memory_is_what_full_tables_take(tmp_path: Path) -> None:
    user, item = (Table(name, key="id", columns={"price": number}) for name in ("user", "item"))
    seen = Events("seen", refs={"user": user, "item": item})
    by = (KeyPath(user), KeyPath(item))
    kept = [Aggregate("sum", seen, by, None, (), days(7)), Aggregate("distinct", seen, by[:1], "item"),
            Aggregate("recent", seen, by[:1], "item", k=50)]  # fmt: skip
    rows, pairs = {"user": 1000, "item": 4096}, {"user*item": 50_000}
    told = {t["table"]: t for t in size(kept, [item], rows=rows, pairs=pairs)}
    assert told["record:user*item"]["bytes"] == 50_000 * 8 * (1 + 1 + 28)
    assert told["recent(seen.item)/user/last50"]["bytes"] == 1000 * 8 * 101
    assert told["column:item.price"] == {"table": "column:item.price", "rows": 4096, "bytes": 4096 * 16}
    for cap, count in ((1 << 16, 50_000), (1 << 20, 5000)):
        index = PairIndex(tmp_path / f"{cap}", cap)
        keys = np.divmod(np.random.default_rng(0).integers(0, 1 << 40, count), 1 << 20)
        index.seen(index.claim(*keys), np.arange(count)).publish()
        assert PairIndex.bytes(cap, count) == pytest.approx(blocks(tmp_path, f"{cap}"), rel=0.1)
    few = {t["table"]: t["rows"] for t in size(kept, [], rows=rows, pairs=pairs, caps=Caps(rows=10, pairs=20))}
    assert few == dict.fromkeys(["record:user*item", "pairs:user*item", "distinct(seen.item)@record:user"], 20) | (
        dict.fromkeys(["record:user", "recent(seen.item)/user/last50"], 10)
    )
