"""The plan: features compiled to named columns and to the state that must be kept for them.

What depends on the user or the request alone is computed once a request (arrays of length 1) and broadcast; what
depends on the item is a gather; only true pairs cost per candidate.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from winnow.core.declare import digest
from winnow.data.declare import Labels
from winnow.features.aggregate import Aggregate
from winnow.features.batch import FeatureBatch
from winnow.features.declare import Feature
from winnow.features.state import State
from winnow.features.view import Moments, View

REQUEST = "request"


@dataclass(frozen=True)
class Plan:
    """Compiled features.

    Args:
        features: the declarations, in order.
        roles: table, as paths call it, → role of the impression that stands for it.
    """

    features: tuple[Feature, ...]
    roles: Mapping[str, str]

    @classmethod
    def of(cls, features: Iterable[Feature], labels: Labels) -> "Plan":
        """The plan of a system's features for the rows that its impressions name."""
        roles = {table.called: role for role, table in reversed(list(labels.of.refs.items()))}
        # Where one table plays both and is not told apart, as in a search for things like this one, its columns are
        # asked of the items.
        return cls(tuple(features), {**roles, labels.item.called: labels.item_role})

    @cached_property
    def aggregates(self) -> tuple[Aggregate, ...]:
        """The state to keep, each once."""
        return tuple(dict.fromkeys(a for f in self.features for a in f.aggregates()))

    @cached_property
    def _named(self) -> tuple[tuple[Feature, tuple[str, ...]], ...]:
        return tuple((f, f.names) for f in self.features)

    @cached_property
    def numeric_names(self) -> tuple[str, ...]:
        return tuple(n for f in self.features if f.type == "numeric" for n in f.names)

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Every column that it makes."""
        return tuple(n for f in self.features for n in f.names)

    def depends_on(self, feature: Feature) -> set[str]:
        """The roles, and `request`, that a feature needs."""
        if feature.of_list:
            return {*self.roles.values(), REQUEST}
        if feature.parts:
            return set().union(*map(self.depends_on, feature.parts))
        tables = {self.roles[p.called] for p in feature.paths if p.called in self.roles}
        return tables | ({REQUEST} if feature.fields or not feature.paths else set())

    def side(self, *roles: str, static: bool = False) -> "Plan":
        """The part that needs only these roles; `static` keeps table columns only (no counts, no ages)."""
        kept = [f for f in self.features if self.depends_on(f) <= set(roles) and f.type != "training_only"]
        return Plan(tuple(f for f in kept if not static or f.static), self.roles)

    def compute(self, moments: Moments, state: State, *, training: bool = False) -> FeatureBatch:
        """The features of n rows.

        Args:
            moments: who, what and when.
            state: history or live.
            training: also compute what is known for logged impressions only.
        """
        view, size = View(moments, state, self.roles, self.aggregates), moments.size
        numeric = np.empty((size, len(self.numeric_names)), np.float32)
        parts: dict[str, dict[str, Any]] = {"categorical": {}, "sequence": {}, "training_only": {}}
        place = 0
        for feature, names in self._named:
            if feature.type == "training_only" and not training:
                continue
            values = feature.values(view)
            if feature.type != "numeric":
                parts[feature.type] |= zip(names, values, strict=True)
                continue
            for value in values:
                width = value.shape[1] if value.ndim == 2 else 1
                numeric[:, place : place + width] = _filled(value, feature.default).reshape(-1, width)
                place += width
        return FeatureBatch(
            numeric,
            self.numeric_names,
            {name: _broadcast(value, size) for name, value in parts["categorical"].items()},
            parts["sequence"],
            {name: _broadcast(value, size).astype(np.float32) for name, value in parts["training_only"].items()},
        )

    def to_data(self) -> dict[str, Any]:
        """The artefact that a release pins."""
        columns = [f.to_data() | {"names": f.names, "depends_on": sorted(self.depends_on(f))} for f in self.features]
        return {"features": columns, "aggregates": [a.name for a in self.aggregates]}

    @property
    def hash(self) -> str:
        return digest(self.to_data())


def _filled(value: Any, default: float) -> Any:
    """NaN replaced by the default; whole numbers pass."""
    if value.dtype.kind != "f":
        return value
    unknown = np.isnan(value)
    return np.where(unknown, default, value) if unknown.any() else value


def _broadcast(value: Any, size: int) -> Any:
    return value if len(value) == size else np.broadcast_to(value, (size, *value.shape[1:]))
