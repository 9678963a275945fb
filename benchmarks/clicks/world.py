"""A made-up click log: many ids of which few are frequent, a linear part and products of people and ads."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from winnow.features.batch import FeatureBatch, Floats, Ints
from winnow.models.examples import Examples

LARGE = {"user": 3_000_000, "ad": 1_500_000, "site": 300_000}  # of which 2,000,000 rows meet a million
SMALL = {"hour": 24, "device": 40, "place": 12, "category": 300, "campaign": 4_000}
LATENT, BIAS = 4, -1.8


@dataclass(frozen=True)
class Clicks:
    """A log with the chance that made each click.

    Args:
        ids: field → int64 [N].
        click: float32 [N].
        chance: float64 [N].
    """

    ids: Mapping[str, Ints]
    click: Floats
    chance: np.ndarray

    def examples(self) -> Examples:
        """As examples with one head, `click`."""
        rows = np.arange(len(self.click))
        features = FeatureBatch(np.zeros((len(rows), 0), np.float32), (), dict(self.ids))
        return Examples(features, {"click": self.click}, np.ones(len(rows), np.float32), rows, rows, rows)


def clicks(rows: int, *, sizes: Mapping[str, int] | None = None, seed: int = 0) -> Clicks:
    """Rows in random order; ids by Zipf's law with exponent 1, those of small fields too."""
    sizes, rng = dict(sizes or LARGE | SMALL), np.random.default_rng(seed)
    ids = {name: _zipf(rng, size, rows) for name, size in sizes.items()}
    taste, theme = (np.random.default_rng(s).normal(size=(sizes[n], LATENT)) for s, n in ((1, "user"), (2, "ad")))
    score = np.full(rows, BIAS)
    for place, (name, size) in enumerate(sizes.items()):
        score += np.random.default_rng(100 + place).normal(0, 0.5, size)[ids[name]]
    score += 0.5 * (taste[ids["user"]] * theme[ids["ad"]]).sum(1)
    chance = 1 / (1 + np.exp(-score))
    return Clicks(ids, (rng.random(rows) < chance).astype(np.float32), chance)


def _zipf(rng: np.random.Generator, size: int, rows: int) -> Ints:
    edges = np.cumsum(1 / np.arange(1, size + 1))
    places = np.searchsorted(edges, rng.random(rows) * edges[-1])
    return np.random.default_rng(size).permutation(size)[places]
