"""Time of one look-up in live tables, in process, on one core: 500 candidates x 50 features.

30 features of the items in windows, 15 of pairs of the user with an item, its author or its kind, and 5 sequences of
the user; 100,000 items, 20,000 users, a million pairs, what people do and what it is done to Zipf-distributed.
"""

import os

os.environ |= {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}

import json
import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from winnow.core.time import FOREVER, MICROS, days, hours
from winnow.data.chunk import Chunk
from winnow.data.declare import Labels
from winnow.data.declare import any as any_of
from winnow.data.schema import Events, Table, category, flag, number
from winnow.features.live import Caps, LiveReader, LiveState, LiveWriter
from winnow.features.past import Count, Mean, Rate, Sum
from winnow.features.plan import Plan
from winnow.features.recent import Last, Since
from winnow.features.view import Ahead, Moments

USERS, ITEMS, AUTHORS, KINDS = 20_000, 100_000, 5_000, 200
CANDIDATES, REQUESTS, WARM = 500, 2_000, 200
EVENTS, BATCH, SPAN_DAYS = 2_500_000, 250_000, 10
START = 1_700_000_000 * MICROS
TARGET_MS = 1.0

user = Table("user", key="user_id")
item = Table("item", key="item_id", columns={"author": category, "kind": category})
BOTH = {"user": user, "item": item}
seen, click, like = (Events(name, refs=BOTH) for name in ("seen", "click", "like"))
watch = Events("watch", refs=BOTH, fields={"seconds": number, "long": flag})
labels = Labels(of=seen, within=hours(1), heads={"click": any_of(click)})
long, four, three = watch.long.equals(1), [hours(1), days(1), days(7), FOREVER], [days(1), days(7), FOREVER]

singles = [
    *(Count(events, by=item, window=four) for events in (seen, click, watch)),
    Rate(click, over=seen, by=item, window=four), Rate(watch, long, over=watch, by=item, window=three),
    Mean(watch.seconds, by=item, window=three), Sum(watch.seconds, by=item, window=four),
    Count(like, by=item, window=three), Rate(like, over=watch, by=item),
]  # fmt: skip
pairs = [
    feature
    for key in (item, item.author, item.kind)
    for feature in (
        Count(seen, by=(user, key)), Count(watch, by=(user, key), window=days(7)), Since(watch, by=(user, key)),
        Rate(click, over=seen, by=(user, key)), Rate(watch, long, over=watch, by=(user, key)),
    )
]  # fmt: skip
sequences = [
    *(Last(events.item, by=user, k=50) for events in (watch, click, like)),
    Last(watch.item, long, by=user, k=50), Last(seen.item, by=user, k=100),
]  # fmt: skip
plan = Plan.of([*singles, *pairs, *sequences], labels)


def main(events: str = str(EVENTS), requests: str = str(REQUESTS)) -> None:
    """Fills live tables and times look-ups.

    Args:
        events: how many happen before.
        requests: how many look-ups are timed.
    """
    folder = Path(tempfile.mkdtemp(prefix="winnow-"))
    try:
        spent = filled(folder, int(events))
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:1])
        print(json.dumps(measured(folder, int(requests)) | {"events": int(events), "filled_s": round(spent, 1)}))
    finally:
        shutil.rmtree(folder)


def filled(folder: Path, events: int) -> float:
    """Live tables after some events; how many seconds that took."""
    rng, spent = np.random.default_rng(0), 0.0
    caps = Caps(rows=1 << 17, pairs=1 << 22)
    live = LiveWriter(folder, plan.aggregates, [user, item], replay=lambda _: [], caps=caps)
    live.apply([_items(rng)])
    seq = ITEMS
    for first in range(0, events, BATCH):
        chunks, seq = _happened(rng, seq, first / events, min(BATCH, events - first) / events)
        began = time.perf_counter()
        live.apply(chunks)
        spent += time.perf_counter() - began
    live.advance(START + SPAN_DAYS * 86_400 * MICROS)
    live.close()
    return spent


def _items(rng: np.random.Generator) -> Chunk:
    rows = np.arange(ITEMS)
    columns = {"row": rows, "deleted": rows * 0, "author": zipf(rng, AUTHORS, ITEMS), "kind": zipf(rng, KINDS, ITEMS)}
    return Chunk("row", "item", _times(0, np.full(ITEMS, START)) | columns, ITEMS)


def _happened(rng: np.random.Generator, seq: int, since: float, share: float) -> tuple[list[Chunk], int]:
    """A batch of events: impressions, of which some are clicked, watched or liked."""
    size, span = round(share * EVENTS), SPAN_DAYS * 86_400 * MICROS
    at = START + 1 + np.sort((since * span + rng.random(size) * share * span).astype(np.int64))
    kinds, until = rng.choice(4, size, p=[0.6, 0.15, 0.2, 0.05]), seq + size
    people, things = zipf(rng, USERS, size), zipf(rng, ITEMS, size)
    chunks = []
    for i, events in enumerate((seen, click, watch, like)):
        of = kinds == i
        columns: dict[str, Any] = {"user": people[of], "item": things[of]}
        if events is watch:
            columns |= {"seconds": rng.gamma(2, 12, of.sum()), "long": rng.integers(0, 2, of.sum())}
        chunks.append(Chunk("event", events.name, _times(seq, at[of]) | columns, until))
        seq += int(of.sum())
    return chunks, seq


def _times(seq: int, at: np.ndarray[Any, Any]) -> dict[str, Any]:
    return {"seq": seq + 1 + np.arange(len(at)), "at": at, "known_at": at}


def zipf(rng: np.random.Generator, size: int, count: int, *, skew: float = 0.8) -> np.ndarray[Any, Any]:
    """Numbers below `size`, the i-th as frequent as 1 / i^skew, scattered over the range."""
    shares = np.cumsum(1.0 / np.arange(1, size + 1) ** skew)
    ranks = np.searchsorted(shares, rng.random(count) * shares[-1])
    return np.random.default_rng(size).permutation(size)[ranks]


def measured(folder: Path, requests: int) -> dict[str, object]:
    """Percentiles of the time of look-ups by different people, and of whole feature matrices."""
    reader, rng = LiveReader(folder), np.random.default_rng(1)
    asked = [_request(reader, rng) for _ in range(requests + WARM)]
    work = [lambda s, m=m, k=k: look_up(s, m, k) for m, k in asked]
    timed(reader, work)  # a worker that has been up for a while has met every page of the tables
    looked = timed(reader, work)
    made = timed(reader, [lambda s, m=m: plan.compute(m, s) for m, _ in asked[: len(asked) // 4]])
    tables = reader.stats()["tables"]
    return {
        "name": "lookup",
        "ours": round(looked["p99"], 3),
        "peer": TARGET_MS,
        "ratio": round(looked["p99"] / TARGET_MS, 3),
        "unit": "ms",
        "look_up_ms": looked,
        "compute_ms": made,
        "requests": requests,
        "candidates": CANDIDATES,
        "features": sum(len(f.names) for f in plan.features),
        "aggregates": len(plan.aggregates),
        "items": ITEMS,
        "users": USERS,
        "pairs": {n: t["used"] for n, t in tables.items() if n.startswith("pairs:")},
        "mb": round(sum(t["bytes"] for t in tables.values()) / 1e6),
    }


def _request(reader: LiveReader, rng: np.random.Generator) -> tuple[Moments, dict[str, tuple[Any, ...]]]:
    """One person and their candidates, and the keys that their features are kept by."""
    who, what = zipf(rng, USERS, 1), np.unique(zipf(rng, ITEMS, 3 * CANDIDATES))[:CANDIDATES]
    at = np.array([reader.watermark])
    author, kind = (reader.consistently(lambda s, c=c: s.column(item, c, what, at)) for c in ("author", "kind"))
    keys = {"item": (what,), "user": (who,)}
    pairs = {"user*item": what, "user*item.author": author, "user*item.kind": kind}
    keys |= {subject: (np.broadcast_to(who, what.shape), other) for subject, other in pairs.items()}
    return Moments(at, {"user": who, "item": what}), keys


def look_up(state: LiveState, moments: Moments, keys: dict[str, tuple[Any, ...]]) -> None:
    """Everything that the plan's features ask of the state."""
    if isinstance(state, Ahead):
        state.ahead([(a, keys[a.subject]) for a in plan.aggregates])
    for subject, aggregates in WINDOWED.items():
        state.windows(aggregates, keys[subject], moments.at)
    for aggregate in RECENT:
        state.recent(aggregate, keys[aggregate.subject], moments.at)


def timed(reader: LiveReader, work: list[Callable[[LiveState], Any]]) -> dict[str, float]:
    """Milliseconds that each took."""
    spent = []
    for one in work:
        began = time.perf_counter()
        reader.consistently(one)
        spent.append((time.perf_counter() - began) * 1000)
    found = np.percentile(spent[WARM:], [50, 95, 99])
    return dict(zip(("p50", "p95", "p99"), (round(float(v), 3) for v in found), strict=True))


RECENT = [a for a in plan.aggregates if a.kind == "recent"]
WINDOWED: dict[str, list[Any]] = {}
for _aggregate in plan.aggregates:
    if _aggregate.kind != "recent":
        WINDOWED.setdefault(_aggregate.subject, []).append(_aggregate)
