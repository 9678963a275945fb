"""What a feature sees when it is computed: the moments asked for and the state, each look-up done once."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar, cast, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from winnow.core.errors import InputError, Problem
from winnow.data.schema import Path, Table
from winnow.features.aggregate import Aggregate
from winnow.features.batch import Ints
from winnow.features.state import NEVER, State

T = TypeVar("T")


@dataclass(frozen=True)
class Moments:
    """Who, what and when features are asked for; a length of 1 means "the same for all rows".

    Args:
        at: moments, int64 [1 or n], microseconds UTC.
        refs: role → row numbers, int64 [1 or n].
        context: request field → values [1 or n]: row numbers for categories, float64 for numbers.
        told: path (`query.text`) → its values [1 or n], for columns that the request itself tells; the state is not
            asked for them.
    """

    at: Ints
    refs: Mapping[str, Ints]
    context: Mapping[str, NDArray[Any]] = field(default_factory=dict)
    told: Mapping[str, NDArray[Any]] = field(default_factory=dict)

    @property
    def size(self) -> int:
        lengths = [len(part) for part in (self.at, *self.refs.values(), *self.context.values())]
        return 0 if 0 in lengths else max(lengths)


@runtime_checkable
class Ahead(Protocol):
    """A state that fetches from elsewhere, and is quicker when it knows what is going to be asked for."""

    def ahead(self, wanted: Sequence[tuple[Aggregate, tuple[Ints, ...]]]) -> None:
        """Gets aggregates for their keys, one or two int64 [n] each; asking for anything else is no mistake."""
        ...


class View:
    """The moments and the state behind the features, with every look-up shared between features.

    Args:
        moments: who, what and when.
        state: history or live.
        roles: table → role of the impression that stands for it.
        aggregates: those that will be asked for; those of one subject are looked up together.
    """

    def __init__(self, moments: Moments, state: State, roles: Mapping[str, str], aggregates: Sequence[Aggregate] = ()):
        self.moments, self.state, self.roles = moments, state, roles
        self._aggregates = aggregates
        self._seen: dict[str | tuple[str, str], Any] = {("path", path): of for path, of in moments.told.items()}
        self._untold = bool(aggregates) and isinstance(state, Ahead)

    @property
    def at(self) -> Ints:
        return self.moments.at

    def context(self, name: str, *, missing: float) -> NDArray[Any]:
        """A field of the request; `missing` when the request does not carry it."""
        return self.moments.context.get(name, np.array([missing]))

    def path(self, path: Path) -> NDArray[Any]:
        """The value of a path for the rows asked for; a bare table gives its row numbers."""
        return self._once(("path", str(path)), lambda: self._follow(path))

    def column(self, path: Path, rows: Ints) -> NDArray[Any]:
        """The value of a path for given rows of its table, any shape; moments broadcast over the first axis."""
        at = np.broadcast_to(self.at.reshape(-1, *[1] * (rows.ndim - 1)), rows.shape).ravel()
        flat = self._along(path, rows.ravel(), at)
        return flat.reshape(*rows.shape, *flat.shape[1:])

    def others(self, table: Table, rows: Ints, *, named: str) -> "View":
        """What features see of other rows in the place of a table's, one after the other.

        Args:
            table: the table; nothing else is seen.
            rows: of it, for each row asked for, int64 [1 or n, k].
            named: what they are; under the same name the same view is given again.
        """
        at = self.at if len(self.at) == 1 else np.repeat(np.broadcast_to(self.at, len(rows)), rows.shape[1])
        moments = Moments(at, {self.roles[table.name]: rows.ravel()})
        return self._once(("others", named), lambda: View(moments, self.state, self.roles))

    def window(self, aggregate: Aggregate) -> Ints:
        """What the events in the window come to, int64 [1 or n]: see `State.windows`.

        The values of a multi-valued key add up; of their maxima the largest is taken.
        """
        if aggregate.name not in self._seen:
            self._look_up(aggregate)
        return cast(Ints, self._seen[aggregate.name])

    def recent(self, aggregate: Aggregate) -> tuple[Ints, Ints]:
        """The last k values and times of a single-valued key, int64 [1 or n, k]."""
        return self._once(aggregate.name, lambda: self.state.recent(aggregate, *self._asked(aggregate).flat))

    def turned(self, one: str, other: str) -> "View":
        """The same moments with two roles exchanged; nothing else changes, and no other state is asked."""

        def turn() -> View:
            other_way = {one: other, other: one}
            refs = {other_way.get(role, role): rows for role, rows in self.moments.refs.items()}
            moments = Moments(self.moments.at, refs, self.moments.context)
            return View(moments, self.state, self.roles, self._aggregates)

        return self._once(("turned", f"{one} {other}"), turn)

    def _once(self, name: str | tuple[str, str], make: Callable[[], T]) -> T:
        made = self._seen.get(name)
        if made is None:
            made = self._seen[name] = make()
        return cast(T, made)

    def _follow(self, path: Path) -> NDArray[Any]:
        role = self.roles.get(path.called, "")
        if role not in self.moments.refs:
            raise InputError(Problem("missing-role", f"no `{path.called}` was given, and `{path}` needs it"))
        return self._along(path, self.moments.refs[role], self.at)

    def _along(self, path: Path, rows: NDArray[Any], at: Ints) -> NDArray[Any]:
        """From rows of a path's table through its references to its value."""
        for depth, column in enumerate(path.columns):
            owner = Path(path.table, path.columns[:depth]).kind.table or path.table
            rows = self.state.column(owner, column, rows, at)
        return rows

    def _keys(self, aggregate: Aggregate) -> "_Keys":
        return self._once(("keys", aggregate.subject), lambda: _Keys([self.path(p) for p in aggregate.by], self.at))

    def _asked(self, aggregate: Aggregate) -> "_Keys":
        """The keys of an aggregate, for a look-up; before the first one the state is told of all of them."""
        if self._untold:
            self._untold = False
            roles = [{self.roles.get(path.called, "") for path in a.by} for a in self._aggregates]
            known = [a for a, of in zip(self._aggregates, roles, strict=True) if of <= self.moments.refs.keys()]
            cast(Ahead, self.state).ahead([(a, self._keys(a).flat[0]) for a in known])
        return self._keys(aggregate)

    def _look_up(self, aggregate: Aggregate) -> None:
        """Everything that will be asked about the keys of an aggregate, at once."""
        keys, wanted = self._asked(aggregate), {aggregate.name: aggregate}
        wanted |= {a.name: a for a in self._aggregates if a.subject == aggregate.subject and a.kind != "recent"}
        found = self.state.windows(list(wanted.values()), *keys.flat)
        for (name, a), values in zip(wanted.items(), found, strict=True):
            self._seen[name] = keys.joined(values, largest=a.kind == "max")


class _Keys:
    """Keys laid out for a look-up: one value per row, or per row and value of a multi-valued key.

    Args:
        keys: one or two int64 [1 or n], or [1 or n, m] when multi-valued.
        at: moments, int64 [1 or n].
    """

    def __init__(self, keys: list[Ints], at: Ints):
        self.width = max((_used(k) for k in keys if k.ndim == 2), default=0)
        wide = [k[:, : self.width] if k.ndim == 2 else k.reshape(-1, *[1] * bool(self.width)) for k in keys]
        shape = np.broadcast_shapes(*(k.shape for k in wide))
        if len(at) > 1 or shape[0] == 1:
            shape = (max(len(at), shape[0]), *shape[1:])
            at = np.broadcast_to(at.reshape(-1, *[1] * (len(shape) - 1)), shape).ravel()
        self.flat = tuple(k.ravel() if k.shape == shape else np.broadcast_to(k, shape).ravel() for k in wide), at

    def joined(self, values: Ints, *, largest: bool) -> Ints:
        """One value per row from one per key: the sum, or the largest."""
        if not self.width:
            return values
        per_row = values.reshape(-1, self.width)
        joined: Ints = per_row.max(axis=1, initial=NEVER) if largest else per_row.sum(axis=1)
        return joined


def _used(sets: Ints) -> int:
    """How many columns of padded sets hold anything; at least 1."""
    return max(int((sets >= 0).any(axis=0).sum()), 1)
