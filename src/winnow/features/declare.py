"""Feature declarations. A feature answers: what state it keeps, what keys it reads, what its value is, its names.

Names are mechanical: `<subject>_<what>_<window>`. Adding a feature type is adding one class here (and a test
subclass); subclassing registers it.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from functools import wraps
from typing import Any, Literal, TypeVar, cast

import numpy as np
from numpy.typing import NDArray

from winnow.core.declare import Declared
from winnow.core.errors import Problem
from winnow.core.time import FOREVER, MICROS, minutes, short
from winnow.data.schema import Condition, EventField, Events, Path, Table
from winnow.features import leaks
from winnow.features.aggregate import FIXED_POINT, Aggregate
from winnow.features.batch import Recent
from winnow.features.state import NEVER
from winnow.features.view import View

F = TypeVar("F", bound="Feature")
T = TypeVar("T")
Key = Table | Path
By = Key | tuple[Key, Key]
Windows = timedelta | Sequence[timedelta]
Values = NDArray[Any]
Conditions = Condition | tuple[Condition, ...]
DAY_US = 86_400 * MICROS


def as_path(key: Key) -> Path:
    """A table stands for the path to its own rows."""
    return Path(key) if isinstance(key, Table) else key


def as_paths(by: By) -> tuple[Path, ...]:
    """One or two key paths."""
    return tuple(map(as_path, by)) if isinstance(by, tuple) else (as_path(by),)


def kept(method: Callable[[F], T]) -> Callable[[F], T]:
    """A method without arguments whose answer is worked out once per declaration: requests ask again and again."""
    name = f"_kept_{method.__name__}"

    @wraps(method)
    def answer(self: F) -> T:
        memory = self.__dict__
        if name not in memory:
            memory[name] = method(self)
        return cast(T, memory[name])

    return answer


@dataclass(frozen=True, kw_only=True)
class Feature(Declared):
    """Base of all features.

    Args:
        default: the value where nothing is known.
        owner: who answers for it.
    """

    default: float = 0.0
    owner: str = ""

    @property
    def names(self) -> tuple[str, ...]:
        """The columns it makes."""
        raise NotImplementedError

    @property
    def type(self) -> Literal["numeric", "categorical", "sequence", "training_only"]:
        """Where its columns go in a `FeatureBatch`."""
        return "numeric"

    @property
    def paths(self) -> tuple[Path, ...]:
        """The table rows and columns that it reads; they tell which roles it depends on."""
        return ()

    @property
    def fields(self) -> tuple[EventField, ...]:
        """The fields of the request that it reads."""
        return ()

    def aggregates(self) -> tuple[Aggregate, ...]:
        """The state that it needs kept."""
        return ()

    def compute(self, view: View) -> Sequence[Any]:
        """Its columns, one per name: [n] or [1] arrays, or a `Recent`."""
        raise NotImplementedError

    def problems(self, system: Any) -> Iterator[Problem]:
        yield from leaks.problems(self, system.labels, system.features)


@dataclass(frozen=True)
class Column(Feature):
    """A column of a table, a table's own row (`column(video)`), or a field of the request."""

    of: Table | Path | EventField

    def __post_init__(self) -> None:
        if isinstance(self.of, Table):
            object.__setattr__(self, "of", Path(self.of))

    @property
    def names(self) -> tuple[str, ...]:
        return (self.of.label if isinstance(self.of, Path) else f"request_{self.of.name}",)

    @property
    def type(self) -> Literal["numeric", "categorical", "sequence", "training_only"]:
        return "categorical" if self.of.kind.has_domain else "numeric"

    @property
    def paths(self) -> tuple[Path, ...]:
        return (self.of,) if isinstance(self.of, Path) else ()

    @property
    def fields(self) -> tuple[EventField, ...]:
        return (self.of,) if isinstance(self.of, EventField) else ()

    def compute(self, view: View) -> Sequence[Values]:
        missing = np.nan if self.of.kind.storage == "number" else -1
        value = view.path(self.of) if isinstance(self.of, Path) else view.context(self.of.name, missing=missing)
        if self.of.kind.storage == "flag":
            value = np.where(value < 0, np.nan, value)
        return (value,)

    def problems(self, system: Any) -> Iterator[Problem]:
        yield from super().problems(system)
        if self.of.kind.storage in ("text", "time"):
            fix = "use age(...)" if self.of.kind.storage == "time" else "use an embedding of it"
            yield Problem("not-a-number", f"`{self.names[0]}` is {self.of.kind.storage}", self.where, fix=fix)


@dataclass(frozen=True)
class Position(Feature):
    """Where an impression stood: known in training only, neutral when serving."""

    of: EventField

    @property
    def names(self) -> tuple[str, ...]:
        return (f"request_{self.of.name}",)

    @property
    def type(self) -> Literal["numeric", "categorical", "sequence", "training_only"]:
        return "training_only"

    @property
    def fields(self) -> tuple[EventField, ...]:
        return (self.of,)

    def compute(self, view: View) -> Sequence[Values]:
        return (view.context(self.of.name, missing=np.nan),)


@dataclass(frozen=True)
class Age(Feature):
    """Days since a time column."""

    of: Path

    @property
    def names(self) -> tuple[str, ...]:
        return (f"{self.of.label}_age_d",)

    @property
    def paths(self) -> tuple[Path, ...]:
        return (self.of,)

    def compute(self, view: View) -> Sequence[Values]:
        since = view.path(self.of)
        return (np.where(since == NEVER, np.nan, np.maximum(view.at - since, 0) / DAY_US),)


@dataclass(frozen=True)
class Hour(Feature):
    """Hour of the day of the request, 0 to 23.

    Args:
        utc_offset: local time minus UTC.
    """

    utc_offset: timedelta = timedelta(0)

    @property
    def names(self) -> tuple[str, ...]:
        return ("request_hour",)

    def compute(self, view: View) -> Sequence[Values]:
        return (_local(view, self.utc_offset) // (3600 * MICROS) % 24,)


@dataclass(frozen=True)
class Weekday(Feature):
    """Day of the week of the request, 0 (Monday) to 6.

    Args:
        utc_offset: local time minus UTC.
    """

    utc_offset: timedelta = timedelta(0)

    @property
    def names(self) -> tuple[str, ...]:
        return ("request_weekday",)

    def compute(self, view: View) -> Sequence[Values]:
        return ((_local(view, self.utc_offset) // DAY_US + 3) % 7,)  # 1 January 1970 was a Thursday


def _local(view: View, offset: timedelta) -> Values:
    return view.at + offset // timedelta(microseconds=1)


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
        return (Aggregate("recent", self.of, self.paths, None, (), k=1),)

    def compute(self, view: View) -> Sequence[Values]:
        last = view.latest(self.aggregates()[0])
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
    return "_".join([events.name, *(f"{c.field}_{words[c.op]}_{c.value:g}" for c in as_tests(conditions))])
