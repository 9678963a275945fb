"""What lies around a place, against measuring the way to everything."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from winnow.features.place import kilometres
from winnow.retrieval.cells import Spots, cell, runs

MINUTE = 60_000_000
MIDDLES = [(0.0, 0.0), (52.5, 13.4), (-33.9, 151.2), (0.01, 179.99), (-17.8, -179.99), (89.97, 20.0), (-90.0, 0.0),
           (64.1, 180.0), (90.0, -180.0)]  # fmt: skip


def town(middle, size, seed, wide=0.3):
    """Spots about a place, some of them across the date line or beyond the pole."""
    rng = np.random.default_rng(seed)
    narrow = max(np.cos(np.radians(middle[0])), 0.01)
    lat = np.clip(middle[0] + rng.normal(0, wide, size), -90, 90)
    lon = (middle[1] + rng.normal(0, wide / narrow, size) + 540) % 360 - 180
    return lat, lon, rng.integers(0, 100, size) * MINUTE


def measured(at, lat, lon):
    return kilometres((np.array([at[0]]), np.array([at[1]])), (lat, lon))


@given(st.sampled_from(MIDDLES), st.integers(0, 10_000), st.sampled_from([0.3, 1.0, 7.0, 50.0, 400.0]))
@settings(max_examples=150, deadline=None)
def test_all_within_a_circle_are_found_and_nothing_else(middle, seed, km):
    lat, lon, times = town(middle, 150, seed)
    rng = np.random.default_rng(seed)
    at = float(np.clip(middle[0] + rng.normal(0, 0.2), -90, 90)), (middle[1] + rng.normal(0, 0.3) + 540) % 360 - 180
    found = Spots.of(np.arange(150), lat, lon, times).around(*at, km=km, after=50 * MINUTE, enough=10**9)
    far = measured(at, lat, lon)
    doubtful = np.flatnonzero(abs(far - km) < 1e-6)
    expected = np.flatnonzero((far <= km) & (times > 50 * MINUTE))
    assert set(found.rows.tolist()) ^ set(expected.tolist()) <= set(doubtful.tolist())
    assert len(np.unique(found.rows)) == len(found.rows)
    np.testing.assert_allclose(found.km, far[found.rows], atol=1e-6)
    assert np.array_equal(found.times, times[found.rows])


@given(st.sampled_from(MIDDLES), st.integers(0, 10_000), st.integers(1, 200))
@settings(max_examples=80, deadline=None)
def test_the_nearest_are_among_those_that_are_enough(middle, seed, enough):
    lat, lon, times = town(middle, 300, seed)
    found = Spots.of(np.arange(300), lat, lon, times).around(*middle, km=60, after=-1, enough=enough)
    far = measured(middle, lat, lon)
    nearest = np.argsort(far, kind="stable")[:enough]
    inside = nearest[far[nearest] < 60 - 1e-6]
    assert set(inside.tolist()) <= set(found.rows.tolist())


def test_of_a_crowded_cell_the_soonest_stand_for_it():
    lat, lon = np.full(5_000, 48.2), np.full(5_000, 16.37)
    times = np.random.default_rng(0).permutation(5_000) * MINUTE
    spots = Spots.of(np.arange(5_000), lat, lon, times)
    found = spots.around(48.21, 16.37, km=5, after=-1, enough=10, most=100)
    assert sorted(found.times.tolist()) == [i * MINUTE for i in range(100)]


def test_spots_that_nobody_knows_are_left_out_and_there_may_be_none():
    lat, lon = np.array([np.nan, 1.0, 1.0]), np.array([1.0, np.nan, 1.0])
    spots = Spots.of(np.array([7, 8, 9]), lat, lon, np.zeros(3, np.int64))
    assert spots.around(1.0, 1.0, km=1, after=-1, enough=5).rows.tolist() == [9]
    none = Spots.of(np.empty(0, np.int64), np.empty(0), np.empty(0), np.empty(0, np.int64))
    assert len(none.around(1.0, 1.0, km=100, after=0, enough=5).rows) == 0


@pytest.mark.parametrize("lat", [0.0, 35.0, 60.0, 85.0])
def test_cells_are_about_a_square_kilometre_wherever_they_lie(lat):
    step = np.linspace(0, 1, 200_001)
    across = len(np.unique(cell(np.full(len(step), lat), 10 + step)))
    wide = float(measured((lat, 10.0), np.array([lat]), np.array([11.0]))[0])
    assert across == pytest.approx(wide, abs=3)
    high = len(np.unique(cell(np.clip(lat + step, -90, 90), np.full(len(step), 10.0))))
    assert high == pytest.approx(111.2, abs=3)


def test_runs_of_whole_numbers():
    assert runs(np.array([3, 0, 9]), np.array([2, 0, 1])).tolist() == [3, 4, 9]
    assert len(runs(np.empty(0, np.int64), np.empty(0, np.int64))) == 0
