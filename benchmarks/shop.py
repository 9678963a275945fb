"""A small video shop with a trained release, for tests and benchmarks that need a whole project."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from winnow.core.time import MICROS, now_us
from winnow.project import Project

DAY = 86_400 * MICROS


@dataclass(frozen=True)
class Sizes:
    """How large the shop is.

    Args:
        users, videos, authors, tags: how many of each.
        impressions: spread over the last `days` days; a fifth of them are clicked, a tenth watched to the end.
    """

    users: int = 60
    videos: int = 300
    authors: int = 30
    tags: int = 12
    impressions: int = 4_000
    days: int = 9


def fill(project: Project, sizes: Sizes, *, seed: int = 0, now: int | None = None) -> None:
    """Writes tables and events into a project made from `video_recommendation`.

    Args:
        project: empty.
        sizes: how much.
        seed: of every choice.
        now: the newest events are a minute older than this, microseconds UTC.
    """
    rng, now = np.random.default_rng(seed), now or now_us()
    start = now - sizes.days * DAY
    for name, frame in {"user": _users(rng, sizes, start), "video": _videos(rng, sizes, start)}.items():
        project.intake.frame(name, frame, backfill=True)
    for name, frame in _events(rng, sizes, start=start, end=now - 60 * MICROS).items():
        project.intake.frame(name, frame, backfill=True)


def _users(rng: np.random.Generator, sizes: Sizes, start: int) -> pl.DataFrame:
    ids = [f"u{i}" for i in range(sizes.users)]
    days = rng.integers(1, 900, sizes.users).astype(np.float64)
    return pl.DataFrame({"user_id": ids, "register_days": days, "changed_at": np.full(sizes.users, start)})


def _videos(rng: np.random.Generator, sizes: Sizes, start: int) -> pl.DataFrame:
    n = sizes.videos
    tags = [[f"t{t}" for t in set(row)] for row in rng.integers(0, sizes.tags, (n, 2)).tolist()]
    return pl.DataFrame(
        {
            "video_id": [f"v{i}" for i in range(n)],
            "title": [f"video {i}" for i in range(n)],
            "author": [f"a{i}" for i in rng.integers(0, sizes.authors, n)],
            "tags": tags,
            "available": np.ones(n, bool),
            "duration_s": rng.integers(5, 300, n).astype(np.float64),
            "uploaded_at": start - rng.integers(0, 20 * DAY, n),
            "changed_at": np.full(n, start),
        }
    )


def _events(rng: np.random.Generator, sizes: Sizes, *, start: int, end: int) -> Mapping[str, pl.DataFrame]:
    """Impressions of liked tags, mostly; what is liked is clicked and watched more often."""
    n = sizes.impressions
    at = np.sort(rng.integers(start, end - 3600 * MICROS, n))
    user, video = rng.integers(0, sizes.users, n), (rng.beta(1, 3, n) * sizes.videos).astype(np.int64)
    likes = rng.random(n) < np.where((user + video) % 3 == 0, 0.45, 0.1)
    long = likes & (rng.random(n) < 0.5)
    basis = {"user": [f"u{u}" for u in user], "video": [f"v{v}" for v in video]}
    shown = pl.DataFrame(
        {"event_id": [f"i{i}" for i in range(n)], "at": at, **basis, "surface": ["home"] * n}
        | {"position": rng.integers(1, 20, n).astype(np.float64)}
    )
    later = pl.DataFrame({"at": at + 30 * MICROS, **basis, "seconds": rng.gamma(2, 12, n), "long": long})
    return {
        "impression": shown,
        "click": later.with_columns(event_id=pl.Series([f"c{i}" for i in range(n)]))
        .drop("seconds", "long")
        .filter(likes),
        "watch": later.with_columns(event_id=pl.Series([f"w{i}" for i in range(n)])).filter(likes),
        "like": later.with_columns(event_id=pl.Series([f"l{i}" for i in range(n)]))
        .drop("seconds", "long")
        .filter(long),
    }


def made(folder: Path, system: str | None = None, *, sizes: Sizes | None = None, train: bool = True) -> Project:
    """A project with data and, unless told otherwise, a release that serves.

    Args:
        folder: must not exist.
        system: text of the system file in place of the one in the box.
        sizes: how large.
        train: whether to train and promote.
    """
    project = Project.init(folder, "video_recommendation")
    if system is not None:
        project.system_files[0].write_text(system)
        project = Project(folder)
    fill(project, sizes or Sizes())
    if train:
        release(project)
    return project


def release(project: Project, *, seed: int = 0) -> str:
    """Trains and promotes; the id of the release."""
    from winnow.training.train import train

    name = next(iter(project.systems))
    source = project.system_files[0].read_text()
    trained = train(project, project.system(name), source=source, seed=seed, threads=2)
    project.registry.promote(name, trained.release.id, at=now_us(), who="benchmarks")
    return trained.release.id
