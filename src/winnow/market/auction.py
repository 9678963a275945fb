"""Auctions of ad slots: who gets which slot, and what a click costs.

Slots stand in the order of their *effects*, the factor on the chance of a click there. An ad's score is
bid x quality + bonus, in micros per showing: quality is its calibrated chance of a click, bonus what its showing is
worth or costs beside money (a penalty for the chance of a hide is negative). Ads with a higher score get better slots;
equal ones in the order in which they were given. An ad below the reserve, or whose score is not positive, gets none.

The price of a click is never above the bid and never below the reserve:

- `first`: the bid.
- `second` (generalised second price): the lowest bid that would have kept the slot.
- `vcg`: each step from a slot to the next better one is paid at the lowest bid that would have made the step, which is
  what the showing costs the other advertisers. To bid one's true value is best, whatever the others do, up to the
  micro to which prices are rounded up.

Source: Edelman, Ostrovsky and Schwarz, "Internet advertising and the generalized second-price auction", American
Economic Review 97 (2007); Varian, "Position auctions", International Journal of Industrial Organization 25 (2007).
"""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from winnow.core.candidates import Doubles, Ints
from winnow.core.errors import InputError, Problem
from winnow.market.money import MOST_BID, Micros, amounts

Rule = Literal["first", "second", "vcg"]
RULES: tuple[Rule, ...] = ("first", "second", "vcg")
NOBODY = -1
_NO_CHANCE = 1e-9  # a quality below it is none
_ROUNDING = 1e-12  # a sum this much above a whole micro, relative to its size, is that micro


@dataclass(frozen=True, eq=False)
class Bids:
    """What is bid in A auctions of N ads each.

    Args:
        amount: for a click, micros, int64 [A, N]; 0 for an ad that takes no part.
        quality: chance of a click in a slot of effect 1, float64 [A, N].
        bonus: worth of a showing beside money, micros, float64 [A, N].
    """

    amount: Micros
    quality: Doubles
    bonus: Doubles

    @classmethod
    def of(cls, amount: Any, quality: Any = 1.0, bonus: Any = 0.0) -> "Bids":
        """Checked bids; one auction may be given without its first axis.

        Raises:
            InputError: `not-whole-micros`, `negative-money`, `money-overflow`, `bad-quality`.
        """
        amount = np.atleast_2d(amounts(amount, what="bid", most=MOST_BID))
        quality, bonus = (np.broadcast_to(np.asarray(v, np.float64), amount.shape) for v in (quality, bonus))
        if not (((quality >= 0) & (quality <= 1)).all() and np.isfinite(bonus).all()):
            what, why = "a quality outside 0 to 1, or a bonus that is no number", "its price would be meaningless"
            raise InputError(Problem("bad-quality", what, why=why, fix="give calibrated chances of a click"))
        return cls(amount, quality, bonus)

    def scores(self, reserve: int) -> Doubles:
        """By what ads are ranked, float64 [A, N]; 0 for those that get no slot."""
        score = self.amount * self.quality + self.bonus
        sold = (self.amount >= max(reserve, 1)) & (self.quality >= _NO_CHANCE) & (score > 0)
        return np.where(sold, score, 0.0)

    def take(self, chosen: Ints) -> "Bids":
        """Those of the ads in each auction's slots, [A, K]; of nobody in empty ones."""
        columns = [np.take_along_axis(v, np.maximum(chosen, 0), 1) for v in (self.amount, self.quality, self.bonus)]
        amount, quality, bonus = (np.where(chosen == NOBODY, np.zeros_like(c), c) for c in columns)
        return Bids(amount, quality, bonus)


@dataclass(frozen=True, eq=False)
class Slots:
    """Who stands where, before prices.

    Args:
        winners: column of the ad in each slot, int64 [A, K]; `NOBODY` in empty ones.
        rivals: score of the best ad that the slot's ad keeps out of it, float64 [A, K]; 0 without one.
    """

    winners: Ints
    rivals: Doubles


@dataclass(frozen=True, eq=False)
class Sale:
    """What came of A auctions.

    Args:
        winners: column of the ad in each slot, int64 [A, K]; `NOBODY` in empty ones.
        prices: of a click, micros, int64 [A, K]; 0 in empty slots.
        clicks: chance of a click, float64 [A, K].
    """

    winners: Ints
    prices: Micros
    clicks: Doubles

    def revenue(self) -> Doubles:
        """Expected revenue of each auction, micros, float64 [A]."""
        earned: Doubles = (self.prices * self.clicks).sum(axis=1)
        return earned


def ranked(scores: Doubles, slots: int) -> Slots:
    """The best ads in the order of their scores.

    Args:
        scores: float64 [A, N]; 0 for ads that get no slot.
        slots: how many.
    """
    wide = np.pad(scores, ((0, 0), (0, slots + 1)))  # nobody waits behind everybody
    order = np.argsort(-wide, axis=1, kind="stable")[:, : slots + 1]
    best = np.take_along_axis(wide, order, 1)
    return Slots(np.where(best > 0, order, NOBODY)[:, :slots], best[:, 1:])


def priced(rule: Rule, bids: Bids, rivals: Doubles, *, effects: Doubles, reserve: int) -> Micros:
    """What a click costs in each slot, micros, int64 [A, K]; 0 in empty slots.

    Args:
        rule: of pricing.
        bids: of the ads in the slots, [A, K]; all zeros in empty ones.
        rivals: as in `Slots`.
        effects: of the slots, float64 [K].
        reserve: the least that a click costs, micros.
    """
    if rule == "first":
        return bids.amount
    taken = bids.amount > 0
    quality = np.where(taken, bids.quality, 1.0)
    if rule == "second":
        exact = (rivals - bids.bonus) / quality
    else:
        # Step j is paid by everyone at or above it; a rival further down never asks for more than one further up.
        step = effects - np.append(effects[1:], 0.0)
        rivals = np.minimum.accumulate(rivals, axis=1)
        asked = np.maximum((rivals[:, None, :] - bids.bonus[..., None]) / quality[..., None], reserve)
        exact = (np.triu(np.ones((len(step),) * 2)) * step * asked).sum(axis=2) / effects
    price = np.clip(np.ceil(exact * (1 - _ROUNDING)), reserve, bids.amount)
    return np.where(taken, price, 0.0).astype(np.int64)


def sell(rule: Rule, bids: Bids, effects: Any, *, reserve: int = 0, slots: Slots | None = None) -> Sale:
    """A auctions by one rule.

    Args:
        rule: of pricing.
        bids: of N ads in each.
        effects: factor on the chance of a click in each of K slots, best first.
        reserve: the least that a click costs, micros.
        slots: who stands where, when other things than scores have a say; by score otherwise.

    Raises:
        InputError: `bad-effects`, `unknown-rule`, `negative-money`.
    """
    if rule not in RULES:
        raise InputError(Problem("unknown-rule", f"`{rule}` is no rule of pricing", fix=", ".join(RULES)))
    effects = checked_effects(effects)
    reserve = int(amounts([reserve], what="reserve", most=MOST_BID)[0])
    slots = ranked(bids.scores(reserve), len(effects)) if slots is None else slots
    won = bids.take(slots.winners)
    prices = priced(rule, won, slots.rivals, effects=effects, reserve=reserve)
    return Sale(slots.winners, prices, won.quality * effects)


def checked_effects(effects: Any) -> NDArray[np.float64]:
    """Effects of slots, float64 [K].

    Raises:
        InputError: `bad-effects` unless they lie above 0, at most 1, and never rise.
    """
    array = np.asarray(effects, np.float64)
    if array.ndim != 1 or not len(array) or not (array > 0).all() or array[0] > 1 or (np.diff(array) > 0).any():
        why = "a better score must never get a worse slot"
        fix = "factors above 0 and at most 1 that never rise, such as (1, 0.6, 0.4)"
        raise InputError(Problem("bad-effects", f"effects of slots are {array.tolist()}", why=why, fix=fix))
    return array
