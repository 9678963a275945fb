"""A stream of ad clicks of which some convert, late: who converts and when is known, whatever has been seen so far."""

from dataclasses import dataclass
from typing import Literal, Self

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from winnow.core.time import MICROS
from winnow.features.batch import FeatureBatch
from winnow.models.delayed import as_known
from winnow.models.examples import Examples

Law = Literal["exponential", "lognormal"]
Ints = NDArray[np.int64]
Numbers = NDArray[np.float64]
HEAD = "conversion"
_DAY_S = 86_400.0
_BASE, _SPREAD = -2.6, 0.6  # log-odds of a conversion: their middle, and how far advertisers lie apart
_SLOPES = (0.8, -0.5, 0.3)
_LOGNORMAL = 0.8


@dataclass(frozen=True)
class Size:
    """How big a stream is.

    Args:
        rows: clicks.
        days: spread evenly over so many days.
        advertisers, surfaces: how many; the first advertisers have most of the clicks.
        mean_days: how long a conversion takes on average.
    """

    rows: int = 400_000
    days: float = 40.0
    advertisers: int = 40
    surfaces: int = 4
    mean_days: float = 1.5


@dataclass(frozen=True, eq=False)
class Stream:
    """Clicks with their truth.

    Args:
        rows: what was known at each click: three numbers, `surface` and `advertiser`; in time order.
        chance: probability that it converts at all, float64 [N].
        after_s: seconds until it does, float64 [N]; NaN for never.
    """

    rows: Examples
    chance: Numbers
    after_s: Numbers

    @classmethod
    def make(cls, size: Size | None = None, *, seed: int = 0, law: Law = "exponential", drift: float = 0.0) -> Self:
        """Draws a stream; equal seeds give equal streams.

        Args:
            size: how big.
            seed: of everything.
            law: of the delays; their mean depends on the click either way.
            drift: how far the log-odds of each advertiser move over the stream (standard deviation).
        """
        size, rng = size or Size(), np.random.default_rng([seed, 11])
        at = np.sort(rng.integers(0, int(size.days * _DAY_S * MICROS), size.rows))
        advertiser = (rng.beta(0.7, 2.5, size.rows) * size.advertisers).astype(np.int64)
        surface = rng.integers(0, size.surfaces, size.rows)
        numbers = rng.normal(size=(size.rows, len(_SLOPES))).astype(np.float32)
        worth, place = rng.normal(0, _SPREAD, size.advertisers), rng.normal(0, 0.3, size.surfaces)
        moved = rng.normal(0, 1, size.advertisers)[advertiser] * drift * at / max(int(at[-1]), 1)
        chance = expit(_BASE + numbers @ np.array(_SLOPES) + worth[advertiser] + place[surface] + moved)
        mean_s = (
            size.mean_days * _DAY_S * np.exp(rng.normal(0, 0.25, size.advertisers)[advertiser] + 0.15 * numbers[:, 0])
        )
        after = np.where(rng.random(size.rows) < chance, mean_s * _delays(rng, law, size.rows), np.nan)
        return cls(_examples(at, numbers, surface, advertiser), chance, after)

    def window_s(self, late: float) -> float:
        """The window after which this share of the conversions comes, in seconds."""
        return float(np.nanquantile(self.after_s, 1 - late))

    def as_of(self, moment: int, *, data_until: int | None = None) -> Examples:
        """What was known at a moment, microseconds: see `as_known`."""
        return as_known(self.rows, HEAD, self.after_s, as_of=moment, data_until=data_until)

    def eventual(self) -> NDArray[np.float32]:
        """Whether each click converts at all, float32 [N]: what nobody knows in time."""
        return (~np.isnan(self.after_s)).astype(np.float32)


def _delays(rng: np.random.Generator, law: Law, rows: int) -> Numbers:
    """Positive numbers of mean 1."""
    if law == "exponential":
        return rng.exponential(1.0, rows)
    return np.asarray(np.exp(rng.normal(-(_LOGNORMAL**2) / 2, _LOGNORMAL, rows)))


def _examples(at: Ints, numbers: NDArray[np.float32], surface: Ints, advertiser: Ints) -> Examples:
    names = tuple(f"number_{i}" for i in range(numbers.shape[1]))
    batch = FeatureBatch(numbers, names, {"surface": surface, "advertiser": advertiser})
    n = len(at)
    return Examples(batch, {HEAD: np.zeros(n, np.float32)}, np.ones(n, np.float32), at, np.arange(n), advertiser)
