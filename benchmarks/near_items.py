"""Time of "what is near and soon" among a million items, on one core: the whole of `places.Near` per request.

A million events at 50,000 venues about 400 towns of Zipf-like size; people live where events are. The peer is scipy's
k-d tree over the same spots, asked for as many of the nearest; then what has begun is left out.
"""

import os

os.environ |= {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}

import json
import shutil
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
from scipy.spatial import cKDTree

import winnow as w
from winnow import places
from winnow.core.time import MICROS
from winnow.data.chunk import Chunk
from winnow.features.live import Caps, LiveReader, LiveWriter
from winnow.features.view import Moments, View
from winnow.retrieval.cells import EARTH_KM, Spots, unit
from winnow.serving.kit import Steady
from winnow.serving.query import Query

EVENTS, VENUES, TOWNS, PEOPLE, REQUESTS = 1_000_000, 50_000, 400, 5_000, 3_000
NOW = 1_790_000_000 * MICROS
SPAN = 60 * 86_400 * MICROS
TARGET_MS = 2.0

member = w.Table("member", key="id", columns={"lat": w.personal(w.number), "lon": w.personal(w.number)})
venue = w.Table("venue", key="id", columns={"lat": w.number, "lon": w.number})
event = w.Table("event", key="id", columns={"venue": w.ref(venue), "starts_at": w.time})
near = places.Near(
    w.Place(member.lat, member.lon), w.Place(event.venue.lat, event.venue.lon), event.starts_at, km=50, limit=200
)


@dataclass(frozen=True, eq=False)
class Look:
    """As much of a kit as the source asks for, over real live state."""

    live: LiveReader
    catalogue: Any = field(default_factory=lambda: SimpleNamespace(indexes={}))

    def view(self, query: Query, rows: Any) -> View:
        refs: Mapping[str, Any] = {"member": np.array([query.user]), "event": rows}
        return View(Moments(np.array([query.at]), refs), Steady(self.live), {"member": "member", "event": "event"})


def main(events: str = str(EVENTS), requests: str = str(REQUESTS)) -> None:
    """Fills live tables, makes the index and times requests.

    Args:
        events: how many there are.
        requests: how many are timed, a twelfth of them before.
    """
    folder = Path(tempfile.mkdtemp(prefix="winnow-"))
    try:
        town = filled(folder, int(events))
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[-1:])
        print(json.dumps(measured(folder, town, int(events), int(requests))))
    finally:
        shutil.rmtree(folder)


def filled(folder: Path, events: int) -> Any:
    """Live tables of people, venues and events."""
    rng = np.random.default_rng(0)
    towns = np.stack([rng.uniform(-50, 62, TOWNS), rng.uniform(-180, 180, TOWNS)], axis=1)
    share = 1 / np.arange(1, TOWNS + 1)
    share /= share.sum()

    def spots(size: int) -> dict[str, Any]:
        chosen = towns[rng.choice(TOWNS, size, p=share)]
        out, turn = np.abs(rng.normal(0, 0.12, size)), rng.uniform(0, 2 * np.pi, size)
        lon = chosen[:, 1] + out * np.cos(turn) / np.cos(np.radians(chosen[:, 0]))
        return {"lat": chosen[:, 0] + out * np.sin(turn), "lon": (lon + 540) % 360 - 180}

    columns = {
        "member": spots(PEOPLE), "venue": spots(VENUES),
        "event": {"venue": (rng.beta(1, 3, events) * VENUES).astype(np.int64),
                  "starts_at": NOW + rng.integers(-SPAN // 100, SPAN, events)},
    }  # fmt: skip
    writer = LiveWriter(folder, (), [member, venue, event], replay=lambda _: [], caps=Caps(rows=1 << 20, pairs=16))
    seq = 0
    for name, given in columns.items():
        size = len(next(iter(given.values())))
        times = {"seq": seq + 1 + np.arange(size), "at": np.full(size, NOW - 1), "known_at": np.full(size, NOW - 1)}
        rows = {"row": np.arange(size), "deleted": np.zeros(size, np.int64)}
        seq += size
        writer.apply([Chunk("row", name, times | rows | given, seq)])
    writer.advance(NOW)
    writer.close()
    return columns


def measured(folder: Path, town: Any, events: int, requests: int) -> dict[str, Any]:
    """Milliseconds per request, ours and the peer's by turns."""
    look = Look(LiveReader(folder))
    start = time.perf_counter()
    spots: Spots = near.index(np.arange(events), Steady(look.live), NOW)
    built = time.perf_counter() - start
    look.catalogue.indexes[near.name] = spots
    start = time.perf_counter()
    tree = cKDTree(spots.xyz)
    grown = time.perf_counter() - start
    people = np.random.default_rng(1).integers(0, PEOPLE, requests)
    ours, peer, found = [], [], []
    for person in people.tolist():
        start = _clocks()
        rows, _ = near.propose(Query("", "", person, NOW, 20, 0.0), look)  # type: ignore[arg-type]
        ours.append(_clocks() - start)
        found.append(len(rows))
        start = _clocks()
        there = unit(*(town["member"][name][person : person + 1] for name in ("lat", "lon")))[0]
        _, places_ = tree.query(there, k=near.depth, distance_upper_bound=2 * np.sin(near.km / 2 / EARTH_KM))
        chosen = places_[places_ < tree.n]
        _ = spots.rows[chosen[spots.times[chosen] > NOW]][: near.limit]
        peer.append(_clocks() - start)
    told = {
        f"{name}{clock}": _percentiles(np.array(times[requests // 12 :])[:, which])
        for name, times in (("ours", ours), ("peer", peer))
        for which, clock in enumerate(("_ms", "_cpu_ms"))
    }
    return {
        "name": "near_items", "ours": told["ours_cpu_ms"]["p99"], "peer": told["peer_cpu_ms"]["p99"],
        "unit": "ms of the core, p99", "ratio": round(told["ours_cpu_ms"]["p99"] / told["peer_cpu_ms"]["p99"], 3),
        "target_ms": TARGET_MS, **told,
        "events": events, "requests": requests, "index_s": round(built, 2), "tree_s": round(grown, 2),
        "median_found": int(np.median(found)),
    }  # fmt: skip


def _clocks() -> Any:
    """Time on the wall and time of this thread alone: others may be on the machine."""
    return np.array([time.perf_counter(), time.thread_time()])


def _percentiles(times: Any) -> dict[str, float]:
    return {f"p{p}": round(float(np.percentile(times * 1000, p)), 3) for p in (50, 95, 99)}
