"""Sources whose proposals are worked out beforehand for people who are active, and looked up at the request.

Only proposals are stored. Filters, features, models and policy run at every request, on the present: a list that is
days old shows nobody who was blocked since.
"""

import time
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from functools import lru_cache
from pathlib import Path as File
from typing import Any, Protocol, runtime_checkable

import numpy as np

from winnow.core.candidates import Ints, Mask
from winnow.core.errors import Problem
from winnow.core.time import days, to_us
from winnow.features.aggregate import Aggregate
from winnow.features.state import State
from winnow.serving.kit import Kit
from winnow.serving.query import Query
from winnow.serving.sources import PastEvents, Proposal, Source, Told
from winnow.serving.stored_file import StoredLists, fill
from winnow.serving.stored_file import Told as Progress

FOLDER = "stored"
_LATELY = 10_000  # lists that one process works out again and keeps
_SAMPLE = 10_000


@runtime_checkable
class Checked(Protocol):
    """A source that can tell of its own proposals whether they still hold."""

    def still(self, rows: Ints, query: Query, kit: Kit) -> Mask:
        """Which rows it may still propose, bool [n]."""
        ...


@dataclass(frozen=True)
class Stored(Source):
    """What another source proposes, from a list that was worked out beforehand; for everybody else it is asked.

    `winnow precompute SYSTEM` works the lists out for a release. One that is too old is worked out again when it is
    asked for, and kept by the process that did.

    Args:
        of: the source; its name, its limit and its reasons hold.
        within: how old a list may be.
        keep: how many of each list are kept.
    """

    of: Source
    within: timedelta = field(kw_only=True, default=days(7))
    keep: int = field(kw_only=True, default=300)

    def __post_init__(self) -> None:
        object.__setattr__(self, "limit", self.of.limit)

    @property
    def name(self) -> str:
        return self.of.name

    def problems(self, system: Any) -> Iterator[Problem]:
        yield from super().problems(system)
        if self.within <= timedelta(0):
            yield Problem("bad-window", f"lists are kept for {self.within}", self.where, fix="give a positive time")

    def aggregates(self) -> tuple[Aggregate, ...]:
        return self.of.aggregates()

    def prepare(self, folder: File, *, events: PastEvents, items: int, before: int) -> None:
        self.of.prepare(folder, events=events, items=items, before=before)

    def open(self, folder: File) -> Any:
        return self.of.open(folder)

    def refresh(self, rows: Ints, state: State, at: int) -> Proposal | None:
        return self.of.refresh(rows, state, at)

    def index(self, rows: Ints, state: State, at: int) -> Any:
        return self.of.index(rows, state, at)

    def propose(self, query: Query, kit: Kit) -> Proposal:
        held = self.list_of(query, kit)
        if held is None:
            return query.first(*self.of.propose(query, kit), self.limit)
        rows, scores = held
        if isinstance(self.of, Checked):
            good = self.of.still(rows, query, kit)
            rows, scores = rows[good], scores[good]
        return query.first(rows, scores, self.limit)

    def tell(self, rows: Ints, query: Query, kit: Kit) -> list[Told]:
        return self.of.tell(rows, query, kit)

    def list_of(self, query: Query, kit: Kit) -> Proposal | None:
        """The list of who asks, worked out again when it is too old; None for people without one."""
        lists = self.lists(kit)
        found = None if lists is None or query.profile < 0 else lists.of(query.profile)
        if found is None:
            return None
        rows, scores, made = found
        if made >= query.at - to_us(self.within):
            return rows, scores
        lately, key = _lately(place(kit, self)), query.profile
        if key not in lately or lately[key][1] < query.at - to_us(self.within):
            lately[key] = self.of.propose(query, kit), query.at
            if len(lately) > _LATELY:
                lately.popitem(last=False)
        return lately[key][0]

    def lists(self, kit: Kit) -> StoredLists | None:
        """The lists of the kit's release; None when nobody worked them out."""
        if kit.folder is None:
            return None
        folder = place(kit, self)
        try:
            return _opened(folder, folder.stat().st_mtime_ns)
        except OSError:
            return None


def place(kit: Kit, source: Stored) -> File:
    """Where the lists of a source lie for a release: vectors and snapshots of another one would not fit them."""
    assert kit.folder is not None
    return kit.folder / FOLDER / kit.system.name / kit.bundle.release / source.name


def precompute(kit: Kit, source: Stored, people: Ints, *, told: Progress) -> StoredLists:
    """Works out the lists of people for a release; goes on where an earlier call was cut off.

    Args:
        kit: of the release.
        source: whose lists.
        people: rows, int64 [n].
        told: called with how many are done, and of how many.
    """

    def one(person: int) -> Proposal:
        at, ever = kit.live.watermark, time.monotonic() + 3600.0
        return source.of.propose(Query("", "", person, at, source.keep, ever), kit)

    return fill(place(kit, source), people, one, keep=source.keep, now=lambda: kit.live.watermark, told=told)


def stored_sources(kit: Kit) -> list[Stored]:
    """The sources of a system whose lists can be worked out beforehand."""
    return [source for source in kit.system.pipeline.sources if isinstance(source, Stored)]


def ages(kit: Kit, now: int) -> dict[str, float]:
    """Source → the median age of its lists in seconds, of a sample; nothing for sources without lists."""
    found = {source.name: source.lists(kit) for source in stored_sources(kit)}
    made = {name: lists.made[:: max(len(lists) // _SAMPLE, 1)] for name, lists in found.items() if lists}
    return {name: float(now - np.median(times)) / 1e6 for name, times in made.items()}


@lru_cache(maxsize=32)
def _opened(folder: File, changed: int) -> StoredLists:
    return StoredLists.open(folder)


@lru_cache(maxsize=32)
def _lately(folder: File) -> OrderedDict[int, tuple[Proposal, int]]:
    return OrderedDict()
