"""Days of an ad market: requests, eligible ads, auctions, clicks that come late, budgets that are paced and charged."""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from winnow.market.auction import NOBODY, Bids, Rule, sell
from winnow.market.budget import DAY_US
from winnow.market.money import Micros
from winnow.market.pacing import Curve, Mode, Pacer, Traffic, shaded, takes_part
from winnow.simulation.ads_world import EFFECTS, AdWorld, Fatigue, Flags, Floats, Rows

STEPS = 288  # of a day: budgets and participation are looked at every five minutes
_DELAY = 3.0  # steps from a showing to its click, on average
_ALL = 1e18

Bidding = Callable[[Micros, Rule], Micros]


def truthful(values: Micros, rule: Rule) -> Micros:
    """Everyone bids what a click is worth to them."""
    return values


@dataclass(frozen=True, kw_only=True)
class House:
    """How the market is run.

    Args:
        rule: of pricing.
        reserve: the least that a click costs, micros.
        pacing: how budgets are spread over the day; None for not at all.
        cap: most showings of a campaign to a person in a day; None for no cap.
        bidding: campaigns' bids from their values.
        unlimited: whether budgets are endless.
    """

    rule: Rule = "second"
    reserve: int = 20_000
    pacing: Mode | None = "throttle"
    cap: int | None = 3
    bidding: Bidding = truthful
    unlimited: bool = False


@dataclass(eq=False)
class Day:
    """What came of a day.

    Args:
        budgets: micros, int64 [C].
        spent: charged for the showings of the day, late clicks included, micros, int64 [C].
        course: charged by the end of each step, [STEPS, C].
        traffic: requests in each step, [STEPS].
        free: clicks that no budget was left for, micros.
        shown: showings by how many times the person had seen the campaign that day, [6]; the last is five or more.
        clicked: clicks among them, [6].
        welfare: value of the clicks to the advertisers, micros.
        predicted: expected clicks by the chances that prices rest on.
    """

    budgets: Micros
    spent: Micros
    course: Micros
    traffic: Rows
    free: int = 0
    shown: Rows = field(default_factory=lambda: np.zeros(6, np.int64))
    clicked: Rows = field(default_factory=lambda: np.zeros(6, np.int64))
    welfare: int = 0
    predicted: float = 0.0

    @property
    def revenue(self) -> int:
        return int(self.spent.sum())

    def uneven(self) -> Floats:
        """The farthest that the share of a budget spent was from the share of the traffic seen, float64 [C]."""
        seen = self.traffic.cumsum() / self.traffic.sum()
        return np.asarray(np.abs(self.course / self.budgets - seen[:, None]).max(axis=0))


class Exchange:
    """Runs the days of a world one after the other.

    Args:
        world: the truth.
        house: how the market is run.
        spike: day → factor on the traffic of one hour of its afternoon.
    """

    def __init__(self, world: AdWorld, house: House, *, spike: dict[int, float] | None = None) -> None:
        self.world, self.house = world, house
        self._fatigue = Fatigue(world.size.people, world.campaigns)
        self._past: list[Rows] = []
        self._spike = spike or {}
        self._cost = np.zeros(world.campaigns)

    def run(self, days: int) -> list[Day]:
        """So many days."""
        return [self.day(len(self._past)) for _ in range(days)]

    def day(self, number: int) -> Day:
        """One day; its late clicks are charged to it."""
        world, house = self.world, self.house
        rng = world.rng(40, number)
        rate = world.traffic(STEPS)
        rate[170:182] *= self._spike.get(number, 1.0)
        traffic = rng.poisson(rate)
        budgets = np.full(world.campaigns, 10**17) if house.unlimited else world.daily
        day = Day(budgets, np.zeros(world.campaigns, np.int64), np.zeros((STEPS, world.campaigns), np.int64), traffic)
        books = _Books(day, np.zeros((STEPS + 80, world.campaigns), np.int64), np.zeros(world.campaigns))
        curve = Curve.of(np.stack(self._past)) if self._past else Curve.of(world.traffic(STEPS))
        pacer = Pacer(budgets, Traffic(curve), house.pacing or "throttle", cost=self._cost.copy())
        taking = pacer.participation if house.pacing else np.ones(world.campaigns)
        today = np.zeros((world.size.people, world.campaigns), np.int64)
        for step in range(STEPS):
            visit = _Visit(number, step, rng.integers(0, world.size.people, traffic[step]), rng)
            self._sell(visit, books, taking=taking, today=today)
            books.charge(step)
            day.course[step] = day.spent
            if house.pacing:
                taking = pacer.step((step + 1) / STEPS, traffic[step], day.spent + books.coming)
        for step in range(STEPS, STEPS + 80):
            books.charge(step)
        self._past.append(traffic)
        self._cost = pacer.cost
        return day

    def _sell(self, visit: "_Visit", books: "_Books", *, taking: Floats, today: Rows) -> None:
        """The auctions of one step, all at once."""
        world, house, people, at = self.world, self.house, visit.people, visit.at
        if not len(people):
            return
        seen = today[people]
        open_ = world.wanted(people) & books.able[world.campaign]
        open_ &= (seen < (house.cap or 10**9))[:, world.campaign]
        bids = house.bidding(world.value, house.rule)
        if house.pacing == "throttle":
            open_ &= takes_part(taking, visit.rng.random((len(people), world.campaigns)))[:, world.campaign]
        elif house.pacing == "shade":
            bids = shaded(bids, taking)
        chance = world.clicks(people, self._fatigue.of(people, at))
        _one_per_campaign(open_, chance, world.campaign)
        amount = np.where(open_, bids[world.campaign], 0)
        sale = sell(house.rule, Bids.of(amount, chance), EFFECTS, reserve=house.reserve)
        self._show(visit, sale.winners, sale.prices, chances=sale.clicks, books=books, today=today)

    def _show(
        self, visit: "_Visit", winners: Rows, prices: Micros, *, chances: Floats, books: "_Books", today: Rows
    ) -> None:
        taken = winners != NOBODY
        who = np.broadcast_to(visit.people[:, None], winners.shape)[taken]
        campaigns, price, chance = self.world.campaign[winners[taken]], prices[taken], chances[taken]
        clicked = visit.rng.random(len(who)) < chance
        times = np.minimum(today[who, campaigns], 5)
        np.add.at(books.day.shown, times, 1)
        np.add.at(books.day.clicked, times[clicked], 1)
        np.add.at(today, (who, campaigns), 1)
        books.day.welfare += int(self.world.value[campaigns[clicked]].sum())
        books.day.predicted += float(chance.sum())
        self._fatigue.add(who, campaigns, visit.at)
        late = np.minimum(visit.rng.exponential(_DELAY, int(clicked.sum())).astype(int), 79)
        np.add.at(books.due, (visit.step + late, campaigns[clicked]), price[clicked])
        np.add.at(books.expected, campaigns, price * chance)


@dataclass(eq=False)
class _Visit:
    """The requests of one step of a day."""

    number: int
    step: int
    people: Rows
    rng: np.random.Generator

    @property
    def at(self) -> int:
        return self.number * DAY_US + self.step * (DAY_US // STEPS)


@dataclass(eq=False)
class _Books:
    """What has been spent and what is to come."""

    day: Day
    due: Micros
    expected: Floats
    coming: Floats = field(default_factory=lambda: np.empty(0))

    def __post_init__(self) -> None:
        self.coming = np.zeros(len(self.expected))

    @property
    def able(self) -> Flags:
        """Which campaigns have budget left, beside what is to come."""
        return np.asarray(self.day.spent + self.coming < self.day.budgets)

    def charge(self, step: int) -> None:
        """The clicks that come now, as far as budgets allow; what showings of this step are expected to bring."""
        paid = np.minimum(self.due[step], self.day.budgets - self.day.spent)
        self.day.spent += paid
        self.day.free += int((self.due[step] - paid).sum())
        # A showing that has not been clicked for so long will hardly be.
        self.coming = (self.coming + self.expected) * np.exp(-1 / _DELAY)
        self.expected = np.zeros_like(self.expected)


def _one_per_campaign(open_: Flags, chance: Floats, campaign: Rows) -> None:
    """Of the ads of a campaign only the one most likely clicked takes part; they are three, side by side."""
    mine = np.where(open_, chance, -1.0).reshape(len(open_), -1, 3)
    best = mine == mine.max(axis=2, keepdims=True)
    open_ &= best.reshape(open_.shape)
