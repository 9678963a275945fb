from datetime import timedelta

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from winnow.retrieval.popularity import Popularity

DAY = 86_400_000_000


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 4_000)), max_size=40), st.integers(1, 4))
@settings(deadline=None)
def test_scores_equal_the_sum_whatever_the_order_and_the_batches(events, batches):
    """Also when 4,000 half-lives lie between events."""
    popular = Popularity(timedelta(days=1), 6)
    rows, at = (np.array([e[i] for e in events], np.int64) for i in (0, 1))
    for part in np.array_split(np.arange(len(events)), batches):
        popular.add(rows[part], at[part] * DAY)
    now = 4_000 * DAY
    expected = [sum(2.0 ** (day - 4_000) for row, day in events if row == i) for i in range(6)]
    np.testing.assert_allclose(popular.scores(now), expected, rtol=1e-5, atol=1e-38)


def test_top_is_sorted_filtered_and_leaves_out_what_nobody_watched():
    popular = Popularity(timedelta(days=1), 10)
    popular.add(np.array([3, 3, 5, 12, -1]), np.zeros(5, np.int64), np.array([1.0, 1, 5, 1, 100]))
    assert popular.top(9).tolist() == [5, 3, 12]
    assert popular.top(2).tolist() == [5, 3]
    assert popular.top(9, np.arange(4) == 3).tolist() == [3]
    assert popular.top(9, np.zeros(20, np.bool_)).tolist() == []
    assert len(popular.scores(0)) == 13


def test_newer_beats_older():
    popular = Popularity(timedelta(days=1))
    popular.add(np.array([0, 0, 1]), np.array([0, 0, 3 * DAY]))
    assert popular.top(2).tolist() == [1, 0]
    assert popular.scores(3 * DAY).tolist() == pytest.approx([0.25, 1.0])


def test_nothing_is_popular_before_the_first_event():
    assert Popularity(timedelta(days=1)).top(5).tolist() == []
    assert Popularity(timedelta(days=1), 3).scores(5).tolist() == [0, 0, 0]
