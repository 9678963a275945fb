"""Rows of the service's tables and events, as frames for the intake; the schema is that of the video system."""

from collections.abc import Iterator

import numpy as np
import polars as pl

from winnow.core.time import MICROS
from winnow.simulation.people import Floats, Rows
from winnow.simulation.reactions import SURFACES, Flags, Outcome
from winnow.simulation.videos import NOT_YET
from winnow.simulation.world import World

FEEDBACK = ("click", "watch", "like", "follow", "comment", "share", "hide")
_LOOK_US = 3 * MICROS  # from the showing of a list to the click on what someone examines
_DECIDE_US = 2 * MICROS  # from the end of a watch to what follows it


def user_frame(world: World) -> pl.DataFrame:
    """Everyone, known to the service from the beginning of the log."""
    p = world.people
    return pl.DataFrame({
        "user_id": p.ids, "changed_at": pl.repeat(world.starts_at, len(p), dtype=pl.Int64, eager=True),
        "activity": p.activity, "register_days": p.register_days, "follows": p.follows, "fans": p.fans,
        "friends": p.friends,
    })  # fmt: skip


def video_frame(world: World, rows: Rows | None = None) -> pl.DataFrame:
    """The videos that have been put up (or these rows of them), each known from its upload on."""
    v = world.videos
    rows = np.flatnonzero(v.uploaded_at != NOT_YET) if rows is None else rows
    every: list[int] = rows.tolist()
    return pl.DataFrame({
        "video_id": [v.ids[i] for i in every], "changed_at": v.uploaded_at[rows], "title": [v.titles[i] for i in every],
        "author": [v.channel_names[v.channels[i]] for i in every], "tags": [v.tags(i) for i in every],
        "kind": [v.kind(i) for i in every], "available": v.available[rows], "duration_s": v.duration_s[rows],
        "uploaded_at": v.uploaded_at[rows],
    }, schema_overrides={"tags": pl.List(pl.String)})  # fmt: skip


class Showings:
    """Videos shown to people, and what came of it, one row per impression.

    Args:
        world: names of people and videos.
        people, videos: rows, int64 [n].
        at: moment of each impression, microseconds, int64 [n].
        position: from 0, int64 [n]; the service counts from 1.
        surface: index into `SURFACES`, int64 [n].
        outcome: what happened, arrays [n].
        keys: the stem of each row's event ids; unique in the project.
        pace: how long things take, as a share of real time.
    """

    def __init__(
        self, world: World, people: Rows, videos: Rows, *, at: Rows, position: Rows, surface: Rows, outcome: Outcome,
        keys: list[str], pace: float = 1.0,
    ) -> None:  # fmt: skip
        self._world, self._outcome, self._at, self._keys, self._pace = world, outcome, at, keys, pace
        self._rows = {"user": people, "video": videos}
        self._fields = {"surface": np.array(SURFACES)[surface], "position": position + 1.0}

    def __len__(self) -> int:
        return len(self._at)

    def frames(self) -> Iterator[tuple[str, pl.DataFrame]]:
        """Event type and its rows, impressions first; empty types are left out."""
        everything = np.ones(len(self), bool)
        yield "impression", self._frame("impression", everything, self._at, **self._fields)
        for name in FEEDBACK:
            happened, at = self._feedback(name)
            watch: dict[str, Floats | Flags] = {"seconds": self._outcome.seconds, "long": self._outcome.long}
            if happened.any():
                yield name, self._frame(name, happened, at, **(watch if name == "watch" else {}))

    def _feedback(self, name: str) -> tuple[Flags, Rows]:
        took = np.full(len(self), float(_LOOK_US))
        if name not in ("click", "hide"):
            took += self._outcome.seconds * MICROS + (0 if name == "watch" else _DECIDE_US)
        happened = self._outcome.click if name == "watch" else getattr(self._outcome, name)
        return happened, self._at + (took * self._pace).astype(np.int64)

    def _frame(self, name: str, happened: Flags, at: Rows, **fields: Floats | Flags) -> pl.DataFrame:
        which: list[int] = np.flatnonzero(happened).tolist()
        people, videos = self._world.people.ids, self._world.videos.ids
        return pl.DataFrame({
            "event_id": [f"{self._keys[i]}-{name}" for i in which],
            "at": at[happened],
            "user": [people[i] for i in self._rows["user"][happened].tolist()],
            "video": [videos[i] for i in self._rows["video"][happened].tolist()],
        } | {field: values[happened] for field, values in fields.items()})  # fmt: skip
