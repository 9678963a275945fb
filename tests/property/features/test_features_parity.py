"""History, live tables and the oracle give the same features, to the bit, at every moment of random logs."""

import tempfile
from typing import Any

import numpy as np
import pytest
from features_oracle import Happened, LogSource, OracleState, chunks_of
from features_world import World, asked_at, moments, worlds
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from winnow.features.batch import FeatureBatch
from winnow.features.history import HistoryState
from winnow.features.live import Caps, LiveReader, LiveWriter

SETTINGS = {"deadline": None, "suppress_health_check": list(HealthCheck), "print_blob": True}


def assert_same(one: FeatureBatch, two: FeatureBatch, what: str) -> None:
    """Equal to the bit, shapes included."""
    for name, a, b in zip(one.numeric_names, one.numeric.T, two.numeric.T, strict=True):
        differ = [(i, x, y) for i, (x, y) in enumerate(zip(a, b, strict=True)) if x.tobytes() != y.tobytes()]
        assert not differ, f"{what}: {name}: {len(differ)} values differ: (row, one, two) {differ[0]}"
    for name, column in one.categorical.items():
        np.testing.assert_array_equal(column, two.categorical[name], f"{what}: {name}", strict=True)
    for name, sequence in one.sequences.items():
        other = two.sequences[name]
        np.testing.assert_array_equal(sequence.rows, other.rows, f"{what}: {name}", strict=True)
        assert sequence.age_s.tobytes() == other.age_s.tobytes(), f"{what}: {name} ages"
        for column, values in sequence.columns.items():
            np.testing.assert_array_equal(values, other.columns[column], f"{what}: {name}.{column}", strict=True)


def check_parity(world: World, asked: list[tuple[int, Any]], truths: list[FeatureBatch] | None = None) -> None:
    """Replays the log into live tables moment by moment and compares history and live to the truth at each.

    Args:
        world: schema, plan and log.
        asked: moments with their requests, ascending.
        truths: what the oracle says, if it has been asked before.
    """
    history, chunks = HistoryState(LogSource(world.log, world.kinds)), chunks_of(world.log)
    oracle = OracleState(world.log)
    with tempfile.TemporaryDirectory() as folder:
        caps = Caps(rows=16, pairs=64)
        writer = LiveWriter(folder, world.plan.aggregates, world.tables, replay=lambda _: [], caps=caps)
        reader = LiveReader(folder)
        for number, (at, request) in enumerate(asked):
            writer.apply([c for c in chunks if c.first_seq > writer.applied_seq and c.ints("known_at")[0] < at])
            writer.advance(at)
            truth = truths[number] if truths else world.plan.compute(request, oracle)
            assert_same(world.plan.compute(request, history), truth, "history")
            assert_same(reader.consistently(lambda s, r=request: world.plan.compute(r, s)), truth, "live")


def some_requests(world: World, data: Any, count: int) -> list[tuple[int, Any]]:
    """Requests at moments that matter."""
    times = sorted(data.draw(asked_at(world.log)) for _ in range(count))
    return [(at, data.draw(moments(world, at))) for at in times]


@given(world=worlds(), data=st.data())
@settings(max_examples=200, **SETTINGS)
def test_history_and_live_equal_the_oracle(world: World, data: Any) -> None:
    check_parity(world, some_requests(world, data, 4))


@pytest.mark.heavy
@pytest.mark.timeout(7200)
@given(world=worlds(size=60), data=st.data())
@settings(max_examples=10_000, **SETTINGS)
def test_history_and_live_equal_the_oracle_at_length(world: World, data: Any) -> None:
    check_parity(world, some_requests(world, data, 6))


@given(world=worlds(), data=st.data())
@settings(max_examples=60, **SETTINGS)
def test_later_rows_change_no_earlier_feature(world: World, data: Any) -> None:
    (at, request), *_ = some_requests(world, data, 1)
    before = [h for h in world.log if h.known_at < at]
    then, now = (HistoryState(LogSource(log, world.kinds)) for log in (before, world.log))
    assert_same(world.plan.compute(request, then), world.plan.compute(request, now), "later rows")


@given(world=worlds(), data=st.data())
@settings(max_examples=60, **SETTINGS)
def test_history_holds_for_logs_known_in_another_order(world: World, data: Any) -> None:
    """Imports: `known_at` does not follow `seq`."""
    times = data.draw(st.permutations([h.known_at for h in world.log]))
    log = [Happened(h.seq, t, t - (h.known_at - h.at), h.of, h.values, h.row, h.deleted)
           for h, t in zip(world.log, times, strict=True)]  # fmt: skip
    history, oracle = HistoryState(LogSource(log, world.kinds)), OracleState(log)
    for _, request in some_requests(world, data, 3):
        assert_same(world.plan.compute(request, history), world.plan.compute(request, oracle), "history")
