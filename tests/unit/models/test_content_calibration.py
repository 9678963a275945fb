"""Calibration on few posts: it leans on the model as far as the posts allow, and undoes the weights of classes."""

import numpy as np
import pytest

from winnow.models.calibration import Calibration
from winnow.models.content_calibration import best_lean, calibrated
from winnow.models.content_linear import class_weights, fitted, weight_shift

HEADS = tuple("abcdef")


def held_out(count, sharp=1.0, seed=0):
    """Raw probabilities, and labels drawn from log-odds that are `sharp` times theirs."""
    rng = np.random.default_rng(seed)
    z = rng.normal(-1, 1.5, (count, len(HEADS)))
    drawn = rng.random(z.shape) < 1 / (1 + np.exp(-sharp * z))
    labels = {h: drawn[:, i].astype(np.float32) for i, h in enumerate(HEADS)}
    return (1 / (1 + np.exp(-z))).astype(np.float32), labels, 1 / (1 + np.exp(-sharp * z))


def test_a_model_that_is_right_is_left_nearly_as_it_is():
    raw, labels, truth = held_out(200)
    assert best_lean(raw, labels, HEADS) >= 3
    plain = Calibration.fit("platt", raw, labels, types=dict.fromkeys(HEADS, "binary"))
    ours, theirs = (
        np.abs(c.apply(raw, HEADS) - truth).mean() for c in (calibrated("platt", raw, labels, HEADS), plain)
    )
    assert ours < theirs / 2


def test_a_model_that_is_wrong_is_corrected():
    raw, labels, truth = held_out(2_000, sharp=2.0)
    assert best_lean(raw, labels, HEADS) == 0
    assert np.abs(calibrated("platt", raw, labels, HEADS).apply(raw, HEADS) - truth).mean() < 0.01
    assert np.abs(raw - truth).mean() > 0.05


def test_unknown_labels_and_too_few_posts():
    raw, labels, _ = held_out(60)
    labels["a"][:] = np.nan
    fitted_ = calibrated("platt", raw, labels, HEADS)
    assert "a" not in fitted_.curves
    assert np.array_equal(fitted_.apply(raw, HEADS)[:, 0], raw[:, 0])
    few, its, _ = held_out(10)
    assert np.array_equal(calibrated("platt", few, its, HEADS).apply(few, HEADS), few)


@pytest.mark.parametrize("balance", [0.3, 1.0])
def test_what_weights_of_classes_add_is_taken_off(balance):
    """A model without inputs has the rates of the posts, whatever the weights."""
    from scipy.sparse import csr_array

    alone = (np.arange(1_000) < 100).astype(np.float64)[:, None]
    one_of = np.eye(3)[np.repeat([0, 1, 2], [100, 300, 600])]
    for labels in (alone, one_of):
        weight = class_weights(labels, balance)
        bias = fitted(csr_array(np.zeros((1_000, 1))), labels, weight=weight, reg=1.0).bias - weight_shift(
            labels, balance
        )
        p = 1 / (1 + np.exp(-bias)) if labels.shape[1] == 1 else np.exp(bias) / np.exp(bias).sum()
        assert p == pytest.approx(labels.mean(axis=0), abs=0.003)
