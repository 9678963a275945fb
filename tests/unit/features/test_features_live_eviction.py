"""Full tables of pairs: the pairs whose last event is oldest go, and whatever stays is exact."""

import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from features_oracle import Happened, OracleState, chunks_of

from winnow.core.time import FOREVER, MICROS, hours, minutes
from winnow.data.schema import Events, Table, number
from winnow.data.schema import Path as KeyPath
from winnow.features.aggregate import Aggregate, latest
from winnow.features.live import Caps, LiveReader, LiveState, LiveWriter

user, item = Table("user", key="user_id"), Table("item", key="item_id")
read = Events("read", refs={"user": user, "item": item}, fields={"seconds": number})
save = Events("save", refs={"user": user, "item": item})
BOTH = (KeyPath(user), KeyPath(item))
START = 1_700_000_000 * MICROS
CAP = 24

PAIRS = [
    Aggregate("sum", read, BOTH), Aggregate("sum", read, BOTH, "seconds", (), minutes(30)), latest(read, BOTH),
    Aggregate("max", read, BOTH, "seconds", (), hours(1), negated=True), Aggregate("sum", save, BOTH),
    Aggregate("distinct", save, BOTH, "item"), Aggregate("sum", read, BOTH, half_life=minutes(1), window=FOREVER),
]  # fmt: skip
LIST = Aggregate("recent", read, BOTH, "seconds", k=3)
WINDOWS = [Aggregate("sum", read, BOTH, None, (), minutes(5)), Aggregate("sum", save, BOTH, None, (), minutes(10))]
DISTINCT = [Aggregate("distinct", read, BOTH[:1], "item", (), w) for w in (minutes(5), minutes(10))]


def happened(size: int, *, people: int = 6, things: int = 20) -> list[Happened]:
    chance, log, now = random.Random(7), [], START
    for seq in range(1, size + 1):
        now += chance.choice([1, 7 * MICROS, 61 * MICROS])
        late = chance.choice([0, 0, 0, 90 * MICROS])
        of = chance.choice([read, read, save])
        values: dict[str, Any] = {"user": chance.randrange(people), "item": min(chance.randrange(things) for _ in "ab")}
        values |= {"seconds": chance.choice([1.5, -2.0, float("nan")])} if of is read else {}
        log.append(Happened(seq, now, now - late, of, values))
    return log


def every_pair(people: int = 6, things: int = 20) -> tuple[Any, Any]:
    users, items = np.meshgrid(np.arange(people), np.arange(things))
    return users.ravel(), items.ravel()


def held(live: LiveWriter) -> set[tuple[int, int]]:
    index = live._tables.pairs("user*item")
    return set(zip(*(a.tolist() for a in index.pairs(index.slots())), strict=True))


def test_what_was_never_evicted_is_exact_and_what_was_starts_anew(tmp_path: Path) -> None:
    log = happened(500)
    live = LiveWriter(tmp_path, [*PAIRS, LIST], [], replay=lambda _: [], caps=Caps(pairs=CAP))
    reader, oracle, seen, evicted, alone = LiveReader(tmp_path), OracleState(log), set(), set(), 0
    for first in range(0, len(log), 5):
        batch = log[first : first + 5]
        live.apply(chunks_of(batch))
        seen |= {(h.values["user"], h.values["item"]) for h in batch}
        evicted |= seen - held(live)
        at, pairs = np.array([live.watermark]), every_pair()
        keep = np.array([pair not in evicted for pair in zip(*(k.tolist() for k in pairs), strict=True)])
        alone += int(keep.sum())
        if first % 50 == 0:
            keys = pairs[0][keep], pairs[1][keep]
            for a, one, two in zip(PAIRS, oracle.windows(PAIRS, keys, at), _windows(reader, keys, at), strict=True):
                np.testing.assert_array_equal(one, two, a.name)
            for one, two in zip(oracle.recent(LIST, keys, at), _recent(reader, keys, at), strict=True):
                np.testing.assert_array_equal(one, two)
    told = live.stats()["tables"]["pairs:user*item"]
    assert told["cap"] == CAP
    assert told["used"] <= CAP
    assert told["evicted"] > 5 * CAP > told["refused"] * 100
    assert alone > 1000, "hardly anything was compared"


def _windows(reader: LiveReader, keys: Any, at: Any) -> Any:
    return reader.consistently(lambda s: s.windows(PAIRS, keys, at))


def _recent(reader: LiveReader, keys: Any, at: Any) -> Any:
    return reader.consistently(lambda s: s.recent(LIST, keys, at))


def test_pairs_of_which_nothing_can_count_any_more_go_first_and_nobody_notices(tmp_path: Path) -> None:
    """The table holds what ten minutes bring but not what an hour does: all windows stay exact."""
    log = happened(1500, people=4, things=12)
    live = LiveWriter(tmp_path, WINDOWS, [], replay=lambda _: [], caps=Caps(pairs=44))
    oracle, keys = OracleState(log), every_pair(4, 12)
    for first in range(0, len(log), 10):
        live.apply(chunks_of(log[first : first + 10]))
        at = np.array([live.watermark])
        if first % 100 == 0:
            found = LiveState(live._tables).windows(WINDOWS, keys, at)
            for one, two in zip(found, oracle.windows(WINDOWS, keys, at), strict=True):
                np.testing.assert_array_equal(one, two)
    assert live.stats()["tables"]["pairs:user*item"]["evicted"] > 0


def test_distinct_values_out_of_all_windows_go_first(tmp_path: Path) -> None:
    log = happened(1500, people=4, things=12)
    live = LiveWriter(tmp_path, DISTINCT, [], replay=lambda _: [], caps=Caps(pairs=44))
    oracle = OracleState(log)
    for first in range(0, len(log), 10):
        live.apply(chunks_of(log[first : first + 10]))
        at = np.array([live.watermark])
        if first % 100 == 0:
            found = LiveState(live._tables).windows(DISTINCT, (np.arange(4),), at)
            for one, two in zip(found, oracle.windows(DISTINCT, (np.arange(4),), at), strict=True):
                np.testing.assert_array_equal(one, two)
    told = next(t for n, t in live.stats()["tables"].items() if n.startswith("distinct"))
    assert told["evicted"] > 0 == told["refused"]


def test_a_batch_of_more_pairs_than_fit_is_cut_and_counted(tmp_path: Path) -> None:
    live = LiveWriter(tmp_path, WINDOWS, [], replay=lambda _: [], caps=Caps(pairs=8))
    live.apply(chunks_of([Happened(i + 1, START, START, save, {"user": i, "item": i}) for i in range(20)]))
    told = live.stats()["tables"]["pairs:user*item"]
    assert (told["used"], told["refused"], told["evicted"]) == (8, 12, 0)


@pytest.mark.parametrize("cap", [16, 64])
def test_an_evicted_pair_that_comes_back_counts_from_nothing(tmp_path: Path, cap: int) -> None:
    ever = Aggregate("sum", save, BOTH)
    live = LiveWriter(tmp_path, [ever, Aggregate("distinct", save, BOTH, "user")], [], replay=lambda _: [],
                      caps=Caps(pairs=cap))  # fmt: skip
    for i in [*range(3 * cap), 0]:
        live.apply(chunks_of([Happened(live.applied_seq + 1, START + live.applied_seq, START + live.applied_seq, save,
                                       {"user": i, "item": 0})]))  # fmt: skip
    state, first = LiveState(live._tables), (np.array([0]), np.array([0]))
    found = state.windows([ever, Aggregate("distinct", save, BOTH, "user")], first, np.array([live.watermark]))
    assert [f.tolist() for f in found] == [[1], [1]]
