"""What a model reads: the features of N rows as columns.

Shapes: N rows (candidates of one request, or training rows), F numeric features, K steps of a sequence, M values of a
multi-valued category. A leading 1 instead of N means "the same for every row" (what depends on the user alone).
"""

from collections.abc import Container
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Recent:
    """The last K items of a key, newest first.

    Args:
        rows: item row numbers, int64 [N or 1, K]; -1 pads.
        age_s: seconds between each event and the moment of prediction, float32 [N or 1, K]; 0 where padded.
        columns: attributes of those items by column name, int64 [N or 1, K] or [N or 1, K, M]; -1 is missing.
    """

    rows: Ints
    age_s: Floats
    columns: dict[str, Ints] = field(default_factory=dict)


@dataclass(frozen=True)
class FeatureBatch:
    """The features of N rows.

    Args:
        numeric: float32 [N, F], never NaN (defaults are filled in).
        numeric_names: the F names, in column order.
        categorical: name → domain row numbers, int64 [N] or [N, M]; -1 is missing. Domain rows are project-wide; a
            model maps those it saw in training to its own vocabulary and the rest to 0.
        sequences: name → `Recent`.
        training_only: name → float32 [N]; known for logged impressions only (position): never at serving.
    """

    numeric: Floats
    numeric_names: tuple[str, ...]
    categorical: dict[str, Ints] = field(default_factory=dict)
    sequences: dict[str, Recent] = field(default_factory=dict)
    training_only: dict[str, Floats] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.numeric)

    def take(self, rows: NDArray[np.int64] | NDArray[np.bool_] | slice) -> "FeatureBatch":
        """The chosen rows; parts shared by all rows (leading 1) stay shared."""

        def pick(a: NDArray) -> NDArray:  # type: ignore[type-arg]
            return a if len(a) == 1 and len(self) != 1 else a[rows]

        return replace(
            self,
            numeric=self.numeric[rows],
            categorical={k: pick(v) for k, v in self.categorical.items()},
            sequences={
                k: Recent(pick(s.rows), pick(s.age_s), {c: pick(v) for c, v in s.columns.items()})
                for k, s in self.sequences.items()
            },
            training_only={k: v[rows] for k, v in self.training_only.items()},
        )

    def only(self, names: Container[str]) -> "FeatureBatch":
        """The chosen features; what is known in training only goes."""
        kept = [i for i, name in enumerate(self.numeric_names) if name in names]
        return FeatureBatch(
            self.numeric[:, kept],
            tuple(self.numeric_names[i] for i in kept),
            {k: v for k, v in self.categorical.items() if k in names},
            {k: v for k, v in self.sequences.items() if k in names},
        )

    def column(self, name: str) -> Floats:
        """One numeric feature, float32 [N]."""
        return self.numeric[:, self.numeric_names.index(name)]
