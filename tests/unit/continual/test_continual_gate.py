"""The gate's verdicts on differences with known intervals."""

import pytest

from winnow.continual.gate import decide, first
from winnow.evaluation.report import record


def difference(metric: str, value: float, low: float, high: float, head: str = "click"):
    return record("ranking", "L2", "New", head=head, slice="all", metric=metric, interval=(value, low, high), n=100)


@pytest.mark.parametrize(
    ("metric", "interval", "passes"),
    [
        ("ne", (-0.01, -0.02, -0.001), True),
        ("ne", (0.001, -0.01, 0.01), True),
        ("ne", (0.01, 0.001, 0.02), False),
        ("auc", (0.01, 0.001, 0.02), True),
        ("auc", (-0.01, -0.02, -0.001), False),
    ],
)
def test_not_worse_fails_only_beyond_chance_on_the_bad_side(metric, interval, passes):
    verdict = decide("new", "old", [difference(metric, *interval)], {metric: "not worse"})
    assert verdict.passed is passes
    assert not verdict.promoted


def test_lower_asks_for_one_head_that_is_better_beyond_chance():
    equal = [difference("ne", 0.0, -0.01, 0.01), difference("ne", 0.0, -0.01, 0.01, "like")]
    better = [equal[0], difference("ne", -0.02, -0.03, -0.01, "like")]
    assert not decide("new", "old", equal, {"ne": "lower"}).passed
    assert decide("new", "old", better, {"ne": "lower"}).passed


def test_one_worse_head_fails_and_is_named():
    rows = [difference("ne", -0.02, -0.03, -0.01), difference("ne", 0.02, 0.01, 0.03, "like")]
    verdict = decide("new", "old", rows, {"ne": "lower"})
    assert not verdict.passed
    assert "like ne is worse" in verdict.why


def test_a_metric_that_nothing_could_compare_fails():
    assert not decide("new", "old", [], {"ece": "not worse"}).passed


def test_the_first_release_passes():
    assert first("new").passed
