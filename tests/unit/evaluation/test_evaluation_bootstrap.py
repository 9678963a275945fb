import time

import numpy as np
import pytest

from winnow.evaluation import metrics
from winnow.evaluation.bootstrap import Resamples, bootstrap, difference, interval, mean_interval


def world(rows=21_000, users=3_000, seed=0):
    rng = np.random.default_rng(seed)
    user = rng.integers(0, users, rows)
    taste = rng.normal(size=users)[user]
    p = 1 / (1 + np.exp(-(taste + rng.normal(size=rows))))
    return user, (rng.random(rows) < p).astype(float), p


def test_the_value_is_the_metric_itself_and_lies_inside():
    user, y, p = world()
    found = bootstrap({"auc": metrics.auc_of(y, p), "rmse": metrics.rmse_of(y, p)}, user)
    assert found["auc"].value == metrics.auc(y, p)
    assert found["rmse"].value == metrics.rmse(y, p)
    assert found["auc"].low < found["auc"].value < found["auc"].high


def test_an_auc_interval_of_21k_rows_is_quick():
    user, y, p = world()
    start = time.process_time()
    bootstrap({"auc": metrics.auc_of(y, p)}, user, resamples=200)
    assert time.process_time() - start < 30  # 0.1 s alone; other work on the machine makes waiting threads spin


def test_a_draw_equals_the_metric_on_the_rows_of_the_drawn_users():
    user, y, p = world(400, 50)
    drawn = Resamples.of(user, resamples=5, seed=1)
    values = drawn.run({"auc": metrics.auc_of(y, p), "pr": metrics.pr_auc_of(y, p)})
    for b in range(5):
        again = np.repeat(np.arange(400), drawn.draws[b][drawn.user])
        assert values["auc"][1 + b] == pytest.approx(metrics.auc(y[again], p[again]), rel=1e-12)
        assert values["pr"][1 + b] == pytest.approx(metrics.pr_auc(y[again], p[again]), rel=1e-12)


def test_users_are_drawn_not_rows():
    """100 copies of each row by the same user say no more than one."""
    user, y, p = world(300, 300)
    once = bootstrap({"m": metrics.mae_of(y, p)}, user)["m"]
    copied = bootstrap({"m": metrics.mae_of(np.tile(y, 100), np.tile(p, 100))}, np.tile(user, 100))["m"]
    assert copied.high - copied.low == pytest.approx(once.high - once.low, rel=1e-9)


def test_intervals_cover_the_truth_at_about_their_level():
    covered = 0
    for seed in range(200):
        rng = np.random.default_rng(seed)
        user = np.repeat(np.arange(100), 5)
        values = rng.normal(size=100)[user] + rng.normal(size=500)
        found = mean_interval(values, user, seed=seed)
        covered += found.low <= 0 <= found.high
    assert 0.89 <= covered / 200 <= 0.985


def test_an_interval_holds_the_middle_95_of_100_resamples():
    values = np.append(0.5, np.linspace(0, 1, 1001))
    assert interval(values) == pytest.approx((0.5, 0.025, 0.975))
    values[1:300] = np.nan
    assert interval(values).low == pytest.approx(0.299 + 0.025 * 0.701)


def test_means_and_run_agree_and_ignore_nan():
    user, y, p = world(500, 60)
    values = np.abs(y - p)
    values[::7] = np.nan
    drawn = Resamples.of(user, resamples=20)
    labels = np.where(np.isnan(values), np.nan, y)
    np.testing.assert_allclose(drawn.means(values), drawn.run({"mae": metrics.mae_of(labels, p)})["mae"], rtol=1e-12)


def test_a_paired_difference_is_tighter_than_its_parts():
    user, y, p = world()
    worse = np.clip(p + np.random.default_rng(5).normal(0, 0.03, len(p)), 0.01, 0.99)
    drawn = Resamples.of(user)
    new, old = (drawn.run({"auc": metrics.auc_of(y, s)})["auc"] for s in (p, worse))
    found, alone = difference(new, old), interval(new)
    assert 0 < found.low < found.high
    assert found.high - found.low < (alone.high - alone.low) / 2


def test_equal_seeds_repeat_and_no_rows_give_nan():
    user, y, p = world(100, 20)
    statistic = {"auc": metrics.auc_of(y, p)}
    assert bootstrap(statistic, user, seed=4) == bootstrap(statistic, user, seed=4)
    assert bootstrap(statistic, user, seed=4) != bootstrap(statistic, user, seed=5)
    empty = bootstrap({"auc": metrics.auc_of([], [])}, np.zeros(0, np.int64))["auc"]
    assert np.isnan(empty).all()
