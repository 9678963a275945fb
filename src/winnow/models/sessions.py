"""Sessions: what visitors looked at one after the other, and what they chose in the end.

Shapes: S sessions, n steps of all of them, P pairs of steps.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import numpy as np
from numpy.typing import NDArray

from winnow.core.declare import Declared
from winnow.core.errors import Problem
from winnow.core.time import minutes
from winnow.data.schema import EventField, Events, Path

Ints = NDArray[np.int64]
Floats = NDArray[np.float32]
NONE = -1


@dataclass(frozen=True)
class Sessions(Declared):
    """How a log of views is cut into sessions.

    A session ends with a pause, and with the goal: what a visitor looks at after a booking belongs to another trip.

    Args:
        of: the events that are steps; the last role is the item.
        by: the role of whoever looks.
        gap: a longer pause begins a new session.
        goal: the events that a session is about, such as bookings; the last role is the item.
        market: a category of the items that visitors do not cross, such as the city.
        source: a category of the steps: where they came from.
        loop: values of `source` that say that a list of this very system led there.
        loop_weight: what such a step counts, 0 to 1. People click what they are shown: a model that learns from its
            own lists as from anything else finds itself confirmed.
    """

    of: Events
    by: str = field(kw_only=True)
    gap: timedelta = field(kw_only=True, default_factory=lambda: minutes(30))
    goal: Events | None = field(kw_only=True, default=None)
    market: Path | None = field(kw_only=True, default=None)
    source: EventField | None = field(kw_only=True, default=None)
    loop: tuple[str, ...] = field(kw_only=True, default=())
    loop_weight: float = field(kw_only=True, default=0.3)

    def problems(self, system: Any) -> Iterator[Problem]:
        item = system.labels.item.name
        for events in filter(None, (self.of, self.goal)):
            if self.by not in events.refs or list(events.refs.values())[-1].name != item:
                what = f"`{events.name}` is no event of a `{self.by}` about a `{item}`"
                fix = f"declare Events({events.name!r}, refs={{{self.by!r}: ..., {item!r}: {item}}})"
                yield Problem("bad-session", what, self.where, "its rows would belong to no session", fix)
        if self.gap <= timedelta(0) or not 0 <= self.loop_weight <= 1:
            what = f"gap is {self.gap}, loop_weight {self.loop_weight}"
            yield Problem("bad-session", what, self.where, fix="a positive gap, and a weight of 0 to 1")
        if self.market is not None and not (self.market.table.name == item and self.market.kind.storage == "category"):
            what = f"`{self.market}` is no category of `{item}`"
            yield Problem("bad-session", what, self.where, fix="give a category column of the items")
        if bool(self.loop) != (self.source is not None):
            what, fix = "`source` and `loop` belong together", "give both, or neither"
            yield Problem("bad-session", what, self.where, fix=fix)


@dataclass(frozen=True, eq=False)
class Journeys:
    """Sessions as columns.

    Args:
        items: item rows of all steps, session by session in order of time, int64 [n].
        starts: where each session begins in `items`, and their end, int64 [S + 1].
        weights: of the steps, float32 [n].
        goals: the item chosen in the end, int64 [S]; -1 for none.
        at: moment of the first step, int64 [S], microseconds UTC.
        until: moment of the last step, or of the goal, int64 [S].
        people: row of the visitor, int64 [S].
    """

    items: Ints
    starts: Ints
    weights: Floats
    goals: Ints
    at: Ints
    until: Ints
    people: Ints
    markets: Ints = field(default_factory=lambda: np.empty(0, np.int64))
    """Market of each item row, int64 [I]; -1 where unknown. Empty without markets."""

    def __len__(self) -> int:
        return len(self.goals)

    @property
    def lengths(self) -> Ints:
        """Steps of each session, int64 [S]."""
        return np.diff(self.starts)

    @property
    def session(self) -> Ints:
        """To which session each step belongs, int64 [n]."""
        return np.repeat(np.arange(len(self)), self.lengths)

    def take(self, chosen: NDArray[np.bool_] | Ints) -> "Journeys":
        """Some sessions, in that order."""
        which = np.flatnonzero(chosen) if chosen.dtype == np.bool_ else chosen.astype(np.int64, copy=False)
        lengths = self.lengths[which]
        starts = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
        steps = np.repeat(self.starts[which] - starts[:-1], lengths) + np.arange(starts[-1])
        return Journeys(
            self.items[steps], starts, self.weights[steps], self.goals[which], self.at[which], self.until[which],
            self.people[which], self.markets,
        )  # fmt: skip

    def pairs(self, window: int) -> tuple[Ints, Ints, Floats, Ints]:
        """What stood near what: every step with those at most `window` away, and with the goal of its session.

        Returns:
            centre and context, item rows int64 [P]; weight float32 [P]; session int64 [P]. No item is its own context.
        """
        session, places = self.session, np.arange(len(self.items))
        ends = self.starts[1:][session]
        parts = []
        for apart in range(1, window + 1):
            first = np.flatnonzero(places + apart < ends)
            parts += [(first, self.items[first + apart], self.weights[first + apart]),
                      (first + apart, self.items[first], self.weights[first])]  # fmt: skip
        goal = self.goals[session]
        to_goal = np.flatnonzero(goal >= 0)
        parts.append((to_goal, goal[to_goal], np.ones(len(to_goal), np.float32)))
        step, context, weight = (np.concatenate(column) for column in zip(*parts, strict=True))
        apart_ = self.items[step] != context
        step, context, weight = step[apart_], context[apart_], weight[apart_]
        return self.items[step], context, (weight * self.weights[step]).astype(np.float32), session[step]

    def questions(self) -> tuple[Ints, Ints, Ints]:
        """What retrieval should answer: for each item looked at before the goal, the goal.

        Where no session has a goal, each step should lead to the next one.

        Returns:
            item asked for, item to be found, session; int64 [q] each, every pair of a session once.
        """
        session, goal = self.session, self.goals[self.session]
        asked, wanted = self.items, goal
        if not (self.goals >= 0).any():
            wanted = np.where(np.append(session[1:] == session[:-1], False), np.append(self.items[1:], NONE), NONE)
        found = np.stack([session, asked, wanted], axis=1)[(wanted >= 0) & (wanted != asked)]
        distinct = np.unique(found, axis=0)
        return distinct[:, 1], distinct[:, 2], distinct[:, 0]


def cut(
    people: Ints, items: Ints, at: Ints, *, weights: Floats, goal: NDArray[np.bool_], gap: int,
    markets: Ints | None = None,
) -> Journeys:  # fmt: skip
    """Cuts events into sessions.

    Args:
        people: row of the visitor, int64 [m].
        items: row of the item, int64 [m]; events without one are left out.
        at: moments, int64 [m], microseconds UTC.
        weights: of each event as a step, float32 [m].
        goal: which events are goals rather than steps, bool [m]; at the same moment steps come first.
        gap: a longer pause begins a new session, microseconds.
        markets: of each item row, int64 [I].

    Returns:
        the sessions in order of visitor and time. A step that repeats the one before it counts once. Sessions in which
        fewer than two items occur teach nothing about likeness and are left out.
    """
    known = (items >= 0) & (people >= 0)
    order = np.flatnonzero(known)[np.lexsort((goal[known], at[known], people[known]))]
    who, item, when, ends, weight = people[order], items[order], at[order], goal[order], weights[order]
    fresh = np.ones(len(order), bool)
    fresh[1:] = (who[1:] != who[:-1]) | (when[1:] - when[:-1] > gap) | ends[:-1]
    session = np.cumsum(fresh) - 1
    count = int(session[-1]) + 1 if len(session) else 0
    goals = np.full(count, NONE)
    goals[session[ends]] = item[ends]
    first, last = np.flatnonzero(fresh), np.flatnonzero(np.append(fresh[1:], True)[: len(fresh)])
    step = ~ends
    step[1:] &= fresh[1:] | (item[1:] != item[:-1])
    lengths = np.bincount(session[step], minlength=count)
    starts = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    none = np.empty(0, np.int64)
    found = Journeys(
        item[step], starts, weight[step], goals, when[first], when[last], who[first],
        none if markets is None else markets,
    )  # fmt: skip
    return found.take(_distinct(found) >= 2)


def _distinct(found: Journeys) -> Ints:
    """How many different items occur in each session, the goal included; 0 where there is no step."""
    session = np.concatenate([found.session, np.flatnonzero(found.goals >= 0)])
    item = np.concatenate([found.items, found.goals[found.goals >= 0]])
    pairs = np.unique(np.stack([session, item], axis=1), axis=0)
    return np.where(found.lengths > 0, np.bincount(pairs[:, 0], minlength=len(found)), 0)


def nothing() -> Journeys:
    """No sessions."""
    none = np.empty(0, np.int64)
    return Journeys(none, np.zeros(1, np.int64), np.empty(0, np.float32), none, none, none, none)
