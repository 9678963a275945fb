"""Each fault, planted once, turns the parity test red: a check that cannot fail would prove nothing."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from features_world import World, worlds
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from test_features_parity import check_parity, some_requests

from winnow.features import history, keys
from winnow.features.live import LiveWriter, feed, tables
from winnow.features.live.feed import Prepared
from winnow.features.timeline import Places, find

Patch = Callable[[pytest.MonkeyPatch], None]


def known_at_the_moment_counts(patch: pytest.MonkeyPatch) -> None:
    """`<=` instead of `<`."""
    patch.setattr(Places, "at", lambda self, at: find(self.known_at, at + 1))


def window_one_hop_long_in_history(patch: pytest.MonkeyPatch) -> None:
    window = history.Group.window
    patch.setattr(history.Group, "window", lambda self, a, k, at: window(self, a, k, at - (a.hop if a.hop else 0)))


def window_one_hop_long_in_live(patch: pytest.MonkeyPatch) -> None:
    read = tables.Ring.read
    patch.setattr(tables.Ring, "read", lambda self, rows, at: read(self, rows, at - self._hop))


def late_events_lost_in_history(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(history.Straddlers, "before", lambda self, codes, boundary, at: 0)


def late_events_lost_in_live(patch: pytest.MonkeyPatch) -> None:
    move = tables.Ring._move

    def forgetful(self: Any, row: Any, newest: Any, *, of: Any, hops: Any, adds: Any) -> Any:
        return move(self, row, newest, of=of, hops=hops, adds=np.where(hops < newest[of], 0, adds))

    patch.setattr(tables.Ring, "_move", forgetful)


def late_events_put_first_in_lists(patch: pytest.MonkeyPatch) -> None:
    merged = tables.Lists._merged

    def later(self: Any, sheet: Any, row: Any, place: Any, new: Any) -> Any:
        return merged(self, sheet, row, place, new + (1 << 50) if sheet is self._times else new)

    patch.setattr(tables.Lists, "_merged", later)


def sums_in_float32(patch: pytest.MonkeyPatch) -> None:
    exact = keys.millionths
    patch.setattr(keys, "millionths", lambda v: exact(v.astype(np.float32)) if v.dtype.kind == "f" else exact(v))


def applied_twice(patch: pytest.MonkeyPatch) -> None:
    apply = LiveWriter.apply

    def twice(self: Any, chunks: Any) -> int:
        before = self._tables.header.applied
        apply(self, chunks)
        self._tables.header.applied = before
        return apply(self, chunks)

    patch.setattr(LiveWriter, "apply", twice)


def table_changes_come_after_the_batch(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(feed, "_last_before", lambda change, rows, known_at, seq: np.full(len(rows), -1))


def deletions_are_ignored(patch: pytest.MonkeyPatch) -> None:
    index = history.Versions.index

    def kept(self: Any, rows: Any, places: Any) -> Any:
        self._deleted[:] = False
        return index(self, rows, places)

    patch.setattr(history.Versions, "index", kept)


def one_write_is_lost(patch: pytest.MonkeyPatch) -> None:
    publish = LiveWriter._publish

    def careless(self: Any, prepared: Prepared) -> None:
        del prepared.writes[-1:]
        publish(self, prepared)

    patch.setattr(LiveWriter, "_publish", careless)


FAULTS: list[Patch] = [
    known_at_the_moment_counts, window_one_hop_long_in_history, window_one_hop_long_in_live, late_events_lost_in_history,
    late_events_lost_in_live, late_events_put_first_in_lists, sums_in_float32, applied_twice,
    table_changes_come_after_the_batch, deletions_are_ignored, one_write_is_lost,
]  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS, ids=lambda f: f.__name__)
def test_parity_catches(fault: Patch, monkeypatch: pytest.MonkeyPatch) -> None:
    fault(monkeypatch)

    @given(world=worlds(), data=st.data())
    @settings(max_examples=400, deadline=None, database=None, derandomize=True, phases=[Phase.generate],
              suppress_health_check=list(HealthCheck))  # fmt: skip
    def parity(world: World, data: Any) -> None:
        check_parity(world, some_requests(world, data, 4))

    with pytest.raises((AssertionError, ExceptionGroup)):
        parity()
