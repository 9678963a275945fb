"""Sorted composites against the obvious loops."""

import numpy as np
import pytest

from winnow.features.timeline import Codes, Places, Timeline, by_time, distinct, find, ragged

random = np.random.default_rng(0)


@pytest.mark.parametrize("size", [0, 3, 5000])
def test_find_is_searchsorted(size: int) -> None:
    ordered, wanted = np.sort(random.integers(0, 100, 400)), random.integers(-5, 105, size)
    np.testing.assert_array_equal(find(ordered, wanted), np.searchsorted(ordered, wanted))


@pytest.mark.parametrize("values", [[], [3], [2, 2, 1, 2]])
def test_distinct_is_unique(values: list[int]) -> None:
    array = np.array(values, np.int64)
    np.testing.assert_array_equal(distinct(array), np.unique(array))


def test_by_time_orders_ties_by_the_log() -> None:
    assert by_time(np.array([5, 3, 5, 5]), np.array([9, 8, 2, 4])).tolist() == [1, 2, 3, 0]


def test_places_count_what_came_before() -> None:
    places = Places(np.array([10, 20, 20, 30]), np.array([4, 1, 7, 2]))
    assert places.at(np.array([10, 11, 20, 21, 99])).tolist() == [0, 1, 1, 3, 4]
    asked, seqs = np.array([20, 20, 20, 20, 30, 25, 5, 99]), np.array([0, 1, 2, 99, 3, 0, 99, 0])
    assert places.of(asked, seqs).tolist() == [1, 1, 2, 3, 4, 3, 0, 4]


def test_places_of_nothing() -> None:
    none = np.empty(0, np.int64)
    places = Places(none, none)
    assert places.at(np.array([1])).tolist() == [0]
    assert places.of(np.array([1]), np.array([1])).tolist() == [0]


def test_timeline_counts_by_key_and_place() -> None:
    codes, places = random.integers(0, 7, 300), random.integers(0, 50, 300)
    line = Timeline(codes, places, n_codes=7, size=50)
    for code, place in zip(random.integers(0, 7, 40), random.integers(0, 51, 40), strict=True):
        found = line.before(np.array([code]), np.array([place]))[0] - line.starts[code]
        assert found == ((codes == code) & (places < place)).sum()


def test_timeline_sorts_numbers_that_leave_no_room_for_positions() -> None:
    codes = np.array([2**40, 1, 2**40])
    line = Timeline(codes[:2] % 3, np.array([2**59, 5]), n_codes=3, size=2**60 - 1)
    assert line.order.tolist() == [0, 1] or line.order.tolist() == [1, 0]
    assert line.before(np.array([1]), np.array([6]))[0] - line.starts[1] >= 1


def test_codes_of_pairs() -> None:
    codes = Codes((np.array([3, 0, 3]), np.array([1, 2, 1])))
    assert codes.size == 2
    asked = codes.encode((np.array([3, 0, 0, -1, 99, 3]), np.array([1, 2, 1, 1, 0, 99])))
    assert asked.tolist() == [codes.codes[0], codes.codes[1], -1, -1, -1, -1]


def test_ragged_of_nothing() -> None:
    assert [a.tolist() for a in ragged(np.array([0, 0]))] == [[], []]
