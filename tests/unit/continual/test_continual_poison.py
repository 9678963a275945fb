"""Labels poisoned for an hour: what the gate sees of it, derived releases, and the watch behind the gate."""

from types import SimpleNamespace

import numpy as np
import pytest

from winnow.continual import gate, guard
from winnow.continual.derive import derived
from winnow.continual.poison import HOUR, odd_hours
from winnow.evaluation import rankers
from winnow.evaluation.report import pick, record
from winnow.features.batch import FeatureBatch
from winnow.models.base import Run, load_scorer
from winnow.models.delayed import StreamDCN
from winnow.models.examples import Examples
from winnow.models.networks.online import Learner
from winnow.monitoring.checks import Calibration
from winnow.releases.manifest import Manifest, Window
from winnow.releases.registry import Registry
from winnow.releases.release import build

WISHES = {"ne": "not worse", "ece": "not worse"}
MODEL = StreamDCN(
    embedding_size=4, least=1, crosses=1, rank=4, hidden=(16,), input_dropout=0, dropout=0, reg=0, epochs=3,
    batch_size=128, learning_rate=1e-2, step=0.5,
)  # fmt: skip


def rows(hours, *, seed, a_hour=200, poisoned=()):
    """Clicks of so many hours, more likely by day than by night; in poisoned hours everything is a click."""
    rng, count = np.random.default_rng(seed), hours * a_hour
    at = np.sort(rng.integers(0, hours * HOUR, count))
    x, hour = rng.normal(size=count), at // HOUR
    chance = 1 / (1 + np.exp(-(1.5 * x - 0.7 + 0.4 * np.sin(2 * np.pi * hour / 24))))
    click = ((rng.random(count) < chance) | np.isin(hour, poisoned)).astype(np.float32)
    batch = FeatureBatch(x[:, None].astype(np.float32), ("x",), {"ad": rng.integers(0, 20, count)})
    return Examples(batch, {"click": click}, np.ones(count, np.float32), at, np.arange(count) % 300, np.arange(count))


def test_a_poisoned_hour_is_named_and_ordinary_days_are_not():
    clean = rows(72, seed=1)
    assert odd_hours(clean.at, clean.labels) == []
    bad = rows(72, seed=1, poisoned=(40,))
    (odd,) = odd_hours(bad.at, bad.labels)
    assert (odd.head, odd.at, odd.rate) == ("click", 40 * HOUR, 1.0)
    assert odd.usual == pytest.approx(0.37, abs=0.05)
    assert "click from 1970-01-02T16:00" in odd.text()


def test_an_hour_without_clicks_is_odd_too_and_small_hours_and_amounts_are_not():
    dead = rows(48, seed=2)
    dead.labels["click"][dead.at // HOUR == 20] = 0
    assert [odd.at for odd in odd_hours(dead.at, dead.labels)] == [20 * HOUR]
    few = rows(48, seed=2, a_hour=10, poisoned=(20,))
    assert odd_hours(few.at, few.labels) == []
    assert odd_hours(dead.at, {"seconds": dead.labels["click"] * 9.5}) == []


@pytest.fixture(scope="module")
def champion(tmp_path_factory):
    folder, old = tmp_path_factory.mktemp("champion"), rows(24, seed=3)
    MODEL.fit(old, old.take(slice(0, 500)), Run(folder, threads=1))
    return folder


def compared(champion, learner, judged):
    """Candidate minus champion on the same rows."""
    rungs = [
        rankers.Rung("L2", "Stream", ("click",), scorer.score(judged.features))
        for scorer in (learner, load_scorer(champion))
    ]
    held_out = rankers.HeldOut({"click": judged.labels["click"].astype(np.float64)}, judged.user, {"click": 0.37})
    return pick(rankers.compare(*rungs, held_out), slice="all")


def test_a_candidate_that_learned_a_poisoned_hour_is_refused(champion):
    learner, bad, later = Learner.open(champion, MODEL), rows(1, seed=4, a_hour=2_000, poisoned=(0,)), rows(6, seed=5)
    learner.learn(bad, passes=3)
    verdict = gate.decide("new", "old", compared(champion, learner, later), WISHES)
    assert not verdict.passed
    assert "click ne is worse" in verdict.why


def test_poisoned_rows_as_judges_would_let_it_pass_but_for_the_doubt(champion):
    """Metrics alone are fooled when the same poison teaches and judges: the odd hour is what the gate has left."""
    learner, day = Learner.open(champion, MODEL), rows(24, seed=6, poisoned=(22,), a_hour=600)
    hour = np.flatnonzero(day.at // HOUR == 22)
    learner.learn(day.take(hour[::2]), passes=3)
    differences = compared(champion, learner, day.take(hour[1::2]))
    assert gate.decide("new", "old", differences, {"log_loss": "not worse"}).passed
    doubts = [odd.text() for odd in odd_hours(day.at, day.labels)]
    verdict = gate.decide("new", "old", differences, {"log_loss": "not worse"}, doubts=doubts)
    assert not verdict.passed
    assert verdict.why == doubts[0]
    assert doubts[0] in verdict.text()


def test_an_honest_candidate_passes(champion):
    learner, day, later = Learner.open(champion, MODEL), rows(24, seed=7), rows(24, seed=8)
    learner.learn(day)
    doubts = [odd.text() for odd in odd_hours(day.at, day.labels)]
    assert gate.decide("new", "old", compared(champion, learner, later), {"ne": "not worse"}, doubts=doubts).passed


def test_forgetting_is_measured_in_the_direction_of_the_metric():
    def golden(metric, value):
        return [record("r", "g", "m", head="click", slice="all", metric=metric, interval=(value, value, value), n=9)]

    limits = {"auc": 0.02, "ne": 0.01}
    assert gate.forgotten(golden("auc", -0.03), limits) == ["click auc on old rows is worse by 0.0300"]
    assert gate.forgotten(golden("auc", -0.01), limits) == []
    assert gate.forgotten(golden("auc", 0.03), limits) == []
    assert gate.forgotten(golden("ne", 0.02), limits)
    assert not gate.forgotten(golden("ece", 0.5), limits)


@pytest.fixture
def registry(tmp_path):
    registry = Registry(f"sqlite:///{tmp_path / 'registry.db'}", tmp_path / "releases")
    yield registry
    registry.close()


def released(registry, text="weights"):
    with build(registry.root, "shop") as draft:
        (draft.folder / "ranking").mkdir()
        (draft.folder / "ranking" / "net").write_text(text)
        (draft.folder / "ranking" / "calibration").write_text("old")
        release = draft.finish(Manifest("shop", "d1", 1, Window(0, 1), models={"split": 1}, metrics={"auc": 0.7}))
    registry.register(release, at=1)
    return release


def test_a_derived_release_shares_what_did_not_change(registry):
    parent = released(registry)
    child = derived(
        registry, parent, lambda folder: (folder / "ranking" / "calibration").write_text("new"),
        without=("ranking/calibration",), models={"split": 2},
    )  # fmt: skip
    assert child.manifest.files["ranking/net"] == parent.manifest.files["ranking/net"]
    assert (child.folder / "ranking/net").stat().st_ino == (parent.folder / "ranking/net").stat().st_ino
    assert (child.manifest.models["split"], child.manifest.models["parent"]) == (2, parent.id)
    assert child.manifest.metrics == {}
    assert registry.open("shop", child.id).path("ranking/calibration").read_text() == "new"
    assert registry.open("shop", parent.id).path("ranking/calibration").read_text() == "old"


def watched(registry, monkeypatch, ratio):
    """The watch over a service that predicts `ratio` times what comes; the findings are those of the real monitor."""
    labels, predictions = {"click": np.tile([0.0, 1.0], 500)}, {"click": np.full(1_000, 0.5 * ratio)}
    monitor = Calibration(ratio=0.2, ece=0.4)
    monkeypatch.setattr(guard.monitor, "check", lambda *_: monitor.check(labels, predictions))
    return guard.watch(SimpleNamespace(registry=registry), SimpleNamespace(name="shop"))


def test_the_watch_goes_back_when_what_serves_is_off(registry, monkeypatch):
    good, bad = released(registry), released(registry, "poisoned")
    for release in (good, bad):
        registry.promote("shop", release.id, at=2, who="test")
    assert watched(registry, monkeypatch, 1.1).rolled_back is None
    found = watched(registry, monkeypatch, 1.6)
    assert (found.rolled_back, found.release) == (bad.id, good.id)
    assert registry.champion("shop") == good.id
    assert "click ratio" in registry.history("shop")[-1].why
    alone = watched(registry, monkeypatch, 1.6)
    assert (alone.rolled_back, alone.release) == (None, good.id)
    assert "no earlier release" in alone.why
