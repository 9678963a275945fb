"""Feature declarations. A feature answers: what state it keeps, what keys it reads, what its value is, its names.

Names are mechanical: `<subject>_<what>_<window>`. Adding a feature type is adding one class here (and a test
subclass); subclassing registers it.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import wraps
from typing import Any, ClassVar, Literal, TypeVar, cast

import numpy as np
from numpy.typing import NDArray

from winnow.core.declare import Declared
from winnow.core.errors import Problem
from winnow.core.time import MICROS, to_us
from winnow.data.schema import EventField, Path, Table
from winnow.features import leaks
from winnow.features.aggregate import Aggregate
from winnow.features.batch import Ints
from winnow.features.keys import missing
from winnow.features.state import KNOWN_AT, NEVER
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
        ttl: time to live: a value that rests on nothing younger counts as not known.
        owner: who answers for it.
    """

    default: float = 0.0
    ttl: timedelta | None = None
    owner: str = ""
    of_list: ClassVar[bool] = False  # whether it is known only while a list is made, of who asks and item together

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

    @property
    def parts(self) -> "tuple[Feature, ...]":
        """The features that it is made of."""
        return ()

    @property
    def static(self) -> bool:
        """Whether it holds until a table row changes: no events, no time."""
        return bool(self.parts) and self.ttl is None and all(part.static for part in self.parts)

    def aggregates(self) -> tuple[Aggregate, ...]:
        """The state that it needs kept."""
        return ()

    def compute(self, view: View) -> Sequence[Any]:
        """Its columns, one per name: [n] or [1] arrays, one [n, names] array for all, or a `Recent`."""
        raise NotImplementedError

    def seen(self, view: View) -> View:
        """The moments as its keys are read from them."""
        return view

    def touched(self, view: View) -> Ints | None:
        """When the youngest thing that its values rest on happened, int64 [1 or n]; None if it cannot age."""
        return None

    def values(self, view: View) -> Sequence[Any]:
        """What `compute` gives, missing (NaN or -1) where it has outlived its time."""
        made = self.compute(view)
        touched = None if self.ttl is None else self.touched(view)
        if self.ttl is None or touched is None:
            return made
        stale = touched < view.at - to_us(self.ttl)
        return [_without(value, stale, -1 if self.type == "categorical" else np.nan) for value in made]

    def problems(self, system: Any) -> Iterator[Problem]:
        yield from leaks.problems(self, system.labels, system.features)
        if self.ttl is not None and (self.ttl <= timedelta(0) or not self._ages()):
            what = f"`{self.names[0]}` has a time to live of {self.ttl}"
            why = "only table columns and what rests on events can age" if self.ttl > timedelta(0) else ""
            yield Problem("bad-ttl", what, self.where, why, "leave ttl out, or give a positive time")

    def _ages(self) -> bool:
        return type(self).touched is not Feature.touched


@dataclass(frozen=True)
class Column(Feature):
    """A column of a table, a table's own row (`column(video)`), or a field of the request."""

    of: Table | Path | EventField

    def __post_init__(self) -> None:
        if isinstance(self.of, Table):
            object.__setattr__(self, "of", Path(self.of))

    @property
    def names(self) -> tuple[str, ...]:
        assert not isinstance(self.of, Table)
        return (label(self.of),)

    @property
    def type(self) -> Literal["numeric", "categorical", "sequence", "training_only"]:
        return "categorical" if self.of.kind.has_domain else "numeric"

    @property
    def paths(self) -> tuple[Path, ...]:
        return (self.of,) if isinstance(self.of, Path) else ()

    @property
    def fields(self) -> tuple[EventField, ...]:
        return (self.of,) if isinstance(self.of, EventField) else ()

    @property
    def static(self) -> bool:
        return isinstance(self.of, Path) and self.ttl is None

    def touched(self, view: View) -> Ints | None:
        return changed(view, self.of)

    def _ages(self) -> bool:
        return isinstance(self.of, Path) and bool(self.of.columns)

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

    def touched(self, view: View) -> Ints | None:
        return changed(view, self.of)

    def compute(self, view: View) -> Sequence[Values]:
        since = view.path(self.of)
        return (np.where(since == NEVER, np.nan, np.maximum(view.at - since, 0) / DAY_US),)


@dataclass(frozen=True)
class Missing(Feature):
    """1 where a table column, or a field of the request, is not known; 0 where it is."""

    of: Path | EventField

    @property
    def names(self) -> tuple[str, ...]:
        return (f"{label(self.of)}_missing",)

    @property
    def paths(self) -> tuple[Path, ...]:
        return (self.of,) if isinstance(self.of, Path) else ()

    @property
    def fields(self) -> tuple[EventField, ...]:
        return (self.of,) if isinstance(self.of, EventField) else ()

    @property
    def static(self) -> bool:
        return isinstance(self.of, Path)

    def compute(self, view: View) -> Sequence[Values]:
        empty = missing(self.of.kind)
        value = view.path(self.of) if isinstance(self.of, Path) else view.context(self.of.name, missing=empty)
        unknown = np.isnan(value) if value.dtype.kind == "f" else value == empty
        return ((unknown.all(axis=1) if unknown.ndim > 1 else unknown).astype(np.float64),)


def label(of: Path | EventField) -> str:
    """A path or a field of the request as it appears in feature names."""
    return of.label if isinstance(of, Path) else f"request_{of.name}"


def changed(view: View, of: Table | Path | EventField) -> Ints | None:
    """When the rows that a path's last column belongs to last changed, int64 [1 or n]; None without such a row."""
    if not isinstance(of, Path) or not of.columns:
        return None
    owner = Path(of.table, of.columns[:-1])
    return view.state.column(owner.kind.table or owner.table, KNOWN_AT, view.path(owner), view.at).astype(np.int64)


def _without(value: Values, stale: NDArray[np.bool_], empty: float) -> Values:
    """Values with the stale ones missing."""
    return np.where(stale.reshape(-1, *[1] * (value.ndim - 1)), empty, value)
