"""Where to cut a log when nobody says: see decision 8."""

import numpy as np
from numpy.typing import NDArray

from winnow.core.errors import InputError, Problem
from winnow.core.time import MICROS
from winnow.data.split import TimeSplit, by_share

_DAY, _HOUR = 86_400 * MICROS, 3_600 * MICROS
_LEAST_ROWS = 150


def by_rule(at: NDArray[np.int64]) -> TimeSplit:
    """The last day judges and the day before tunes, cut at full hours; if either of them holds under 5 % or over 40 %
    of the impressions, the last 15 % judge and the 15 % before tune.

    Args:
        at: moments of the labelled impressions, int64 [n], microseconds UTC.

    Raises:
        InputError: `too-few-rows`.
    """
    if len(at) < _LEAST_ROWS:
        what = f"{len(at)} impressions with final labels; at least {_LEAST_ROWS} are needed"
        raise InputError(Problem("too-few-rows", what, fix="import a log, or serve until labels are final"))
    end = -(-(int(at.max()) + 1) // _HOUR) * _HOUR
    last, before = at >= end - _DAY, (at >= end - 2 * _DAY) & (at < end - _DAY)
    if all(0.05 <= part.mean() <= 0.4 for part in (last, before)):
        return TimeSplit(train_until=end - 2 * _DAY, valid_until=end - _DAY, test_until=end)
    return by_share(at)
