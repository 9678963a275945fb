"""As-of training features: seven-day count, sum, rate and the last 50, per user and per pair of user and author.

Ours, polars and DuckDB work the same aggregates out in the same process, each on one core, from data in memory; every
result must be equal. Each peer is given several methods that its documentation recommends and keeps its fastest.
"""

import os

os.environ |= {"POLARS_MAX_THREADS": "1", "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}

import argparse
import json
import resource
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from benchmarks.past.in_duckdb import DuckDB
from benchmarks.past.in_polars import Polars
from benchmarks.past.world import InMemory, World, aggregates

from winnow.features.history import Budget, HistoryState

REPEATS = 3
TARGETS = {"count": 10.0, "sum": 10.0, "rate": 10.0, "last50": 1.0}


def main(*arguments: str) -> None:
    """Prints a line per measurement, at the end one JSON object."""
    parser = argparse.ArgumentParser("python -m benchmarks as_of")
    parser.add_argument("--events", type=int, default=20_000_000)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--largest", type=int, default=0, help="also show growth up to so many events, by spilling")
    parser.add_argument("--memory-mb", type=int, default=4096, help="what the growth runs may hold")
    options = parser.parse_args(arguments)
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:1])
    world = World(options.events, options.rows)
    found = {f"{by}_{what}": of for by in ("user", "pair") for what, of in compared(world, by)}
    del world
    grown = growth(options.largest, options.rows, options.memory_mb << 20) if options.largest else {}
    worst = min(found[name]["ratio"] / TARGETS[name.split("_")[1]] for name in found)
    print(
        json.dumps(
            {"name": "as_of", "events": options.events, "rows": options.rows, "cores": 1, "unit": "s"}
            | {"aggregates": found, "targets": TARGETS, "targets_met": worst >= 1, "growth_s": grown}
            | {"peak_gb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1 << 20), 1)}
        )
    )


def compared(world: World, by: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Each aggregate: seconds of ours and of each peer's fastest method, once all results are found equal."""
    users, authors, at = world.asked
    keys = (users,) if by == "user" else (users, authors)
    ours = {what: _ours(world, aggregates(by)[what], keys, at) for what in aggregates(by)}
    figures: dict[str, dict[str, Any]] = {what: {"ours": seconds} for what, (seconds, _) in ours.items()}
    for kind in (Polars, DuckDB):
        peer: Any = kind(world, by)
        for what, (_, result) in ours.items():
            methods = peer.lists if what == "last50" else peer.windows
            spent = {m: _method(peer, what, m, result, world.rows) for m in methods}
            fastest = min(spent, key=spent.__getitem__)
            figures[what] |= {peer.name: spent[fastest], f"{peer.name}_method": fastest, f"{peer.name}_all": spent}
            print(by, what, peer.name, spent, flush=True)
        del peer
    for what, figure in figures.items():
        figure["ratio"] = round(min(figure["polars"], figure["duckdb"]) / figure["ours"], 1)
        print(by, what, figure, flush=True)
        yield what, figure


def _ours(world: World, asked: Any, keys: Any, at: Any) -> tuple[float, Any]:
    """The median time from arrays in memory to the answer, with nothing sorted before, and the answer."""
    source = InMemory(world)
    spent, result = [], None
    for _ in range(REPEATS):
        result = None
        seconds, result = timed(lambda: answer(HistoryState(source, asked), asked, keys, at))
        spent.append(seconds)
    return float(np.median(spent)), result


def answer(state: HistoryState, asked: Any, keys: Any, at: Any) -> Any:
    """What the aggregates come to: an array, a rate, or lists and their times."""
    if asked[0].kind == "recent":
        return state.recent(asked[0], keys, at)
    found = state.windows(asked, keys, at)
    return found[0] if len(found) == 1 else (found[0] + 1.0) / (found[1] + 20.0)


def _method(peer: Any, what: str, method: str, ours: Any, rows: int) -> float:
    """The time of a peer's method, once its result is found equal; the better of two runs where it is fast."""
    seconds, result = timed(lambda: getattr(peer, what)(method))
    if what == "last50":
        pairs = zip(peer.lists_of(result, rows), ours, strict=True)
        assert all(np.array_equal(one, two) for one, two in pairs), (peer.name, what, method)
    else:
        assert np.array_equal(result, ours), (peer.name, what, method)
    del result
    again = timed(lambda: getattr(peer, what)(method))[0] if seconds < 15 else seconds
    return min(seconds, again)


def timed(work: Callable[[], Any]) -> tuple[float, Any]:
    """Seconds and result."""
    start = time.perf_counter()
    result = work()
    return round(time.perf_counter() - start, 3), result


def growth(largest: int, rows: int, memory: int) -> dict[str, float]:
    """Seconds of the four aggregates per user over more and more events, within bounds of memory."""
    found, events = {}, 1_000_000
    while events <= largest:
        world = World(events, rows)
        users, _, at = world.asked
        asked = [a for some in aggregates("user").values() for a in some]
        state = HistoryState(_Streamed(world), asked, budget=Budget(memory))
        windows = [a for a in asked if a.kind == "sum"]
        spent = timed(lambda s=state, w=windows, k=(users,), t=at: s.windows(w, k, t))[0]
        found[str(events)] = spent
        print("growth", events, spent, "peak GB", resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 20, flush=True)
        events = events * 10 if events < 10_000_000 else events + largest - events if events < largest else largest + 1
    return found


class _Streamed:
    """A world that is made anew, piece by piece, at each reading."""

    def __init__(self, world: World):
        self.batches = world.batches

    def events(self, name: str) -> Any:
        raise KeyError(name)

    def rows(self, table: str) -> Any:
        raise KeyError(table)
