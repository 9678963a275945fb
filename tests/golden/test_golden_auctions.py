"""Auctions whose outcome was computed by hand, most of them in the literature."""

import numpy as np
import pytest

from winnow.market.auction import Bids, sell

UNIT = 1_000_000


def paid(rule, bids, effects, *, quality=1.0, reserve=0, bonus=0.0):
    sale = sell(rule, Bids.of(np.array(bids) * UNIT, quality, bonus), effects, reserve=reserve)
    return sale.winners[0].tolist(), sale.prices[0].tolist(), float(sale.revenue()[0])


def test_three_bidders_and_two_slots_of_200_and_100_clicks():
    """Edelman, Ostrovsky and Schwarz 2007: values 10, 4, 2; GSP takes 800 + 200, VCG 600 + 200."""
    assert paid("first", [10, 4, 2], [1, 0.5]) == ([0, 1], [10 * UNIT, 4 * UNIT], 12 * UNIT)
    assert paid("second", [10, 4, 2], [1, 0.5]) == ([0, 1], [4 * UNIT, 2 * UNIT], 5 * UNIT)  # x 200 clicks: 1000
    assert paid("vcg", [10, 4, 2], [1, 0.5]) == ([0, 1], [3 * UNIT, 2 * UNIT], 4 * UNIT)  # x 200 clicks: 800


def test_one_slot_is_a_second_price_auction_by_either_rule():
    for rule in ("second", "vcg"):
        assert paid(rule, [3, 7, 5], [0.8])[:2] == ([1], [5 * UNIT])


def test_quality_decides_and_the_price_is_what_keeps_the_slot():
    """Bid 2 at quality .2 beats bid 3 at .1: it pays .3 / .2 = 1.5; the other pays nothing but the reserve."""
    assert paid("second", [3, 2], [1, 1], quality=[0.1, 0.2])[:2] == ([1, 0], [1_500_000, 0])
    assert paid("second", [3, 2], [1, 1], quality=[0.1, 0.2], reserve=UNIT)[:2] == ([1, 0], [1_500_000, UNIT])


def test_prices_are_rounded_up_to_the_micro():
    """1 x .1 / .3 = 333,333.33… micros; a quotient that is whole stays what it is."""
    assert paid("second", [1, 1], [1], quality=[0.1, 0.3])[1] == [333_334]
    assert paid("second", [7, 7], [1], quality=[0.1, 0.1])[1] == [7 * UNIT]


def test_the_reserve_prices_the_last_and_shuts_out_the_low():
    assert paid("second", [10, 4, 2], [1, 0.5, 0.25], reserve=3 * UNIT) == (
        [0, 1, -1],
        [4 * UNIT, 3 * UNIT, 0],
        5.5 * UNIT,
    )
    # (1 - .5) x 4 + .5 x 3 for the first slot, which has effect 1.
    assert paid("vcg", [10, 4, 2], [1, 0.5, 0.25], reserve=3 * UNIT)[1] == [3_500_000, 3 * UNIT, 0]


def test_equal_bids_go_in_the_order_given_and_pay_their_bid():
    assert paid("second", [5, 5, 5], [1, 0.5])[:2] == ([0, 1], [5 * UNIT, 5 * UNIT])


def test_a_penalty_lowers_the_rank_and_raises_the_price():
    """Score .1 x 10 - .5 = .5 per showing against .3: the price is (.3 + .5) / .1 = 8."""
    bids = paid("second", [10, 3], [1], quality=0.1, bonus=np.array([-0.5, 0.0]) * UNIT)
    assert bids[:2] == ([0], [8 * UNIT])


def test_an_ad_whose_penalty_exceeds_its_bid_is_not_shown():
    assert paid("vcg", [10, 3], [1, 0.5], quality=0.1, bonus=np.array([-1.0, 0.0]) * UNIT)[0] == [1, -1]


@pytest.mark.parametrize("rule", ["first", "second", "vcg"])
def test_nobody_bids(rule):
    assert paid(rule, [0, 0], [1, 0.5]) == ([-1, -1], [0, 0], 0.0)
