"""Features of what happened last: the time since, the last value, the last k."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from winnow.core.time import MICROS, to_us
from winnow.data.schema import EventField, Events, Path
from winnow.features.aggregate import FIXED_POINT, Aggregate, latest
from winnow.features.batch import Ints, Recent
from winnow.features.declare import DAY_US, By, Feature, Key, Values, as_path, as_paths, kept
from winnow.features.past import Conditions, as_tests, subject, what_of
from winnow.features.state import NEVER
from winnow.features.view import View


@dataclass(frozen=True)
class Since(Feature):
    """Days since the last such event of a key; `default` when there was none."""

    of: Events
    by: By = field(kw_only=True)
    default: float = field(kw_only=True, default=-1.0)

    @property
    def names(self) -> tuple[str, ...]:
        return (f"{subject(self.paths)}_{self.of.name}_since_d",)

    @property
    def paths(self) -> tuple[Path, ...]:
        return as_paths(self.by)

    @kept
    def aggregates(self) -> tuple[Aggregate, ...]:
        return (latest(self.of, self.paths),)

    def touched(self, view: View) -> Ints:
        return view.window(self.aggregates()[0])

    def compute(self, view: View) -> Sequence[Values]:
        last = self.touched(view)
        return (np.where(last == NEVER, np.nan, (view.at - last) / DAY_US),)


@dataclass(frozen=True)
class Latest(Feature):
    """The value of a role or field in the latest event of a key: `latest(watch.video, by=user)`.

    Args:
        of: the role or field; an event that does not carry it counts too, and makes the value unknown.
        conditions: tests that the events must pass.
        by: one key or a pair.
    """

    of: EventField
    conditions: Conditions = ()
    by: By = field(kw_only=True)

    @property
    def names(self) -> tuple[str, ...]:
        return (f"{subject(self.paths)}_{what_of(self.of.events, self.conditions)}_{self.of.name}_latest",)

    @property
    def type(self) -> Literal["numeric", "categorical", "sequence", "training_only"]:
        return "categorical" if self.of.kind.has_domain else "numeric"

    @property
    def paths(self) -> tuple[Path, ...]:
        return as_paths(self.by)

    @kept
    def aggregates(self) -> tuple[Aggregate, ...]:
        return (Aggregate("recent", self.of.events, self.paths, self.of.name, as_tests(self.conditions), k=1),)

    def touched(self, view: View) -> Ints:
        return view.recent(self.aggregates()[0])[1][:, 0]

    def compute(self, view: View) -> Sequence[Values]:
        value = view.recent(self.aggregates()[0])[0][:, 0]
        if self.type == "categorical":
            return (value,)
        unit, empty = (FIXED_POINT, NEVER) if self.of.kind.storage == "number" else (1, -1)
        return (np.where(value == empty, np.nan, value / unit),)


@dataclass(frozen=True)
class Last(Feature):
    """The last k values of a role of events, with their times: `last(watch.video, by=user, k=50)`.

    Args:
        of: the role (or category field) whose values are kept.
        conditions: tests that the events must pass.
        by: the key.
        k: how many.
        columns: attributes of the kept rows that come along: `(video.author, video.tags)`, through references too.
    """

    of: EventField
    conditions: Conditions = ()
    by: Key = field(kw_only=True)
    k: int = field(kw_only=True, default=50)
    columns: tuple[Path, ...] = field(kw_only=True, default=())

    @property
    def names(self) -> tuple[str, ...]:
        return (f"{as_path(self.by).label}_{what_of(self.of.events, self.conditions)}_{self.of.name}_last{self.k}",)

    @property
    def type(self) -> Literal["numeric", "categorical", "sequence", "training_only"]:
        return "sequence"

    @property
    def paths(self) -> tuple[Path, ...]:
        return (as_path(self.by),)

    def aggregates(self) -> tuple[Aggregate, ...]:
        return (Aggregate("recent", self.of.events, self.paths, self.of.name, as_tests(self.conditions), k=self.k),)

    def _ages(self) -> bool:
        return True

    def compute(self, view: View) -> Sequence[Recent]:
        rows, times = view.recent(self.aggregates()[0])
        if self.ttl is not None:
            gone = times < view.at.reshape(-1, 1) - to_us(self.ttl)
            rows, times = np.where(gone, -1, rows), np.where(gone, NEVER, times)
        age_s = np.where(times == NEVER, 0.0, (view.at.reshape(-1, 1) - times) / MICROS).astype(np.float32)
        return (Recent(rows, age_s, {along(p): view.column(p, rows) for p in self.columns}),)


def along(path: Path) -> str:
    """What an attribute that comes along is called: `author`, `author_country`."""
    return "_".join(path.columns)
