"""Probes of one modality: leaving a row out in closed form, unknown rows and labels."""

import numpy as np
import pytest

from winnow.core.errors import InputError
from winnow.models import content_probes
from winnow.models.content_probes import probed


def rows(count, width, seed=0):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(count, width)).astype(np.float32) + 3
    signal = x[:, :2].sum(axis=1) + rng.normal(size=count) > 6
    return x, np.stack([signal, rng.random(count) < 0.3], axis=1).astype(np.float32)


@pytest.mark.parametrize("shape", [(60, 8), (30, 50)], ids=["tall", "wide"])
def test_a_row_left_out_in_closed_form_is_a_row_left_out(shape, monkeypatch):
    x, y = rows(*shape)
    monkeypatch.setattr(content_probes, "RIDGES", (0.3,))
    _, without = probed(x, y)
    centred = (x - x.mean(axis=0)).astype(np.float64)
    penalty = 0.3 * (centred**2).sum() / len(x)  # of all rows, as each fold has it
    for row in (0, 5, 29):
        rest = np.arange(len(x)) != row
        a, middle = centred[rest], y.mean(axis=0)
        weights = np.linalg.solve(a.T @ a + penalty * np.eye(x.shape[1]), a.T @ (y[rest] - middle))
        assert without[row] == pytest.approx(centred[row] @ weights + middle, abs=1e-4)


def test_what_is_there_is_found_and_what_is_not_is_not_known_by_heart():
    x, y = rows(300, 200)
    probe, without = probed(x, y)
    new, truth = rows(300, 200, seed=1)
    assert np.corrcoef(probe.answers(new)[:, 0], truth[:, 0])[0, 1] > 0.4
    assert np.corrcoef(without[:, 0], y[:, 0])[0, 1] > 0.3


def test_a_head_that_cannot_be_told_does_not_give_its_labels_away(monkeypatch):
    """Answers that are all but the mean would be, if that mean left each row's own label out."""
    monkeypatch.setattr(content_probes, "RIDGES", (1e6,))
    x, _ = rows(400, 5)
    for seed in range(5):
        y = (np.random.default_rng(seed).random((400, 1)) < 0.3).astype(np.float32)
        assert abs(np.corrcoef(probed(x, y)[1][:, 0], y[:, 0])[0, 1]) < 0.5


def test_unknown_rows_have_no_answer_and_unknown_labels_teach_nothing():
    x, y = rows(100, 8)
    x[:10] = np.nan
    y[50:, 0] = np.nan
    probe, without = probed(x, y)
    assert np.isnan(without[:10]).all()
    assert np.isfinite(without[10:]).all()
    again, _ = probed(x[10:50], y[10:50])
    assert probe.answers(x[10:])[:, 0] == pytest.approx(again.answers(x[10:])[:, 0], abs=1e-3)
    assert np.isnan(probe.answers(np.zeros((3, 0), np.float32))).all()


def test_nothing_known_at_all():
    probe, without = probed(np.full((5, 3), np.nan, np.float32), np.ones((5, 2), np.float32))
    assert np.isnan(without).all()
    assert probe.answers(np.ones((2, 3), np.float32)) == pytest.approx(0)


def test_vectors_of_another_length_are_refused():
    probe, _ = probed(*rows(20, 4))
    with pytest.raises(InputError, match="lengths-differ"):
        probe.answers(np.zeros((1, 5), np.float32))
