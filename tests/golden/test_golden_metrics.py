"""Metric values against slow second implementations written straight from the definitions, and published examples."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from winnow.evaluation import lists, metrics
from winnow.evaluation.lists import Relevant


def slow_auc(y, s, w):
    wins = total = 0.0
    for yi, si, wi in zip(y, s, w, strict=True):
        for yj, sj, wj in zip(y, s, w, strict=True):
            if yi == 1 and yj == 0:
                total += wi * wj
                wins += wi * wj * (1.0 if si > sj else 0.5 if si == sj else 0.0)
    return wins / total if total else math.nan


def slow_average_precision(y, s, w):
    positives = sum(wi for yi, wi in zip(y, w, strict=True) if yi == 1)
    if not positives:
        return math.nan
    area = recall = 0.0
    for threshold in sorted(set(s), reverse=True):
        chosen = [(yi, wi) for yi, si, wi in zip(y, s, w, strict=True) if si >= threshold]
        found, seen = sum(yi * wi for yi, wi in chosen), sum(wi for _, wi in chosen)
        if seen:
            area += (found / positives - recall) * found / seen
        recall = found / positives
    return area


def slow_ece(y, p, bins):
    """Unweighted, for distinct predictions: sort, cut into equal parts, compare means."""
    order = np.argsort(p)
    parts = np.array_split(order, bins)
    return sum(len(part) / len(p) * abs(np.mean(p[part]) - np.mean(y[part])) for part in parts)


@st.composite
def rows(draw):
    n = draw(st.integers(2, 40))
    y = draw(st.lists(st.integers(0, 1), min_size=n, max_size=n))
    s = draw(st.lists(st.integers(0, 6), min_size=n, max_size=n))
    w = draw(st.lists(st.integers(0, 3), min_size=n, max_size=n))
    return y, [x / 7 for x in s], w


@given(rows())
@settings(deadline=None, max_examples=150)
def test_auc_and_average_precision_equal_the_definition(data):
    y, s, w = data
    np.testing.assert_allclose(metrics.auc(y, s, w), slow_auc(y, s, w), rtol=1e-12)
    np.testing.assert_allclose(metrics.pr_auc(y, s, w), slow_average_precision(y, s, w), rtol=1e-12)


@given(rows())
@settings(deadline=None, max_examples=100)
def test_a_weight_of_two_is_the_row_twice(data):
    y, s, w = data
    p = [0.05 + 0.9 * x for x in s]
    again = np.repeat(np.arange(len(y)), w)
    y2, p2 = np.array(y, float)[again], np.array(p)[again]
    pairs = [
        (metrics.auc(y, p, w), metrics.auc(y2, p2)),
        (metrics.pr_auc(y, p, w), metrics.pr_auc(y2, p2)),
        (metrics.log_loss(y, p, w), metrics.log_loss(y2, p2)),
        (metrics.normalised_entropy(y, p, 0.3, weight=w), metrics.normalised_entropy(y2, p2, 0.3)),
        (metrics.ece(y, p, bins=4, weight=w), metrics.ece(y2, p2, bins=4)),
        (metrics.calibration(y, p, w), metrics.calibration(y2, p2)),
        (metrics.mae(y, p, w), metrics.mae(y2, p2)),
        (metrics.rmse(y, p, w), metrics.rmse(y2, p2)),
    ]
    for weighted, repeated in pairs:
        np.testing.assert_allclose(weighted, repeated, rtol=1e-9, atol=1e-12)


def test_ece_equals_equal_parts_of_the_sorted_predictions():
    rng = np.random.default_rng(3)
    p = rng.random(1500)
    y = (rng.random(1500) < p**1.3).astype(float)
    # An edge belongs to the bin above it here and below it there: at most one row per bin differs.
    assert metrics.ece(y, p, bins=15) == pytest.approx(slow_ece(y, p, 15), abs=15 / 1500)
    assert metrics.ece(y, p, bins=15) > 0.04


def test_auc_equals_the_mann_whitney_statistic_of_scipy():
    from scipy.stats import mannwhitneyu

    rng = np.random.default_rng(0)
    y, s = rng.integers(0, 2, 500), rng.integers(0, 50, 500)
    u = mannwhitneyu(s[y == 1], s[y == 0]).statistic
    assert metrics.auc(y, s) == pytest.approx(u / ((y == 1).sum() * (y == 0).sum()), rel=1e-12)


def test_normalised_entropy_is_one_for_the_base_rate_and_relative_to_the_labels():
    """He et al. 2014, section 3: the background CTR as prediction gives exactly 1."""
    y = [1, 0, 0, 0, 1]
    assert metrics.normalised_entropy(y, [0.4] * 5, 0.4) == pytest.approx(1)
    by_hand = -(2 * math.log(0.7) + 3 * math.log(0.8)) / -(2 * math.log(0.3) + 3 * math.log(0.7))
    assert metrics.normalised_entropy(y, [0.7, 0.2, 0.2, 0.2, 0.7], 0.3) == pytest.approx(by_hand, rel=1e-12)


def slow_lists(ranked, relevant, k):
    top = ranked[:k]
    places = [i for i, row in enumerate(top) if row in relevant and row not in top[:i]]
    ideal = sum(1 / math.log2(i + 2) for i in range(min(k, len(relevant))))
    precisions = [(n + 1) / (place + 1) for n, place in enumerate(places)]
    return {
        "recall": len(places) / len(relevant),
        "hit": float(bool(places)),
        "ndcg": sum(1 / math.log2(i + 2) for i in places) / ideal,
        "mrr": 1 / (places[0] + 1) if places else 0.0,
        "ap": sum(precisions) / min(k, len(relevant)),
    }


@given(
    st.lists(st.lists(st.integers(-1, 12), min_size=6, max_size=6), min_size=1, max_size=8),
    st.data(),
    st.integers(1, 6),
)
@settings(deadline=None, max_examples=150)
def test_list_metrics_equal_the_definition(ranked, data, k):
    relevant = [data.draw(st.sets(st.integers(0, 12), max_size=5)) for _ in ranked]
    found = {
        "recall": lists.recall_at_k, "hit": lists.hit_rate_at_k, "ndcg": lists.ndcg_at_k,
        "mrr": lists.mrr_at_k, "ap": lists.average_precision_at_k,
    }  # fmt: skip
    array, known = np.array(ranked), Relevant.of(relevant)
    for name, function in found.items():
        expected = [slow_lists(r, s, k)[name] if s else math.nan for r, s in zip(ranked, relevant, strict=True)]
        np.testing.assert_allclose(function(array, known, k), expected, rtol=1e-12, err_msg=name)


def test_average_precision_of_the_textbook_list():
    """Manning, Raghavan and Schütze 2008, chapter 8: relevant at places 1, 3, 6, 10, 15 of a list (all five found)."""
    ranked = np.arange(20)[None]
    relevant = Relevant.of([{0, 2, 5, 9, 14}])
    expected = (1 / 1 + 2 / 3 + 3 / 6 + 4 / 10 + 5 / 15) / 5
    assert lists.average_precision_at_k(ranked, relevant, 20)[0] == pytest.approx(expected)


def test_ndcg_of_the_published_example():
    """The binary part of Järvelin and Kekäläinen's discount: hits at 2 and 4 of two relevant items."""
    expected = (1 / math.log2(3) + 1 / math.log2(5)) / (1 + 1 / math.log2(3))
    assert lists.ndcg_at_k(np.array([[9, 1, 8, 2]]), Relevant.of([{1, 2}]), 4)[0] == pytest.approx(expected)
