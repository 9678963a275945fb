"""Budgets: what is refused, and what is left of them."""

import pytest

from winnow.core.errors import InputError
from winnow.market.budget import DAY_US, ENDLESS, Budget, currency_of


def budget(**given):
    return Budget(**{"campaign": "shoes", "currency": "EUR", "daily": 5_000_000} | given)


@pytest.mark.parametrize(
    ("given", "code"),
    [
        ({"daily": 0}, "no-budget"),
        ({"daily": 5, "lifetime": 0}, "no-budget"),
        ({"daily": None}, "no-budget"),
        ({"daily": -1}, "negative-money"),
        ({"daily": 1.5}, "not-whole-micros"),
        ({"starts_at": 10, "ends_at": 10}, "ends-before-start"),
        ({"starts_at": 10, "ends_at": 9}, "ends-before-start"),
        ({"currency": "euro"}, "bad-currency"),
    ],
)
def test_a_budget_that_makes_no_sense_is_refused(given, code):
    with pytest.raises(InputError) as caught:
        budget(**given)
    assert caught.value.code == code


def test_every_mistake_is_told_at_once():
    with pytest.raises(InputError) as caught:
        budget(daily=0, ends_at=-1)
    assert [p.code for p in caught.value.problems] == ["no-budget", "ends-before-start"]


def test_budgets_of_two_currencies_do_not_mix():
    assert currency_of([budget(), budget()]) == "EUR"
    with pytest.raises(InputError, match="currency-mix"):
        currency_of([budget(), budget(currency="USD")])


def test_what_is_left_is_the_smaller_of_day_and_life():
    both = budget(daily=10, lifetime=25)
    assert both.left(0, 0) == 10
    assert both.left(4, 4) == 6
    assert both.left(0, 20) == 5
    assert both.left(11, 11) == 0
    assert budget(daily=None, lifetime=25).left(20, 20) == 5
    assert budget(daily=10).left(0, 10**15) == 10


def test_a_lifetime_budget_is_spread_over_the_days_that_remain():
    ten = budget(daily=None, lifetime=100, starts_at=0, ends_at=10 * DAY_US)
    assert ten.for_day(0, 0) == 10
    assert ten.for_day(9, 40) == 60
    assert ten.for_day(5, 100) == 0
    assert budget(daily=30, lifetime=100).for_day(3, 90) == 10
    assert budget(daily=None, lifetime=100).for_day(3, 40) == 60  # without an end, all of it
    assert budget(daily=30).for_day(3, 10**15) == 30


def test_days_begin_when_the_advertiser_says():
    east = budget(midnight_us=-2 * DAY_US // 24)
    assert east.day(22 * DAY_US // 24 - 1) == 0
    assert east.day(22 * DAY_US // 24) == 1
    assert east.begins(1) == 22 * DAY_US // 24


def test_a_campaign_runs_from_its_start_until_before_its_end():
    assert [budget(starts_at=5, ends_at=7).runs(at) for at in (4, 5, 6, 7)] == [False, True, True, False]
    assert budget().runs(ENDLESS - 1)
