"""Where ads stand among other items, and next to whom."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from winnow.core.errors import InputError
from winnow.market.auction import Bids, sell
from winnow.market.slots import AdLoad, apart, woven

loads = st.builds(
    AdLoad, at_most=st.integers(1, 4), per=st.integers(1, 10), first=st.integers(1, 6), gap=st.integers(0, 5)
)


@pytest.mark.parametrize("wrong", [{"at_most": 0}, {"per": 0}, {"first": 0}, {"gap": -1}])
def test_an_ad_load_that_makes_no_sense_is_refused(wrong):
    with pytest.raises(InputError, match="bad-load"):
        AdLoad(**wrong)


@given(loads, st.integers(0, 40))
def test_the_load_is_kept(load, items):
    before = load.before(items)
    assert (before >= load.first - 1).all()
    assert (before <= items).all()
    assert (np.diff(before) >= load.gap).all()
    assert (before[load.at_most :] - before[: -load.at_most or None][: len(before[load.at_most :])] >= load.per).all()
    # No place was left out that would have been allowed.
    for place in range(load.first - 1, items + 1):
        fits = [p for p in before if p <= place]
        if place in before or len(before) > items:
            continue
        too_near = bool(fits) and place - fits[-1] < load.gap
        too_many = len(fits) >= load.at_most and place - fits[-load.at_most] < load.per
        assert too_near or too_many


def test_ads_and_items_are_woven():
    merged, places = woven(np.arange(100, 108), np.array([1, 2, 3]), AdLoad(at_most=1, per=4, first=2))
    assert merged.tolist() == [100, 1, 101, 102, 103, 104, 2, 105, 106, 107]
    assert merged[places].tolist() == [1, 2]
    assert AdLoad(at_most=1, per=4, first=2).positions(8).tolist() == places.tolist()


def test_a_list_that_is_too_short_has_no_ad():
    merged, places = woven(np.array([7]), np.array([1]), AdLoad(first=3))
    assert merged.tolist() == [7]
    assert places.tolist() == []


def test_neighbours_share_no_advertiser_and_no_category():
    scores = np.array([9.0, 8.0, 7.0, 6.0, 5.0])
    groups = np.array([[1, 10], [1, 11], [2, 10], [3, 12], [-1, -1]])
    slots = apart(scores, groups, 5)
    # 0 is followed by neither 1 (advertiser) nor 2 (category).
    assert slots.winners[0].tolist() == [0, 3, 1, 2, 4]
    assert slots.rivals[0].tolist() == [8.0, 5.0, 7.0, 5.0, 0.0]


def test_who_may_not_follow_does_not_bid_the_price_up():
    bids = Bids.of([9_000_000, 8_000_000, 3_000_000], 0.1)
    sale = sell("second", bids, [1, 0.5], slots=apart(bids.scores(0)[0], np.array([[1], [1], [2]]), 2))
    assert sale.winners[0].tolist() == [0, 2]
    assert sale.prices[0].tolist() == [8_000_000, 0]


def test_a_slot_that_nobody_may_take_ends_the_list():
    assert apart(np.array([3.0, 2.0]), np.array([[1], [1]]), 3).winners[0].tolist() == [0, -1, -1]
    assert apart(np.empty(0), np.empty((0, 1), np.int64), 2).winners[0].tolist() == [-1, -1]


@given(st.lists(st.tuples(st.floats(0, 10), st.integers(-1, 3), st.integers(-1, 2)), max_size=12), st.integers(1, 6))
def test_without_groups_the_order_is_that_of_scores(ads, slots):
    scores, groups = np.array([a[0] for a in ads]), np.array([a[1:] for a in ads], np.int64).reshape(len(ads), 2)
    found = apart(scores, groups, slots).winners[0]
    taken = found[found >= 0]
    for one, next_ in pairwise(taken.tolist()):
        assert not ((groups[one] == groups[next_]) & (groups[one] >= 0)).any()
    free = apart(scores, np.full_like(groups, -1), slots).winners[0]
    assert free[free >= 0].tolist() == [i for i in np.argsort(-scores, kind="stable") if scores[i] > 0][:slots]
