"""Time of one look-up of live state in Redis, one core for the client, and how much later events show there.

The features, people and items of `lookup`. Redis is started here; look-ups go over loopback TCP and over a socket
file, without the reader's cache and with it, warm. Then 5,000 events a second are applied in batches every 40 ms: how
long after the tables show a batch does Redis, and how long do look-ups take meanwhile?
"""

import os

os.environ |= {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}

import json
import multiprocessing
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from benchmarks import lookup

from winnow.features.live import Caps, LiveReader, LiveWriter
from winnow.features.remote import Mirror, RedisReader

RATE, BATCH_S, SECONDS = 5_000, 0.04, 10
TARGET_MS = 3.0
spawn = multiprocessing.get_context("spawn")


def main(events: str = str(lookup.EVENTS), requests: str = "1000") -> None:
    """Fills live tables, copies them to Redis and times look-ups there.

    Args:
        events: how many happen before.
        requests: how many look-ups are timed.
    """
    folder = Path(tempfile.mkdtemp(prefix="winnow-"))
    try:
        lookup.filled(folder / "live", int(events))
        (folder / "redis").mkdir()
        with _redis(folder / "redis") as urls:
            print(json.dumps(_measured(folder / "live", urls, int(requests)) | {"events": int(events)}))
    finally:
        shutil.rmtree(folder)


@contextmanager
def _redis(folder: Path) -> Iterator[dict[str, str]]:
    """A Redis of our own: how to reach it."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
    command = ["redis-server", "--port", str(port), "--unixsocket", str(folder / "s"), "--save", "", "--dir", folder]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    time.sleep(1)
    try:
        yield {"tcp": f"redis://127.0.0.1:{port}/0", "unix": f"unix://{folder / 's'}"}
    finally:
        process.kill()
        process.wait()


def _measured(folder: Path, urls: dict[str, str], requests: int) -> dict[str, Any]:
    mirror, began = Mirror(folder, urls["tcp"]), time.perf_counter()
    if not mirror.settle(600):
        raise SystemExit(mirror.trouble)
    sent_s = time.perf_counter() - began
    mirror.close()
    stats = RedisReader(urls["tcp"]).stats()
    looked = {f"{way}{' cached' * bool(mb)}": _looked(url, requests, cache_mb=mb)
              for way, url in urls.items() for mb in (0, 1024)}  # fmt: skip
    ours = looked["tcp cached"]["p99"]
    return {
        "name": "lookup_redis",
        "ours": ours,
        "peer": TARGET_MS,
        "ratio": round(ours / TARGET_MS, 3),
        "unit": "ms",
        "look_up_ms": looked,
        "in_process_ms": _timed(LiveReader(folder), requests),
        "everything_sent_s": round(sent_s, 1),
        "keys": stats["keys"],
        "mb": round(stats["bytes"] / 1e6),
        "live": _followed(folder, urls["tcp"]),
        "candidates": lookup.CANDIDATES,
        "features": sum(len(f.names) for f in lookup.plan.features),
        "requests": requests,
    }


def _looked(url: str, requests: int, *, cache_mb: int) -> dict[str, float]:
    return _timed(RedisReader(url, cache_mb=cache_mb), requests)


def _timed(reader: Any, requests: int) -> dict[str, float]:
    rng = np.random.default_rng(1)
    asked = [lookup._request(reader, rng) for _ in range(requests + lookup.WARM)]
    work = [lambda s, m=m, k=k: lookup.look_up(s, m, k) for m, k in asked]
    lookup.timed(reader, work)
    return lookup.timed(reader, work)


def _followed(folder: Path, url: str) -> dict[str, Any]:
    """How much later Redis shows what the tables show, and how long look-ups take meanwhile."""
    caps = Caps(rows=1 << 17, pairs=1 << 22)
    live = LiveWriter(folder, lookup.plan.aggregates, [lookup.user, lookup.item], replay=lambda _: [], caps=caps)
    mirror = Mirror(folder, url)
    live.listeners.append(mirror.changed)
    mirror.settle(60)
    ready, seen, spent = spawn.Event(), spawn.Queue(), spawn.Queue()
    watchers = [spawn.Process(target=_watch, args=(url, ready, seen)),
                spawn.Process(target=_keep_looking, args=(url, ready, spent))]  # fmt: skip
    for process in watchers:
        process.start()
    time.sleep(5)
    shown, busy = _apply(live, mirror)
    mirror.settle(10)
    ready.set()
    first = dict(seen.get(timeout=30))
    lags = [1000 * (min(t for s, t in first.items() if s >= seq) - at) for seq, at in shown.items()]
    looked = spent.get(timeout=30)
    for process in watchers:
        process.join()
    mirror.close()
    return {
        "events_per_s": RATE,
        "lag_ms": dict(zip(("p50", "p95", "p99"), np.percentile(lags, [50, 95, 99]).round(2).tolist(), strict=True)),
        "apply_and_encode_ms": round(1000 * float(np.median(busy)), 2),
        "look_up_ms": dict(zip(("p50", "p95", "p99"), np.percentile(looked, [50, 95, 99]).round(3), strict=True)),
    }


def _apply(live: LiveWriter, mirror: Mirror) -> tuple[dict[int, float], list[float]]:
    """Applies batches at the rate asked for: when each was visible in the tables, and how long each took."""
    rng, shown, busy = np.random.default_rng(2), dict[int, float](), []
    live.listeners.insert(0, lambda _: shown.setdefault(live.applied_seq, time.monotonic()))
    size = round(RATE * BATCH_S)
    for number in range(round(SECONDS / BATCH_S)):
        began = time.monotonic()
        chunks, _ = lookup._happened(rng, live.applied_seq, 1 + number * 1e-6, size / lookup.EVENTS)
        live.apply(chunks)
        mirror.step()
        busy.append(time.monotonic() - began)
        time.sleep(max(BATCH_S - busy[-1], 0))
    return shown, busy


def _watch(url: str, done: Any, seen: Any) -> None:
    """Process: when Redis first showed each seq."""
    reader, first = RedisReader(url), dict[int, float]()
    while not done.is_set():
        first.setdefault(reader.applied_seq, time.monotonic())
        time.sleep(0.0005)
    first.setdefault(reader.applied_seq, time.monotonic())
    seen.put(list(first.items()))


def _keep_looking(url: str, done: Any, spent: Any) -> None:
    """Process: 50 look-ups a second."""
    reader, rng, taken = RedisReader(url, cache_mb=1024), np.random.default_rng(3), []
    asked = [lookup._request(reader, rng) for _ in range(300)]
    for moments, keys in asked:
        reader.consistently(lambda s, m=moments, k=keys: lookup.look_up(s, m, k))
    while not done.is_set():
        moments, keys = asked[len(taken) % len(asked)]
        began = time.perf_counter()
        reader.consistently(lambda s, m=moments, k=keys: lookup.look_up(s, m, k))
        taken.append(1000 * (time.perf_counter() - began))
        time.sleep(0.02)
    spent.put(taken)
