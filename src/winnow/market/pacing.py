"""Pacing: a budget is spent evenly over the traffic of a day, not in its first hours.

The controller looks at what is left of the budget and at how much traffic is still to come, and sets with which
*participation* (0 to 1) a campaign goes on. Participation is either the chance with which the campaign takes part in an
auction (`throttle`), or a factor on its bid (`shade`).

Traffic to come is forecast from the curve of past days and corrected by how the present day compares with it. Money
that showings are expected to cost and that has not been charged yet, because clicks come late, counts as spent.
"""

from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from winnow.core.candidates import Doubles, Mask
from winnow.core.errors import InputError, Problem
from winnow.market.money import Micros

Mode = Literal["throttle", "shade"]
_MEMORY = 0.25  # of the traffic of a quarter of a day is the estimate of a campaign's spend per request made
_RUSH = 1 / 24  # of a day: after an hour, a rush in traffic counts half
_GAIN = 0.3  # of a needed change in spend, the part that a bid is moved by at once
_LEAST = 1e-4  # participation below which a campaign could not show that it spends less than thought


@dataclass(frozen=True, eq=False)
class Curve:
    """How the traffic of a day is spread over it.

    Args:
        until: requests up to the end of each of B equal parts of a day, of a usual day, float64 [B + 1] from 0.
    """

    until: Doubles

    @classmethod
    def of(cls, days: NDArray[np.float64] | NDArray[np.int64]) -> "Curve":
        """The mean of past days.

        Args:
            days: requests in each of B parts of D days, [D, B]; a day without any is left out.

        Raises:
            InputError: `no-traffic` when there is no such day.
        """
        days = np.atleast_2d(np.asarray(days, np.float64))
        days = days[days.sum(axis=1) > 0]
        if not len(days):
            raise InputError(Problem("no-traffic", "no past day has any traffic", fix="`Curve.flat`, until one has"))
        return cls(np.append(0.0, days.mean(axis=0).cumsum()))

    @classmethod
    def flat(cls, requests: float = 1.0, parts: int = 96) -> "Curve":
        """As many requests in every part of the day."""
        return cls(np.linspace(0.0, requests, parts + 1))

    def seen(self, moment: float) -> float:
        """Requests up to a moment of the day, 0 (its start) to 1 (its end)."""
        return float(np.interp(moment, np.linspace(0.0, 1.0, len(self.until)), self.until))

    @property
    def all_day(self) -> float:
        return float(self.until[-1])


@dataclass(eq=False)
class Traffic:
    """The traffic of one day as it goes on: what came, and what is still expected.

    Args:
        curve: of past days.
    """

    curve: Curve
    moment: float = 0.0
    came: float = 0.0
    ratio: float = 1.0
    rush: float = 1.0

    def step(self, moment: float, requests: float) -> None:
        """Takes in the requests between the last moment and this one (parts of the day, 0 to 1)."""
        expected = self.curve.seen(moment) - self.curve.seen(self.moment)
        passed, self.moment, self.came = moment - self.moment, moment, self.came + requests
        if expected > 0:
            keep = 0.5 ** (passed / _RUSH)
            self.rush = keep * self.rush + (1 - keep) * requests / expected
        # The curve has the say of a tenth of a day: the first minutes tell little about the rest.
        seen, prior = self.curve.seen(moment), 0.1 * self.curve.all_day
        self.ratio = (self.came + prior) / (seen + prior)

    def left(self) -> float:
        """Requests still expected today: the curve as high as the day so far, and a rush that fades."""
        rest = self.curve.all_day - self.curve.seen(self.moment)
        near = self.curve.seen(min(self.moment + _RUSH, 1.0)) - self.curve.seen(self.moment)
        return max(rest * self.ratio + near * (self.rush - self.ratio), 1e-9)


@dataclass(eq=False)
class Pacer:
    """The controller for C campaigns over one day.

    Args:
        budgets: meant for this day, micros, int64 [C].
        traffic: of the day.
        mode: what participation means.
        participation: 0 to 1, float64 [C]; at first as if it spent evenly with what the day before said.
        cost: what a request costs each campaign at full participation, micros, float64 [C]; 0 for unknown.
    """

    budgets: Micros
    traffic: Traffic
    mode: Mode = "throttle"
    participation: Doubles = field(default_factory=lambda: np.empty(0))
    cost: Doubles = field(default_factory=lambda: np.empty(0))

    def __post_init__(self) -> None:
        size = len(self.budgets)
        self.cost = self.cost if len(self.cost) else np.zeros(size)
        self._weight = np.where(self.cost > 0, _MEMORY * self.traffic.curve.all_day, 0.0)
        self._committed = np.zeros(size)
        if not len(self.participation):
            self.participation = np.full(size, 0.5)
            known = self.cost > 0
            self.participation[known] = self._needed(np.zeros(size))[known]

    def step(self, moment: float, requests: float, committed: Doubles) -> Doubles:
        """One look at the day; gives the participation until the next, float64 [C].

        Args:
            moment: of the day, 0 to 1.
            requests: since the last look.
            committed: charged today, and expected to be charged for what was shown, micros, float64 [C].
        """
        spent = np.maximum(committed - self._committed, 0.0)
        self._committed = committed.astype(np.float64)
        self.traffic.step(moment, requests)
        self._learn(requests, spent)
        wanted = self._needed(committed)
        if self.mode == "shade":
            # Spend does not follow a bid in proportion: go part of the way, and see.
            change = np.clip(wanted / np.maximum(self.participation, _LEAST), 0.25, 4.0) ** _GAIN
            wanted = np.where(committed >= self.budgets, 0.0, np.maximum(self.participation * change, _LEAST))
        self.participation = np.clip(wanted, 0.0, 1.0)
        return self.participation

    def _learn(self, requests: float, spent: Doubles) -> None:
        """What a request costs at full participation (of the bid as it is now, when bids are shaded)."""
        took = self.participation * requests
        keep = 0.5 ** (requests / (_MEMORY * self.traffic.curve.all_day))
        total = self.cost * self._weight * keep + spent
        self._weight = self._weight * keep + took
        self.cost = np.divide(total, self._weight, out=self.cost.copy(), where=self._weight > 0)

    def _needed(self, committed: Doubles) -> Doubles:
        left = np.maximum(self.budgets - committed, 0.0)
        todo = np.where(self.cost > 0, self.cost, np.inf) * self.traffic.left()
        needed = np.divide(left, todo, out=np.zeros(len(left)), where=np.isfinite(todo))
        # Nothing known of its cost yet: it takes part in half, and shows.
        unknown = (self.cost <= 0) & (left > 0)
        return np.clip(np.where(unknown, 0.5, needed), 0.0, 1.0)


def takes_part(participation: Doubles, chances: Doubles) -> Mask:
    """Which campaigns are let into one auction when they are throttled, bool [C].

    Args:
        participation: 0 to 1, float64 [C].
        chances: uniform in [0, 1), float64 [C]; of the request and the campaign, so that a replay repeats it.
    """
    return np.asarray(chances < participation)


def shaded(bids: Micros, participation: Doubles) -> Micros:
    """Bids times participation, rounded down, micros, int64 [C]."""
    return np.floor(bids * participation).astype(np.int64)
