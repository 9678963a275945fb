"""History larger than memory: the same answers to the bit, within the limit, and nothing left on disk."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path as FilePath
from typing import Any

import numpy as np
import pytest
from features_oracle import LogSource
from features_world import asked_at, moments, worlds
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from test_features_parity import assert_same

from winnow.core.time import days, minutes
from winnow.data.schema import Events, Path, Table, number
from winnow.features.aggregate import Aggregate
from winnow.features.group import Group
from winnow.features.history import Budget, HistoryState
from winnow.features.source import Log
from winnow.features.spill import Shelf

LIMITED = """
import resource, sys
import numpy as np
from winnow.core.time import days
from winnow.data.schema import Events, Path, Table, number
from winnow.features.aggregate import Aggregate
from winnow.features.history import Budget, HistoryState

events, budget_mb, slack_mb, scratch = int(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
user, item = Table("user", key="user_id"), Table("item", key="item_id")
see = Events("see", refs={"user": user, "item": item}, fields={"seconds": number})
BY = (Path(user), Path(item))
PIECE = 20_000
some = [Aggregate("sum", see, BY, "seconds", (), days(1)), Aggregate("max", see, BY, "seconds", (), days(7)),
        Aggregate("sum", see, BY[:1]), Aggregate("recent", see, BY[:1], "item", k=3)]


class Made:
    "Events that are made anew at each reading, a piece at a time, a tenth of them late."

    def batches(self, name, columns, *, rows):
        step = max(min(rows, events) // PIECE, 1)
        for first in range(0, events // PIECE, step):
            parts = [self.piece(n, columns) for n in range(first, min(first + step, events // PIECE))]
            yield {c: np.concatenate([p[c] for p in parts]) for c in columns}

    def piece(self, number, columns):
        random = np.random.default_rng(number)
        known_at = number * 10**10 + np.sort(random.integers(0, 10**10, PIECE))
        late = (random.random(PIECE) < 0.1) * random.integers(0, 2 * 10**11, PIECE)
        made = {"seq": number * PIECE + np.arange(PIECE), "known_at": known_at, "at": known_at - late,
                "user": random.integers(0, 5000, PIECE), "item": random.integers(0, 50, PIECE),
                "seconds": random.random(PIECE)}
        return {c: made[c] for c in columns}


def answers(budget, planned=some):
    random, rows = np.random.default_rng(7), 5000
    keys = random.integers(0, 5000, rows), random.integers(0, 50, rows)
    at = random.integers(0, events // PIECE * 10**10, rows)
    state = HistoryState(Made(), planned, budget=budget)
    found = state.windows(planned[:2], keys, at) + state.windows(planned[2:3], keys[:1], at)
    return [*found, *state.recent(planned[3], keys[:1], at)]


def held():
    lines = open("/proc/self/status").read().split("\\n")
    return int(next(line for line in lines if line.startswith("VmData")).split()[1]) << 10


budget, whole = Budget(budget_mb << 20, scratch or None), None
if len(sys.argv) > 5:
    whole = answers(Budget())
    for one, two in zip(answers(budget), whole, strict=True):
        assert np.array_equal(one, two)
    sys.exit()
size = events
events = PIECE  # everything is loaded and warm before the limit is set
answers(Budget(1 << 20, scratch or None))
events = size
resource.setrlimit(resource.RLIMIT_DATA, (held() + (slack_mb << 20),) * 2)
answers(budget)
"""
EVENT = 6 * 8  # bytes of an event's columns


def limited(
    events: int, budget_mb: int, slack_mb: int, scratch: FilePath, *more: str
) -> subprocess.CompletedProcess[str]:
    """Runs the questions in a process of its own."""
    arguments = [str(events), str(budget_mb), str(slack_mb), str(scratch), *more]
    alone = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "MALLOC_ARENA_MAX": "1"}
    command = [sys.executable, "-c", LIMITED, *arguments]
    return subprocess.run(command, env=os.environ | alone, capture_output=True, text=True, check=False)


def check_limits(budget_mb: int, scratch: FilePath) -> None:
    events = 4 * (budget_mb << 20) // EVENT // 20_000 * 20_000
    within = limited(events, budget_mb, budget_mb, scratch)
    assert within.returncode == 0, within.stderr
    without = limited(events, 0, budget_mb, scratch)
    assert without.returncode == 1
    assert "MemoryError" in without.stderr or "Unable to allocate" in without.stderr
    same = limited(events, budget_mb, 0, scratch, "compare")
    assert same.returncode == 0, same.stderr
    assert not list(scratch.iterdir())


def test_a_quarter_of_the_data_s_size_is_enough(tmp_path: FilePath) -> None:
    check_limits(24, tmp_path)


@pytest.mark.heavy
def test_a_quarter_of_the_data_s_size_is_enough_at_length(tmp_path: FilePath) -> None:
    check_limits(400, tmp_path)


class Streamed(LogSource):
    """The log of a random world from its end, in pieces of seven events."""

    def batches(self, name: str, columns: Any, *, rows: int) -> Iterator[Any]:
        whole = self.events(name)
        for start in range(0, len(whole["seq"]) or 1, min(rows, 7)):
            yield {c: whole[c][::-1][start : start + min(rows, 7)] for c in columns if c in whole}


@given(world=worlds(size=40), data=st.data(), planned=st.booleans(), size=st.sampled_from([1, 2000, 10_000]))
@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
def test_answers_are_the_same_to_the_bit(world: Any, data: Any, planned: bool, size: int) -> None:
    spilled = HistoryState(
        Streamed(world.log, world.kinds), world.plan.aggregates if planned else (), budget=Budget(size)
    )
    whole = HistoryState(LogSource(world.log, world.kinds))
    for _ in range(3):
        request = data.draw(moments(world, data.draw(asked_at(world.log))))
        assert_same(world.plan.compute(request, spilled), world.plan.compute(request, whole), "spilled")


user, item = Table("user", key="user_id"), Table("item", key="item_id")
see = Events("see", refs={"user": user, "item": item}, fields={"seconds": number})


def test_a_part_of_many_keys_whose_events_lie_in_any_order(tmp_path: FilePath) -> None:
    random, size = np.random.default_rng(1), 400
    log: dict[str, Any] = {"seq": random.permutation(size), "user": random.integers(0, 5, size)}
    log |= {"known_at": random.permutation(size) * 10**9, "item": random.integers(0, 3, size)}
    log |= {"at": log["known_at"] - random.integers(0, 10**11, size), "seconds": random.random(size)}
    by = (Path(user), Path(item))
    some = [Aggregate("sum", see, by, "seconds", (), days(1)), Aggregate("max", see, by, "seconds", (), minutes(5))]
    shelf = Shelf(some, tmp_path / "shelf", parts=1)
    for part in (slice(None, 130), slice(130, None)):
        columns = {c: v[part] for c, v in log.items()}
        shelf.add(columns, [columns["user"], columns["item"]])
    keys, at = (np.arange(5).repeat(30), np.arange(150) % 3), random.integers(0, size * 10**9, 150)
    whole = Group(Log(see, log), [log[c][np.lexsort((log["seq"], log["known_at"]))] for c in ("user", "item")])
    for one, two in zip(shelf.windows(some, keys, at), whole.windows(some, keys, at), strict=True):
        np.testing.assert_array_equal(one, two)


def test_the_scratch_goes_with_the_state(tmp_path: FilePath) -> None:
    none = {c: np.zeros(50, np.int64) for c in ("seq", "at", "known_at", "user")}

    class Zeros:
        def batches(self, name: str, columns: Any, *, rows: int) -> Iterator[Any]:
            yield {c: none[c] for c in columns}

    state = HistoryState(Zeros(), budget=Budget(1, tmp_path))  # type: ignore[arg-type]
    count = Aggregate("sum", see, (Path(user),), None, (), days(1))
    assert state.windows([count], (np.zeros(1, np.int64),), np.ones(1, np.int64))[0].tolist() == [50]
    assert list(tmp_path.iterdir())
    del state
    assert not list(tmp_path.iterdir())
