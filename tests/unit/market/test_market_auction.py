"""What an auction refuses, and batches of auctions."""

import numpy as np
import pytest

from winnow.core.errors import InputError
from winnow.market.auction import Bids, sell


@pytest.mark.parametrize(
    ("make", "code"),
    [
        (lambda: Bids.of([5, -1]), "negative-money"),
        (lambda: Bids.of([5.5]), "not-whole-micros"),
        (lambda: Bids.of([10**12 + 1]), "money-overflow"),
        (lambda: Bids.of([5], [1.5]), "bad-quality"),
        (lambda: Bids.of([5], [np.nan]), "bad-quality"),
        (lambda: Bids.of([5], [0.5], [np.inf]), "bad-quality"),
        (lambda: sell("second", Bids.of([5]), [0.5, 0.6]), "bad-effects"),
        (lambda: sell("second", Bids.of([5]), []), "bad-effects"),
        (lambda: sell("second", Bids.of([5]), [1, 0]), "bad-effects"),
        (lambda: sell("second", Bids.of([5]), [1.1]), "bad-effects"),
        (lambda: sell("second", Bids.of([5]), [1], reserve=-1), "negative-money"),
        (lambda: sell("third", Bids.of([5]), [1]), "unknown-rule"),
    ],
)
def test_what_is_no_auction_is_refused(make, code):
    with pytest.raises(InputError) as caught:
        make()
    assert caught.value.code == code


@pytest.mark.parametrize("rule", ["first", "second", "vcg"])
def test_a_batch_is_its_auctions_one_by_one(rule):
    rng = np.random.default_rng(3)
    amount, quality = rng.integers(0, 3_000_000, (50, 7)), rng.uniform(0, 0.3, (50, 7))
    effects = [1, 0.7, 0.7, 0.2]
    all_ = sell(rule, Bids.of(amount, quality), effects, reserve=200_000)
    for i in range(50):
        one = sell(rule, Bids.of(amount[i], quality[i]), effects, reserve=200_000)
        assert (one.winners[0] == all_.winners[i]).all()
        assert (one.prices[0] == all_.prices[i]).all()


def test_there_are_more_slots_than_ads():
    sale = sell("vcg", Bids.of([3_000_000]), [1, 0.5, 0.2])
    assert sale.winners.tolist() == [[0, -1, -1]]
    assert sale.prices.tolist() == [[0, 0, 0]]
