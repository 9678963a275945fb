"""Watches and clicks of ninety days with realistic skew, and moments at which features are asked for."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from winnow.core.time import MICROS, days, hours, to_us
from winnow.data import schema
from winnow.data.schema import Events, Table, number
from winnow.features.aggregate import Aggregate
from winnow.features.keys import Columns
from winnow.features.source import WHOLE

Ints = NDArray[np.int64]

USERS, AUTHORS, VIDEOS = 1_000_000, 50_000, 500_000
SPAN, WINDOW, HOP = to_us(days(90)), to_us(days(7)), to_us(hours(6))
CLICKS = 5  # watches per click
LAST = 50
PRIOR = (1.0, 20.0)
_PIECE = 1 << 20

user, author, video = (Table(name, key=f"{name}_id") for name in ("user", "author", "video"))
ROLES = {"user": user, "author": author, "video": video}
watch = Events("watch", refs=ROLES, fields={"seconds": number})
click = Events("click", refs=ROLES)
KEYS = {"user": (schema.Path(user),), "pair": (schema.Path(user), schema.Path(author))}


def aggregates(by: str) -> dict[str, tuple[Aggregate, ...]]:
    """What is asked for, by name."""
    paths, week = KEYS[by], days(7)
    count, clicks = Aggregate("sum", watch, paths, window=week), Aggregate("sum", click, paths, window=week)
    return {
        "count": (count,),
        "sum": (Aggregate("sum", watch, paths, "seconds", window=week),),
        "rate": (clicks, count),
        "last50": (Aggregate("recent", watch, paths, "video", k=LAST),),
    }


@dataclass
class World:
    """Events made in pieces, each from its own seed, so that any number of them can be read one after the other.

    Args:
        events: watches.
        rows: questions.
    """

    events: int
    rows: int

    @cached_property
    def watches(self) -> Columns:
        return next(self.batches("watch", ["seq", "at", "known_at", *ROLES, "seconds"], rows=WHOLE))

    @cached_property
    def clicks(self) -> Columns:
        return next(self.batches("click", ["seq", "at", "known_at", *ROLES], rows=WHOLE))

    @cached_property
    def asked(self) -> tuple[Ints, Ints, Ints]:
        """Who, which author, when: those of some watches, a microsecond before the next hop, in order of time.

        At such moments a window that moves by hops is exactly the seven days before, as the peers have it.
        """
        place = np.linspace(0, self.events - 1, self.rows).astype(np.int64)
        users, authors, at = (np.concatenate(parts) for parts in zip(*self._some(place), strict=True))
        return users, authors, (at // HOP + 1) * HOP - 1

    def _some(self, place: Ints) -> Iterator[tuple[Ints, Ints, Ints]]:
        for number_, start in enumerate(range(0, self.events, _PIECE)):
            piece = self._piece(number_, min(_PIECE, self.events - start))
            own = place[(place >= start) & (place < start + _PIECE)] - start
            yield piece["user"][own], piece["author"][own], piece["at"][own]

    def events_of(self, name: str) -> Columns:
        return self.watches if name == "watch" else self.clicks

    def batches(self, name: str, columns: Collection[str], *, rows: int) -> Iterator[Columns]:
        """See `winnow.features.source.Streamed`."""
        step, made = max(rows // _PIECE, 1), []
        last = (self.events - 1) // _PIECE
        for number_ in range(last + 1):
            made.append(self._of(name, columns, number_))
            if len(made) == step or number_ == last:
                yield {c: np.concatenate([m[c] for m in made]) for c in columns if c in made[0]}
                made = []

    def _of(self, name: str, columns: Collection[str], number_: int) -> Columns:
        piece = self._piece(number_, min(_PIECE, self.events - number_ * _PIECE))
        keep = slice(None) if name == "watch" else piece["clicked"]
        return {c: v[keep] for c, v in piece.items() if c in columns}

    def _piece(self, number_: int, size: int) -> dict[str, NDArray]:  # type: ignore[type-arg]
        random = np.random.default_rng(number_)
        start, length = number_ * _PIECE, SPAN * size // self.events
        at = SPAN * start // self.events + np.sort(random.integers(0, length, size))
        return {
            "seq": np.arange(start, start + size), "at": at, "known_at": at,
            "user": skewed(random, size, USERS, 0.7), "author": skewed(random, size, AUTHORS, 0.9),
            "video": skewed(random, size, VIDEOS, 0.9), "seconds": np.round(random.random(size) * 300, 3),
            "clicked": random.random(size) < 1 / CLICKS,
        }  # fmt: skip


def skewed(random: np.random.Generator, size: int, many: int, power: float) -> Ints:
    """Row numbers of which the n-th most frequent comes up in proportion to 1 / n^power, in mixed order."""
    rank = (many ** (1 - power) * random.random(size)) ** (1 / (1 - power))
    return (np.minimum(rank.astype(np.int64), many - 1) * 7919) % many


class InMemory:
    """A world as the source of history, all there before the clock starts."""

    def __init__(self, world: World):
        self._events = {"watch": world.watches, "click": world.clicks}

    def events(self, name: str) -> Columns:
        return self._events[name]

    def rows(self, table: str) -> Columns:
        raise KeyError(table)


class OnDisk(InMemory):
    """A world as the source of history in files, a file for each column of each piece.

    Args:
        world: the events.
        folder: where the files go.
        columns: those of `watch` that are kept.
    """

    def __init__(self, world: World, folder: Path, columns: Collection[str]):
        self._pieces: list[dict[str, Path]] = []
        for number_, piece in enumerate(world.batches("watch", columns, rows=1)):
            files = {c: folder / f"{number_}.{c}.npy" for c in piece}
            for c, values in piece.items():
                np.save(files[c], values)
            self._pieces.append(files)

    def batches(self, name: str, columns: Collection[str], *, rows: int) -> Iterator[Columns]:
        """See `winnow.features.source.Streamed`: at least one piece at a time."""
        step = max(min(rows, WHOLE) // _PIECE, 1)
        for first in range(0, len(self._pieces), step):
            some = self._pieces[first : first + step]
            yield {c: np.concatenate([np.load(piece[c], mmap_mode="r") for piece in some]) for c in columns}


def micros(world: World) -> Ints:
    """Seconds of watches in whole microseconds: what the peers sum, so that sums are exact."""
    return np.rint(world.watches["seconds"] * MICROS).astype(np.int64)
