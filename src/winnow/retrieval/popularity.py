"""Popularity that fades: each event counts half as much after every half-life."""

from datetime import timedelta

import numpy as np
from numpy.typing import NDArray

from winnow.core.time import to_us

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

_REBASE_AFTER = 64  # half-lives until the common scale is renewed, far from overflow


class Popularity:
    """Decayed counts per item: Σ weight · 2^(−(now − at) / half-life).

    Kept as counts at one reference moment, so that adding an event touches one number and never the others.

    Args:
        half_life: after which an event counts half.
        items: number of item rows to start with; it grows by itself.

    >>> one_hour = Popularity(timedelta(hours=1), 3)
    >>> one_hour.add(np.array([0, 1]), np.array([0, 3_600_000_000]))
    >>> one_hour.scores(3_600_000_000).tolist()
    [0.5, 1.0, 0.0]
    """

    def __init__(self, half_life: timedelta, items: int = 0):
        self._half_life = to_us(half_life)
        self._counts: Floats = np.zeros(items)
        self._reference = 0
        self._started = False

    def add(self, rows: Ints, at: Ints, weight: NDArray[np.floating] | None = None) -> None:
        """Counts events.

        Args:
            rows: item row numbers, int64 [n], in any order; -1 is left out.
            at: moments in microseconds UTC, int64 [n].
            weight: of each event, [n]; all 1 when left out.
        """
        known = rows >= 0
        if not known.any():
            return
        rows, at = rows[known], at[known]
        self._move(int(at.max()))
        amount = np.exp2((at - self._reference) / self._half_life)
        if weight is not None:
            amount = amount * weight[known]
        size = max(len(self._counts), int(rows.max()) + 1)
        self._counts = np.pad(self._counts, (0, size - len(self._counts))) + np.bincount(rows, amount, size)

    def scores(self, now: int) -> NDArray[np.float32]:
        """The decayed count of every item at a moment, float32 [items]."""
        faded = self._counts * np.exp2((self._reference - now) / self._half_life)
        return np.asarray(faded, np.float32)

    def top(self, k: int, allowed: NDArray[np.bool_] | None = None) -> Ints:
        """Rows of the at most k most popular items, best first, int64; items without any event are left out.

        The order does not depend on the moment: all counts fade alike.
        """
        counts = self._counts if allowed is None else np.where(_fitted(allowed, len(self._counts)), self._counts, 0)
        k = min(k, int(np.count_nonzero(counts > 0)))
        if not k:
            return np.zeros(0, np.int64)
        best = np.argpartition(-counts, k - 1)[:k]
        return best[np.argsort(-counts[best], kind="stable")]

    def _move(self, latest: int) -> None:
        """Renews the reference before weights of new events could overflow."""
        if not self._started:
            self._reference, self._started = latest, True
        elif (latest - self._reference) / self._half_life > _REBASE_AFTER:
            self._counts = self._counts * np.exp2((self._reference - latest) / self._half_life)
            self._reference = latest


def _fitted(mask: NDArray[np.bool_], size: int) -> NDArray[np.bool_]:
    return np.pad(mask, (0, max(0, size - len(mask))))[:size]
