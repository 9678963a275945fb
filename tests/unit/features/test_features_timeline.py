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


def test_find_of_many_close_queries_in_any_order() -> None:
    ordered = np.sort(random.integers(0, 1_000_000, 300_000))
    wanted = random.integers(-5, 1_000_005, 20_000)
    for some in (wanted, np.sort(wanted), np.zeros(5000, np.int64), np.full(5000, 2_000_000)):
        np.testing.assert_array_equal(find(ordered, some), np.searchsorted(ordered, some))


def test_by_time_orders_ties_by_the_log() -> None:
    order = by_time(np.array([5, 3, 5, 5]), np.array([9, 8, 2, 4]))
    assert order is not None
    assert order.tolist() == [1, 2, 3, 0]
    assert by_time(np.array([3, 5, 5, 5]), np.array([9, 2, 4, 9])) is None


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
    line = Timeline(codes, places, size=50)
    for code, place in zip(random.integers(0, 7, 40), random.integers(0, 51, 40), strict=True):
        found = line.before(np.array([code]), np.array([place]))[0] - line.before(np.array([code]), 0)[0]
        assert found == ((codes == code) & (places < place)).sum()


def test_timeline_gives_back_keys_and_places() -> None:
    line = Timeline(np.array([2, 0, 2, 1]), None, size=4)
    assert (line.codes(slice(None)).tolist(), line.places(slice(None)).tolist()) == ([0, 1, 2, 2], [1, 3, 0, 2])
    assert line.column(lambda place: place * 10).tolist() == [10, 30, 0, 20]
    assert line.kept(lambda place: place != 3).codes(slice(None)).tolist() == [0, 2, 2]


@pytest.mark.parametrize("size", [10, 1 << 60])
def test_codes_of_pairs(size: int) -> None:
    """With and without room for a place beside the packed pair."""
    codes = Codes((np.array([3, 0, 3]), np.array([1, 2, 1])), size)
    own = codes.take().tolist()
    assert own[0] == own[2] != own[1]
    asked = codes.encode((np.array([3, 0, 0, -1, 99, 3]), np.array([1, 2, 1, 1, 0, 99])))
    assert [c if c in own else -1 for c in asked.tolist()] == [own[0], own[1], -1, -1, -1, -1]


def test_codes_of_nothing() -> None:
    none = np.empty(0, np.int64)
    assert Codes((none, none), 5).encode((np.array([0, -1]), np.array([0, 0]))).tolist() == [-1, -1]


def test_ragged_of_nothing() -> None:
    assert [a.tolist() for a in ragged(np.array([0, 0]))] == [[], []]
