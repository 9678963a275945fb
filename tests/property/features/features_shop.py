"""A small fixed schema, a plan that uses every kind of live table, and seeded logs of it as chunks."""

from collections.abc import Iterator
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np

from winnow.core.time import MICROS, days, hours, minutes
from winnow.data.chunk import Chunk
from winnow.data.declare import Labels
from winnow.data.declare import any as any_of
from winnow.data.schema import Events, Table, categories, category, flag, number, time
from winnow.features.batch import FeatureBatch
from winnow.features.declare import Age, Column
from winnow.features.live import Caps, LiveReader, LiveWriter
from winnow.features.past import Count, Decayed, Distinct, Max, Mean, Rate, Sum
from winnow.features.plan import Plan
from winnow.features.recent import Last, Since
from winnow.features.view import Moments

USERS, VIDEOS, START = 20, 30, 1_700_000_000 * MICROS

user = Table("user", key="user_id", columns={"country": category})
video = Table("video", key="video_id", columns={"author": category, "tags": categories, "price": number, "made": time})
BOTH = {"user": user, "video": video}
seen = Events("impression", refs=BOTH, fields={"position": number, "surface": category, "clicked": flag})
click = Events("click", refs=BOTH)
watch = Events("watch", refs=BOTH, fields={"seconds": number, "long": flag})
follow = Events("follow", refs={"user": user, "other": user})
labels = Labels(of=seen, within=hours(1), heads={"click": any_of(click)})

features = [
    Column(of=user.country), Column(of=video.author), Column(of=video.tags), Column(of=video.price), Age(of=video.made),
    Count(seen, by=video, window=[minutes(5), days(1)]), Rate(click, over=seen, by=video.author, window=hours(1)),
    Rate(watch, (watch.long.equals(1),), over=seen, by=video.tags, window=days(1)),
    Count(watch, by=(user, video.author)),
    Mean(watch.seconds, by=user, window=hours(1)), Sum(watch.seconds, by=(user, video.tags), window=minutes(30)),
    Max(watch.seconds, by=video, window=minutes(5)), Distinct(watch.video, by=user, window=minutes(30)),
    Decayed(watch, by=video, half_life=minutes(30)),
    Since(watch, by=user), Since(seen, by=(user, video)), Last(watch.video, by=user, k=5, columns=(video.author,)),
]  # fmt: skip
plan = Plan.of(features, labels)
CAPS = Caps(rows=64, pairs=4096)


def chunks(appends: int, *, rows: int = 20, seed: int = 0, step_s: float = 20.0) -> list[Chunk]:
    """A seeded log: each append has the events of one moment, late ones among them, and now and then a table change."""
    random, made, seq, now = np.random.default_rng(seed), [], 0, START
    for number_ in range(appends):
        now += int(random.integers(1, int(step_s * 2 * MICROS)))
        parts = list(_parts(random, rows, now, tables=number_ % 7 == 0))
        until = seq + sum(len(c["row" if "row" in c else "user"]) for _, _, c in parts)
        for kind, name, columns in parts:
            size = len(columns["row" if "row" in columns else "user"])
            late = (random.random(size) < 0.1) * random.integers(0, 7200 * MICROS, size)
            times = {"seq": seq + 1 + np.arange(size), "at": now - late, "known_at": np.full(size, now)}
            made.append(Chunk(kind, name, times | columns, until))
            seq += size
    return made


def _parts(random: Any, rows: int, now: int, *, tables: bool) -> Iterator[tuple[Any, str, dict[str, Any]]]:
    if tables:
        size = 10
        yield "row", "video", {
            "row": random.choice(VIDEOS, size, replace=False), "deleted": (random.random(size) < 0.1).astype(np.int64),
            "author": random.integers(0, 6, size), "tags": random.integers(-1, 8, (size, 3)),
            "price": random.random(size), "made": now - random.integers(0, 10**12, size),
        }  # fmt: skip
        yield (
            "row",
            "user",
            {"row": np.arange(5), "deleted": np.zeros(5, np.int64), "country": random.integers(0, 9, 5)},
        )
    for name in ("impression", "click", "watch"):
        columns: dict[str, Any] = {"user": random.integers(0, USERS, rows), "video": random.integers(0, VIDEOS, rows)}
        if name == "watch":
            columns |= {"seconds": random.random(rows) * 100, "long": random.integers(-1, 2, rows)}
        yield "event", name, columns


def batches(log: list[Chunk]) -> list[list[Chunk]]:
    """The log's appends."""
    return [list(append) for _, append in groupby(log, key=lambda c: c.until)]


def writer(folder: Path | str, log: list[Chunk], kind: type[LiveWriter] = LiveWriter, **options: Any) -> LiveWriter:
    """A writer of the plan's tables over a log."""
    options = {"caps": CAPS} | options
    return kind(
        folder, plan.aggregates, [user, video], replay=lambda after: [c for c in log if c.until > after], **options
    )


def everything(folder: Path | str) -> tuple[int, FeatureBatch]:
    """The features of every user with every video, as of the watermark, and the seq that they stand for."""
    reader = LiveReader(folder)
    users, videos = (a.ravel() for a in np.meshgrid(np.arange(USERS), np.arange(VIDEOS)))
    moments = Moments(np.array([reader.watermark]), {"user": users, "video": videos})
    return reader.applied_seq, reader.consistently(lambda state: plan.compute(moments, state))
