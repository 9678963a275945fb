"""The parts of live tables: cells, pairs, rings and lists, against the obvious."""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from winnow.data.schema import categories, number
from winnow.features.live.files import Header, Sheet, blocks, boot_id, copy
from winnow.features.live.layout import Caps
from winnow.features.live.pairs import PairIndex
from winnow.features.live.tables import ColumnTable, Lists, Ring
from winnow.features.state import NEVER


def ints(*values: int) -> np.ndarray:
    return np.array(values, np.int64)


def test_untouched_cells_and_rows_outside_read_as_empty(tmp_path: Path) -> None:
    sheet = Sheet(tmp_path / "s", 4, 2, empty=NEVER)
    sheet.write(ints(0, 3), ints(7, 8), 1).publish()
    assert sheet.read(ints(-1, 0, 1, 3, 4, 5, 10**9), 1).tolist() == [NEVER, 7, NEVER, 8, NEVER, NEVER, NEVER]
    assert sheet.lines(ints(-1, 0, 4, 10**9)).tolist() == [[NEVER] * 2, [NEVER, 7], [NEVER] * 2, [NEVER] * 2]


def test_a_write_is_not_seen_before_it_is_published_and_then_by_all_who_map_it(tmp_path: Path) -> None:
    one, two = (Sheet(tmp_path / "s", 4, 1) for _ in range(2))
    write = one.write(ints(2), ints(5))
    assert two.read(ints(2)).tolist() == [0]
    write.publish()
    assert two.read(ints(2)).tolist() == [5]


def test_files_are_sparse_and_copies_stay_so(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    sheet = Sheet(tmp_path / "a" / "s", 1 << 20, 16)
    sheet.write(ints(0, 1 << 19), ints(1, 2)).publish()
    copy(tmp_path / "a", tmp_path / "b")
    again = Sheet(tmp_path / "b" / "s", 1 << 20, 16)
    assert again.read(ints(0, 5, 1 << 19)).tolist() == [1, 0, 2]
    assert max(blocks(tmp_path / "a"), blocks(tmp_path / "b")) < 1 << 20 < (tmp_path / "b" / "s").stat().st_size


def test_a_header_is_sound_only_whole_and_of_this_boot(tmp_path: Path) -> None:
    header = Header(tmp_path / "h")
    assert not header.sound
    header.format, header.boot = 1, boot_id()
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


def test_crowded_buckets_overflow_into_the_next(tmp_path: Path) -> None:
    index = PairIndex(tmp_path / "p", 8)  # two buckets of eight: one of them overflows for some pairs
    found = [index.claim(np.arange(n, n + 1), np.arange(1)).tolist() for n in range(8)]
    assert found == [[n] for n in range(8)]
    assert index.find(np.arange(8), np.zeros(8, np.int64)).tolist() == list(range(8))


def test_a_ring_is_a_window_over_any_order_of_arrival(tmp_path: Path) -> None:
    random, kept = np.random.default_rng(1), []
    ring = Ring(tmp_path / "r", 8, hop=10, buckets=5)
    now = 1000
    for _ in range(60):
        now += int(random.integers(0, 40))
        rows, at = random.integers(0, 4, 6), now - random.integers(0, 90, 6)
        adds = random.integers(-(2**62), 2**62, 6)  # totals wrap around; windows must not care
        kept += [(r, t // 10, a) for r, t, a in zip(rows.tolist(), at.tolist(), adds.tolist(), strict=True)]
        for write in ring.prepare(rows, at, adds):
            write.publish()
        asked = now + int(random.integers(0, 70))
        want = Counter(dict.fromkeys(range(4), 0))
        for row, hop, add in kept:
            want[row] += add if hop > asked // 10 - 5 else 0
        wrapped = [(want[r] + 2**63) % 2**64 - 2**63 for r in range(4)]
        assert ring.read(np.arange(4), asked).tolist() == wrapped
        assert ring.read(np.arange(4), np.full(4, asked)).tolist() == wrapped


def test_lists_keep_the_newest_whatever_the_order_of_arrival(tmp_path: Path) -> None:
    random, kept, seq = np.random.default_rng(2), [], 0
    lists = Lists(tmp_path / "l", 8, k=3, values=True)
    for _ in range(40):
        rows, at = random.integers(0, 3, 5), random.integers(0, 30, 5)
        values = np.arange(seq, seq + 5)
        kept += list(zip(rows.tolist(), at.tolist(), values.tolist(), strict=True))
        seq += 5
        for write in lists.prepare(rows, at, values):
            write.publish()
        found, times = lists.read(np.arange(3))
        for row in range(3):
            last = sorted(((t, v) for r, t, v in kept if r == row), reverse=True)[:3]
            assert list(zip(times[row].tolist(), found[row].tolist(), strict=True))[: len(last)] == last


@pytest.mark.parametrize(
    ("kind", "values"), [(number, np.array([1.5, np.nan, -0.0])), (categories, np.full((3, 8), 4))]
)
def test_a_column_keeps_the_latest_known_value(tmp_path: Path, kind: object, values: np.ndarray) -> None:
    table = ColumnTable(tmp_path / "c", 4, kind)  # type: ignore[arg-type]
    for write in table.prepare(ints(0, 1, 2), ints(10, 10, 10), values):
        write.publish()
    for write in table.prepare(ints(0), ints(9), values[1:2] * 0):  # known earlier than what is held
        write.publish()
    np.testing.assert_array_equal(table.read(np.arange(3)), values)
    assert table.known_at(np.arange(4)).tolist() == [10, 10, 10, NEVER]


def test_caps_by_domain() -> None:
    caps = Caps(rows=10, domains={"user": 3})
    assert (caps._cap("user"), caps._cap("video")) == (3, 10)
