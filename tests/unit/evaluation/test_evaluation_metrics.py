import numpy as np
import pytest

from winnow.core.errors import InputError
from winnow.evaluation import metrics
from winnow.evaluation.lists import Relevant, recall_at_k

NAN = float("nan")


@pytest.mark.parametrize("name", ["auc", "pr_auc", "log_loss", "ece", "calibration", "mae", "rmse"])
def test_rows_with_unknown_labels_count_for_nothing(name):
    metric = getattr(metrics, name)
    with_gap = metric([1, NAN, 0, 1, 0], [0.9, 0.1, 0.3, 0.4, 0.6])
    assert with_gap == metric([1, 0, 1, 0], [0.9, 0.3, 0.4, 0.6])


def test_what_is_not_defined_is_nan():
    assert np.isnan(metrics.auc([1, 1], [0.2, 0.3]))
    assert np.isnan(metrics.pr_auc([0, 0], [0.2, 0.3]))
    assert np.isnan(metrics.calibration([0, 0], [0.2, 0.3]))
    for name in ("auc", "pr_auc", "log_loss", "ece", "mae", "rmse", "calibration"):
        assert np.isnan(getattr(metrics, name)([], []))
        assert np.isnan(getattr(metrics, name)([NAN], [0.5]))


@pytest.mark.parametrize(
    ("labels", "scores", "code"),
    [
        ([1, 0], [0.1, NAN], "prediction-not-finite"),
        ([1, 0], [0.1, float("inf")], "prediction-not-finite"),
        ([1, 3], [0.1, 0.2], "label-not-binary"),
        ([1, 0], [0.1], "lengths-differ"),
    ],
)
def test_wrong_input_is_named(labels, scores, code):
    with pytest.raises(InputError) as error:
        metrics.auc(labels, scores)
    assert error.value.code == code


def test_weights_of_the_wrong_length_are_refused():
    with pytest.raises(InputError, match="2 labels but 3 weights"):
        metrics.log_loss([1, 0], [0.5, 0.5], [1, 1, 1])


def test_certainty_costs_a_finite_number():
    assert metrics.log_loss([1.0], np.array([0.0], np.float32)) == pytest.approx(16.118, abs=1e-3)


def test_a_constant_prediction_has_one_bin():
    y = np.tile([0.0, 1.0], 500)
    assert metrics.ece(y, np.full(1000, 0.5)) == pytest.approx(0, abs=1e-12)


def test_lists_that_are_too_short_or_too_few_are_refused():
    relevant = Relevant.of([{1}])
    with pytest.raises(InputError) as error:
        recall_at_k(np.array([[1, 2]]), relevant, 3)
    assert error.value.code == "list-too-short"
    with pytest.raises(InputError, match="2 lists for 1 queries"):
        recall_at_k(np.array([[1], [2]]), relevant, 1)


def test_a_repeated_row_earns_once_and_padding_nothing():
    relevant = Relevant.of([{1, 2}])
    assert recall_at_k(np.array([[1, 1, -1, -1]]), relevant, 4)[0] == 0.5
