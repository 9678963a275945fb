"""What a feature sees when it is computed: the moments asked for and the state, each look-up done once."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from winnow.core.errors import InputError, Problem
from winnow.data.schema import Path
from winnow.features.aggregate import Aggregate
from winnow.features.batch import Ints
from winnow.features.state import NEVER, State


@dataclass(frozen=True)
class Moments:
    """Who, what and when features are asked for; a length of 1 means "the same for all rows".

    Args:
        at: moments, int64 [1 or n], microseconds UTC.
        refs: role → row numbers, int64 [1 or n].
        context: request field → values [1 or n]: row numbers for categories, float64 for numbers.
    """

    at: Ints
    refs: Mapping[str, Ints]
    context: Mapping[str, NDArray[Any]] = field(default_factory=dict)

    @property
    def size(self) -> int:
        return max(len(self.at), *(len(r) for r in self.refs.values()), *(len(c) for c in self.context.values()), 1)


class View:
    """The moments and the state behind the features, with every look-up shared between features."""

    def __init__(self, moments: Moments, state: State, roles: Mapping[str, str]):
        self.moments, self.state, self.roles = moments, state, roles
        self._seen: dict[Any, Any] = {}

    @property
    def at(self) -> Ints:
        return self.moments.at

    def context(self, name: str, *, missing: float) -> NDArray[Any]:
        """A field of the request; `missing` when the request does not carry it."""
        return self.moments.context.get(name, np.array([missing]))

    def path(self, path: Path) -> NDArray[Any]:
        """The value of a path for the rows asked for; a bare table gives its row numbers."""
        return self._once(str(path), lambda: self._follow(path))

    def column(self, path: Path, rows: Ints) -> NDArray[Any]:
        """The last column of a path for given rows of its table, any shape; moments broadcast over the first axis."""
        at = np.broadcast_to(self.at.reshape(-1, *[1] * (rows.ndim - 1)), rows.shape).ravel()
        flat = self.state.column(path.table, path.columns[-1], rows.ravel(), at)
        return flat.reshape(*rows.shape, *flat.shape[1:])

    def window(self, aggregate: Aggregate) -> Ints:
        """Counts or millionths for the keys asked for, int64 [1 or n]; the values of a multi-valued key add up."""
        return self._once(aggregate, lambda: self._window(aggregate))

    def recent(self, aggregate: Aggregate) -> tuple[Ints, Ints]:
        """The last k values and times of a single-valued key, int64 [1 or n, k]."""
        return self._once(aggregate, lambda: self.state.recent(aggregate, *self._flat(self._keys(aggregate))))

    def latest(self, aggregate: Aggregate) -> Ints:
        """Own time of the latest event, int64 [1 or n]; over all the values of a multi-valued key."""
        return self._once(("latest", aggregate), lambda: self._latest(aggregate))

    def _once(self, name: Any, make: Any) -> Any:
        if name not in self._seen:
            self._seen[name] = make()
        return self._seen[name]

    def _follow(self, path: Path) -> NDArray[Any]:
        rows = self.moments.refs.get(self.roles.get(path.table.name, ""), None)
        if rows is None:
            raise InputError(Problem("missing-role", f"no `{path.table.name}` was given, and `{path}` needs it"))
        for depth in range(len(path.columns)):
            owner = Path(path.table, path.columns[:depth]).kind.table or path.table
            rows = self.state.column(owner, path.columns[depth], rows, self.at)
        return rows

    def _keys(self, aggregate: Aggregate) -> list[Ints]:
        """The key columns with equal shapes, [1 or n] or [1 or n, m]; empty columns of sets are cut off."""
        keys = [self.path(p) for p in aggregate.by]
        used = max((int((k >= 0).any(axis=0).sum()) for k in keys if k.ndim == 2), default=0)
        keys = [k[:, : max(used, 1)] if k.ndim == 2 else (k[:, None] if used else k) for k in keys]
        return list(np.broadcast_arrays(*keys))

    def _flat(self, keys: list[Ints]) -> tuple[tuple[Ints, ...], Ints]:
        shape = keys[0].shape
        at = self.at
        if len(at) > 1 or len(keys[0]) == 1:
            shape = np.broadcast_shapes(shape, at.shape if len(shape) == 1 else (len(at), 1))
            at = np.broadcast_to(at.reshape(-1, *[1] * (len(shape) - 1)), shape).ravel()
        return tuple(np.ascontiguousarray(np.broadcast_to(k, shape)).ravel() for k in keys), at

    def _window(self, aggregate: Aggregate) -> Ints:
        keys = self._keys(aggregate)
        values = self.state.window(aggregate, *self._flat(keys))
        return values if keys[0].ndim == 1 else values.reshape(-1, keys[0].shape[1]).sum(axis=1)

    def _latest(self, aggregate: Aggregate) -> Ints:
        keys = self._keys(aggregate)
        times = self.state.recent(aggregate, *self._flat(keys))[1][:, 0]
        return times if keys[0].ndim == 1 else times.reshape(-1, keys[0].shape[1]).max(axis=1, initial=NEVER)
