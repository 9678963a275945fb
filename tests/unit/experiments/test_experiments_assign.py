import subprocess
import sys

import numpy as np
import pytest
from scipy import stats

from winnow.experiments.assign import OUTSIDE, arm, arms, assign, bucket
from winnow.experiments.declare import BUCKETS, Experiment, overlaps
from winnow.experiments.statistics import split

UNITS = [f"user-{i}" for i in range(40_000)]


def ab(name="covers", **options):
    return Experiment(name, {"control": 0.5, "big": 0.5}, **options)


def test_buckets_never_change():
    """Fixed for good: a change would move people between arms of running experiments."""
    assert [bucket("layer:default", u) for u in ("ada", "bob", "712")] == [9569, 5344, 9938]


def test_another_process_assigns_alike():
    code = "from winnow.experiments.assign import bucket; print([bucket('s', str(i)) for i in range(50)])"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert out.strip() == str([bucket("s", str(i)) for i in range(50)])


def test_buckets_are_even():
    counts = np.bincount([bucket("x", u) // 100 for u in UNITS], minlength=100)
    assert stats.chisquare(counts).pvalue > 0.001
    assert 0 <= min(bucket("x", u) for u in UNITS) <= max(bucket("x", u) for u in UNITS) < BUCKETS


def test_shares_hold():
    experiment = Experiment("three", {"a": 0.2, "b": 0.3, "c": 0.5}, share=0.4)
    codes = assign(experiment, UNITS)
    assert (codes != OUTSIDE).mean() == pytest.approx(0.4, abs=0.01)
    observed = {name: int((codes == i).sum()) for i, name in enumerate(experiment.arms)}
    assert split(observed, experiment.arms).ok


def test_a_ramp_moves_nobody():
    small, large = (assign(ab(share=s), UNITS) for s in (0.05, 0.6))
    inside = small != OUTSIDE
    np.testing.assert_array_equal(small[inside], large[inside])
    assert (large != OUTSIDE).sum() > 5 * inside.sum()


def test_experiments_of_one_layer_share_nobody_and_of_two_cross_evenly():
    first, second = assign(ab("one", share=0.5), UNITS), assign(ab("two", share=0.5, start=0.5), UNITS)
    assert not ((first != OUTSIDE) & (second != OUTSIDE)).any()
    other = assign(ab("three", layer="ads"), UNITS)
    table = np.array([[((first == i) & (other == j)).sum() for j in (0, 1)] for i in (0, 1)])
    assert stats.chi2_contingency(table).pvalue > 0.001


def test_arms_of_a_unit():
    running = [ab("one", share=0.5), ab("two", share=0.5, start=0.5), ab("three", layer="ads")]
    found = arms(running, "user-1")
    assert set(found) in ({"one", "three"}, {"two", "three"})
    assert arm(running[2], "user-1") == found["three"]
    codes = assign(running[2], ["user-1"])
    assert list(running[2].arms)[codes[0]] == found["three"]


@pytest.mark.parametrize(
    ("wrong", "code"),
    [
        (Experiment("x", {"a": 1.0}), "bad-arms"),
        (Experiment("x", {"a": 0.5, "b": 0.6}), "bad-arms"),
        (Experiment("x", {"a": 1.5, "b": -0.5}), "bad-arms"),
        (ab(share=0.6, start=0.5), "bad-share"),
        (ab(share=0), "bad-share"),
    ],
)
def test_design_mistakes_are_told(wrong, code):
    (problem,) = wrong.problems()
    assert problem.code == code
    assert problem.where.startswith("test_experiments_assign.py:")


def test_a_good_experiment_has_no_problems_and_overlaps_are_found():
    assert not list(ab().problems())
    clash = [ab("one", share=0.6), ab("two", share=0.6, start=0.4), ab("three", layer="ads")]
    (problem,) = overlaps(clash)
    assert problem.code == "experiments-overlap"
    assert "`two` and `one`" in problem.what
