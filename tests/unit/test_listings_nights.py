"""Which nights are free: the column's values, and the bitmaps that a stay is found by."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from winnow.data.nights import MOST, date_of, day_of, malformed, read, written
from winnow.features.nights import Nights

START = day_of("2026-07-01")


def late_by_now():
    """The present."""
    return (START + 1_000) * 86_400_000_000


@given(st.integers(0, 30_000), st.lists(st.booleans(), max_size=400))
def test_a_value_says_what_was_written(first, free):
    day, found = read(written(date_of(first), free))
    padded = np.zeros(max(len(found), len(free)), bool)
    padded[: len(free)] = free
    assert day == first
    assert np.array_equal(np.pad(found, (0, len(padded) - len(found))), padded)


BROKEN = ["soon ff", "2026-07-01", "2026-07-01 ", "2026-07-01 xy", "2026-02-30 f", "ff", "2026-07-01 f f"]


@pytest.mark.parametrize("text", [*BROKEN, "2026-07-01 -1", "2026-07-01 " + "f" * (MOST // 4 + 1)])
def test_what_is_no_calendar_is_told(text):
    with pytest.raises(ValueError):
        read(text)
    assert malformed([text, None, "", "2026-07-01 f"]).tolist() == [True, False, False, False]


calendars = st.lists(
    st.tuples(st.integers(0, 70), st.integers(0, 40), st.lists(st.booleans(), min_size=1, max_size=30)), max_size=40
)


@settings(deadline=None)
@given(calendars, st.integers(-5, 80), st.integers(0, 12), st.sampled_from([1, 7, 8, 9, 64, 2000]))
def test_a_stay_finds_the_rows_that_a_list_of_nights_finds(changes, first, nights, size):
    kept, told = Nights(128, clock=late_by_now), {}
    for row, after, free in changes:
        kept.put(np.array([row]), [written(date_of(START + after), free)])
        told[row] = {START + after + i for i, one in enumerate(free) if one}
    stay = set(range(START + first, START + first + nights))
    expected = [row in told and stay <= told[row] and bool(stay) for row in range(size)]
    assert kept.free(START + first, START + first + nights, size).tolist() == expected
    assert all(kept.of(row) == sorted(days) for row, days in told.items())


def test_many_rows_at_once_are_as_one_after_the_other():
    rng = np.random.default_rng(0)
    rows = rng.integers(0, 900, 3_000)
    texts = [written(date_of(START + int(rng.integers(3))), rng.random(20) < 0.6) for _ in rows]
    together, apart = Nights(64, clock=late_by_now), Nights(64, clock=late_by_now)
    together.put(rows, texts)
    for row, text in zip(rows, texts, strict=True):
        apart.put(np.array([row]), [text])
    for first in range(START, START + 20):
        assert np.array_equal(together.free(first, first + 2, 1_000), apart.free(first, first + 2, 1_000))


def test_a_later_night_takes_the_place_of_the_earliest():
    kept = Nights(10, clock=late_by_now)
    kept.put(np.array([0, 1]), [written(date_of(START), [1] * 10), written(date_of(START + 4), [1] * 10)])
    assert not kept.free(START, START + 1, 2).any()  # forgotten
    assert kept.free(START + 4, START + 10, 2).tolist() == [True, True]
    assert kept.free(START + 9, START + 12, 2).tolist() == [False, True]
    kept.put(np.array([0]), [written(date_of(START - 3), [1] * 5)])  # of the past: nothing is left of it
    assert kept.of(0) == []
    assert kept.free(START + 4, START + 10, 2).tolist() == [False, True]


def test_a_calendar_of_another_age_takes_nobodys_place():
    kept = Nights(10, clock=lambda: START * 86_400_000_000)
    kept.put(np.array([0]), [written(date_of(START), [1] * 4)])
    kept.put(np.array([1]), [written("2990-01-01", [1] * 10)])
    assert kept.free(START, START + 4, 2).tolist() == [True, False]
    assert kept.of(1) == []
    kept.put(np.array([1]), [written(date_of(START + 8), [1] * 4)])
    assert kept.of(1) == [START + 8, START + 9]


def test_what_is_not_told_is_not_free():
    kept = Nights(32, clock=late_by_now)
    kept.put(np.array([0, 1, 2]), ["2026-07-01 f", None, "no calendar"])
    assert kept.free(START, START + 4, 5).tolist() == [True, False, False, False, False]
    assert not kept.free(START, START + 5, 5).any()
    assert not kept.free(START, START + 40, 5).any()  # longer than anything that is kept
    assert not kept.free(START, START, 5).any()
    kept.put(np.array([0]), [None])
    assert not kept.free(START, START + 1, 5).any()


def test_memory_is_a_bit_for_each_row_and_night():
    kept = Nights(400, clock=late_by_now)
    kept.put(np.array([99_999]), ["2026-07-01 f"])
    assert kept.bytes == 400 * 12_500
