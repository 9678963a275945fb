"""The Delta history as arrays: only what is asked for, in pieces, of one moment."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path as FilePath

import numpy as np
import pytest

from winnow.core.time import MICROS, days
from winnow.data.history import History
from winnow.data.intake import Intake
from winnow.data.log import SqliteLog
from winnow.data.schema import Events, Path, Table, category, number, text
from winnow.features.aggregate import Aggregate
from winnow.features.history import Budget, HistoryState
from winnow.features.source import WHOLE, Streamed
from winnow.training.dataset import HistorySource

START = 1_700_000_000 * MICROS
user = Table("user", key="user_id", columns={"about": text, "land": category})
see = Events("see", refs={"user": user}, fields={"seconds": number, "note": text, "place": category})


@dataclass
class Shop:
    """A log, what comes in, and its history."""

    log: SqliteLog
    intake: Intake
    history: History

    def see(self, first: int, many: int) -> None:
        """Events of a few users, known one append after the other."""
        for n in range(first, first + many, 50):
            row = {"type": "see", "note": "x", "place": "p"}
            self.intake.events(
                [row | {"event_id": str(i), "user": f"u{i % 7}", "seconds": i % 11} for i in range(n, n + 50)]
            )
        self.history.sync(self.log)


@pytest.fixture
def shop(tmp_path: FilePath) -> Iterator[Shop]:
    clock = iter(range(START, START + 10**15, 3600 * MICROS))
    log = SqliteLog(tmp_path / "truth.db", clock=lambda: next(clock))
    tables, events = {"user": user}, {"see": see}
    intake = Intake(log, tables, events, clock=lambda: START)
    yield Shop(log, intake, History(tmp_path / "history", tables, events))
    log.close()


def test_only_what_is_asked_for_is_read_in_pieces_of_the_asked_size(shop: Shop) -> None:
    shop.see(0, 500)
    source = HistorySource(shop.history)
    assert isinstance(source, Streamed)
    parts = list(source.batches("see", ["seq", "seconds", "declared_later"], rows=130))
    assert [set(p) for p in parts] == [{"seq", "seconds"}] * len(parts)
    assert max(len(p["seq"]) for p in parts) <= 130
    whole = source.events("see")
    for name in ("seq", "seconds"):
        np.testing.assert_array_equal(np.concatenate([p[name] for p in parts]), whole[name])
    assert "note" not in whole


def test_without_events_there_is_one_empty_piece(shop: Shop) -> None:
    (part,) = HistorySource(shop.history).batches("see", ["seq", "user"], rows=WHOLE)
    assert {c: v.tolist() for c, v in part.items()} == {"seq": [], "user": []}


def test_a_source_stays_at_the_moment_of_its_first_reading(shop: Shop) -> None:
    shop.see(0, 100)
    source = HistorySource(shop.history)
    before = source.events("see")["seq"].tolist()
    shop.see(100, 100)
    assert source.events("see")["seq"].tolist() == before
    assert sum(len(p["seq"]) for p in source.batches("see", ["seq"], rows=30)) == 100
    assert len(HistorySource(shop.history).events("see")["seq"]) == 200


def test_texts_of_rows_are_there_and_an_empty_one_is_missing(shop: Shop) -> None:
    shop.intake.rows("user", [{"user_id": "u0", "about": "hello"}, {"user_id": "u1", "land": "nl"}])
    shop.history.sync(shop.log)
    rows = HistorySource(shop.history).rows("user")
    assert rows["about"].tolist() == ["hello", None]
    assert set(rows) >= {"row", "seq", "known_at", "deleted", "about", "land"}
    state = HistoryState(HistorySource(shop.history))
    hashes = state.column(user, "about", np.array([0, 1]), np.array([START + 10**15])).tolist()
    assert hashes[0] > 0
    assert hashes[1] == -1


def test_spilled_from_delta_is_the_same_to_the_bit(shop: Shop) -> None:
    shop.see(0, 1000)
    some = [Aggregate("sum", see, (Path(user),), "seconds", (), days(1)), Aggregate("sum", see, (user.land,))]
    users, at = np.arange(-1, 9).repeat(40), np.tile(START + np.arange(40) * 3600 * MICROS, 10)
    whole, spilled = (
        HistoryState(HistorySource(shop.history), some, budget=budget) for budget in (Budget(), Budget(20_000))
    )
    for a in some:
        one, two = whole.windows([a], (users,), at)[0], spilled.windows([a], (users,), at)[0]
        np.testing.assert_array_equal(one, two)
    assert whole.windows(some[:1], (users,), at)[0].any()
