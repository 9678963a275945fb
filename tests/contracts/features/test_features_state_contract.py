"""What every `State` does, whatever it is made of: history, live tables and the oracle run the same suite."""

import math
from pathlib import Path as FilePath
from typing import Any

import numpy as np
import pytest
from features_oracle import Happened, LogSource, OracleState, chunks_of

from winnow.core.time import FOREVER, MICROS, hours, minutes
from winnow.data.schema import Events, Path, Table, categories, category, flag, number, ref, time
from winnow.features.aggregate import Aggregate
from winnow.features.history import HistoryState
from winnow.features.live import Caps, LiveReader, LiveWriter
from winnow.features.state import NEVER, SET_WIDTH, State

user = Table("user", key="user_id", columns={"country": category})
post = Table("post", key="post_id", columns={"author": ref(user), "tags": categories, "score": number, "nsfw": flag,
                                             "made": time})  # fmt: skip
read = Events("read", refs={"user": user, "post": post}, fields={"seconds": number, "long": flag, "place": category})
USER, POST = Path(user), Path(post)
T = 1_700_000_000 * MICROS // (3600 * MICROS) * 3600 * MICROS  # on the hour
MINUTE = 60 * MICROS
HOUR = Aggregate("sum", read, (POST,), None, (), hours(1))  # hops of one minute
EVER = Aggregate("sum", read, (POST,))
AGGREGATES = [
    HOUR, EVER,
    Aggregate("sum", read, (USER, POST)), Aggregate("sum", read, (post.tags,)),
    Aggregate("sum", read, (USER, post.tags)),
    Aggregate("sum", read, (post.author,)), Aggregate("sum", read, (post.author.country,)),
    Aggregate("sum", read, (POST,), "seconds", (), minutes(1)), Aggregate("sum", read, (POST,), "seconds"),
    Aggregate("sum", read, (POST,), None, (read.long.equals(1),), FOREVER),
    Aggregate("sum", read, (POST,), None, (read.seconds < 10,), FOREVER),
    Aggregate("recent", read, (USER,), "post", k=3), Aggregate("recent", read, (POST,), None, k=1),
]  # fmt: skip
BY = {a.name: a for a in AGGREGATES}


class LogOf:
    """Writes a log row by row."""

    def __init__(self) -> None:
        self.rows: list[Happened] = []

    def read(self, at: int, known_at: int | None = None, **values: Any) -> None:
        """An event; who, what and fields have defaults."""
        full = {"user": 0, "post": 0, "seconds": math.nan, "long": -1, "place": -1} | values
        self.rows.append(Happened(len(self.rows) + 1, at if known_at is None else known_at, at, read, full))

    def put(self, table: Table, row: int, known_at: int, *, deleted: bool = False, **values: Any) -> None:
        """A change of a table row."""
        if "tags" in values:
            values["tags"] = values["tags"] + [-1] * (SET_WIDTH - len(values["tags"]))
        self.rows.append(Happened(len(self.rows) + 1, known_at, known_at, table, values, row, deleted))


class StateContract:
    """A subclass says how a state is made of a log, to be asked at one moment."""

    def state(self, log: list[Happened], at: int, folder: FilePath) -> State:
        raise NotImplementedError

    @pytest.fixture
    def log(self) -> LogOf:
        return LogOf()

    @pytest.fixture
    def ask(self, log: LogOf, tmp_path: FilePath) -> Any:
        """Asks for an aggregate at a moment."""
        number_of = iter(range(100))

        def ask(aggregate: Aggregate, at: int, *keys: Any) -> Any:
            state = self.state(log.rows, at, tmp_path / str(next(number_of)))
            arrays = tuple(np.atleast_1d(np.array(k, np.int64)) for k in keys)
            if aggregate.kind != "recent":
                return state.windows([aggregate], arrays, np.array([at]))[0].tolist()
            return tuple(a.tolist() for a in state.recent(aggregate, arrays, np.array([at])))

        return ask

    @pytest.fixture
    def column(self, log: LogOf, tmp_path: FilePath) -> Any:
        """Asks for a column at a moment."""
        number_of = iter(range(100))

        def column(name: str, at: int, rows: Any) -> Any:
            state = self.state(log.rows, at, tmp_path / f"c{next(number_of)}")
            return state.column(post, name, np.array(rows), np.array([at]))

        return column

    def test_an_event_counts_strictly_after_it_became_known(self, log: LogOf, ask: Any) -> None:
        log.read(T)
        assert [ask(EVER, t, 0) for t in (T, T + 1)] == [[0], [1]]

    def test_events_of_one_moment_all_count(self, log: LogOf, ask: Any) -> None:
        for _ in range(3):
            log.read(T)
        assert ask(HOUR, T + 1, 0) == [3]

    def test_it_leaves_a_window_with_its_hop(self, log: LogOf, ask: Any) -> None:
        log.read(T + 30 * MICROS)  # in the first minute of the hour: its hop leaves as the 61st minute begins
        assert [ask(HOUR, T + t, 0) for t in (59 * MINUTE, 60 * MINUTE - 1, 60 * MINUTE)] == [[1], [1], [0]]

    def test_a_late_event_counts_from_when_it_is_known_and_leaves_by_its_own_time(self, log: LogOf, ask: Any) -> None:
        log.read(T, T + 30 * MINUTE)
        asked = (10 * MINUTE, 30 * MINUTE, 30 * MINUTE + 1, 60 * MINUTE - 1, 60 * MINUTE)
        assert [ask(HOUR, T + t, 0)[0] for t in asked] == [0, 0, 1, 1, 0]

    def test_an_event_older_than_the_window_when_it_is_known_never_counts(self, log: LogOf, ask: Any) -> None:
        log.read(T, T + 61 * MINUTE)
        log.read(T + 61 * MINUTE)
        assert [ask(a, T + 62 * MINUTE, 0)[0] for a in (HOUR, EVER)] == [1, 2]

    def test_a_late_event_joins_newer_ones(self, log: LogOf, ask: Any) -> None:
        log.read(T + 10 * MINUTE)
        log.read(T + 5 * MINUTE, T + 11 * MINUTE)
        assert [ask(HOUR, T + t * MINUTE, 0)[0] for t in (12, 64, 65, 69, 70)] == [2, 2, 1, 1, 0]

    def test_unknown_and_missing_keys_count_nothing(self, log: LogOf, ask: Any) -> None:
        log.read(T, post=-1)
        log.read(T, user=-1)
        assert ask(EVER, T + 1, [-1, 0, 5]) == [0, 1, 0]
        assert ask(BY["sum(read)/user*post/ever"], T + 1, [-1, 0, 0, 5], [0, 0, -1, 5]) == [0, 0, 0, 0]

    def test_pairs_are_not_mixed_up(self, log: LogOf, ask: Any) -> None:
        for person, thing in ((0, 1), (1, 0), (1, 0), (2, 2)):
            log.read(T, user=person, post=thing)
        assert ask(BY["sum(read)/user*post/ever"], T + 1, [0, 1, 2, 0], [1, 0, 2, 0]) == [1, 2, 1, 0]

    def test_a_multi_valued_key_counts_each_value(self, log: LogOf, ask: Any) -> None:
        log.put(post, 0, T - 2, tags=[4, 7])
        log.read(T)
        assert ask(BY["sum(read)/post.tags/ever"], T + 1, [4, 7, 5]) == [1, 1, 0]
        assert ask(BY["sum(read)/user*post.tags/ever"], T + 1, [0, 1], [7, 7]) == [1, 0]

    def test_keys_are_what_tables_said_at_the_event(self, log: LogOf, ask: Any) -> None:
        log.read(T)  # before the post is known: counts for no author
        log.put(post, 0, T + 1, author=3)
        log.read(T + 2)
        log.put(post, 0, T + 2, author=4)  # the same moment, later in the log
        log.read(T + 3)
        log.put(post, 0, T + 4, deleted=True)
        log.read(T + 5)
        assert ask(BY["sum(read)/post.author/ever"], T + 9, [3, 4, -1]) == [1, 1, 0]

    def test_keys_through_two_tables(self, log: LogOf, ask: Any) -> None:
        log.put(post, 0, T, author=3)
        log.put(user, 3, T + 1, country=6)
        log.read(T + 2)
        assert ask(BY["sum(read)/post.author.country/ever"], T + 3, [6, 3]) == [1, 0]

    def test_conditions_are_never_met_by_missing_values(self, log: LogOf, ask: Any) -> None:
        log.read(T, long=1, seconds=9.0)
        log.read(T, long=0, seconds=11.0)
        log.read(T)
        assert ask(BY["sum(read[long == 1])/post/ever"], T + 1, 0) == [1]
        assert ask(BY["sum(read[seconds < 10])/post/ever"], T + 1, 0) == [1]

    @pytest.mark.parametrize("values", [[0.1] * 10, [1e9, 0.25, -1e9], [math.nan, 2.5], [4e-7, 6e-7]])
    def test_sums_are_exact_in_millionths(self, log: LogOf, ask: Any, values: list[float]) -> None:
        for value in values:
            log.read(T, seconds=value)
        total = sum(round(v * 1e6) for v in values if not math.isnan(v))
        assert ask(BY["sum(read.seconds)/post/ever"], T + 1, 0) == [total]
        assert ask(BY["sum(read.seconds)/post/60000000us"], T + 1, 0) == [total]

    def test_the_last_k_are_newest_first_by_own_time_and_then_by_the_log(self, log: LogOf, ask: Any) -> None:
        log.read(T + 5, post=1)
        log.read(T + 5, post=2)
        log.read(T + 1, T + 6, post=3)
        log.read(T + 9, post=4)
        last = BY["recent(read.post)/user/last3"]
        assert ask(last, T + 9, 0) == ([[2, 1, 3]], [[T + 5, T + 5, T + 1]])
        assert ask(last, T + 10, 0) == ([[4, 2, 1]], [[T + 9, T + 5, T + 5]])
        assert ask(last, T + 6, [0, 1, -1]) == ([[2, 1, -1], [-1] * 3, [-1] * 3],
                                                [[T + 5, T + 5, NEVER], [NEVER] * 3, [NEVER] * 3])  # fmt: skip

    def test_times_alone(self, log: LogOf, ask: Any) -> None:
        log.read(T, post=1)
        assert ask(BY["recent(read)/post/last1"], T + 1, [1, 0]) == ([[-1], [-1]], [[T], [NEVER]])

    def test_columns_as_they_stood(self, log: LogOf, column: Any) -> None:
        log.put(post, 1, T, author=2, tags=[5], score=0.5, nsfw=0, made=T)
        log.put(post, 1, T + 5, score=0.75)
        assert column("score", T, [1]).tolist() != [0.5]
        assert column("score", T + 1, [1]).tolist() == [0.5]
        assert column("score", T + 6, [1]).tolist() == [0.75]
        assert column("author", T + 6, [1, 0, -1, 99]).tolist() == [2, -1, -1, -1]
        assert column("nsfw", T + 6, [1, 0]).tolist() == [0, -1]
        assert column("made", T + 6, [1, 0]).tolist() == [T, NEVER]
        assert column("tags", T + 6, [1, 0]).tolist() == [[5] + [-1] * 7, [-1] * 8]

    def test_columns_have_their_types(self, log: LogOf, column: Any) -> None:
        log.put(post, 0, T, author=2)
        for name, kind in post.columns.items():
            values = column(name, T + 1, [0, 1])
            assert values.dtype == (np.float64 if kind.storage == "number" else np.int64)
        assert np.isnan(column("score", T + 1, [0, -1])).all()

    def test_a_deleted_row_has_no_values_and_forgets_them(self, log: LogOf, column: Any) -> None:
        log.put(post, 0, T, author=2, score=1.0)
        log.put(post, 0, T + 1, deleted=True)
        log.put(post, 0, T + 2, score=2.0)
        assert [column("author", T + t, [0])[0] for t in (1, 2, 3)] == [2, -1, -1]
        assert column("score", T + 3, [0]).tolist() == [2.0]

    def test_one_moment_stands_for_all_rows(self, log: LogOf, tmp_path: FilePath) -> None:
        for t in range(4):
            log.read(T + t, post=t)
        state = self.state(log.rows, T + 9, tmp_path / "live")
        rows = np.array([3, 0, 1])
        for aggregate in (HOUR, EVER):
            (one,) = state.windows([aggregate], (rows,), np.array([T + 9]))
            (many,) = state.windows([aggregate], (rows,), np.full(3, T + 9))
            np.testing.assert_array_equal(one, many, strict=True)
            assert one.tolist() == [1, 1, 1]


class TestHistory(StateContract):
    def state(self, log: list[Happened], at: int, folder: FilePath) -> State:
        return HistoryState(LogSource(log, [user, post, read]))


class TestOracle(StateContract):
    def state(self, log: list[Happened], at: int, folder: FilePath) -> State:
        return OracleState(log)


class TestLive(StateContract):
    def state(self, log: list[Happened], at: int, folder: FilePath) -> State:
        writer = LiveWriter(folder, AGGREGATES, [user, post], replay=lambda _: [], caps=Caps(rows=32, pairs=32))
        writer.apply(chunks_of([h for h in log if h.known_at < at]))
        writer.advance(at)
        return LiveReader(folder).consistently(lambda state: state)
