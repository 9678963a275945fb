"""Recall and time of filtered vector search, by selectivity, ours and peers on the same vectors in the same run.

Worlds: 60,000 × 128 and 1,000,000 × 64 vectors in clusters. Filters keep a share of the items: at random, or those of
one region; queries lie anywhere, inside the region, or outside it. Peers: the plain HNSW and IVF indexes of faiss with
an `IDSelector`, breadth as ours; and, when `WINNOW_PEERS` names a Python that has them, hnswlib with its filter
function and usearch filtered afterwards.
"""

import os

os.environ |= {"OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE", "OPENBLAS_NUM_THREADS": "1"}  # as workers have it

import json
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import faiss
import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from winnow.retrieval import kinds
from winnow.retrieval.index import scan
from winnow.retrieval.live import Live
from winnow.retrieval.quantised import overlap

SHARES = (0.0001, 0.001, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0)
WORLDS = {"60k": (60_000, 128), "1m": (1_000_000, 64)}
K, QUERIES, LATENT, CENTRES = 10, 60, 24, 400
TARGET = 0.95
PEERS = Path(__file__).with_name("vector_peers.py")

_lib: Any = faiss
Find = Callable[[NDArray[np.float32], NDArray[np.bool_] | None], NDArray[np.int64]]


class Case(NamedTuple):
    """A filter and queries, float32 [Q, D], with the exact answers, int64 [Q, K]."""

    name: str
    share: float
    mask: NDArray[np.bool_]
    queries: NDArray[np.float32]
    exact: NDArray[np.int64]


def main(worlds: str = "60k,1m", folder: str = "") -> None:
    """Builds every index (or takes those that an earlier run left) and asks it one query at a time, on one core.

    Args:
        worlds: which of `60k` and `1m`.
        folder: keeps vectors and indexes for the next run when given.
    """
    with tempfile.TemporaryDirectory() as temporary:
        place = Path(folder or temporary)
        place.mkdir(parents=True, exist_ok=True)
        measured = [line for name in worlds.split(",") for line in world(name, place)]
    show(measured)
    print(json.dumps(summary(measured)))


def world(name: str, place: Path) -> Iterator[dict[str, Any]]:
    """Every case of one world with every engine."""
    items, queries = drawn(*WORLDS[name], place / f"{name}.npz")
    engines = dict(ours(name, items, place)) | dict(plain(name, place))
    cases = list(filters(items, queries))
    pinned = os.sched_getaffinity(0)
    os.sched_setaffinity(0, sorted(pinned)[:1])
    try:
        for case in cases:
            for engine, find in engines.items():
                yield {"world": name, "engine": engine, **asked(find, case)}
    finally:
        os.sched_setaffinity(0, pinned)
    yield from others(name, items, cases)


def drawn(count: int, dimensions: int, path: Path) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Vectors of length 1: clusters in a space of fewer dimensions, seen through a matrix, with noise."""
    if path.exists():
        with np.load(path) as saved:
            return saved["items"], saved["queries"]
    rng = np.random.default_rng(0)
    centres, through = rng.normal(size=(CENTRES, LATENT)), rng.normal(size=(LATENT, dimensions)) / LATENT**0.5
    popular = 1 / np.arange(1, CENTRES + 1) ** 0.7
    own = rng.choice(CENTRES, count + 2_000, p=popular / popular.sum())
    x = (centres[own] + 0.7 * rng.normal(size=(len(own), LATENT))) @ through + 0.15 * rng.normal(
        size=(len(own), dimensions)
    )
    x = (x / np.linalg.norm(x, axis=1, keepdims=True)).astype(np.float32)
    np.savez(path, items=x[:count], queries=x[count:])
    return x[:count], x[count:]


def filters(items: NDArray[np.float32], queries: NDArray[np.float32]) -> Iterator[Case]:
    """Every share: at random, and the region around an item with queries inside and outside of it."""
    rng = np.random.default_rng(7)
    for share in SHARES:
        if share == 1:
            yield case("all", share, np.ones(len(items), np.bool_), items, queries[:QUERIES])
            continue
        yield case("random", share, rng.random(len(items)) < share, items, queries[:QUERIES])
        centre = items[rng.integers(len(items))]
        near = items @ centre
        mask = near >= np.partition(near, -int(share * len(items)))[-int(share * len(items))]
        order = np.argsort(queries @ centre)
        yield case("region, inside", share, mask, items, queries[order[-QUERIES:]])
        yield case("region, outside", share, mask, items, queries[order[: -len(order) // 2][::16][:QUERIES]])


def case(
    name: str, share: float, mask: NDArray[np.bool_], items: NDArray[np.float32], queries: NDArray[np.float32]
) -> Case:
    """A case with its exact answers."""
    kept, queries = np.flatnonzero(mask), np.ascontiguousarray(queries)
    return Case(name, share, mask, queries, kept[scan(items[kept], queries, min(K, len(kept)))[0]])


def asked(find: Find, case: Case) -> dict[str, Any]:
    """Recall, and the median and 95th percentile of the time of one query, in microseconds."""
    mask = None if case.share == 1 else case.mask
    find(case.queries[:1], mask)
    found, spent = [], []
    for query in case.queries:
        start = time.perf_counter()
        found.append(find(query[None], mask))
        spent.append((time.perf_counter() - start) * 1e6)
    recall = overlap(np.vstack(found), case.exact)
    p50, p95 = np.percentile(spent, [50, 95])
    return {
        "filter": case.name,
        "share": case.share,
        "recall": round(recall, 4),
        "us": round(p50),
        "p95_us": round(p95),
    }


def ours(name: str, items: NDArray[np.float32], place: Path) -> Iterator[tuple[str, Find]]:
    """The kind that is chosen for the size, and the kinds beside it."""
    chosen = kinds.suited(*items.shape)
    for kind in dict.fromkeys([chosen, "HNSW", "IVF", "PQ"]):
        folder = place / f"{name}-{kind}"
        if not folder.exists():
            start = time.perf_counter()
            kinds.build(items, np.arange(len(items)), "v1", kind=kind, threads=2).save(folder)
            print(f"{name}: built {kind} in {time.perf_counter() - start:.0f} s", file=sys.stderr)
        live = Live(kinds.open_index(folder, encoder="v1"))
        yield f"winnow {kind}", lambda q, mask, live=live: live.search(q, K, mask, encoder="v1").rows


def plain(name: str, place: Path) -> Iterator[tuple[str, Find]]:
    """The same structures as faiss searches them with a filter, and with nprobe scaled by its share."""
    breadth = json.loads((place / f"{name}-IVF" / "index.json").read_text())["breadth"]
    lists, graph = (_lib.read_index(str(place / f"{name}-{kind}" / "index.faiss")) for kind in ("IVF", "HNSW"))

    def ivf(query: NDArray[np.float32], mask: NDArray[np.bool_] | None, nprobe: float) -> NDArray[np.int64]:
        return selected(lists, query, mask, _lib.SearchParametersIVF(nprobe=int(min(lists.nlist, nprobe))))

    def scaled(query: NDArray[np.float32], mask: NDArray[np.bool_] | None) -> NDArray[np.int64]:
        return ivf(query, mask, breadth / (1 if mask is None else max(mask.mean(), 1e-9)))

    def hnsw(query: NDArray[np.float32], mask: NDArray[np.bool_] | None) -> NDArray[np.int64]:
        return selected(graph, query, mask, _lib.SearchParametersHNSW(efSearch=128))

    yield "faiss IVF", lambda query, mask: ivf(query, mask, breadth)
    yield "faiss IVF, nprobe / share", scaled
    yield "faiss HNSW", hnsw


def selected(
    index: Any, query: NDArray[np.float32], mask: NDArray[np.bool_] | None, parameters: Any
) -> NDArray[np.int64]:
    """The library's answer with its own filter."""
    if mask is not None:
        bits = np.packbits(mask, bitorder="little")  # read until the search is over
        parameters.sel = _lib.IDSelectorBitmap(bits)
    found: NDArray[np.int64] = index.search(query, K, params=parameters)[1]
    return found


def others(name: str, items: NDArray[np.float32], cases: list[Case]) -> Iterator[dict[str, Any]]:
    """hnswlib and usearch in their own environment; the large world takes them too long to build."""
    python = os.environ.get("WINNOW_PEERS")
    if not python or name != "60k":
        return
    with tempfile.TemporaryDirectory() as folder:
        given = Path(folder) / "given.npz"
        arrays = {f"{part}{i}": getattr(c, part) for i, c in enumerate(cases) for part in ("mask", "queries", "exact")}
        np.savez(given, items=items, **arrays)
        done = subprocess.run(
            [python, str(PEERS), str(given), str(len(cases))], check=True, capture_output=True, text=True
        )
    for line in map(json.loads, done.stdout.splitlines()):
        chosen = cases[line.pop("case")]
        yield {"world": name, **line, "filter": chosen.name, "share": chosen.share}


def show(measured: list[dict[str, Any]]) -> None:
    """One table for each world and filter: recall and median time by share."""
    console = Console(width=170)
    for world_name, name in dict.fromkeys((m["world"], m["filter"]) for m in measured):
        shares = sorted({m["share"] for m in measured if m["filter"] == name})
        table = Table("recall@10 · µs", *(f"{100 * s:g} %" for s in shares), title=f"{world_name}: {name}")
        lines = [m for m in measured if (m["world"], m["filter"]) == (world_name, name)]
        for engine in dict.fromkeys(m["engine"] for m in lines):
            cells = {m["share"]: f"{m['recall']:.3f} · {m['us']}" for m in lines if m["engine"] == engine}
            table.add_row(engine, *(cells.get(s, "") for s in shares))
        console.print(table)


def summary(measured: list[dict[str, Any]]) -> dict[str, Any]:
    """The lowest recall over all filters, of the kind that is chosen for the size, against the best peer's."""
    chosen = {n: f"winnow {kinds.suited(*size)}" for n, size in WORLDS.items()}
    own = [m for m in measured if m["engine"] == chosen[m["world"]]]
    worst = {e: min(m["recall"] for m in measured if m["engine"] == e) for e in {m["engine"] for m in measured}}
    peer = max((e for e in worst if not e.startswith("winnow")), key=worst.__getitem__)
    return {
        "name": "vectors",
        "ours": min(m["recall"] for m in own),
        "peer": worst[peer],
        "ratio": round(min(m["recall"] for m in own) / max(worst[peer], 1e-9), 3),
        "unit": "lowest recall@10 over all filters",
        "peer_name": peer,
        "target": TARGET,
        "slowest_us": {n: max((m["us"] for m in own if m["world"] == n), default=None) for n in chosen},
        "lowest": worst,
        "machine": platform.machine(),
        "load": os.getloadavg()[0],
        "measured": measured,
    }
