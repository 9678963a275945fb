"""Logistic regression: the optimum, its weights and penalties, against slow references."""

import numpy as np
import pytest
from scipy.optimize import approx_fprime
from scipy.sparse import csr_array

from winnow.models.content_linear import Linear, _flat, _loss, class_weights, fitted


def problem(heads, seed=0):
    rng = np.random.default_rng(seed)
    x = csr_array(rng.normal(size=(60, 5)) * (rng.random((60, 5)) < 0.6))
    labels = np.eye(heads)[rng.integers(heads, size=60)] if heads > 1 else (rng.random((60, 1)) < 0.4).astype(float)
    return x, labels, rng.uniform(0.5, 2, 60)


@pytest.mark.parametrize("heads", [1, 3])
def test_the_gradient_is_that_of_the_loss(heads):
    x, labels, weight = problem(heads)
    value = _loss(x, labels, weight=weight, reg=0.7)
    at = np.random.default_rng(1).normal(size=6 * heads)
    assert value(at)[1] == pytest.approx(approx_fprime(at, lambda w: value(w)[0], 1e-7), abs=1e-5)


@pytest.mark.parametrize("heads", [1, 3])
def test_nothing_near_is_better(heads):
    x, labels, weight = problem(heads)
    value = _loss(x, labels, weight=weight, reg=1.0)
    best = _flat(fitted(x, labels, weight=weight, reg=1.0))
    rng = np.random.default_rng(2)
    assert all(value(best)[0] <= value(best + 0.05 * rng.normal(size=best.shape))[0] for _ in range(50))


def test_a_weight_of_two_is_the_row_twice():
    x, labels, _ = problem(1)
    twice = np.append(np.arange(60), np.arange(30))
    weight = np.where(np.arange(60) < 30, 2.0, 1.0)
    # the penalty is over the number of rows
    once = fitted(x, labels, weight=weight, reg=1.0)
    again = fitted(x[twice], labels[twice], weight=np.ones(90), reg=1.0)
    assert once.weights == pytest.approx(again.weights, abs=2e-3)


def test_without_columns_the_bias_is_the_share():
    labels = np.repeat([1.0, 0.0], [30, 70])[:, None]
    linear = fitted(csr_array((100, 0)), labels, weight=np.ones(100), reg=1.0)
    assert isinstance(linear, Linear)
    assert 1 / (1 + np.exp(-linear.bias[0])) == pytest.approx(0.3, abs=1e-3)


def test_rare_classes_count_for_more_by_a_power():
    labels = np.repeat([1.0, 0.0], [10, 90])[:, None]
    none, half, full = (class_weights(labels, b) for b in (0.0, 0.5, 1.0))
    assert none == pytest.approx(1)
    assert full[0] / full[-1] == pytest.approx(9)
    assert half[0] / half[-1] == pytest.approx(3)
    assert full.mean() == half.mean() == pytest.approx(1)
