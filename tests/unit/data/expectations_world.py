"""Invented people who watch videos, and what the log knows of them: frames for an intake, without any fault."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from winnow.core.time import parse_time
from winnow.data.expectations.edge import Edge
from winnow.data.expectations.infer import Data
from winnow.data.history import History
from winnow.data.intake import Intake
from winnow.data.log import SqliteLog
from winnow.project import shared
from winnow.systems.video_recommendation import system

SYSTEMS = {system.name: system}
TABLES, EVENTS = shared.tables([system]), shared.events([system])
START, DAY = parse_time("2026-03-01T00:00:00Z"), 86_400_000_000
SECOND, HOUR = 1_000_000, 3_600_000_000


@dataclass
class Shop:
    """A log with its history, in a folder that may hold an `expectations.toml`."""

    folder: Path
    now: int = START + 30 * DAY

    def __post_init__(self):
        self.log = SqliteLog(self.folder / "truth.db", clock=lambda: self.now)
        self.history = History(self.folder / "history", TABLES, EVENTS)
        self.open()

    def open(self):
        self.edge = Edge(self.folder, TABLES, EVENTS)
        self.intake = Intake(self.log, TABLES, EVENTS, clock=lambda: self.now, expected=self.edge)

    def take(self, frames):
        return [self.intake.frame(name, frame, backfill=True) for name, frame in frames.items()]

    def data(self):
        self.history.sync(self.log)
        return Data(self.history, self.log.ids, TABLES, EVENTS, SYSTEMS)


def people(rng, count=60, *, days=4, first=0, visits=4, length=40):
    """What people do: visits of some minutes, at most of what is shown is looked, some of it is clicked and watched.

    Returns frames of impressions, clicks and watches.
    """
    shown = visits * length
    user = np.repeat(np.arange(count), shown)
    begin = rng.integers(0, days * DAY - HOUR, (count, visits))
    gaps = (rng.lognormal(2.0, 0.6, (count, visits, length)) * SECOND).astype(np.int64)
    at = (START + first * DAY + begin[:, :, None] + gaps.cumsum(axis=2)).reshape(-1)
    keen = np.repeat(rng.beta(4, 6, count), shown)
    item, clicked = (500 * rng.random(len(at)) ** 2).astype(int), rng.random(len(at)) < keen
    base = pl.DataFrame({"at": at, "user": user, "video": item})
    base = base.with_columns(user=pl.format("u{}", "user"), video=pl.format("v{}", "video"))
    base = base.with_columns(event_id=pl.format("{}-{}", pl.lit(first), pl.int_range(pl.len())))
    home = rng.choice(["home", "search", "related"], len(at), p=[0.7, 0.2, 0.1])
    seconds = np.where(rng.random(len(at)) < 0.02, np.nan, rng.lognormal(3, 1, len(at)))
    watch = base.with_columns(event_id="w" + pl.col("event_id"), at=pl.col("at") + 2 * SECOND,
                              seconds=pl.Series(seconds).fill_nan(None), long=pl.Series(seconds > 30))  # fmt: skip
    click = base.with_columns(event_id="c" + pl.col("event_id"), at=pl.col("at") + SECOND)
    return {
        "impression": base.with_columns(surface=pl.Series(home)),
        "click": click.filter(pl.Series(clicked)), "watch": watch.filter(pl.Series(clicked)),
    }  # fmt: skip


def videos(rng, count=400):
    """A catalogue."""
    return pl.DataFrame({
        "video_id": [f"v{i}" for i in range(count)], "changed_at": [START - DAY] * count,
        "author": [f"a{i}" for i in rng.integers(0, 100, count)], "duration_s": rng.lognormal(4, 0.5, count),
        "tags": [[f"t{i}" for i in set(rng.integers(0, 8, 2).tolist())] for _ in range(count)],
        "available": [True] * count, "uploaded_at": START - rng.integers(0, 300, count) * DAY,
    })  # fmt: skip


def event(kind, n, *, at, user="x", video="v1", key="x", **fields):
    """`n` events of one user at given moments."""
    frame = pl.DataFrame({"event_id": [f"{kind}-{key}-{i}" for i in range(n)], "at": at})
    return frame.with_columns(
        user=pl.lit(user), video=video if isinstance(video, pl.Series) else pl.lit(video), **fields
    )
