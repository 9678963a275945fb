"""The pacemaker: looks at what campaigns have spent and sets with which participation they go on."""

import numpy as np

from winnow.core.candidates import Doubles, Ints
from winnow.core.time import MICROS
from winnow.market.budget import DAY_US, ENDLESS
from winnow.market.ledger import PARTS, Ledger, Standing
from winnow.market.pacing import Curve, Pacer, Traffic

_EVERY_US = 60 * MICROS
_PAST_DAYS = 7
_LEAST_MOVE = 0.002  # a participation that hardly changes is not written down again


class Pacemaker:
    """Paces all campaigns of a ledger, by days that begin at midnight UTC.

    Args:
        ledger: whose accounts are paced.
    """

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._due, self._day, self._counted = 0, -1, 0.0
        self._pacer: Pacer | None = None
        self._campaigns: list[str] = []

    def step(self, now: int) -> None:
        """One look, if it is time for one."""
        if now < self._due:
            return
        self._due = now + _EVERY_US
        standing, day = self._ledger.standing(now), now // DAY_US
        if not standing.campaigns:
            return
        if self._pacer is None or day != self._day or standing.campaigns != self._campaigns:
            self._begin(standing, day)
        assert self._pacer is not None
        came = float(self._ledger.traffic(day).sum())
        committed = (standing.today + standing.coming).astype(np.float64)
        self._pacer.budgets = _meant(standing)
        paced = self._pacer.step(now % DAY_US / DAY_US, came - self._counted, committed)
        self._counted = came
        self._write(standing, paced)

    def _begin(self, standing: Standing, day: int) -> None:
        """A day begins, or other campaigns run: what is known of the cost of each goes on."""
        known = dict(zip(self._campaigns, self._pacer.cost, strict=True)) if self._pacer is not None else {}
        cost = np.array([known.get(name, 0.0) for name in standing.campaigns])
        past = np.stack([self._ledger.traffic(day - 1 - i) for i in range(_PAST_DAYS)])
        curve = Curve.of(past) if past.any() else Curve.flat(1.0, PARTS)
        self._pacer = Pacer(_meant(standing), Traffic(curve), participation=_start(standing, cost), cost=cost)
        self._day, self._campaigns, self._counted = day, standing.campaigns, 0.0

    def _write(self, standing: Standing, paced: Doubles) -> None:
        moved = np.flatnonzero(np.abs(paced - standing.participation) > _LEAST_MOVE)
        if len(moved):
            with self._ledger.writing() as book:
                for i in moved.tolist():
                    book.pace(standing.campaigns[i], float(paced[i]))


def _meant(standing: Standing) -> Ints:
    return np.minimum(standing.budgets, ENDLESS >> 10)


def _start(standing: Standing, cost: Doubles) -> Doubles:
    """Where nothing is known, pacing goes on from what was last written down."""
    return np.empty(0) if (cost > 0).all() else standing.participation.copy()
