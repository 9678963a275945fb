"""Old rows to learn again beside new ones: a network that sees only what is new forgets what was."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from winnow.features.batch import FeatureBatch
from winnow.models.examples import Examples


@dataclass(eq=False)
class Replay:
    """A uniform sample of all the rows that have ever been added; sequences are not kept.

    Args:
        limit: most rows kept.
        seed: of the choice.
        rows: those kept; None before the first were added.
        seen: how many have been added.

    Source: Vitter, ACM TOMS 1985 (reservoir sampling).
    """

    limit: int
    seed: int = 0
    rows: Examples | None = None
    seen: int = 0
    _random: np.random.Generator = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self._random = np.random.default_rng([self.seed, 13])

    def __len__(self) -> int:
        return 0 if self.rows is None else len(self.rows)

    def add(self, rows: Examples) -> None:
        """Offers rows; each of those ever offered is kept with the same chance."""
        rows = _flat(rows)
        whole = rows if self.rows is None else joined([self.rows, rows])
        kept = np.arange(len(self))
        chosen = np.full(self.limit, -1)
        chosen[: len(kept)] = kept
        room = min(self.limit - len(kept), len(rows))
        chosen[len(kept) : len(kept) + room] = len(kept) + np.arange(room)
        later = np.arange(room, len(rows))
        places = self._random.integers(0, self.seen + later + 1)
        for row, place in zip(later[places < self.limit], places[places < self.limit], strict=True):
            chosen[place] = len(kept) + row
        self.rows, self.seen = whole.take(chosen[chosen >= 0]), self.seen + len(rows)

    def draw(self, count: int) -> Examples | None:
        """So many of the kept rows at random, without repeats; all when there are fewer, None when there are none."""
        if self.rows is None or not len(self.rows):
            return None
        return self.rows.take(np.sort(self._random.choice(len(self.rows), min(count, len(self.rows)), replace=False)))


def joined(parts: Sequence[Examples]) -> Examples:
    """Rows one after the other; features by name as in the first, sequences left out."""
    batches = [part.features for part in parts]
    first = batches[0]
    features = FeatureBatch(
        np.concatenate([b.numeric for b in batches]),
        first.numeric_names,
        {name: _stacked([_whole(b.categorical[name], len(b)) for b in batches]) for name in first.categorical},
        {},
        {name: np.concatenate([b.training_only[name] for b in batches]) for name in first.training_only},
    )
    labels = {head: np.concatenate([part.labels[head] for part in parts]) for head in parts[0].labels}
    weight, at, user, item = (
        np.concatenate([getattr(part, name) for part in parts]) for name in ("weight", "at", "user", "item")
    )
    choice = None
    if any(part.choice is not None for part in parts):
        choice = np.concatenate([np.full(len(p), -1) if p.choice is None else p.choice for p in parts])
    return Examples(features, labels, weight, at, user, item, choice, parts[0].web)


def _flat(rows: Examples) -> Examples:
    return joined([rows])


def _whole(column: NDArray[Any], rows: int) -> NDArray[Any]:
    """A column that all rows share, once for each."""
    return np.broadcast_to(column, (rows, *column.shape[1:])) if len(column) != rows else column


def _stacked(columns: list[NDArray[Any]]) -> NDArray[Any]:
    """Columns one after the other; those of several values padded with -1 to one width."""
    if columns[0].ndim == 1:
        return np.concatenate(columns)
    width = max(c.shape[1] for c in columns)
    return np.concatenate([np.pad(c, ((0, 0), (0, width - c.shape[1])), constant_values=-1) for c in columns])
