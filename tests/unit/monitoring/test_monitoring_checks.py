import numpy as np
import pytest

from winnow.core.errors import InputError
from winnow.monitoring.checks import Calibration, Drift, Monitor, Skew


def test_equal_features_have_no_skew_and_one_bit_is_seen():
    rng = np.random.default_rng(0)
    served = rng.random((200, 3)).astype(np.float32)
    served[5, 1] = np.nan
    replayed = served.copy()
    names = ("age", "rate", "count")
    assert all(f.ok and f.value == 0 for f in Skew().check(names, served, replayed))
    replayed[7, 2] = np.nextafter(replayed[7, 2], np.float32(2))
    worst = Skew().check(names, served, replayed)[0]
    assert (worst.subject, worst.ok, worst.value) == ("count", False, 1 / 200)
    assert worst.what == "1 of 200 rows differ, the first is row 7"
    assert all(f.ok for f in Skew(at_most=0.01).check(names, served, replayed))
    with pytest.raises(InputError):
        Skew().check(names[:2], served, replayed)


def test_drift_sees_a_shift_and_not_chance():
    rng = np.random.default_rng(0)
    before = {"still": rng.normal(size=5_000), "moved": rng.normal(size=5_000), "kind": rng.integers(-1, 5, 5_000)}
    now = {"still": rng.normal(size=4_000), "moved": rng.normal(1, 1, 4_000), "kind": rng.integers(2, 9, 4_000)}
    found = {f.subject: f for f in Drift().check({**before, "gone": now["still"]}, now)}
    assert {name: f.ok for name, f in found.items()} == {"still": True, "moved": False, "kind": False}
    few = {"few": rng.normal(size=30)}
    assert all(f.ok for f in Drift().check(few, {"few": rng.normal(size=30)}))
    measures = [f.measure for f in Drift(ks=0.05).check(before, now) if f.subject == "moved"]
    assert measures == ["psi", "ks"]


def test_calibration_sees_promises_that_do_not_come_true():
    rng = np.random.default_rng(0)
    p = rng.random(5_000)
    y = (rng.random(5_000) < p).astype(float)
    y[::5] = np.nan
    monitor = Calibration(ece=0.05)
    good = monitor.check({"click": y}, {"click": p})
    assert all(f.ok for f in good)
    assert {f.measure for f in good} == {"ece", "ratio"}
    assert good[0].n == 4_000
    bad = monitor.check({"click": y, "other": y}, {"click": np.sqrt(p)})
    assert [f.ok for f in bad] == [False, False]
    amounts = monitor.check({"watch_s": 30 * p}, {"watch_s": 40 * p})
    assert [(f.measure, f.ok) for f in amounts] == [("ratio", False)]


def test_too_few_labels_say_nothing():
    (found,) = Calibration(rows=100).check({"click": np.zeros(50)}, {"click": np.ones(50)})
    assert found.ok
    assert np.isnan(found.value)
    assert found.what == "only 50 labels are known"


def test_empty_samples_are_ok():
    none = np.zeros((0, 1), np.float32)
    assert Skew().check(["a"], none, none)[0].ok
    assert Drift().check({"a": np.zeros(0)}, {"a": np.zeros(0)})[0].ok


@pytest.mark.parametrize(
    "wrong", [Skew(at_most=1.0), Drift(psi=0), Drift(ks=2.0), Calibration(ece=0), Calibration(ratio=0)]
)
def test_limits_that_cannot_work_are_told(wrong):
    assert [p.code for p in wrong.problems()] == ["bad-limit"]


def test_monitors_are_known_and_good_by_default():
    assert set(Monitor.known()) >= {"Skew", "Drift", "Calibration"}
    for kind in Monitor.known().values():
        assert not list(kind().problems(None))
