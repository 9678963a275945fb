"""A day of requests, shown ads and late clicks: budgets end within 2 %, never over, and not before the evening."""

from dataclasses import dataclass

import numpy as np
import pytest

from winnow.core.errors import InputError
from winnow.market.pacing import Curve, Pacer, Traffic, shaded, takes_part

PARTS, STEPS, C = 96, 288, 30


def daily_curve(total):
    t = np.arange(PARTS) / PARTS
    rate = 1 + 0.8 * np.sin(2 * np.pi * (t - 0.35)) + 0.3 * np.sin(4 * np.pi * t)
    return rate / rate.sum() * total


@dataclass
class Day:
    """One day in steps of five minutes; every campaign could spend three times its budget.

    Args:
        level: its traffic beside that of past days.
        spike: factor on the traffic of an hour in the afternoon.
        delay: mean time from a showing to its click, steps.
        bias: what the predicted chance of a click is beside the true one.
    """

    mode: str = "throttle"
    level: float = 1.0
    spike: float = 1.0
    delay: float = 4.0
    bias: float = 1.0
    paced: bool = True

    def run(self, seed=1, total=600_000):
        rng = np.random.default_rng(seed)
        curve = Curve.of(np.stack([rng.poisson(daily_curve(total)) for _ in range(5)]))
        rate = np.repeat(daily_curve(total), STEPS // PARTS) / (STEPS // PARTS) * self.level
        rate[160:172] *= self.spike
        traffic = rng.poisson(rate)
        share, ctr = rng.uniform(0.1, 0.3, C), rng.uniform(0.02, 0.05, C)
        price = rng.integers(200_000, 2_000_000, C)
        budgets = (total * share * ctr * price / 3).astype(np.int64)
        pacer = Pacer(budgets, Traffic(curve), self.mode)
        charged, free = np.zeros((STEPS + 600, C)), np.zeros(C)
        clicks, coming, taking = np.zeros((STEPS + 600, C)), np.zeros(C), pacer.participation
        for step in range(STEPS + 599):
            if step < STEPS:
                # A shaded bid wins less often and pays less: spend falls faster than the bid.
                wins = taking if self.mode == "throttle" else taking**1.5
                paid = price if self.mode == "throttle" else shaded(price, taking)
                shown = rng.binomial(traffic[step], share * wins * (charged[step] + coming < budgets))
                for c, n in enumerate(rng.binomial(shown, ctr)):
                    np.add.at(clicks[:, c], step + rng.exponential(self.delay, n).astype(int), paid[c])
                coming = coming * np.exp(-1 / self.delay) + shown * ctr * paid * self.bias
            due = clicks[step]
            taken = np.minimum(due, budgets - charged[step])
            free += due - taken
            charged[step + 1] = charged[step] + taken
            if step < STEPS and self.paced:
                taking = pacer.step((step + 1) / STEPS, traffic[step], charged[step + 1] + coming)
            elif step < STEPS:
                taking = np.ones(C)
        return Result(budgets, charged[: STEPS + 1], charged[-1], free, traffic)


@dataclass
class Result:
    budgets: np.ndarray
    course: np.ndarray
    spent: np.ndarray
    free: np.ndarray
    traffic: np.ndarray

    def uneven(self):
        """The farthest that the share of the budget spent is from the share of the traffic seen, per campaign."""
        seen = np.append(0, self.traffic.cumsum()) / self.traffic.sum()
        return np.abs(self.course / self.budgets - seen[:, None]).max(axis=0)


@pytest.mark.parametrize(
    "day",
    [
        Day(), Day(spike=3), Day(spike=8), Day(level=1.5), Day(level=0.7), Day(bias=1.3), Day(bias=0.7), Day(delay=12),
        Day(spike=3, delay=12, level=1.3), Day(mode="shade"), Day(mode="shade", spike=3), Day(mode="shade", level=0.7),
    ],
    ids=str,
)  # fmt: skip
def test_at_the_end_of_the_day_the_budget_is_spent_within_two_per_cent_and_never_over(day):
    result = day.run()
    assert (result.spent <= result.budgets).all()
    assert (result.spent >= 0.98 * result.budgets).all()
    assert (result.free <= 0.03 * result.budgets).all()
    assert np.median(result.uneven()) < 0.15


def test_without_pacing_budgets_are_gone_long_before_the_evening():
    result = Day(paced=False).run()
    assert np.median(result.uneven()) > 0.4


def test_the_curve_is_the_mean_of_days_with_traffic():
    curve = Curve.of(np.array([[0, 0, 0, 0], [4, 0, 2, 2], [2, 2, 0, 0]]))
    assert curve.until.tolist() == [0, 3, 4, 5, 6]
    assert curve.all_day == 6
    assert curve.seen(0.25) == 3
    assert curve.seen(0.375) == 3.5
    assert Curve.flat(10, 4).seen(0.5) == 5
    with pytest.raises(InputError, match="no-traffic"):
        Curve.of(np.zeros((3, 4)))


def test_traffic_is_forecast_as_high_as_the_day_so_far():
    quiet, busy = Traffic(Curve.flat(960)), Traffic(Curve.flat(960))
    for i in range(48):
        quiet.step((i + 1) / 96, 5)
        busy.step((i + 1) / 96, 20)
    assert quiet.left() == pytest.approx(240, rel=0.2)
    assert busy.left() == pytest.approx(960, rel=0.2)


def test_a_campaign_without_money_takes_no_part_and_a_rich_one_always_does():
    pacer = Pacer(np.array([0, 10**9, 1_000]), Traffic(Curve.flat(960)))
    spent = np.zeros(3)
    for i in range(20):
        taking = pacer.step((i + 1) / 96, 10, spent)
        spent += taking * 10 * np.array([0, 100, 100])
    assert taking[0] == 0
    assert taking[1] == 1
    assert 0 < taking[2] < 0.05


def test_yesterdays_cost_sets_the_start():
    cost = np.array([100.0, 0.0])
    pacer = Pacer(np.array([9_600, 9_600]), Traffic(Curve.flat(960)), cost=cost)
    assert pacer.participation.tolist() == [pytest.approx(0.1), 0.5]


def test_throttling_is_by_chance_and_shading_by_the_bid():
    participation = np.array([0.0, 0.5, 1.0])
    assert takes_part(participation, np.array([0.0, 0.49, 0.999])).tolist() == [False, True, True]
    assert not takes_part(participation, np.array([0.0, 0.5, 0.5]))[1]
    assert shaded(np.array([9, 9, 9]), participation).tolist() == [0, 4, 9]
