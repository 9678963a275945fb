"""Distances of samples against scipy and by hand."""

import math
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import ks_2samp

from winnow.monitoring import drift


@given(st.lists(st.integers(0, 9), min_size=1, max_size=40), st.lists(st.integers(0, 9), min_size=1, max_size=40))
@settings(deadline=None)
def test_ks_is_the_statistic_of_scipy(a, b):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # scipy warns about its p-value for few values; only its statistic is wanted
        expected = ks_2samp(a, b, method="asymp").statistic
    assert drift.ks(a, b) == pytest.approx(expected, abs=1e-12)


def test_psi_by_hand():
    """Shares .5 .5 become .8 .2: (.3) ln(1.6) + (−.3) ln(.4)."""
    reference, current = np.array([1.0] * 50 + [2.0] * 50), np.array([1.0] * 80 + [2.0] * 20)
    expected = 0.3 * math.log(1.6) - 0.3 * math.log(0.4)
    assert drift.psi(reference, current, bins=2) == pytest.approx(expected)
    assert drift.psi_categories(reference.astype(int), current.astype(int)) == pytest.approx(expected)


def test_missing_values_and_new_categories_are_part_of_the_distance():
    full, half = np.arange(100.0), np.where(np.arange(100) % 2, np.nan, np.arange(100.0))
    assert drift.psi(full, half) > 1
    assert drift.psi(half, half) == 0
    assert drift.psi_categories(np.array([1, 1, 1, 2]), np.array([1, 1, 3, 3])) > 0.5
    assert math.isnan(drift.psi([], full))
    assert math.isnan(drift.ks([np.nan], full))


def test_noise_is_what_equal_distributions_reach_once_in_a_thousand():
    rng = np.random.default_rng(0)
    limit = drift.psi_noise(500, 300)
    found = [drift.psi(rng.normal(size=500), rng.normal(size=300)) for _ in range(2_000)]
    assert np.mean(np.array(found) > limit) < 0.005
    assert np.mean(np.array(found) > limit / 3) > 0.01
