"""Features of what has happened: counts, sums, means and rates in windows, the time since, the last k."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Literal

import numpy as np

from winnow.core.errors import Problem
from winnow.core.time import FOREVER, MICROS, minutes, short
from winnow.data.schema import Condition, EventField, Events, Path
from winnow.features.aggregate import FIXED_POINT, Aggregate, latest
from winnow.features.batch import Recent
from winnow.features.declare import DAY_US, By, Feature, Key, Values, as_path, as_paths, kept
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
        return "_x_".join(p.label for p in self.paths)

    def _names(self, what: str) -> tuple[str, ...]:
        return tuple(f"{self.subject}_{what}_{short(w)}" for w in self.windows)

    def problems(self, system: Any) -> Iterator[Problem]:
        yield from super().problems(system)
        for window in self.windows:
            if not minutes(1) <= window:
                what = f"{self.subject}: {window} is under a minute"
                yield Problem("window-too-short", what, self.where, fix="use minutes(1) or more")
            if window != FOREVER and window > system.frame.retention:
                kept = short(system.frame.retention)
                yield Problem(
                    "window-over-retention",
                    f"{self.subject}: a window of {short(window)} reads further back than events are kept ({kept})",
                    self.where,
                    "after a rebuild the count would be too small",
                    "shorten the window or raise Frame(retention=...)",
                )


@dataclass(frozen=True)
class Count(Windowed):
    """How many such events."""

    of: Events
    conditions: Conditions = ()

    @property
    def names(self) -> tuple[str, ...]:
        return self._names(f"{_what(self.of, self.conditions)}_count")

    @kept
    def aggregates(self) -> tuple[Aggregate, ...]:
        return tuple(Aggregate("sum", self.of, self.paths, None, as_tests(self.conditions), w) for w in self.windows)

    def compute(self, view: View) -> Sequence[Values]:
        return [view.window(a) for a in self.aggregates()]


@dataclass(frozen=True)
class Sum(Windowed):
    """Sum of a field over events, exact to a millionth."""

    of: EventField

    @property
    def names(self) -> tuple[str, ...]:
        return self._names(f"{self.of.events.name}_{self.of.name}_sum")

    @kept
    def aggregates(self) -> tuple[Aggregate, ...]:
        return tuple(Aggregate("sum", self.of.events, self.paths, self.of.name, (), w) for w in self.windows)

    def compute(self, view: View) -> Sequence[Values]:
        return [view.window(a) / FIXED_POINT for a in self.aggregates()]


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

    @kept
    def aggregates(self) -> tuple[Aggregate, ...]:
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
        return self._names(f"{_what(self.of, self.conditions)}_rate")

    @kept
    def _pairs(self) -> list[tuple[Aggregate, Aggregate]]:
        return [
            (
                Aggregate("sum", self.of, self.paths, None, as_tests(self.conditions), w),
                Aggregate("sum", self.over, self.paths, None, (), w),
            )
            for w in self.windows
        ]

    @kept
    def aggregates(self) -> tuple[Aggregate, ...]:
        return tuple(a for pair in self._pairs() for a in pair)

    def compute(self, view: View) -> Sequence[Values]:
        a, b = self.prior
        return [(view.window(events) + a) / (view.window(over) + b) for events, over in self._pairs()]


@dataclass(frozen=True)
class Since(Feature):
    """Days since the last such event of a key; `default` when there was none."""

    of: Events
    by: By = field(kw_only=True)
    default: float = field(kw_only=True, default=-1.0)

    @property
    def names(self) -> tuple[str, ...]:
        return ("_x_".join(p.label for p in self.paths) + f"_{self.of.name}_since_d",)

    @property
    def paths(self) -> tuple[Path, ...]:
        return as_paths(self.by)

    @kept
    def aggregates(self) -> tuple[Aggregate, ...]:
        return (latest(self.of, self.paths),)

    def compute(self, view: View) -> Sequence[Values]:
        last = view.window(self.aggregates()[0])
        return (np.where(last == NEVER, np.nan, (view.at - last) / DAY_US),)


@dataclass(frozen=True)
class Last(Feature):
    """The last k values of a role of events, with their times: `last(watch.video, by=user, k=50)`.

    Args:
        of: the role (or category field) whose values are kept.
        conditions: tests that the events must pass.
        by: the key.
        k: how many.
        columns: attributes of the kept rows that come along: `(video.author, video.tags)`.
    """

    of: EventField
    conditions: Conditions = ()
    by: Key = field(kw_only=True)
    k: int = field(kw_only=True, default=50)
    columns: tuple[Path, ...] = field(kw_only=True, default=())

    @property
    def names(self) -> tuple[str, ...]:
        return (f"{as_path(self.by).label}_{_what(self.of.events, self.conditions)}_{self.of.name}_last{self.k}",)

    @property
    def type(self) -> Literal["numeric", "categorical", "sequence", "training_only"]:
        return "sequence"

    @property
    def paths(self) -> tuple[Path, ...]:
        return (as_path(self.by),)

    def aggregates(self) -> tuple[Aggregate, ...]:
        return (Aggregate("recent", self.of.events, self.paths, self.of.name, as_tests(self.conditions), k=self.k),)

    def compute(self, view: View) -> Sequence[Recent]:
        rows, times = view.recent(self.aggregates()[0])
        age_s = np.where(times == NEVER, 0.0, (view.at.reshape(-1, 1) - times) / MICROS).astype(np.float32)
        return (Recent(rows, age_s, {p.columns[-1]: view.column(p, rows) for p in self.columns}),)


def as_tests(conditions: Conditions) -> tuple[Condition, ...]:
    """One condition stands for a tuple of it."""
    return (conditions,) if isinstance(conditions, Condition) else conditions


def _what(events: Events, conditions: Conditions) -> str:
    """Events in a feature's name: `watch`, `watch_long_eq_1`."""
    words = {">=": "ge", "<=": "le", ">": "gt", "<": "lt", "==": "eq"}
    return "_".join([events.name, *(f"{c.field}_{words[c.op]}_{c.value:.12g}" for c in as_tests(conditions))])
