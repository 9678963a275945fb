"""How soon after its receipt an event shows in features: a real service, 5,000 events a second through HTTP.

`winnow serve` with its workers and its ingester, as in production. Posters send batches at an even pace. A prober sends
one watch event of a person of its own, and asks for that person's list with its explanation, again and again, until
the feature "watches of this person" has counted it: from the receipt of the event to the answer that shows it.
"""

import json
import multiprocessing
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import numpy as np
from benchmarks import shop
from benchmarks.service import Service

from winnow import systems
from winnow.project import Project

SIZES = shop.Sizes(users=2_000, videos=3_000, authors=300, tags=40, impressions=20_000)
RATE, BATCH, POSTERS, SECONDS, WORKERS = 5_000, 100, 2, 60, 2
TARGET_S, EVERY_S = 1.0, 0.05
FEATURE = "user_watch_count_ever"
MIX = {"impression": 0.6, "click": 0.15, "watch": 0.2, "like": 0.05}
spawn = multiprocessing.get_context("spawn")


def main(seconds: str = str(SECONDS), rate: str = str(RATE), folder: str = "") -> None:
    """Makes a project (or takes one that an earlier run left in `folder`), serves it and measures.

    Args:
        seconds: how long.
        rate: events a second.
        folder: kept for the next run when given.
    """
    place = Path(folder) if folder else Path(tempfile.mkdtemp(prefix="winnow-")) / "shop"
    if not (place / "systems").is_dir():
        _project(place)
    try:
        with Service(place, workers=WORKERS) as service:
            print(json.dumps(measured(service, float(seconds), float(rate))))
    finally:
        if not folder:
            shutil.rmtree(place.parent)


def _project(place: Path) -> None:
    """A project whose release ranks by a formula and nothing else: what is measured is not the model."""
    source = systems.source("video_recommendation").replace("p99=ms(200)", "p99=ms(1000)").splitlines(keepends=True)
    half_life, formula = "w.Popularity(half_life=days(2))", 'w.Formula("video_click_rate_ever")'
    ladders = {"retrieval = w.Ladder(": half_life, "ranking = w.Ladder(": formula}
    for start, rung in ladders.items():
        line = next(i for i, text in enumerate(source) if text.startswith(start))
        source[line] = f"{start}L0={rung}, L1={rung}, L2={rung})\n"
    shop.made(place, "".join(source), sizes=SIZES).log.close()
    Project(place).log.close()


def measured(service: Service, seconds: float, rate: float) -> dict[str, Any]:
    """Percentiles of the time until events show, and of the receipts."""
    told, until = spawn.Queue(), time.time() + 5 + seconds
    each = (rate / POSTERS, until, told)
    posters = [spawn.Process(target=_post, args=((service.url, service.key), *each)) for _ in range(POSTERS)]
    for process in posters:
        process.start()
    time.sleep(5)
    shown, asked = _probe(service, until)
    receipts = [told.get(timeout=60) for _ in posters]
    for process in posters:
        process.join()
    accepted = sum(r["accepted"] for r in receipts)
    evenly = _evenly(shown)
    p50, p95, p99 = np.percentile(evenly, [50, 95, 99])
    pace = sum(r["accepted"] / (r["ended"] - r["began"]) for r in receipts)
    return {
        "name": "freshness", "ours": round(float(p99), 3), "peer": TARGET_S, "ratio": round(float(p99) / TARGET_S, 3),
        "unit": "s", "p50": round(float(p50), 3), "p95": round(float(p95), 3),
        "probes": len(shown), "slowest": np.sort(shown)[-5:].round(3).tolist(), "events_per_s": round(pace),
        "accepted": accepted,
        "refused": sum(r["refused"] for r in receipts), "seconds": seconds, "workers": WORKERS,
        "receipt_ms": _percentiles([ms for r in receipts for ms in r["ms"]]), "rank_ms": _percentiles(asked),
        "load": round(os.getloadavg()[0], 1),
    }  # fmt: skip


def _evenly(shown: list[float]) -> list[float]:
    """As if an event had been sent every `EVERY_S`: while one waits, those that were not sent would have waited too."""
    return [left for seconds in shown for left in np.arange(seconds, 0, -EVERY_S)]


def _percentiles(ms: list[float]) -> dict[str, float]:
    return dict(zip(("p50", "p95", "p99", "most"), np.percentile(ms, [50, 95, 99, 100]).round(1).tolist(), strict=True))


def _probe(service: Service, until: float) -> tuple[list[float], list[float]]:
    """Seconds from receipt to sight of one event after the other, and the milliseconds of each answer."""
    shown, asked, user = list[float](), list[float](), f"prober-{os.getpid()}-{time.time_ns()}"
    count, rng = 0, np.random.default_rng(0)
    while time.time() < until:
        event = {"type": "watch", "event_id": f"{user}-{count}", "at": _now(), "user": user, "video": "v1"}
        reply = service.events([event | {"seconds": 5.0, "long": False}])
        received = time.perf_counter()
        if reply.status_code != 200 or reply.json()["accepted"] != 1:
            raise RuntimeError(reply.text)
        count += 1
        while True:
            began = time.perf_counter()
            seen = _watches(service, user)
            asked.append(1000 * (time.perf_counter() - began))
            if seen >= count:
                break
        shown.append(time.perf_counter() - received)
        time.sleep(float(rng.random()) * 0.1)  # at no fixed phase of the ingester
    return shown, asked


def _watches(service: Service, user: str) -> float:
    """How many watch events of a person features show."""
    reply = service.rank(user, explain=True, size=1)
    if reply.status_code != 200:
        raise RuntimeError(reply.text)
    return float(reply.json()["explanation"]["items"][0]["features"][FEATURE])


def _post(to: tuple[str, str], rate: float, until: float, told: Any) -> None:
    """Process: sends batches to an address with a key, at an even pace, and tells what came of them."""
    client, rng = httpx.Client(base_url=to[0], headers={"X-API-Key": to[1]}, timeout=60), np.random.default_rng()
    found: dict[str, Any] = {"accepted": 0, "refused": 0, "ms": [], "began": time.time()}
    for batch in _paced(rate, until):
        began = time.perf_counter()
        reply = client.post("/v1/events", content=json.dumps(_events(rng, f"{os.getpid()}-{time.time_ns()}-{batch}")))
        found["ms"].append(1000 * (time.perf_counter() - began))
        receipt = reply.json()
        found["accepted"] += receipt.get("accepted", 0)
        found["refused"] += BATCH - receipt.get("accepted", 0)
    told.put(found | {"ended": time.time()})


def _paced(rate: float, until: float) -> Iterator[int]:
    """Counts batches, each when its time has come; what is late is caught up with."""
    number, start = 0, time.time()
    while (now := time.time()) < until:
        due = start + number * BATCH / rate
        if now < due:
            time.sleep(due - now)
        yield number
        number += 1


def _events(rng: np.random.Generator, name: str) -> list[dict[str, Any]]:
    kinds = rng.choice(list(MIX), BATCH, p=list(MIX.values())).tolist()
    users, videos = rng.integers(0, SIZES.users, BATCH).tolist(), (rng.beta(1, 3, BATCH) * SIZES.videos).astype(int)
    at, made = _now(), []
    for i, (kind, user, video) in enumerate(zip(kinds, users, videos.tolist(), strict=True)):
        event = {"type": kind, "event_id": f"{name}-{i}", "at": at, "user": f"u{user}", "video": f"v{video}"}
        more = {"watch": {"seconds": 12.5, "long": True}, "impression": {"surface": "home", "position": 1.0}}
        made.append(event | more.get(kind, {}))
    return made


def _now() -> str:
    return datetime.now(UTC).isoformat()
