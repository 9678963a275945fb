"""How long live tables take to come back from a log of 10 million events, and whether they come back the same.

The state is that of the video recommendation system; its log and checkpoints are on disk. Measured: a build from the
whole log, and from a checkpoint with the last twentieth of the log to replay. Then a process is killed with SIGKILL in
the middle of publishing, another recovers, and what it has is compared with the clean build, bit by bit.
"""

import hashlib
import json
import multiprocessing
import os
import shutil
import signal
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from benchmarks.lookup import zipf

from winnow import systems
from winnow.core.loading import load
from winnow.core.system import System
from winnow.core.time import MICROS
from winnow.data.batch import Batch, Coded, Draft
from winnow.data.chunk import Chunk
from winnow.data.log import SqliteLog
from winnow.features.live import Caps, LiveWriter, memory_for
from winnow.features.live.files import Header
from winnow.features.live.state import opened
from winnow.features.live.tables import Tables
from winnow.serving.aggregates import needed

EVENTS, APPEND = 10_000_000, 50_000
USERS, VIDEOS, AUTHORS, TAGS = 50_000, 100_000, 10_000, 500
START, SPAN = 1_700_000_000 * MICROS, 30 * 86_400 * MICROS
CAPS = Caps(rows=1 << 17, pairs=1 << 23)
THREADS = 4
LIVE: dict[str, Any] = {"caps": CAPS, "memory": None}
TARGET_S = 30.0
SHARES = {"click": 0.25, "watch": 0.3, "like": 0.06, "follow": 0.01, "comment": 0.01, "share": 0.01, "hide": 0.005}
spawn = multiprocessing.get_context("spawn")


def main(events: str = str(EVENTS), folder: str = "", live_folder: str = "auto") -> None:
    """Makes a log (or takes one that an earlier run left in `folder`), and recovers from it.

    Args:
        events: how many.
        folder: kept for the next run when given.
        live_folder: where the tables are built, as the setting `features.live_folder` says it.
    """
    LIVE["memory"] = memory_for(live_folder)
    place = Path(folder) if folder else Path(tempfile.mkdtemp(prefix="winnow-"))
    place.mkdir(exist_ok=True)
    try:
        if not (place / "truth.db").exists():
            logged(place, int(events))
        print(json.dumps(measured(place)))
    finally:
        if not folder:
            shutil.rmtree(place)


def logged(place: Path, events: int) -> None:
    """A log of what happened on 30 days."""
    rng, log = np.random.default_rng(0), SqliteLog(place / "truth.db")
    system = the_system(place)
    log.append(Batch([_videos(rng), _users(rng)]))
    done, share = 0, 1 + sum(SHARES.values())
    while done < events:
        size = round(min(APPEND, events - done) / share)
        drafts = list(_drafts(rng, system, done, START + int(SPAN * done / events), size))
        done += log.append(Batch(drafts)).accepted
    log.close()


def the_system(place: Path) -> System:
    """The system in the box."""
    path = place / "video_recommendation.py"
    path.write_text(systems.source("video_recommendation"))
    return load(path)


def _videos(rng: np.random.Generator) -> Draft:
    rows = np.arange(VIDEOS)
    tags = np.stack([zipf(rng, TAGS, VIDEOS), zipf(rng, TAGS, VIDEOS)], axis=1)
    columns = {"author": _coded("video.author", zipf(rng, AUTHORS, VIDEOS)), "tags": _coded("video.tags", tags)}
    columns |= {"duration_s": rng.integers(5, 300, VIDEOS).astype(np.float64), "available": np.ones(VIDEOS, np.int64)}
    columns |= {"uploaded_at": START - rng.integers(0, SPAN, VIDEOS), "row": _coded("video", rows)}
    columns |= {"title": [f"video {i}" for i in range(VIDEOS)], "deleted": np.zeros(VIDEOS, np.int64)}
    return Draft("row", "video", rows, np.full(VIDEOS, START - 2), columns, backfill=True)


def _users(rng: np.random.Generator) -> Draft:
    rows, days = np.arange(USERS), rng.integers(1, 900, USERS).astype(np.float64)
    columns = {"row": _coded("user", rows), "register_days": days, "deleted": np.zeros(USERS, np.int64)}
    return Draft("row", "user", VIDEOS + rows, np.full(USERS, START - 1), columns, backfill=True)


def _coded(domain: str, codes: np.ndarray[Any, Any]) -> Coded:
    used, places = np.unique(codes, return_inverse=True)
    return Coded(domain, [f"{domain}{i}" for i in used.tolist()], places.reshape(codes.shape))


def _drafts(rng: np.random.Generator, system: System, done: int, start: int, size: int) -> Iterator[Draft]:
    """Impressions, and what came of them; one in fifty of these is known late."""
    at = start + np.sort(rng.integers(1, SPAN // 250, size))
    who, what, order = zipf(rng, USERS, size), zipf(rng, VIDEOS, size), np.arange(size)
    yield _draft("impression", done + order, at, {"user": who, "video": what, "surface": order % 3})
    for name, share in SHARES.items():
        of = np.flatnonzero(rng.random(size) < share)
        fields = {"seconds": rng.gamma(2, 12, len(of)), "long": rng.integers(0, 2, len(of))} if name == "watch" else {}
        order = done + size * (2 + list(SHARES).index(name)) + np.arange(len(of))
        yield _draft(name, order, at[of] + 30 * MICROS, {"user": who[of], "video": what[of]} | fields)


def _draft(name: str, order: Any, at: Any, columns: dict[str, Any]) -> Draft:
    domains = {"user": "user", "video": "video", "surface": "impression.surface"}
    coded = {c: _coded(domains[c], v) if c in domains else v for c, v in columns.items()}
    return Draft("event", name, order, at, coded, [f"{name}{at[0]}-{i}" for i in order.tolist()], backfill=True)


def measured(place: Path) -> dict[str, Any]:
    """Seconds and verdicts."""
    log = SqliteLog(place / "truth.db")
    last, system = log.last_seq(), the_system(place)
    with tempfile.TemporaryDirectory(prefix="winnow-", dir=place) as work:
        clean, folder = Path(work) / "clean", Path(work) / "live"
        whole = recovered(clean, log, system)
        truth, in_memory = digests(opened(clean)), opened(clean).folder.parent != clean
        _away(opened(clean), clean)
        _part(folder, log, system, last - last // 20)
        tail = recovered(folder, log, system)
        same = digests(opened(folder)) == truth
        torn = killed(folder, place)
        after = recovered(folder, log, system)
        stats = LiveWriter(folder, needed([system]), _tables(system), replay=lambda _: [], **LIVE).stats()
        found = {
            "full_s": round(whole, 1), "checkpoint_and_tail_s": round(tail, 1), "tail_rows": last // 20,
            "after_kill_s": round(after, 1), "killed_while_publishing": torn,
            "identical": {"checkpoint": same, "kill": digests(opened(folder)) == truth},
            "gb": round(stats["bytes"] / 1e9, 2),
            "pairs": {n: t["used"] for n, t in stats["tables"].items() if n.startswith("pairs:")},
            "evicted": sum(t["evicted"] for t in stats["tables"].values()),
            "in_memory": [in_memory, opened(folder).folder.parent != folder],
        }  # fmt: skip
        _away(opened(folder), folder)
    log.close()
    return {
        "name": "recovery", "ours": found["full_s"], "peer": TARGET_S, "ratio": round(whole / TARGET_S, 3), "unit": "s",
        "rows": last, "rows_per_s": round(last / whole), "threads": THREADS, "tables": len(truth),
        "aggregates": len(needed([system])),
    } | found  # fmt: skip


def recovered(folder: Path, log: SqliteLog, system: System) -> float:
    """Seconds until live tables stand where the log ends."""
    began = time.perf_counter()
    live = LiveWriter(folder, needed([system]), _tables(system), replay=_replay(log), threads=THREADS, **LIVE)
    live.catch_up()
    spent = time.perf_counter() - began
    assert live.applied_seq == log.last_seq()
    live._home.close()
    return spent


def _tables(system: System) -> list[Any]:
    return list(system.labels.of.refs.values())


def _replay(log: SqliteLog, until: int = 1 << 62) -> Any:
    def replay(after: int) -> Iterator[Chunk]:
        while after < until and (chunks := log.read(after, 200_000)):
            yield from (c for c in chunks if c.until <= until)
            after = chunks[-1].until

    return replay


def _part(folder: Path, log: SqliteLog, system: System, until: int) -> None:
    """Live tables with a checkpoint, then lost as if the machine had stopped."""
    replay = _replay(log, until)
    live = LiveWriter(folder, needed([system]), _tables(system), replay=replay, threads=THREADS, **LIVE)
    live.checkpoint()
    live._tables.header.boot = 12345
    _away(live._tables, folder)
    live._home.close()


def _away(tables: Tables, folder: Path) -> None:
    """Empties shared memory, as a restart of the machine does."""
    if tables.folder.parent != folder:
        shutil.rmtree(tables.folder.parent)


def killed(folder: Path, place: Path) -> bool:
    """Kills a process while it publishes a batch; whether the tables were torn."""
    process = spawn.Process(target=_applying, args=(str(folder), str(place), LIVE))
    process.start()
    version = Header(folder / (folder / "current").read_text() / "header")
    while process.is_alive() and version.version % 2 == 0:
        pass
    os.kill(process.pid or 0, signal.SIGKILL)
    process.join()
    return version.version % 2 == 1


def _applying(folder: str, place: str, live_in: dict[str, Any]) -> None:
    """Process: applies changes of rows that change nothing, again and again, until killed."""
    system, log = the_system(Path(place)), SqliteLog(Path(place) / "truth.db")
    live = LiveWriter(folder, needed([system]), _tables(system), replay=lambda _: [], **live_in)
    chunks = [c for c in log.read(0, 500_000) if c.kind == "event"]
    while True:
        last = live.applied_seq
        live.apply([Chunk(c.kind, c.name, {**c.columns, "seq": c.ints("seq") + last}, c.until + last) for c in chunks])


def digests(tables: Tables) -> dict[str, str]:
    """A hash of what each table holds; of pairs in the order of their keys, whatever slots they were given."""
    made = {}
    for name, entry in tables.entries.items():
        subject = name.removeprefix("pairs:") if entry["form"] == "pairs" else entry.get("subject", "")
        paired = f"pairs:{subject}" in tables.entries
        order = _by_key(tables, subject) if paired else np.arange(tables.used(name))
        made[name] = hashlib.sha256()
        for part in np.array_split(order, max(len(order) // 200_000, 1)):
            for array in _contents(tables, name, part):
                made[name].update(np.ascontiguousarray(array).data)
    return {name: h.hexdigest() for name, h in made.items()}


def _by_key(tables: Tables, subject: str) -> Any:
    index = tables.pairs(subject)
    slots = index.slots()
    return slots[np.lexsort(index.pairs(slots))]


def _contents(tables: Tables, name: str, rows: Any) -> list[Any]:
    match tables.entries[name]["form"]:
        case "pairs":
            return [*tables.index(name).pairs(rows), tables.index(name).last(rows)]
        case "lists":
            lines = tables.sheet(name).lines(rows)
            count, k = lines[:, :1], tables.entries[name]["k"]
            back = (count - 1 - np.arange(k)) % k  # a list may be turned otherwise and be the same
            starts = range(1, lines.shape[1], k)
            return [np.take_along_axis(lines[:, i : i + k], back, axis=1) for i in starts]
        case _:
            return [tables.sheet(name).lines(rows)]
