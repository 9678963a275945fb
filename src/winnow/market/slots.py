"""Where ads may stand: how many, how soon, how far apart, and next to whom."""

from dataclasses import dataclass

import numpy as np

from winnow.core.candidates import Doubles, Ints
from winnow.core.errors import InputError, Problem
from winnow.market.auction import NOBODY, Slots


@dataclass(frozen=True, kw_only=True)
class AdLoad:
    """How many ads a list may carry.

    Args:
        at_most: ads in any stretch with fewer than `per` other items.
        per: see `at_most`.
        first: position of the first ad, from 1.
        gap: other items between two ads, at least.

    Raises:
        InputError: `bad-load`.
    """

    at_most: int = 1
    per: int = 4
    first: int = 2
    gap: int = 2

    def __post_init__(self) -> None:
        if self.at_most < 1 or self.per < 1 or self.first < 1 or self.gap < 0:
            what = f"{self.at_most} ads per {self.per}, the first at {self.first}, {self.gap} apart"
            raise InputError(Problem("bad-load", what, fix="at_most, per and first from 1, gap from 0"))

    def before(self, items: int) -> Ints:
        """Before which of some other items an ad may stand (`items`: after the last), int64 [K], rising."""
        places: list[int] = []
        place = self.first - 1
        while place <= items and len(places) <= items:
            places.append(place)
            place += self.gap
            if len(places) >= self.at_most:
                place = max(place, places[-self.at_most] + self.per)
        return np.array(places, np.int64)

    def positions(self, items: int) -> Ints:
        """Positions of the ads in the list of both, from 0, int64 [K]."""
        before = self.before(items)
        return before + np.arange(len(before))


def woven(items: Ints, ads: Ints, load: AdLoad) -> tuple[Ints, Ints]:
    """One list of items and ads, as far as the ad load lets ads in.

    Args:
        items: int64 [N], in order.
        ads: int64 [K], best first.
        load: where ads may stand.

    Returns:
        the list, int64 [N + k], and the position of each ad in it, int64 [k].
    """
    before = load.before(len(items))[: len(ads)]
    places = before + np.arange(len(before))
    return np.insert(items, before, ads[: len(before)]), places


def apart(scores: Doubles, groups: Ints, slots: int) -> Slots:
    """Slots of one auction in which neighbours have no group in common.

    Slot after slot is sold to the best ad left that shares no group with the ad in the slot before; its rival is the
    second best of these. A slot that nobody may take ends the list.

    Args:
        scores: float64 [N]; 0 for ads that get no slot.
        groups: advertiser, category and so on of each ad, int64 [N, G]; -1 for unknown, which nobody shares.
        slots: how many.
    """
    winners, rivals = np.full((1, slots), NOBODY), np.zeros((1, slots))
    left = scores.copy()
    allowed = left
    for slot in range(slots):
        if not len(left) or (best := int(np.argmax(allowed))) < 0 or allowed[best] <= 0:
            break
        winners[0, slot], left[best], allowed[best] = best, 0.0, 0.0
        rivals[0, slot] = allowed.max()
        shared = ((groups == groups[best]) & (groups[best] >= 0)).any(axis=1)
        allowed = np.where(shared, 0.0, left)
    return Slots(winners, rivals)
