import numpy as np
import pytest

from winnow.core.errors import InputError
from winnow.models.calibration import Calibration, isotonic, platt

TYPES = {"click": "binary", "seconds": "regression"}


def skewed(rows=20_000, seed=0):
    """Predictions that are twice too sure in log-odds, and amounts that are half of what they should be."""
    rng = np.random.default_rng(seed)
    z = rng.normal(size=rows)
    truth = 1 / (1 + np.exp(-z))
    amount = rng.gamma(2.0, 10.0, size=rows)
    raw = np.stack([1 / (1 + np.exp(-2 * z)), amount / 2], axis=1).astype(np.float32)
    labels = {
        "click": (rng.random(rows) < truth).astype(np.float32),
        "seconds": (amount * rng.uniform(0.5, 1.5, size=rows)).astype(np.float32),
    }
    return raw, labels, truth


@pytest.mark.parametrize("method", ["isotonic", "platt"])
def test_calibrated_predictions_mean_what_they_say(method):
    raw, labels, _ = skewed()
    fresh, fresh_labels, truth = skewed(seed=1)
    out = Calibration.fit(method, raw, labels, types=TYPES).apply(fresh, tuple(TYPES))
    assert np.abs(out[:, 0] - truth).mean() < 0.02 < np.abs(fresh[:, 0] - truth).mean()
    assert out[:, 1].mean() == pytest.approx(fresh_labels["seconds"].mean(), rel=0.02)
    assert ((out[:, 0] > 0) & (out[:, 0] < 1)).all()


@pytest.mark.parametrize("method", ["isotonic", "platt"])
def test_the_order_never_turns(method):
    raw, labels, _ = skewed(2_000)
    out = Calibration.fit(method, raw, labels, types=TYPES).apply(np.sort(raw, axis=0), tuple(TYPES))
    assert (np.diff(out, axis=0) >= 0).all()


def test_isotonic_pools_what_falls():
    x, y = np.array([0.1, 0.2, 0.3, 0.4]), np.array([0.0, 1.0, 0.0, 1.0])
    knots, values = isotonic(np.repeat(x, 1000), np.repeat(y, 1000))
    assert knots == pytest.approx([0.1, 0.25, 0.4])
    assert values == pytest.approx([0, 0.5, 1], abs=0.01)


def test_it_is_the_same_after_saving(tmp_path):
    raw, labels, _ = skewed(2_000)
    made = Calibration.fit("isotonic", raw, labels, types=TYPES)
    made.save(tmp_path)
    read = Calibration.open(tmp_path)
    assert np.array_equal(read.apply(raw, tuple(TYPES)), made.apply(raw, tuple(TYPES)))
    assert Calibration.open(tmp_path / "elsewhere") is None


def test_unknown_labels_and_heads_without_a_curve_pass():
    raw, labels, _ = skewed(2_000)
    labels["click"][:1000] = np.nan
    labels["seconds"][:] = np.nan
    made = Calibration.fit("platt", raw, labels, types=TYPES)
    assert np.array_equal(made.apply(raw, tuple(TYPES))[:, 1], raw[:, 1])
    one_class = {"click": np.ones(2_000, np.float32), "seconds": labels["seconds"]}
    assert Calibration.fit("platt", raw, one_class, types=TYPES).curves == {}


def test_errors(tmp_path):
    raw, labels, _ = skewed(100)
    with pytest.raises(InputError, match="isotonic or platt"):
        Calibration.fit("magic", raw, labels, types=TYPES)
    (tmp_path / "calibration.npz").write_bytes(b"nonsense")
    with pytest.raises(InputError, match=r"calibration\.npz"):
        Calibration.open(tmp_path)


@pytest.mark.parametrize("seed", range(20))
def test_platt_finds_the_optimum_wherever_it_starts(seed):
    """At the optimum the mean prediction is the mean label, however far the raw predictions are off."""
    rng = np.random.default_rng(seed)
    truth = rng.normal(rng.uniform(-3, 3), rng.uniform(0.3, 4), 500)
    labels = (rng.random(500) < 1 / (1 + np.exp(-truth))).astype(float)
    raw = 1 / (1 + np.exp(-(truth * rng.uniform(0.05, 12) + rng.uniform(-9, 9))))
    if labels.min() == labels.max():
        return
    found = np.interp(raw, *platt(raw, labels))
    assert found.mean() == pytest.approx(labels.mean(), abs=0.01)


def test_platt_of_predictions_that_point_the_wrong_way_is_the_base_rate():
    raw, labels = np.linspace(0.1, 0.9, 100), (np.arange(100) < 30).astype(float)
    assert np.allclose(platt(raw, labels)[1], 0.3, atol=1e-6)
