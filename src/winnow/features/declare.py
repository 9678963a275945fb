"""Feature declarations. A feature answers: what state it keeps, what keys it reads, what its value is, its names.

Names are mechanical: `<subject>_<what>_<window>`. Adding a feature type is adding one class here (and a test
subclass); subclassing registers it.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import wraps
from typing import Any, Literal, TypeVar, cast

import numpy as np
from numpy.typing import NDArray

from winnow.core.declare import Declared
from winnow.core.errors import Problem
from winnow.core.time import MICROS
from winnow.data.schema import EventField, Path, Table
from winnow.features import leaks
from winnow.features.aggregate import Aggregate
from winnow.features.state import NEVER
from winnow.features.view import View

F = TypeVar("F", bound="Feature")
T = TypeVar("T")
Key = Table | Path
By = Key | tuple[Key, Key]
Values = NDArray[Any]
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
