"""The kit: what one request is served with. Immutable, so that a request sees one release from start to end."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from winnow.core.candidates import Ints, Mask
from winnow.core.system import System
from winnow.features.aggregate import Aggregate
from winnow.features.state import State
from winnow.features.view import Moments, View
from winnow.serving.bundle import Bundle
from winnow.serving.catalogue import Catalogue
from winnow.serving.query import Query


@dataclass(frozen=True, eq=False)
class Kit:
    """One release, one look at the catalogue, one version of the weights, and the live state.

    Args:
        system: the declaration.
        bundle: the release in memory.
        state: live state.
        catalogue: what the background refresh last found.
        weights: head → weight.
        weights_version: 0 for the declared weights.
    """

    system: System
    bundle: Bundle
    state: State
    catalogue: Catalogue
    weights: Mapping[str, float]
    weights_version: int = 0

    def view(self, query: Query, rows: Ints) -> View:
        """Columns and counts of items, and of the user, as features see them."""
        labels = self.system.labels
        refs = {labels.user_role: np.array([query.user]), labels.item_role: rows}
        return View(Moments(np.array([query.at]), refs, query.context), self.state, self.bundle.plan.roles)

    def recent(self, aggregate: Aggregate, query: Query) -> Ints:
        """What the user's last events were about, newest first, without padding."""
        rows = self.view(query, np.empty(0, np.int64)).recent(aggregate)[0][0]
        return rows[rows >= 0]  # type: ignore[no-any-return]

    def alive(self, rows: Ints) -> Mask:
        """Which items exist and were not deleted."""
        return self.catalogue.alive(rows)
