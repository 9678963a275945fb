"""Every kind of aggregate over logs long enough for blocks, levels and pieces to matter, against the obvious loops."""

import math
from datetime import timedelta
from typing import Any

import numpy as np
import pytest

from winnow.core.time import FOREVER, MICROS, days, hours, minutes
from winnow.data.schema import Events, Path, Table, category, flag, number, text
from winnow.features import history
from winnow.features.aggregate import OWN_TIME, Aggregate
from winnow.features.extremes import RangeMax
from winnow.features.history import HistoryState
from winnow.features.keys import decay_units
from winnow.features.state import KNOWN_AT, NEVER

user = Table("user", key="user_id", columns={"about": text, "size": number})
item = Table("item", key="item_id")
see = Events("see", refs={"user": user, "item": item}, fields={"seconds": number, "liked": flag, "place": category})
USER, PAIR = (Path(user),), (Path(user), Path(item))
START = 1_700_000_000 * MICROS
SIZE = 600
WINDOWS = [minutes(1), hours(1), days(1), FOREVER]
LATE = ["none", "in order", "shuffled", "known in another order"]
TESTS: list[Any] = [(), (see.seconds >= 10.0,), (see.liked.equals(1), see.seconds < 40.0)]


class Columns:
    """A source of fixed columns that counts how often it is read."""

    def __init__(self, events: Any, rows: Any = None):
        self._events, self._rows = events, rows
        self.reads: list[str] = []

    def events(self, name: str) -> Any:
        self.reads.append(name)
        return self._events

    def rows(self, table: str) -> Any:
        return self._rows


def happened(seed: int, late: str) -> Any:
    """Few keys, many ties, missing values; `late`: none, in the order of own time, shuffled, or `seq` in any order."""
    random = np.random.default_rng(seed)
    steps = random.choice([0, 1, MICROS, 61 * MICROS, 1800 * MICROS], SIZE)
    at = known_at = START + np.cumsum(steps)
    if late == "known in another order":
        known_at = at + np.arange(SIZE)
    elif late == "in order":
        known_at = np.maximum.accumulate(at + random.choice([0, 1, 7200 * MICROS], SIZE, p=[0.6, 0.3, 0.1]))
    elif late == "shuffled":
        at = known_at - random.choice([0, 0, 1, 61 * MICROS, 90_000 * MICROS], SIZE)
    rows = {name: random.integers(-1, many, SIZE) for name, many in (("user", 3), ("item", 4), ("place", 6))}
    seconds = np.where(random.random(SIZE) < 0.2, np.nan, random.integers(-500, 500, SIZE) / 10)
    seq = random.permutation(SIZE) + 1 if late == "known in another order" else np.arange(1, SIZE + 1)
    log = {"seq": seq, "at": at, "known_at": known_at, "seconds": seconds}
    return log | rows | {"liked": random.integers(-1, 2, SIZE)}


def counting(a: Aggregate, log: Any, key: tuple[int, ...], t: int) -> Any:
    """The events that count under a key at a moment: bool [e]."""
    seen = (log["known_at"] < t) & np.logical_and.reduce(
        [log[p.table.name] == k for p, k in zip(a.by, key, strict=True)]
    )
    for test in a.conditions:
        seen &= {">=": np.greater_equal, "<": np.less, "==": np.equal}[test.op](log[test.field], test.value)
    return seen & (log["at"] // a.hop > t // a.hop - a.buckets) if a.hop else seen


def truth(a: Aggregate, log: Any, key: tuple[int, ...], t: int) -> int:
    """What a window comes to, by the words of the declaration."""
    if min(key) < 0:
        return NEVER if a.kind == "max" else 0
    of = np.flatnonzero(counting(a, log, key, t))
    if a.half_life is not None:
        return int(decay_units(log["at"][of], a.half_life).sum())
    if a.value is None:
        return len(of)
    values = [v for v in log[a.value][of].tolist() if not (math.isnan(v) if a.value == "seconds" else v < 0)]
    if a.kind == "distinct":
        return len(set(values))
    whole = [int(v) if a.value == OWN_TIME else round(v * 1e6) for v in values]
    if a.kind == "sum":
        return sum(whole)
    return max((-v if a.negated else v for v in whole), default=NEVER)


def aggregates() -> list[Aggregate]:
    """Every kind by window, key and test."""
    made: list[Aggregate] = []
    for number_, window in enumerate(WINDOWS):
        by, tests = (USER, PAIR)[number_ % 2], TESTS[number_ % len(TESTS)]
        made += [
            Aggregate("sum", see, by, None, tests, window),
            Aggregate("sum", see, by, "seconds", (), window),
            Aggregate("max", see, USER, "seconds", tests, window),
            Aggregate("max", see, by, "seconds", (), window, negated=True),
            Aggregate("max", see, by, "liked", (), window),
            Aggregate("max", see, by, OWN_TIME, tests, window),
            Aggregate("distinct", see, USER, "place", tests, window),
            Aggregate("distinct", see, by, "item", (), window),
        ]
    for half_life in (minutes(1), hours(2)):
        period = 16 * half_life
        made += [Aggregate("sum", see, USER, None, TESTS[1], w, half_life=half_life) for w in (period, 2 * period)]
    return made


def questions(log: Any, seed: int, many: int = 60) -> tuple[Any, Any, Any]:
    """Keys, some unknown, and moments at and beside events and window edges."""
    random = np.random.default_rng(seed)
    near = log["known_at"][random.integers(0, SIZE, many)]
    at = near + random.choice([0, 1, 59 * MICROS, 3600 * MICROS, 86_399 * MICROS], many)
    return random.integers(-1, 4, many), random.integers(-1, 5, many), at


@pytest.mark.parametrize("late", LATE)
def test_every_kind_is_what_its_declaration_says(late: str) -> None:
    log = happened(1, late)
    users, items, at = questions(log, 2)
    for a in aggregates():
        keys = (users,) if a.by == USER else (users, items)
        found = HistoryState(Columns(log)).windows([a], keys, at)[0].tolist()
        wanted = [truth(a, log, tuple(map(int, key)), int(t)) for *key, t in zip(*keys, at, strict=True)]
        assert found == wanted, a.name


@pytest.mark.parametrize("late", LATE)
@pytest.mark.parametrize("value", ["seconds", "item", None])
@pytest.mark.parametrize("k", [1, 7])
def test_the_last_k(late: str, value: str | None, k: int) -> None:
    log = happened(3, late)
    users, _, at = questions(log, 4)
    for tests in TESTS:
        a = Aggregate("recent", see, USER, value, tests, k=k)
        values, times = HistoryState(Columns(log)).recent(a, (users,), at)
        for row, (u, t) in enumerate(zip(users.tolist(), at.tolist(), strict=True)):
            of = np.flatnonzero(counting(a, log, (u,), t)) if u >= 0 else np.empty(0, int)
            of = of[np.lexsort((log["seq"][of], log["at"][of]))][::-1][:k]
            assert times[row].tolist() == log["at"][of].tolist() + [NEVER] * (k - len(of))
            assert values[row].tolist() == kept(log, value, of) + [NEVER if value == "seconds" else -1] * (k - len(of))


def kept(log: Any, value: str | None, of: Any) -> list[int]:
    if value is None:
        return [-1] * len(of)
    return [NEVER if math.isnan(v) else round(v * 1e6) if value == "seconds" else v for v in log[value][of].tolist()]


def test_one_call_answers_all_aggregates_of_a_subject() -> None:
    log = happened(5, "shuffled")
    users, _, at = questions(log, 6)
    some = [a for a in aggregates() if a.by == USER]
    state = HistoryState(Columns(log))
    alone = [HistoryState(Columns(log)).windows([a], (users,), at)[0] for a in some]
    for one, two in zip(state.windows(some, (users,), at), alone, strict=True):
        np.testing.assert_array_equal(one, two)


def test_a_few_questions_to_many_events_get_the_same_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Events of other keys are left out, and read again once other keys are asked for."""
    log = happened(7, "shuffled")
    users, items, at = questions(log, 8, many=400)
    a = Aggregate("sum", see, PAIR, "seconds", (), hours(1))
    whole = HistoryState(Columns(log)).windows([a], (users, items), at)[0]
    monkeypatch.setattr(history, "_MANY", 1)
    state = HistoryState(Columns(log))
    for row in range(len(at)):
        found = state.windows([a], (users[row : row + 1], items[row : row + 1]), at[row : row + 1])[0]
        assert found.tolist() == whole[row : row + 1].tolist()


def test_events_are_read_once_when_the_aggregates_are_known_before() -> None:
    log = happened(9, "none")
    users, _, at = questions(log, 10)
    some = [a for a in aggregates() if a.by == USER]
    source = Columns(log)
    state = HistoryState(source, some)
    for a in some:
        state.windows([a], (users,), at)
    assert source.reads == ["see"]


def test_columns_that_nothing_asks_for_are_never_read() -> None:
    log = happened(11, "none")
    asked: list[set[str]] = []

    class Chosen(Columns):
        def batches(self, name: str, columns: Any, *, rows: int) -> Any:
            asked.append(set(columns))
            yield {c: log[c] for c in columns}

    users, _, at = questions(log, 12)
    HistoryState(Chosen(log), [some := Aggregate("sum", see, USER, "seconds")]).windows([some], (users,), at)
    assert asked == [{"seq", "at", "known_at", "user", "seconds"}]


def test_what_was_not_foreseen_is_read_when_asked_for_even_if_the_history_has_grown() -> None:
    log = happened(13, "none")
    half = {c: v[::2] for c, v in log.items()}
    source = Columns(half)
    users, _, at = questions(log, 14)
    count, most = Aggregate("sum", see, USER), Aggregate("max", see, USER, "seconds")
    state = HistoryState(source, [count])
    state.windows([count], (users,), at)
    source._events = log
    found = state.windows([most], (users,), at)[0].tolist()
    assert found == [truth(most, half, (int(u),), int(t)) for u, t in zip(users, at, strict=True)]


def test_versions_know_since_when_and_texts_are_hashes() -> None:
    rows = {"seq": [1, 2, 3, 4], "at": [10, 20, 30, 40], "known_at": [10, 20, 30, 40], "row": [0, 0, 1, 0],
            "deleted": [0, 0, 0, 1], "about": ["a", None, "b", "a"], "size": [1.0, 2.0, 3.0, 4.0]}  # fmt: skip
    source = Columns({}, {c: v if c == "about" else np.array(v) for c, v in rows.items()})
    state = HistoryState(source)
    asked, at = np.array([0, 0, 0, 1, 1, 7]), np.array([11, 21, 41, 30, 31, 50])
    assert state.column(user, KNOWN_AT, asked, at).tolist() == [10, 20, NEVER, NEVER, 30, NEVER]
    found = state.column(user, "about", asked, at).tolist()
    assert found[1:4] == [-1, -1, -1]
    assert found[0] > 0 < found[4] != found[0]


@pytest.mark.parametrize("size", [1, 31, 32, 33, 1000])
def test_range_maxima(size: int) -> None:
    random = np.random.default_rng(size)
    values = random.integers(-50, 50, size)
    start, stop = random.integers(0, size + 1, (2, 300))
    found = RangeMax(values).over(start, stop)
    assert found.tolist() == [int(values[a:b].max(initial=NEVER)) for a, b in zip(start, stop, strict=True)]


def test_decay_doubles_with_each_half_life_and_starts_again_with_each_period() -> None:
    half = timedelta(hours=1)
    at = np.array([0, 1, 15, 16, 17]) * 3600 * MICROS
    assert decay_units(at, half).tolist() == [1 << 20, 1 << 21, 1 << 35, 1 << 20, 1 << 21]
