"""Hours whose labels cannot be right: a broken client or an attack, seen before anything learns from them or is judged
by them.

An hour is odd when its share of positives lies far from that of the other hours, beyond what chance and the usual ups
and downs of a day explain.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from winnow.core.time import MICROS, iso

HOUR = 3_600 * MICROS
SIGMAS = 8.0
_LEAST_ROWS, _LEAST_HOURS = 30, 6
_SPREAD = 0.15  # least standard deviation of an hour's log-odds
_MAD = 1.4826  # median absolute deviation → standard deviation of a normal distribution


@dataclass(frozen=True)
class OddHour:
    """An hour whose labels stand out.

    Args:
        head: whose labels.
        at: begin, microseconds UTC.
        rows: in the hour.
        rate: share of positives.
        usual: share in the middle one of the other hours.
        sigmas: how far apart they lie.
    """

    head: str
    at: int
    rows: int
    rate: float
    usual: float
    sigmas: float

    def text(self) -> str:
        """For people."""
        return f"{self.head} from {iso(self.at)}: {self.rate:.3f} of {self.rows} rows, {self.usual:.3f} in other hours"


def odd_hours(at: NDArray[np.int64], labels: Mapping[str, NDArray[np.floating]]) -> list[OddHour]:
    """Hours with odd labels, oldest first; heads that are amounts are not looked at.

    Args:
        at: moments of the rows, int64 [N], microseconds UTC.
        labels: head → float [N]; NaN rows are left out.
    """
    found = [odd for head, y in labels.items() if _binary(y) for odd in _of(head, at, y.astype(np.float64))]
    return sorted(found, key=lambda odd: odd.at)


def _of(head: str, at: NDArray[np.int64], y: NDArray[np.float64]) -> Iterator[OddHour]:
    known = ~np.isnan(y)
    hours, group = np.unique(at[known] // HOUR, return_inverse=True)
    rows, positive = np.bincount(group), np.bincount(group, y[known])
    enough = rows >= _LEAST_ROWS
    if enough.sum() < _LEAST_HOURS:
        return
    hours, rows, positive = hours[enough], rows[enough], positive[enough]
    odds = np.log((positive + 0.5) / (rows - positive + 0.5))
    middle = float(np.median(odds))
    other = float(1 / (1 + np.exp(-middle)))
    noise = 1 / np.sqrt(rows * other * (1 - other))  # of an hour that is like the others
    usual = max(_MAD * float(np.median(np.abs(odds - middle))), _SPREAD)
    sigmas = (odds - middle) / np.hypot(usual, noise)
    for i in np.flatnonzero(np.abs(sigmas) > SIGMAS):
        yield OddHour(head, int(hours[i]) * HOUR, int(rows[i]), float(positive[i] / rows[i]), other, float(sigmas[i]))


def _binary(y: NDArray[np.floating]) -> bool:
    return bool(np.isin(y[~np.isnan(y)], (0, 1)).all())
