"""A project keeps learning by itself: what is due when, restarts, kills, locks, with a clock that the test drives."""

import os
import signal
import subprocess
import sys
import time
from datetime import timedelta
from pathlib import Path

import msgspec
import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[3]))

from benchmarks.fixtures import folder, template  # noqa: F401

from winnow.continual.schedule import Diary, Done
from winnow.core.errors import Conflict
from winnow.core.time import hours, minutes, now_us, to_us
from winnow.project import Project
from winnow.project.learning import DIARY, Learner, Options, alone

SYSTEM, EVERY = "video_recommendation", hours(6)
SRC = Path(__file__).resolve().parents[3] / "src"


class Clock:
    """The present, which goes on when the test says so or somebody sleeps."""

    def __init__(self):
        self.now, self.slept = now_us(), []

    def __call__(self):
        return self.now

    def sleep(self, seconds):
        self.slept.append(seconds)
        self.now += int(seconds * 1e6)

    def on(self, span):
        self.now += to_us(span)


@pytest.fixture
def clock():
    return Clock()


def learner(folder, clock, **options):  # noqa: F811
    return Learner(folder, Options(clock=clock, sleep=clock.sleep, threads=1, **options))


def due(dues):
    return {d.move: d.at for d in dues}


def trained(folder):  # noqa: F811
    with Project(folder) as project:
        return max(full(project))


def full(project):
    """When full trainings made their releases."""
    return [r.created_at for r in project.registry.releases(SYSTEM) if "parent" not in r.manifest.models]


def test_a_training_is_due_its_interval_after_the_last_whoever_began_it(folder, clock):  # noqa: F811
    found = due(learner(folder, clock).plan())
    assert found["train"] == trained(folder) + to_us(EVERY)
    assert found["monitor"] == trained(folder) + to_us(EVERY) // 24
    assert found["calibrate"] == trained(folder) + to_us(EVERY) // 4
    assert "update" not in found  # what serves does not go on learning
    assert list(learner(folder, clock).once()) == []


def test_without_a_release_only_a_training_is_due_and_at_once(tmp_path, clock):
    Project.init(tmp_path / "new")
    (only,) = learner(tmp_path / "new", clock).plan()
    assert only.move == "train"
    assert only.at <= clock.now


def test_intervals_may_be_given_and_zero_means_never(folder, clock):  # noqa: F811
    given = {"calibrate": timedelta(0), "monitor": minutes(5)}
    found = due(learner(folder, clock, given=given).plan())
    assert set(found) == {"monitor", "train"}
    assert found["monitor"] == trained(folder) + to_us(minutes(5))


def test_what_is_due_is_done_once_and_written_down(folder, clock):  # noqa: F811
    clock.on(minutes(16))
    ((what, done),) = learner(folder, clock).once()
    assert (what.move, done.state, done.at) == ("monitor", "done", clock.now)
    assert "0 findings" in done.what  # nothing has been served
    assert list(learner(folder, clock).once()) == []  # a new process, at the same moment
    assert due(learner(folder, clock).plan())["monitor"] == clock.now + to_us(EVERY) // 24


def test_a_failure_is_told_and_tried_again_sooner(tmp_path, clock):
    Project.init(tmp_path / "new")
    ((what, done),) = learner(tmp_path / "new", clock).once()
    assert (what.move, done.state) == ("train", "failed")
    assert "too-few-rows" in done.what
    assert due(learner(tmp_path / "new", clock).plan())["train"] == clock.now + to_us(EVERY) // 10
    assert list(learner(tmp_path / "new", clock).once()) == []
    clock.on(EVERY / 10)
    assert [what.move for what, _ in learner(tmp_path / "new", clock).once()] == ["train"]


@pytest.mark.heavy
def test_a_calibration_is_fitted_again_when_it_is_due(folder, clock):  # noqa: F811
    clock.on(hours(1.6))
    outcomes = {what.move: done for what, done in learner(folder, clock).once()}
    assert outcomes["calibrate"].state == "done"
    assert due(learner(folder, clock).plan())["train"] == trained(folder) + to_us(EVERY)  # it is no full training


def test_what_a_kill_cut_short_is_due_at_once(folder, clock):  # noqa: F811
    Diary(folder / DIARY).note(SYSTEM, "train", Done(at=clock.now))
    found = due(learner(folder, clock).plan())
    assert found["train"] <= clock.now
    # Killed after the release was made: it counts from there.
    Diary(folder / DIARY).note(SYSTEM, "train", Done(at=trained(folder) - 1))
    assert due(learner(folder, clock).plan())["train"] == trained(folder) + to_us(EVERY)


def test_the_diary_is_whole_whatever_a_kill_leaves_beside_it(tmp_path):
    diary = Diary(tmp_path / DIARY)
    diary.note("a", "train", Done(at=1))
    (tmp_path / DIARY).with_suffix(".tmp").write_bytes(b'{"a": {"tr')
    diary.note("b", "monitor", Done(at=2, state="done", what="fine"))
    assert diary.read() == {"a": {"train": Done(at=1)}, "b": {"monitor": Done(at=2, state="done", what="fine")}}
    assert msgspec.json.decode((tmp_path / DIARY).read_bytes())


def test_two_do_not_keep_one_project_learning(folder):  # noqa: F811
    with alone(folder):
        with pytest.raises(Conflict) as error, alone(folder):
            pass
        assert error.value.code == "learning-already"
    with alone(folder):
        pass


def test_it_sleeps_until_something_is_due_and_looks_up_now_and_then(folder, clock):  # noqa: F811
    forever = learner(folder, clock, given={"calibrate": timedelta(0)}).forever()
    what, _ = next(forever)
    assert what.move == "monitor"
    assert clock.now >= trained(folder) + to_us(EVERY) // 24
    assert max(clock.slept) <= 30
    assert clock.now - trained(folder) < to_us(EVERY) // 24 + to_us(minutes(1))


@pytest.mark.heavy
def test_a_training_that_is_due_makes_a_release_that_the_gate_judges(folder, clock):  # noqa: F811
    clock.on(hours(6.1))
    outcomes = {what.move: done for what, done in learner(folder, clock).once()}
    assert outcomes["train"].state == "done"
    assert "serves now" in outcomes["train"].what or "waits" in outcomes["train"].what
    with Project(folder) as project:
        assert len(full(project)) == 2


@pytest.mark.heavy
def test_killed_in_the_middle_of_a_training_it_goes_on_when_started_again(folder):  # noqa: F811
    """The process is killed as soon as the diary says that it trains; the next one makes the release."""
    text = (folder / "systems" / f"{SYSTEM}.py").read_text().replace("every=hours(6)", "every=hours(1)")
    (folder / "systems" / f"{SYSTEM}.py").write_text(text)
    Diary(folder / DIARY).note(SYSTEM, "train", Done(at=now_us()))
    command = [sys.executable, "-m", "winnow.cli", "learn", "--once", "--monitor-hours", "0", "-p", str(folder)]
    env = os.environ | {"PYTHONPATH": str(SRC), "OMP_NUM_THREADS": "1"}
    first = subprocess.Popen(command, env=env, stdout=subprocess.DEVNULL)
    jobs = folder / "jobs"
    wait_for(lambda: any(jobs.rglob(".done")), first)
    first.send_signal(signal.SIGKILL)
    first.wait()
    assert Diary(folder / DIARY).read()[SYSTEM]["train"].state == "begun"
    steps = {p.parent.name for p in jobs.rglob(".done")}
    second = subprocess.run(command, env=env, capture_output=True, text=True, timeout=300, check=True)
    assert "train" in second.stdout
    assert steps
    done = Diary(folder / DIARY).read()[SYSTEM]["train"]
    assert done.state == "done"
    with Project(folder) as project:
        assert len(full(project)) == 2
    third = subprocess.run(command, env=env, capture_output=True, text=True, timeout=300, check=True)
    assert "train" not in third.stdout  # a restart does not train early


def wait_for(happened, process, seconds=120):
    end = time.monotonic() + seconds
    while not happened():
        assert process.poll() is None, "it ended before it was killed"
        assert time.monotonic() < end
        time.sleep(0.02)
