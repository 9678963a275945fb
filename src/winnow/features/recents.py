"""The last k events of each key."""

from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from winnow.features.aggregate import Aggregate
from winnow.features.batch import Ints
from winnow.features.keys import field, measured
from winnow.features.source import Log
from winnow.features.state import NEVER
from winnow.features.timeline import Timeline, among, pieces

if TYPE_CHECKING:
    from winnow.features.group import Asked

_CELLS = 1 << 18  # of an answer that are filled at a time


class Recents:
    """Looks up the last k that are known.

    Args:
        lines: the events that pass the tests, under their keys.
        log: all events.
    """

    def __init__(self, lines: Timeline, log: Log):
        self.lines, self._log = lines, log
        self._shuffled = log.shuffled(lines)
        self._made: dict[tuple[str | None, int], Ints] = {}

    def latest(self, a: Aggregate, asked: "Asked") -> tuple[Ints, Ints]:
        """Values and times, see `State.recent`.

        Args:
            a: tells k and the value.
            asked: the questions, over `lines`.
        """
        late = among(asked.codes, self._shuffled)
        found = [np.full((asked.size, a.k), empty) for empty in (self._empty(a), NEVER)]
        stop, count = asked.now, asked.now - asked.start
        for part in pieces(len(stop), max(_CELLS // a.k, 1)):
            beyond = np.arange(a.k) >= count[part, None]
            for made, name, empty in zip(found, (a.value, "at"), (self._empty(a), NEVER), strict=True):
                values = self._windows(a, name)[len(self.lines) - stop[part]]
                np.copyto(values, empty, where=beyond)
                made[asked.rows[part]] = values
        if late.any():
            events = self._skipping(asked.codes[late], asked.at[late], a.k)
            for made, name in zip(found, (a.value, "at"), strict=True):
                made[asked.rows[late]] = self._of(a, name, events)
        return found[0], found[1]

    def _windows(self, a: Aggregate, name: str | None) -> Ints:
        """A column of the events from the last to the first: at i, the k from there on, int64 [e + 1, k]."""
        if (name, a.k) not in self._made:
            column = np.empty(len(self.lines) + a.k, np.int64)
            column[: len(self.lines)] = self.lines.column(lambda event: self._of(a, name, event))[::-1]
            column[len(self.lines) :] = NEVER
            self._made[name, a.k] = np.lib.stride_tricks.sliding_window_view(column, a.k)
        return self._made[name, a.k]

    def _empty(self, a: Aggregate) -> int:
        return NEVER if a.value is not None and a.events.columns[a.value].storage == "number" else -1

    def _of(self, a: Aggregate, name: str | None, event: Ints) -> Ints:
        """Values or times of events, missing ones for -1."""
        if name == "at":
            return np.where(event >= 0, self._log.at[event], NEVER)
        if name is None:
            return np.full(event.shape, -1)
        values = field(a.events, self._log.some(event.ravel(), {name}), name)
        values = measured(values) if self._empty(a) == NEVER else values
        return np.where(event >= 0, values.reshape(event.shape), self._empty(a))

    @cached_property
    def _late(self) -> Timeline:
        """The events of keys with late ones, by own time."""
        some = np.flatnonzero(among(self.lines.codes(slice(None)), self._shuffled))
        own = self._log.own_order[self.lines.places(some)]
        return Timeline(self.lines.codes(some), own, size=len(self._log))

    def _skipping(self, codes: Ints, at: Ints, k: int) -> Ints:
        """For keys with late events: walks back over more and more of them until k are known. int64 [n, k]"""
        found, width = np.full((len(codes), k), -1), 2 * k
        open_, start = np.arange(len(codes)), self._late.before(codes, 0)
        stop = self._late.before(codes, np.searchsorted(self._log.own_at, at))
        while len(open_):
            events = self._back(stop[open_], start[open_], width)
            seen = (events >= 0) & (self._log.known_at[events] < at[open_, None])
            row, column = np.nonzero(seen & (np.cumsum(seen, axis=1) <= k))
            first = np.searchsorted(row, np.arange(len(open_)))
            found[open_[row], np.arange(len(row)) - first[row]] = events[row, column]
            open_ = open_[(seen.sum(axis=1) < k) & (stop[open_] - width > start[open_])]
            width *= 2
        return found

    def _back(self, stop: Ints, start: Ints, width: int) -> Ints:
        index = stop[:, None] - 1 - np.arange(width)
        events = self._log.by_own[self._late.places(np.maximum(index, 0))]
        return np.where(index >= start[:, None], events, -1)
