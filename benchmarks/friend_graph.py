"""Friends of friends on graphs that grow to a million people: time a person, and lists for everybody.

Milliseconds are of one core, by the clock, the best of three turns. `adamic_adar` and `faded` ask for people drawn
evenly, `popular` for people drawn by how many friends they have, `most_ties` for the two hundred who have most.
"""

import os

os.environ |= {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}

import argparse
import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from benchmarks.links.world import grown

from winnow.core.time import days
from winnow.data.graph import Graph
from winnow.data.graph_live import LiveGraph
from winnow.data.graph_pairs import pair_scores
from winnow.retrieval.graph import friends_of_friends, pagerank
from winnow.retrieval.graph_lists import precompute

P99_MS, PRECOMPUTE_MIN = 2.0, 10.0
TURNS = 3


def main(*arguments: str) -> None:
    """Prints a line per size, at the end one JSON object."""
    parser = argparse.ArgumentParser("python -m benchmarks friend_graph")
    parser.add_argument("--sizes", type=int, nargs="*", default=[100_000, 300_000, 1_000_000])
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--asked", type=int, default=2_000)
    options = parser.parse_args(arguments)
    found = {}
    with tempfile.TemporaryDirectory(prefix="winnow-friends-") as folder:
        for people in options.sizes:
            found[people] = measured(people, Path(folder) / str(people), options.asked, options.processes)
            print(people, found[people], flush=True)
    largest = found[max(found)]
    missed = [f"p99_ms {name}" for name in ("adamic_adar", "faded") if largest[name]["p99_ms"] > P99_MS]
    missed += ["precompute"] * (largest["precompute_min"] > PRECOMPUTE_MIN)
    targets = {"p99_ms": P99_MS, "precompute_min": PRECOMPUTE_MIN}
    print(json.dumps({"name": "friend_graph", "sizes": found, "targets": targets, "missed": missed}))


def measured(people: int, folder: Path, asked: int, processes: int) -> dict[str, Any]:
    """Everything that is measured of one size."""
    seconds, graph = timed(lambda: grown(people))
    spent = {"made_s": round(seconds, 1), "save_s": round(timed(lambda: graph.save(folder))[0], 2)}
    graph = Graph.open(folder)
    degrees = graph.degrees(np.arange(people))
    found: dict[str, Any] = spent | {"ties": graph.edges, "degree": of(degrees), "file_mb": size_mb(folder)}
    found["paths_a_person"] = round(float((degrees.astype(float) ** 2).mean()), 1)
    rng = np.random.default_rng(1)
    evenly, popular = rng.integers(people, size=asked), graph.ends[rng.integers(len(graph.ends), size=asked)]
    for by in ("adamic_adar", "faded"):
        found[by] = latency(lambda person, by=by: friends_of_friends(graph, person, by=by, now=graph.as_of), evenly)
    found["popular"] = latency(lambda person: friends_of_friends(graph, person), popular)
    found["most_ties"] = latency(lambda person: friends_of_friends(graph, person), np.argsort(-degrees)[:200])
    found["pagerank"] = latency(lambda person: pagerank(graph, person), evenly[:500])
    found["scores_of_500"] = latency(lambda person: scored(graph, person), evenly[:500])
    found["live"] = changing(graph, evenly)
    seconds, lists = timed(lambda: precompute(folder, np.arange(people), processes=processes))
    full = float((lists.rows >= 0).mean())
    return found | {"precompute_min": round(seconds / 60, 2), "processes": processes, "lists_full": round(full, 3)}


def scored(graph: Graph, person: int) -> Any:
    """Pair scores of a person with the 500 people nearest to it."""
    near = friends_of_friends(graph, person, 500).rows
    return pair_scores(graph, np.full(len(near), person), near, now=graph.as_of, half_life=days(180))


def changing(graph: Graph, people: Any) -> dict[str, Any]:
    """What changes cost, and look-ups among 5,000 changed rows."""
    live, rng = LiveGraph(graph), np.random.default_rng(2)
    spent = []
    for one, two in rng.integers(graph.size, size=(2_500, 2)).tolist():
        spent.append(timed(lambda a=one, b=two: live.tie([a], [b], graph.as_of))[0])
    after = latency(lambda person: friends_of_friends(live.seen(), person), people)
    merge = timed(live.merge)[0]
    return {"change_ms": of(1e3 * np.array(spent)), "look_up": after, "merge_s": round(merge, 1)}


def latency(work: Callable[[int], Any], people: Any) -> dict[str, float]:
    """Milliseconds a person: the best of three turns, each over all people, so that who else uses the machine does not
    count; the first turn also brings the snapshot into memory."""
    rows = [int(p) for p in people]
    turns = [[timed(lambda p=person: work(p))[0] for person in rows] for _ in range(TURNS)]
    spent = 1e3 * np.min(turns, axis=0)
    found = {f"p{q}_ms": round(float(np.percentile(spent, q)), 3) for q in (50, 99)}
    return found | {"max_ms": round(float(spent.max()), 2)}


def of(values: Any) -> dict[str, float]:
    """How numbers are spread."""
    return {f"p{q}": round(float(np.percentile(values, q)), 3) for q in (50, 99, 100)}


def size_mb(folder: Path) -> float:
    """What a snapshot takes on disk."""
    return round(sum(file.stat().st_size for file in folder.iterdir()) / 1e6, 1)


def timed(work: Callable[[], Any]) -> tuple[float, Any]:
    """Seconds by the clock, and the result."""
    start = time.perf_counter()
    result = work()
    return time.perf_counter() - start, result
