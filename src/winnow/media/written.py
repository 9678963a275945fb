"""Texts as columns of codes, and what stages over them are made of."""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from winnow.media.letters import Codes

Ints = NDArray[np.int64]
Mask = NDArray[np.bool_]


class Written(NamedTuple):
    """Codes and where each came from.

    Args:
        codes: int32 [N].
        origin: place in the original, int32 [N], never falling.
    """

    codes: Codes
    origin: Codes

    def where(self, kept: Mask) -> "Written":
        """Without what is not kept."""
        return self if kept.all() else Written(self.codes[kept], self.origin[kept])

    def put(self, places: Mask | Ints, codes: Codes) -> "Written":
        """Other codes at some places."""
        changed = self.codes.copy()
        changed[places] = codes
        return Written(changed, self.origin)


def shifted(values: NDArray[Any], by: int) -> NDArray[Any]:
    """Each place's neighbour before (1) or after (-1); 0 beyond the ends."""
    moved = np.empty(len(values), values.dtype)
    if by > 0:
        moved[:by], moved[by:] = 0, values[:-by]
    else:
        moved[by:], moved[:by] = 0, values[-by:]
    return moved


def runs(mask: Mask) -> Ints:
    """A number for each run of true places; 0 for all that is not in one."""
    starts = mask & ~shifted(mask, 1)
    return np.where(mask, np.cumsum(starts), 0)


def total(mask: Mask, group: Ints) -> Ints:
    """For each place, how many of its group are true; 0 outside of groups."""
    return np.bincount(group[mask], minlength=int(group.max(initial=0)) + 1)[group]


def place_in_run(run: Ints) -> Ints:
    starts = np.flatnonzero(run != shifted(run, 1))
    begin = np.zeros(len(run), np.int64)
    begin[starts] = starts
    return np.arange(len(run)) - np.maximum.accumulate(begin)
