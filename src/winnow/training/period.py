"""Which part of the log is learned from, which tunes, which judges."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from winnow.core.errors import InputError, Problem
from winnow.core.time import MICROS

DAY, HOUR = 86_400 * MICROS, 3_600 * MICROS
_SHARE = 0.15  # of the impressions, where whole days would not do
_LEAST_ROWS = 50


@dataclass(frozen=True)
class Periods:
    """Half-open periods in microseconds UTC: train before `valid`, valid before `test`, test before `end`."""

    start: int
    valid: int
    test: int
    end: int

    @classmethod
    def of(cls, at: NDArray[np.int64]) -> "Periods":
        """The last day judges and the day before tunes, cut at the full hour; if either of them holds under 5 % or
        over 40 % of the impressions, the last 15 % judge and the 15 % before tune.

        Args:
            at: moments of the impressions, int64 [n].

        Raises:
            InputError: `too-few-impressions`.
        """
        if len(at) < 3 * _LEAST_ROWS:
            what = f"{len(at)} labelled impressions, at least {3 * _LEAST_ROWS} are needed"
            raise InputError(Problem("too-few-impressions", what, fix="import a log or serve for longer"))
        end = -(-(int(at.max()) + 1) // HOUR) * HOUR
        days = cls(int(at.min()), end - 2 * DAY, end - DAY, end)
        shares = [float(mask.mean()) for mask in days.masks(at)]
        if all(0.05 <= share <= 0.4 for share in shares[1:]):
            return days
        valid, test = np.quantile(at, (1 - 2 * _SHARE, 1 - _SHARE), method="higher")
        return cls(int(at.min()), int(valid), int(test), int(at.max()) + 1)

    def masks(self, at: NDArray[np.int64], *, embargo: int = 0) -> Iterator[NDArray[np.bool_]]:
        """Rows of train, valid and test; `embargo` microseconds before a later part belong to none.

        A label that is still open when the next part begins would carry its outcome across the cut.
        """
        for low, high, gap in ((self.start, self.valid, embargo), (self.valid, self.test, embargo), (self.test, self.end, 0)):  # fmt: skip
            yield (at >= low) & (at < high - gap)
