"""Between full trainings: calibration is fitted again, the network goes on, poisoned labels are refused."""

import re
import shutil
import sys
from datetime import timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[3]))

from benchmarks import shop
from benchmarks.fixtures import quick_system

from winnow.continual import guard, online
from winnow.continual.calibrate import calibrate
from winnow.core.errors import InputError
from winnow.core.time import MICROS, now_us
from winnow.project import Project

pytestmark = pytest.mark.heavy
SYSTEM = "video_recommendation"
HOUR = 3_600 * MICROS


def stream_system() -> str:
    """The quick system, served by a network that goes on learning."""
    formula = 'w.Formula("video_click_rate_ever")'
    text = "from winnow.models.delayed import StreamDCN\n" + quick_system()
    net = "StreamDCN(least=3, hidden=(16,), crosses=1, rank=4, epochs=3, batch_size=128, learning_rate=5e-3)"
    text = re.sub(r"L1=w.GradientBoosting\(\), L2=w.GradientBoosting\(\)", f"L1={formula}, L2={net}", text)
    return text.replace("L2=w.TwoTower(epochs=1)", "L2=w.Popularity(half_life=days(2))")


@pytest.fixture(scope="module")
def template(tmp_path_factory):
    folder = tmp_path_factory.mktemp("stream") / "shop"
    shop.made(folder, stream_system(), sizes=shop.Sizes(impressions=6_000)).close()
    return folder


@pytest.fixture
def project(template, tmp_path):
    shutil.copytree(template, tmp_path / "shop")
    with Project(tmp_path / "shop") as project:
        yield project


def champion(project):
    return project.registry.open(SYSTEM, project.registry.champion(SYSTEM))


def test_a_calibration_is_replaced_and_nothing_else(project):
    before = champion(project)
    verdict = calibrate(project, project.system(SYSTEM), last=timedelta(days=3))
    after = project.registry.open(SYSTEM, verdict.candidate)
    (name,) = [f for f in before.manifest.files if f.endswith("calibration.npz") and "L2" in f]
    changed = {f for f in after.manifest.files if after.manifest.files[f] != before.manifest.files.get(f)}
    assert changed == {name}
    assert set(after.manifest.files) == set(before.manifest.files)
    assert after.manifest.models["parent"] == before.id
    assert project.registry.open(SYSTEM, before.id)  # its files are what they were
    same = "ranking/L2-StreamDCN/network.onnx"
    assert (after.folder / same).stat().st_ino == (before.folder / same).stat().st_ino
    assert project.registry.champion(SYSTEM) == before.id


def test_a_calibration_is_judged_on_rows_newer_than_those_it_was_fitted_on(project):
    verdict = calibrate(project, project.system(SYSTEM), last=timedelta(days=3), promote=True)
    after = project.registry.open(SYSTEM, verdict.candidate)
    split = after.manifest.models["split"]
    assert before_all(split, ["train_from", "train_until", "valid_until", "test_until"])
    assert split["train_from"] >= after.manifest.window.to_us
    assert {c.metric for c in verdict.checks} == {"ne", "ece"}
    assert verdict.promoted == verdict.passed
    assert project.evaluate(SYSTEM, release=verdict.candidate)


def before_all(split, names):
    moments = [split[n] for n in names]
    return moments == sorted(moments)


def test_a_network_goes_on_and_the_release_serves(project):
    before = champion(project)
    verdict = online.update(project, project.system(SYSTEM), options=online.Options(last=timedelta(days=3)))
    after = project.registry.open(SYSTEM, verdict.candidate)
    changed = {f for f in after.manifest.files if after.manifest.files[f] != before.manifest.files.get(f)}
    assert changed
    assert all(f.startswith("ranking/L2-StreamDCN/") for f in changed)
    assert after.manifest.window.to_us > before.manifest.window.to_us
    # The next update begins with the rows that this one left out, because their labels reach into what judged it.
    assert after.manifest.window.to_us == after.manifest.models["split"]["valid_until"] - HOUR + 1
    project.promote(SYSTEM, verdict.candidate, force=True)
    reply = project.rank(SYSTEM, user="u1")
    assert reply["release"] == verdict.candidate
    assert not reply["degraded"]
    project.runtime.close()


def test_what_forgets_is_refused(project):
    """With a limit that no candidate meets, the doubt is raised and named."""
    options = online.Options(last=timedelta(days=3), forget={"auc": -1.0})
    verdict = online.update(project, project.system(SYSTEM), options=options, promote=True)
    assert not verdict.passed
    assert not verdict.promoted
    assert "on old rows" in verdict.why


def test_too_little_that_is_new(project):
    with pytest.raises(InputError) as error:
        calibrate(project, project.system(SYSTEM), last=timedelta(minutes=1))
    assert error.value.code == "too-few-rows"


def poison(project, rows=1_500, hours_ago=3):
    """An hour in which everything that is shown is clicked."""
    rng, end = np.random.default_rng(5), now_us() - (hours_ago - 1) * HOUR
    at = np.sort(rng.integers(end - HOUR, end, rows))
    users, videos = rng.integers(0, 60, rows), rng.integers(0, 300, rows)
    basis = {"at": at, "user": [f"u{u}" for u in users], "video": [f"v{v}" for v in videos]}
    shown = pl.DataFrame(
        {**basis, "event_id": [f"pi{i}" for i in range(rows)], "surface": ["home"] * rows, "position": [1.0] * rows}
    )
    clicks = pl.DataFrame({**basis, "at": at + MICROS, "event_id": [f"pc{i}" for i in range(rows)]})
    for name, frame in {"impression": shown, "click": clicks}.items():
        assert project.intake.frame(name, frame, backfill=True).accepted == rows


def test_poisoned_labels_never_come_to_serve_by_the_gate(project):
    good = project.registry.champion(SYSTEM)
    poison(project)
    for verdict in (
        project.train(SYSTEM, seed=1, promote=True).verdict,
        online.update(project, project.system(SYSTEM), promote=True),
        calibrate(project, project.system(SYSTEM), promote=True),
    ):
        assert not verdict.promoted
        assert "odd labels: click" in verdict.why
    assert project.registry.champion(SYSTEM) == good


def test_a_poisoned_release_that_was_forced_is_taken_back_by_the_watch(project):
    good = project.registry.champion(SYSTEM)
    served(project, requests=40)
    assert guard.watch(project, project.system(SYSTEM)).rolled_back is None  # it does not cry wolf
    poison(project)
    bad = online.update(project, project.system(SYSTEM), options=online.Options(passes=10)).candidate
    project.promote(SYSTEM, bad, force=True)
    served(project, requests=60, seed=1)
    watched = guard.watch(project, project.system(SYSTEM))
    assert watched.rolled_back == bad
    assert "click ratio" in watched.why
    assert project.registry.champion(SYSTEM) == good


def served(project, requests, seed=0):
    """Lists that people saw two hours ago; they do what people of the shop do."""
    rng, at, rows = np.random.default_rng([6, seed]), now_us() - 2 * HOUR, []
    for n in range(requests):
        user = int(rng.integers(60))
        reply = project.rank(SYSTEM, user=f"u{user}", context={"surface": "home"})
        for place, item in enumerate(reply["items"]):
            basis = {"at": at + n * MICROS, "user": f"u{user}", "video": item["id"]}
            basis["recommendation_id"] = reply["recommendation_id"]
            rows.append(basis | {"type": "impression", "surface": "home", "position": place})
            likes = rng.random() < (0.45 if (user + int(item["id"][1:])) % 3 == 0 else 0.1)
            long = bool(likes and rng.random() < 0.5)
            later = basis | {"at": at + n * MICROS + 1}
            watch = later | {"type": "watch", "seconds": rng.gamma(2, 12), "long": long}
            rows += [later | {"type": "click"}, watch] * likes
            rows += [later | {"type": "like"}] * long
    rows = [row | {"event_id": f"s{seed}-{n}"} for n, row in enumerate(rows)]
    assert project.intake.events(rows).accepted == len(rows)
    project.close()
