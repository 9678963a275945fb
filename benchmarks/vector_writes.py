"""How soon vector searches show a write, while other threads search and an index is rebuilt beside; one core for all.

A writer adds an item, searches until the answer holds it, deletes it, and searches until the answer does not; now one
item at a time, now a hundred. Two threads search meanwhile. First nothing else happens, then a rebuild runs.
"""

import os

os.environ |= {"OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE", "OPENBLAS_NUM_THREADS": "1"}

import json
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from benchmarks.near.worlds import Vectors, world
from benchmarks.vectors import where

from winnow.retrieval import kinds
from winnow.retrieval.live import Live

TARGET_MS = 1_000.0
E = "v1"


def main(name: str = "60k", folder: str = "", seconds: str = "5") -> None:
    """Measures one world.

    Args:
        name: `60k`, `images` or `1m`.
        folder: where `vectors` keeps its worlds and indexes.
        seconds: how long to write before the rebuild.
    """
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:1])
    with tempfile.TemporaryDirectory() as temporary:
        items, queries = world(name, Path(folder or temporary))
        live = opened(items, Path(folder or temporary) / f"{name}-{kinds.suited(*items.shape)}")
        with searching(live, queries) as spent:
            begun = time.monotonic()
            quiet = phase(live, queries, spent, going=lambda: time.monotonic() < begun + float(seconds))
            rebuild = threading.Thread(target=live.rebuild, kwargs={"kind": live.kind})
            begun = time.monotonic()
            rebuild.start()
            during = phase(live, queries, spent, going=rebuild.is_alive)
            took = time.monotonic() - begun
    worst = max(part[what]["p99"] for part in (quiet, during) for what in ("added_ms", "deleted_ms"))
    print(
        json.dumps(
            {
                "name": "vector_writes", "ours": worst, "peer": TARGET_MS, "ratio": round(worst / TARGET_MS, 4),
                "unit": "ms until a write shows, 99th percentile", "world": name, "kind": live.kind,
                "items": len(items), "quiet": quiet, "during_rebuild": during, "rebuild_s": round(took, 1), **where(),
            }
        )
    )  # fmt: skip


def opened(items: Vectors, folder: Path) -> Live:
    """The index of the kind that suits the size; built when it is not there."""
    if not folder.exists():
        kinds.build(items, np.arange(len(items)), E).save(folder)
    return Live(kinds.open_index(folder, encoder=E))


@contextmanager
def searching(live: Live, queries: Vectors) -> Iterator[list[float]]:
    """Two threads that search; the milliseconds of every search."""
    stop, spent = threading.Event(), list[float]()

    def search(seed: int) -> None:
        rng = np.random.default_rng(seed)
        while not stop.is_set():
            at, start = int(rng.integers(len(queries))), time.perf_counter()
            live.search(queries[at : at + 1], 10, encoder=E)
            spent.append(1000 * (time.perf_counter() - start))

    threads = [threading.Thread(target=search, args=(seed,)) for seed in range(2)]
    for thread in threads:
        thread.start()
    try:
        yield spent
    finally:
        stop.set()
        for thread in threads:
            thread.join()


def phase(live: Live, queries: Vectors, spent: list[float], *, going: Callable[[], bool]) -> dict[str, Any]:
    """Writes for as long as it goes on."""
    added, deleted, turn, before = list[float](), list[float](), 0, len(spent)
    while going():
        count, at = (1, 100)[turn % 2], turn % len(queries)
        rows = np.arange(count) + live.snapshot.base.kept.size + 10**6
        vectors = np.repeat(3 * queries[at : at + 1], count, axis=0)
        added.append(shown(live, queries[at], rows, lambda r=rows, v=vectors: live.upsert(r, v, encoder=E), there=True))
        deleted.append(shown(live, queries[at], rows, lambda r=rows: live.delete(r), there=False))
        turn += 1
        time.sleep(0.002)
    figures = {"added_ms": added, "deleted_ms": deleted, "search_ms": spent[before:]}
    return {name: percentiles(values) for name, values in figures.items()}


def shown(live: Live, query: Vectors, rows: Any, write: Any, *, there: bool) -> float:
    """Milliseconds from the beginning of a write to the end of the first search that shows it."""
    start = time.perf_counter()
    write()
    while bool(np.isin(live.search(query[None], 10, encoder=E).rows, rows).any()) != there:
        pass
    return 1000 * (time.perf_counter() - start)


def percentiles(values: list[float]) -> dict[str, float]:
    """Milliseconds and their number."""
    p50, p99 = np.percentile(values, [50, 99]).round(2).tolist()
    return {"p50": p50, "p99": p99, "max": round(max(values), 2), "n": len(values)}
