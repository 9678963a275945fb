"""The loop works: serve, collect, retrain, promote, three times over, is worth more to people than popularity.

The world's truth is known, so this is measured on expected values rather than on the service's own predictions. The
system file is the shipped one but for a label window of two seconds, since the people here react at once.
"""

import os
import re
import socket
import subprocess
import sys
import time
from contextlib import contextmanager

import pytest

from winnow.core.time import now_us
from winnow.simulation.driver import Driver
from winnow.simulation.history import world_history
from winnow.simulation.world import Size, World

SYSTEM = "video_recommendation"
WINDOW_S = 2
# The small run trains a short ladder and serves its textbook rung, so that four trainings fit into minutes.
SHORT = """retrieval = w.Ladder(L0=w.Popularity(), L1=w.TwoTower(epochs=4), L2=w.TwoTower(epochs=1), serve="L1")
ranking = w.Ladder(
    L0=w.Formula("video_click_rate_ever"), L1=w.GradientBoosting(), L2=w.GradientBoosting(epochs=20), serve="L1")
"""
SCALES = {
    "small": (Size(people=250, videos=1_200, later=60, topics=8, days=5, impressions=12_000), 500, SHORT),
    "full": (Size(people=2_000, videos=3_000, later=300), 1_500, ""),
}


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


@contextmanager
def serving(folder, log_file):
    """The service of a project, in a process of its own; its URL once it is ready."""
    import httpx

    port = free_port()
    env = os.environ | {"WINNOW_SERVER_AUTH": "off", "WINNOW_SERVER_WORKERS": "1", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "winnow.cli", "serve", "--project", str(folder), "--port", str(port)]
    with log_file.open("wb") as log:
        process = subprocess.Popen(command, env=env, stdout=log, stderr=subprocess.STDOUT)
    try:
        url, give_up_at = f"http://127.0.0.1:{port}", time.monotonic() + 60
        while True:
            try:
                if httpx.get(f"{url}/health/ready", trust_env=False).is_success:
                    break
            except httpx.TransportError:
                pass
            assert process.poll() is None, log_file.read_text()
            assert time.monotonic() < give_up_at, log_file.read_text()
            time.sleep(0.1)
        yield url
    finally:
        process.terminate()
        assert process.wait(30) is not None


def told(*what) -> None:
    """Shows progress when the test runs with -s."""
    print(f"{time.monotonic():.1f}", *what)


def edit(file, ladders: str) -> None:
    """Changes a system file as its team would: a short label window, patience with a busy machine, other ladders."""
    source = file.read_text()
    wanted = source
    for old, new in {"within=hours(1)": f"within=w.seconds({WINDOW_S})", "p99=ms(200)": "p99=ms(5_000)"}.items():
        assert old in source
        wanted = wanted.replace(old, new)
    if ladders:
        wanted, times = re.subn(r"^retrieval = .*?\n\n", f"{ladders}\n", wanted, flags=re.DOTALL | re.MULTILINE)
        assert times == 1
    file.write_text(wanted)


def project_with_log(folder, world: World, ladders: str):
    """A project whose labels close within seconds, filled with the world's log; that log."""
    from winnow.project import Project

    project = Project.init(folder, SYSTEM)
    (file,) = project.system_files
    edit(file, ladders)
    project, log = Project(folder), []
    for name, frame in world_history(world, pace=0.001):
        assert project.intake.frame(name, frame, backfill=True).accepted == len(frame)
        log.append((name, frame))
    return project, log


@pytest.mark.timeout(900)
@pytest.mark.parametrize("scale", ["small", pytest.param("full", marks=pytest.mark.heavy)])
def test_three_rounds_of_the_loop_beat_popularity(tmp_path, scale):
    size, visits, ladders = SCALES[scale]
    world = World.make(size, until=now_us() - 10_000_000, seed=11)
    project, log = project_with_log(tmp_path / "shop", world, ladders)
    project.train(SYSTEM, seed=1, promote=True, progress=told)
    rounds, releases = [], 1
    with serving(project.folder, tmp_path / "serve.log") as url:
        driver = Driver(world, url)
        for name, frame in log:
            driver.remember(name, frame)
        for number in range(1, 4):
            rounds.append(driver.round(number, visits))
            driver.put_up(size.later // 6)
            time.sleep(WINDOW_S + 1)  # until the labels of this round are final
            outcome = project.train(SYSTEM, seed=number, promote=True, progress=told)
            releases += outcome.verdict.promoted
        rounds.append(driver.round(4, visits))
    print(*rounds, sep="\n")
    first, last = rounds[0], rounds[-1]
    assert releases > 1  # the gate let some of the retrained ones pass
    assert last.low > 1.25 * last.popular
    assert all(r.popular < r.value < r.oracle for r in rounds)
    # What is left to show gets worse, so shares are compared. One retrained release differs from the next by chance, so
    # they are taken together: 1.18 to 1.23 times the first in repeated runs, 0.97 when nothing is retrained.
    assert sum(r.reached for r in rounds[1:]) / len(rounds[1:]) > 1.1 * first.reached
    # A machine that stalls for seconds makes sources late, and the reply says so; more than that would be a fault.
    assert sum(r.degraded for r in rounds) <= 0.01 * visits * len(rounds), (tmp_path / "serve.log").read_text()[-5000:]
    assert all(r.impressions == visits * driver.shown for r in rounds)
    posted = sum(r.events for r in rounds)
    known = sum(len(project.frame(name)) for name in project.events)
    assert known >= posted + size.impressions * 0.95  # nothing that people did is missing from the log
