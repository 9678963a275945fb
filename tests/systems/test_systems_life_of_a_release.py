"""One system through its life: train, serve, edit, train again, judge, promote, go back, watch."""

import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from winnow.core.errors import Conflict, DeclarationError, InputError
from winnow.core.time import now_us
from winnow.evaluation.report import load, pick
from winnow.features.history import HistoryState
from winnow.project import Project
from winnow.training import dataset

SYSTEM = "video_recommendation"


def edit(project: Project, old: str, new: str) -> Project:
    """The project after its team changed a line of the system file."""
    (file,) = project.system_files
    source = file.read_text()
    assert old in source
    file.write_text(source.replace(old, new))
    return Project(project.folder)


def test_evaluation_can_be_repeated_to_the_last_digit(project):
    release = project.registry.champion(SYSTEM)
    saved = load(project.folder / "evaluations" / SYSTEM / f"{release}.json")
    assert pick(saved, rung="L2", head="click", slice="all", metric="auc")
    assert project.evaluate(SYSTEM) == saved


def test_the_champion_serves_its_own_declaration_while_the_file_is_edited(project):
    before = project.system(SYSTEM).hash
    changed = edit(project, "w.age(video.uploaded_at),", "")
    assert changed.system(SYSTEM).hash != before
    reply = changed.rank(SYSTEM, user="u1")
    assert reply["declaration"] == before
    assert len(reply["items"]) == 20
    assert not reply["degraded"]
    changed.runtime.close()


def test_a_candidate_with_other_features_is_judged_promoted_served_and_rolled_back(project):
    champion = project.registry.champion(SYSTEM)
    changed = edit(project, "w.age(video.uploaded_at),", "w.age(video.uploaded_at), w.since(like, by=user),")
    outcome = changed.train(SYSTEM, seed=1)
    verdict = outcome.verdict
    assert verdict.champion == champion
    assert not verdict.promoted  # training alone moves nothing
    assert {c.metric for c in verdict.checks} == {"ne", "ece"}
    assert changed.registry.champion(SYSTEM) == champion
    assert changed.promote(SYSTEM, force=True).promoted
    reply = changed.explain(SYSTEM, user="u1")
    assert reply["release"] == verdict.candidate
    assert "user_like_since_d" in reply["explanation"]["items"][0]["features"]
    start = time.monotonic()
    assert changed.rollback(SYSTEM) == champion
    changed.runtime.refresh()
    assert changed.rank(SYSTEM, user="u1")["release"] == champion
    assert time.monotonic() - start < 5
    changed.runtime.close()


def test_what_was_served_is_what_history_says_to_the_bit(project):
    reply = project.rank(SYSTEM, user="u1", context={"surface": "home"})
    at = now_us()
    shown = [
        {"event_id": f"shown-{n}", "type": "impression", "at": at, "user": "u1", "video": item["id"], "position": n,
         "surface": "home", "recommendation_id": reply["recommendation_id"]}
        for n, item in enumerate(reply["items"])
    ]  # fmt: skip
    assert project.intake.events(shown).accepted == len(shown)
    project.runtime.close()
    findings = project.monitor(SYSTEM)
    skew = [f for f in findings if f.monitor == "Skew"]
    assert skew
    assert all(f.ok and f.n == len(shown) for f in skew)


def test_skew_is_seen_when_served_values_are_tampered_with(project, monkeypatch):
    from winnow.serving import effects

    real = effects.matrix
    monkeypatch.setattr(effects, "matrix", lambda prefix, names, values: real(prefix, names, values + 1))
    with pytest.raises(AssertionError):
        test_what_was_served_is_what_history_says_to_the_bit(project)


def test_later_events_change_no_training_row(project):
    """The dataset as of a moment is the same after more events have come in."""
    system, as_of = project.system(SYSTEM), now_us()
    project.history.sync(project.log)
    before = dataset.build(project, system, as_of=as_of)
    rows = [
        {"event_id": f"late-{n}", "type": kind, "at": as_of, "user": "u1", "video": f"v{n}"}
        for n, kind in enumerate(["click", "like", "watch", "hide"] * 25)
    ]
    project.intake.events(rows)
    project.history.sync(project.log)
    after = dataset.build(project, system, as_of=as_of, split=before.split)
    for part in ("train", "valid", "test"):
        one, two = getattr(before, part), getattr(after, part)
        assert np.array_equal(one.features.numeric, two.features.numeric)
        assert all(np.array_equal(one.labels[h], two.labels[h], equal_nan=True) for h in one.labels)


def test_no_label_reaches_its_own_features(project, monkeypatch):
    """Features that look a day ahead, and so see an impression's own outcome, are refused by name."""
    system = project.system(SYSTEM)
    project.history.sync(project.log)
    as_of = now_us()
    honest = dataset.build(project, system, as_of=as_of)
    real = HistoryState.windows
    monkeypatch.setattr(HistoryState, "windows", lambda self, a, keys, at: real(self, a, keys, at + 86_400_000_000))
    with pytest.raises(InputError, match="input-after-row") as error:
        dataset.build(project, system, as_of=as_of, split=honest.split)
    assert any("video_author_impression_count_ever" in problem.what for problem in error.value.problems)


TRAIN = """
import sys
from winnow.project import Project
print(Project(sys.argv[1]).train(sys.argv[2], seed=9).verdict.candidate)
"""


def test_training_killed_again_and_again_still_ends_with_a_release(project, tmp_path):
    def start() -> "subprocess.Popen[str]":
        env = os.environ | {"OMP_NUM_THREADS": "2"}
        command = [sys.executable, "-W", "ignore", "-c", TRAIN, str(project.folder), SYSTEM]
        return subprocess.Popen(command, env=env, stdout=subprocess.PIPE, text=True)

    champion = project.registry.champion(SYSTEM)
    for wait_s in (3.0, 4.5, 6.0, 7.5):
        process = start()
        time.sleep(wait_s)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        assert project.registry.champion(SYSTEM) == champion
        for release in project.registry.releases(SYSTEM):
            project.registry.open(SYSTEM, release.id)
    jobs = list((project.folder / "jobs" / SYSTEM).glob("*/job.json"))
    as_of = json.loads(jobs[0].read_text())["as_of"] if jobs else None
    process = start()
    out, _ = process.communicate(timeout=240)
    assert process.returncode == 0
    release = project.registry.open(SYSTEM, out.split()[-1])
    assert as_of is None or release.manifest.created_at == as_of


def test_every_mistake_of_a_system_file_is_told_at_once(project):
    changed = edit(project, "click=1.0", "clik=1.0")
    changed = edit(changed, "retention=days(365)", "retention=days(3)")
    changed = edit(changed, "every=hours(6)", "every=w.minutes(5)")
    with pytest.raises(DeclarationError) as error:
        changed.system(SYSTEM)
    codes = {p.code for p in error.value.problems}
    assert {"window-over-retention", "retrains-before-labels"} <= codes
    assert len(codes) >= 3
    assert all(p.where.startswith("video_recommendation.py:") for p in error.value.problems)
    assert any("did you mean `click`?" in p.fix for p in error.value.problems)


def test_a_feature_that_reads_the_outcome_is_refused(project):
    changed = edit(project, "w.hour(),", "w.hour(), w.column(watch.seconds),")
    with pytest.raises(DeclarationError):
        changed.system(SYSTEM)


def test_a_project_is_not_made_twice(project):
    with pytest.raises(Conflict, match="project-exists"):
        Project.init(project.folder, SYSTEM)
