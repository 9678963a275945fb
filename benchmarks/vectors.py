"""Vector search, ours and plain faiss on the same vectors in the same run, one core, one query at a time.

Worlds: 60,000 × 128 and 1,000,000 × 64 vectors in clusters, and the pixels of 60,000 images in 128 dimensions. Every
kind is built, opened by a process of its own, and searched without a filter and with one: those keep a share of the
items, at random or those of one region; queries lie anywhere, inside the region, or outside it. Peers: faiss with the
same structures; and, when `WINNOW_PEERS` names a Python that has them, hnswlib and usearch with filters.
"""

import os

os.environ |= {"OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE", "OPENBLAS_NUM_THREADS": "1"}  # as workers have it

import json
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import faiss
import numpy as np
from benchmarks.near import plain
from benchmarks.near.plain import Find
from benchmarks.near.worlds import ASKED, SIZES, Case, Vectors, filters, world
from rich.console import Console
from rich.table import Table

from winnow.retrieval import kinds
from winnow.retrieval.live import Live
from winnow.retrieval.quantised import overlap

TARGET = 0.95
PEERS = Path(__file__).with_name("vector_peers.py")
Line = dict[str, Any]


def main(worlds: str = ",".join(SIZES), folder: str = "") -> None:
    """Builds every index and asks it one query at a time, on the first core that the process may use.

    Args:
        worlds: which of `60k`, `images` and `1m`.
        folder: keeps vectors and indexes for the next run when given.
    """
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:1])
    faiss.omp_set_num_threads(1)
    with tempfile.TemporaryDirectory() as temporary:
        place = Path(folder or temporary)
        place.mkdir(parents=True, exist_ok=True)
        measured = [line for name in worlds.split(",") for line in asked_all(name, place)]
        built = [line for name in worlds.split(",") for line in built_all(name, place)]
    show_kinds(built, measured)
    show_filters(measured)
    print(json.dumps(summary(built, measured)))


def asked_all(name: str, place: Path) -> Iterator[Line]:
    """Every case of one world with every engine."""
    items, queries = world(name, place)
    np.save(place / f"{name}-queries.npy", queries[:500])
    engines = dict(searched(name, items, place))
    cases = list(filters(items, queries))
    for find in engines.values():
        for query in queries[-ASKED:]:  # others than those of the first case: mapped pages come in
            find(query[None], None)
    for case in cases:
        for engine, find in engines.items():
            if case.mask is None or engine not in ("winnow Exact", "faiss Exact"):
                yield {"world": name, "engine": engine, **asked(find, case)}
    yield from others(name, items, [case for case in cases if case.mask is not None])


def searched(name: str, items: Vectors, place: Path) -> Iterator[tuple[str, Find]]:
    """All engines, each built when it is not there."""
    chosen = kinds.suited(*items.shape)
    for kind in kinds.KINDS:
        own, peer = place / f"{name}-{kind}", place / f"{name}-{kind}.faiss"
        seconds = {"winnow": timed(own, ours, kind, items, own), "faiss": timed(peer, plain.build, kind, items, peer)}
        note = place / f"{name}-{kind}.seconds"
        if not note.exists():
            note.write_text(json.dumps(seconds))
            print(f"{name}: built {kind} in {seconds}", file=sys.stderr)
        index = kinds.open_index(own, encoder="v1")
        yield f"winnow {kind}", finder(Live(index))
        if kind == chosen:
            yield f"winnow {kind}, changed", finder(changed(Live(index), items))
        yield from plain.engines(peer, kind, getattr(index, "breadth", 0))


def timed(path: Path, make: Any, *given: Any) -> float:
    """Seconds to make what is missing; 0 when it is there."""
    start = time.perf_counter()
    if not path.exists():
        make(*given)
    return round(time.perf_counter() - start, 1)


def ours(kind: str, items: Vectors, folder: Path) -> None:
    """Builds and saves with one thread."""
    kinds.build(items, np.arange(len(items)), "v1", kind=kind).save(folder)


def changed(live: Live, items: Vectors) -> Live:
    """As many items were written again as are before a rebuild, spread over all."""
    rows = np.random.default_rng(3).permutation(len(items))
    while not live.wants_rebuild:
        batch, rows = rows[:500], rows[500:]
        live.upsert(batch, items[batch], encoder="v1")
    return live


def finder(live: Live) -> Find:
    return lambda query, mask: live.search(query, 10, mask, encoder="v1").rows


def asked(find: Find, case: Case) -> Line:
    """Recall, and the median and 95th percentile of the processor time of one query, in microseconds.

    Every search runs in one thread: on an idle core that is the time it takes, and a busy machine changes it little.
    """
    find(case.queries[:1], case.mask)
    found, spent = [], []
    for query in case.queries:
        start = time.thread_time()
        found.append(find(query[None], case.mask))
        spent.append((time.thread_time() - start) * 1e6)
    recall = overlap(np.vstack(found), case.exact)
    p50, p95 = np.percentile(spent, [50, 95]).round().astype(int).tolist()
    return {"filter": case.name, "share": case.share, "recall": round(recall, 4), "us": p50, "p95_us": p95}


def built_all(name: str, place: Path) -> Iterator[Line]:
    """What every kind cost to build, and costs to open and to keep."""
    for kind in kinds.KINDS:
        seconds = json.loads((place / f"{name}-{kind}.seconds").read_text())
        for engine, path in (("winnow", place / f"{name}-{kind}"), ("faiss", place / f"{name}-{kind}.faiss")):
            opened = process(path, place / f"{name}-queries.npy")
            files = path.iterdir() if path.is_dir() else [path]
            disk = round(sum(file.stat().st_size for file in files) / 1e6, 1)
            yield {"world": name, "engine": f"{engine} {kind}", "build_s": seconds[engine], "disk_mb": disk, **opened}


def process(path: Path, queries: Path) -> Line:
    """What `near.opened` tells of the median of three processes."""
    command = [sys.executable, "-m", "benchmarks.near.opened", str(path), str(queries)]
    runs = [subprocess.run(command, check=True, capture_output=True, text=True).stdout for _ in range(3)]
    return sorted((json.loads(run) for run in runs), key=lambda run: float(run["open_ms"]))[1]


def others(name: str, items: Vectors, cases: list[Case]) -> Iterator[Line]:
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


def show_kinds(built: list[Line], measured: list[Line]) -> None:
    """One table for each world: what a kind costs and finds."""
    asked = {(m["world"], m["engine"]): m for m in measured if m["filter"] == "all"}
    for name in dict.fromkeys(b["world"] for b in built):
        columns = ("build s", "disk MB", "open ms", "own MB", "mapped MB", "recall@10", "µs", "p95 µs")
        table = Table("", *columns, title=name)
        for line in (b for b in built if b["world"] == name):
            found = asked[name, line["engine"]]
            costs = (line[c] for c in ("build_s", "disk_mb", "open_ms", "own_mb", "mapped_mb"))
            table.add_row(line["engine"], *map(str, costs), *(str(found[c]) for c in ("recall", "us", "p95_us")))
        Console(width=170).print(table)


def show_filters(measured: list[Line]) -> None:
    """One table for each world and filter: recall and median time by share."""
    for world_name, name in dict.fromkeys((m["world"], m["filter"]) for m in measured):
        lines = [m for m in measured if (m["world"], m["filter"]) == (world_name, name)]
        shares = sorted({m["share"] for m in lines})
        table = Table("recall@10 · µs", *(f"{100 * s:g} %" for s in shares), title=f"{world_name}: {name}")
        for engine in dict.fromkeys(m["engine"] for m in lines):
            cells = {m["share"]: f"{m['recall']:.3f} · {m['us']}" for m in lines if m["engine"] == engine}
            table.add_row(engine, *(cells.get(s, "") for s in shares))
        Console(width=170).print(table)


def summary(built: list[Line], measured: list[Line]) -> Line:
    """The lowest recall over all filters, of the kind that is chosen for the size, against the best peer's."""
    chosen = {n: f"winnow {kinds.suited(*size)}" for n, size in SIZES.items()}
    own = [m for m in measured if m["engine"] == chosen[m["world"]]]
    worst = {e: min(m["recall"] for m in measured if m["engine"] == e) for e in {m["engine"] for m in measured}}
    peer = max((e for e in worst if e.startswith("faiss") and e != "faiss Exact"), key=worst.__getitem__)
    ours, theirs = min(m["recall"] for m in own), worst[peer]
    return {
        "name": "vectors", "ours": ours, "peer": theirs, "ratio": round(ours / max(theirs, 1e-9), 3),
        "unit": "lowest recall@10 over all filters", "peer_name": peer, "target": TARGET,
        "slowest_us": {n: max((m["us"] for m in own if m["world"] == n), default=None) for n in chosen},
        "lowest": worst, **where(), "built": built, "measured": measured,
    }  # fmt: skip


def where() -> Line:
    """Machine, commit and day of a run."""
    command = ["git", "rev-parse", "--short", "HEAD"]
    commit = subprocess.run(command, check=False, capture_output=True, text=True).stdout.strip()
    machine = f"{platform.machine()}, one of {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}"
    return {"at": datetime.now(UTC).date().isoformat(), "commit": commit, "machine": machine}
