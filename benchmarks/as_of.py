"""As-of training features: seven-day count, sum, rate and the last 50, per user and per pair of user and author.

Ours, polars and DuckDB work the same aggregates out in the same process, each on one core, from data in memory; every
result must be equal. Each peer is given several methods that its documentation recommends and keeps its fastest.
Seconds are of processor time: on one core, without waiting, they are the time that it takes on an idle machine.
"""

import os

os.environ |= {"POLARS_MAX_THREADS": "1", "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}

import argparse
import json
import resource
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from benchmarks.past.in_duckdb import DuckDB
from benchmarks.past.in_polars import Polars
from benchmarks.past.world import InMemory, OnDisk, World, aggregates

from winnow.features.history import Budget, HistoryState
from winnow.features.source import needed

REPEATS = 5
WARMED = 400_000_000  # numbers
TARGETS = {"count": 10.0, "sum": 1.0, "rate": 10.0, "last50": 1.0}
SIZES = (1_000_000, 3_000_000, 10_000_000, 30_000_000, 100_000_000)


def main(*arguments: str) -> None:
    """Prints a line per measurement, at the end one JSON object."""
    parser = argparse.ArgumentParser("python -m benchmarks as_of")
    parser.add_argument("--events", type=int, default=20_000_000, help="0 leaves the comparison out")
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--largest", type=int, default=0, help="also show growth up to so many events, by spilling")
    parser.add_argument("--memory-mb", type=int, default=1024, help="what history may hold in these")
    options = parser.parse_args(arguments)
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:1])
    np.ones(WARMED, np.int64)  # a virtual machine hands memory out slowly once: not in anybody's time
    world = World(options.events, options.rows)
    kinds = ("user", "pair") if options.events else ()
    found = {f"{by}_{what}": of for by in kinds for what, of in compared(world, by)}
    del world
    grown = growth(options.largest, options.rows, options.memory_mb << 20) if options.largest else {}
    missed = [name for name, of in found.items() if of["ratio"] < TARGETS[name.split("_")[1]]]
    print(
        json.dumps(
            {"name": "as_of", "events": options.events, "rows": options.rows, "cores": 1, "unit": "s"}
            | {"aggregates": found, "targets": TARGETS, "missed": missed, "growth": grown}
            | {"peak_gb": peak_gb()}
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
        whole = {**figure["polars_all"], **{f"duckdb_{m}": s for m, s in figure["duckdb_all"].items()}}
        plain = min(seconds for method, seconds in whole.items() if not method.endswith("_asked"))
        figure["ratio_without_semi_join"] = round(plain / figure["ours"], 1)
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
    again = timed(lambda: getattr(peer, what)(method))[0] if seconds < 3 else seconds
    return min(seconds, again)


def timed(work: Callable[[], Any]) -> tuple[float, Any]:
    """Seconds of processor time, of all threads, and the result."""
    start = time.process_time()
    result = work()
    return round(time.process_time() - start, 3), result


def growth(largest: int, rows: int, memory: int) -> dict[str, dict[str, Any]]:
    """Seconds of the seven-day count per user over more and more events read from files, within bounds of memory."""
    found = {}
    for events in (n for n in SIZES if n <= largest):
        world, (count,) = World(events, rows), aggregates("user")["count"]
        users, _, at = world.asked
        with tempfile.TemporaryDirectory(prefix="winnow-as-of-") as folder:
            source = OnDisk(world, Path(folder), needed([count]))
            spilled = not Budget(memory).fits(source, [count])
            state = HistoryState(source, [count], budget=Budget(memory))
            seconds, answer_ = timed(lambda s=state, c=count, k=(users,), t=at: s.windows([c], k, t)[0])
        found[str(events)] = {"seconds": seconds, "spilled": spilled, "total": int(answer_.sum())}
        print("growth", events, found[str(events)], f"peak {peak_gb()} GB", flush=True)
    return found


def peak_gb() -> float:
    """The most memory that the process has had."""
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1 << 20), 1)
