"""What a model learns from: features and labels of logged rows, as columns."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from winnow.data.graph import Graph
from winnow.features.batch import FeatureBatch, Floats, Ints


@dataclass(frozen=True)
class Examples:
    """Rows to train or evaluate on, sorted by time.

    Args:
        features: the inputs of N rows, as of each row's moment.
        labels: head → float32 [N]; NaN where unknown or censored.
        weight: float32 [N].
        at: moment of each row, int64 [N], microseconds UTC.
        user: user row numbers, int64 [N].
        item: item row numbers, int64 [N].
        choice: which choice a row belongs to, int64 [N]; -1 for what was shown. None where all were shown.
        web: who is tied to whom, for models that learn from a graph.
    """

    features: FeatureBatch
    labels: dict[str, Floats]
    weight: Floats
    at: Ints
    user: Ints
    item: Ints
    choice: Ints | None = None
    web: "Web | None" = None

    @property
    def shown(self) -> NDArray[np.bool_]:
        """Rows that are impressions, bool [N]; the others are choices and their alternatives."""
        return np.ones(len(self), np.bool_) if self.choice is None else self.choice < 0

    def __len__(self) -> int:
        return len(self.at)

    def take(self, rows: NDArray[np.int64] | NDArray[np.bool_] | slice) -> "Examples":
        """The chosen rows."""
        return replace(
            self,
            features=self.features.take(rows),
            labels={k: v[rows] for k, v in self.labels.items()},
            weight=self.weight[rows],
            at=self.at[rows],
            user=self.user[rows],
            item=self.item[rows],
            choice=None if self.choice is None else self.choice[rows],
        )


@dataclass(frozen=True)
class Catalogue:
    """Every item that can be retrieved, with its item-side features.

    Args:
        rows: item row numbers, int64 [I].
        features: item-side features of the I items (no user, no request features).
        lives: the first moment at which each could be chosen and the first after it, int64 [I, 2]; None for always.
    """

    rows: Ints
    features: FeatureBatch
    lives: Ints | None = None


@dataclass(frozen=True)
class Web:
    """Rows that are suggested to each other.

    Args:
        graph: who was tied to whom when training ended, and since when.
        people: what is known of each, told as of an item.
    """

    graph: Graph
    people: Catalogue
