"""Features of what has happened in windows: counts, sums, means, extremes, rates, distinct values, decayed counts."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from functools import cached_property
from typing import Any, ClassVar

import numpy as np

from winnow.core.errors import Problem
from winnow.core.time import FOREVER, minutes, short
from winnow.data.schema import Condition, EventField, Events, Path
from winnow.features.aggregate import DECAY_HALVES, DECAY_UNIT, FIXED_POINT, Aggregate, latest
from winnow.features.batch import Ints
from winnow.features.declare import By, Feature, Values, as_paths, kept
from winnow.features.state import NEVER
from winnow.features.view import View

Windows = timedelta | Sequence[timedelta]
Conditions = Condition | tuple[Condition, ...]


@dataclass(frozen=True)
class Windowed(Feature):
    """Base of features about events in one or several windows, one column per window.

    Args:
        by: one key or a pair: tables or columns reached from them.
        window: how far back; several give several columns.
    """

    by: By = field(kw_only=True)
    window: Windows = field(kw_only=True, default=FOREVER)

    @property
    def windows(self) -> tuple[timedelta, ...]:
        return (self.window,) if isinstance(self.window, timedelta) else tuple(self.window)

    @property
    def paths(self) -> tuple[Path, ...]:
        return as_paths(self.by)

    @property
    def subject(self) -> str:
        return subject(self.paths)

    @property
    def counted(self) -> tuple[Aggregate, ...]:
        """The aggregates of its windows."""
        raise NotImplementedError

    @property
    def youngest(self) -> tuple[Aggregate, ...]:
        """The latest time of what its aggregates count."""
        counted = {(a.events.name, a.conditions): a for a in self.counted}
        return tuple(latest(a.events, a.by, a.conditions) for a in counted.values())

    @kept
    def aggregates(self) -> tuple[Aggregate, ...]:
        return self.counted if self.ttl is None else (*self.counted, *self.youngest)

    def touched(self, view: View) -> Ints:
        times = [view.window(a) for a in self.youngest]
        return times[0] if len(times) == 1 else np.maximum(*times[:2])

    def _names(self, what: str) -> tuple[str, ...]:
        return tuple(f"{self.subject}_{what}_{short(w)}" for w in self.windows)

    @property
    def reach(self) -> Sequence[timedelta]:
        """How far back each column reads."""
        return self.windows

    def problems(self, system: Any) -> Iterator[Problem]:
        yield from super().problems(system)
        if any(window < minutes(1) for window in self.windows):
            what = f"{self.subject}: {min(self.windows)} is under a minute"
            yield Problem("window-too-short", what, self.where, fix="use minutes(1) or more")
        for reach in (r for r in self.reach if r != FOREVER and r > system.frame.retention):
            kept = short(system.frame.retention)
            what = f"{self.subject}: it reads {short(reach)} back, further than events are kept ({kept})"
            why, fix = "after a rebuild the count would be too small", "shorten it or raise Frame(retention=...)"
            yield Problem("window-over-retention", what, self.where, why, fix)


@dataclass(frozen=True)
class Count(Windowed):
    """How many such events."""

    of: Events
    conditions: Conditions = ()

    @property
    def names(self) -> tuple[str, ...]:
        return self._names(f"{what_of(self.of, self.conditions)}_count")

    @cached_property
    def counted(self) -> tuple[Aggregate, ...]:
        return tuple(Aggregate("sum", self.of, self.paths, None, as_tests(self.conditions), w) for w in self.windows)

    def compute(self, view: View) -> Sequence[Values]:
        return [view.window(a) for a in self.counted]


@dataclass(frozen=True)
class Sum(Windowed):
    """Sum of a field over events, exact to a millionth."""

    of: EventField

    @property
    def names(self) -> tuple[str, ...]:
        return self._names(f"{self.of.events.name}_{self.of.name}_sum")

    @cached_property
    def counted(self) -> tuple[Aggregate, ...]:
        return tuple(Aggregate("sum", self.of.events, self.paths, self.of.name, (), w) for w in self.windows)

    def compute(self, view: View) -> Sequence[Values]:
        return [view.window(a) / FIXED_POINT for a in self.counted]


@dataclass(frozen=True)
class Mean(Windowed):
    """Mean of a field over events that carry it, smoothed: (total + prior mean x prior weight) / (count + weight).

    Args:
        of: the field.
        prior: mean and weight, as if `weight` events with that mean had been seen before.
    """

    of: EventField
    prior: tuple[float, float] = field(kw_only=True, default=(0.0, 1.0))

    @property
    def names(self) -> tuple[str, ...]:
        return self._names(f"{self.of.events.name}_{self.of.name}_mean")

    @kept
    def _pairs(self) -> list[tuple[Aggregate, Aggregate]]:
        known = (Condition(self.of.name, ">=", -1e300),)
        of, by = self.of, self.paths
        return [
            (Aggregate("sum", of.events, by, of.name, (), w), Aggregate("sum", of.events, by, None, known, w))
            for w in self.windows
        ]

    @cached_property
    def counted(self) -> tuple[Aggregate, ...]:
        return tuple(a for pair in self._pairs() for a in pair)

    def compute(self, view: View) -> Sequence[Values]:
        mean, weight = self.prior
        return [
            (view.window(total) / FIXED_POINT + mean * weight) / (view.window(count) + weight)
            for total, count in self._pairs()
        ]


@dataclass(frozen=True)
class Rate(Windowed):
    """Smoothed share of impressions that led to an event: (events + a) / (impressions + b).

    Args:
        of: the events counted.
        conditions: tests that they must pass.
        over: the impressions.
        prior: (a, b), as if b impressions with a events had been seen before.
    """

    of: Events
    conditions: Conditions = ()
    over: Events = field(kw_only=True)
    prior: tuple[float, float] = field(kw_only=True, default=(1.0, 20.0))

    @property
    def names(self) -> tuple[str, ...]:
        return self._names(f"{what_of(self.of, self.conditions)}_rate")

    @kept
    def _pairs(self) -> list[tuple[Aggregate, Aggregate]]:
        return [
            (
                Aggregate("sum", self.of, self.paths, None, as_tests(self.conditions), w),
                Aggregate("sum", self.over, self.paths, None, (), w),
            )
            for w in self.windows
        ]

    @cached_property
    def counted(self) -> tuple[Aggregate, ...]:
        return tuple(a for pair in self._pairs() for a in pair)

    def compute(self, view: View) -> Sequence[Values]:
        a, b = self.prior
        return [(view.window(events) + a) / (view.window(over) + b) for events, over in self._pairs()]


@dataclass(frozen=True)
class Extreme(Windowed):
    """Base of the largest and the smallest value of a field over events that carry it."""

    of: EventField
    negated: ClassVar[bool] = False

    @property
    def names(self) -> tuple[str, ...]:
        return self._names(f"{self.of.events.name}_{self.of.name}_{type(self).__name__.lower()}")

    @cached_property
    def counted(self) -> tuple[Aggregate, ...]:
        of, by = self.of, self.paths
        return tuple(Aggregate("max", of.events, by, of.name, window=w, negated=self.negated) for w in self.windows)

    def compute(self, view: View) -> Sequence[Values]:
        unit = -FIXED_POINT if self.negated else FIXED_POINT
        found = [view.window(a) for a in self.counted]
        return [np.where(value == NEVER, np.nan, value / unit) for value in found]


class Max(Extreme):
    """The largest value of a field over events that carry it, exact to a millionth."""


class Min(Extreme):
    """The smallest value of a field over events that carry it, exact to a millionth."""

    negated = True


@dataclass(frozen=True)
class Distinct(Windowed):
    """How many different values a role or category field has had: `distinct(watch.video, by=user)`."""

    of: EventField
    conditions: Conditions = ()

    @property
    def names(self) -> tuple[str, ...]:
        return self._names(f"{what_of(self.of.events, self.conditions)}_{self.of.name}_distinct")

    @cached_property
    def counted(self) -> tuple[Aggregate, ...]:
        tests, of = as_tests(self.conditions), self.of
        return tuple(Aggregate("distinct", of.events, self.paths, of.name, tests, w) for w in self.windows)

    def compute(self, view: View) -> Sequence[Values]:
        return [view.window(a) for a in self.counted]


@dataclass(frozen=True)
class Decayed(Windowed):
    """A count in which an event weighs 2^(-age / half-life): recent ones count most, and none falls off an edge.

    What is older than 16 to 32 half-lives weighs nothing. The sum is kept in whole numbers (forward decay), so that it
    is the same in any order.

    Args:
        of: the events counted.
        conditions: tests that they must pass.
        half_life: after which an event weighs half; one or several.

    Source: Cormode, Shkapenyuk, Srivastava and Xu, "Forward decay", ICDE 2009.
    """

    of: Events
    conditions: Conditions = ()
    half_life: Windows = field(kw_only=True)

    @property
    def windows(self) -> tuple[timedelta, ...]:
        """The half-lives."""
        return (self.half_life,) if isinstance(self.half_life, timedelta) else tuple(self.half_life)

    @property
    def reach(self) -> Sequence[timedelta]:
        return [DECAY_HALVES * half_life for half_life in self.windows]

    @property
    def names(self) -> tuple[str, ...]:
        return self._names(f"{what_of(self.of, self.conditions)}_decayed")

    @kept
    def _pairs(self) -> list[tuple[Aggregate, Aggregate]]:
        """For each half-life what the present period has added, and the present with the one before."""
        tests = as_tests(self.conditions)
        return [
            (
                Aggregate("sum", self.of, self.paths, None, tests, DECAY_HALVES * h, half_life=h),
                Aggregate("sum", self.of, self.paths, None, tests, 2 * DECAY_HALVES * h, half_life=h),
            )
            for h in self.windows
        ]

    @cached_property
    def counted(self) -> tuple[Aggregate, ...]:
        return tuple(a for pair in self._pairs() for a in pair)

    def compute(self, view: View) -> Sequence[Values]:
        return [self._weighed(view, *pair) for pair in self._pairs()]

    def _weighed(self, view: View, present: Aggregate, both: Aggregate) -> Values:
        new, all_ = view.window(present), view.window(both)
        passed = np.exp2(-(view.at % present.hop) / (present.hop / DECAY_HALVES))
        return (new + (all_ - new) / 2.0**DECAY_HALVES) * passed / DECAY_UNIT


def subject(paths: tuple[Path, ...]) -> str:
    """Keys in a feature's name: `user`, `user_x_video_author`."""
    return "_x_".join(p.label for p in paths)


def as_tests(conditions: Conditions) -> tuple[Condition, ...]:
    """One condition stands for a tuple of it."""
    return (conditions,) if isinstance(conditions, Condition) else conditions


def what_of(events: Events, conditions: Conditions) -> str:
    """Events in a feature's name: `watch`, `watch_long_eq_1`."""
    words = {">=": "ge", "<=": "le", ">": "gt", "<": "lt", "==": "eq"}
    return "_".join([events.name, *(f"{c.field}_{words[c.op]}_{c.value:.12g}" for c in as_tests(conditions))])
