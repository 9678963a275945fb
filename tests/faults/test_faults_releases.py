"""kill -9 during builds, promotions and migrations; many processes at once."""

import multiprocessing
import os
import random
import time
from itertools import count
from pathlib import Path

import pytest

from winnow.core.errors import Unavailable
from winnow.releases.manifest import Manifest, Window
from winnow.releases.registry import Registry
from winnow.releases.release import build, load, sweep

KILLS = 25


@pytest.fixture(scope="module")
def processes():
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["winnow.releases.registry", "alembic.command"])
    return context


def open_registry(folder: Path) -> Registry:
    return Registry(f"sqlite:///{folder}/meta.db", folder / "releases")


def make(folder: Path, created_at: int, size: int = 10):
    with build(folder / "releases", "feed") as draft:
        for part in range(5):
            (draft.folder / f"part{part}").write_bytes(os.urandom(size))
        return draft.finish(Manifest("feed", "d1", created_at, Window(0, 1)))


def promote_for_ever(folder: Path, ids: list[str], started) -> None:
    registry = open_registry(folder)
    started.set()
    for turn in count():
        registry.promote("feed", ids[turn % 2], at=turn, who="job")
        if turn % 3 == 2:
            registry.rollback("feed", at=turn, who="job")


def build_for_ever(folder: Path, started) -> None:
    started.set()
    for turn in count():
        make(folder, turn, 50_000)


def just_open(folder: Path, started) -> None:
    started.set()
    open_registry(folder).pointers("feed")


def kill_soon(process, started) -> None:
    """Kills a process at a random moment of its work, however slow the machine is to start it."""
    process.start()
    started.wait(60)
    time.sleep(random.uniform(0, 0.12))
    process.kill()
    process.join()
    started.clear()


def test_a_kill_leaves_the_old_champion_or_the_new_one(tmp_path, processes):
    registry = open_registry(tmp_path)
    ids = []
    for created_at in (1, 2):
        release = make(tmp_path, created_at)
        registry.register(release, at=0)
        ids.append(release.id)
    registry.promote("feed", ids[0], at=0, who="ada")
    lines, started = 1, processes.Event()
    for _ in range(KILLS):
        kill_soon(processes.Process(target=promote_for_ever, args=(tmp_path, ids, started)), started)
        history = registry.history("feed")
        assert len(history) >= lines
        lines = len(history)
        assert registry.champion("feed") == history[-1].release
        assert registry.open("feed").id in ids
    assert lines > KILLS
    registry.close()


def test_a_killed_build_leaves_whole_releases_only(tmp_path, processes):
    started = processes.Event()
    for _ in range(KILLS):
        kill_soon(processes.Process(target=build_for_ever, args=(tmp_path, started)), started)
    places = list((tmp_path / "releases" / "feed").iterdir())
    whole = [p for p in places if not p.name.startswith(".")]
    drafts = [p for p in places if p.name.startswith(".")]
    assert whole
    for place in whole:
        assert load(place).id == place.name
    assert sorted(sweep(tmp_path / "releases")) == sorted(drafts)
    with pytest.raises(Unavailable):
        load(tmp_path / "releases" / "feed" / "none")


def test_many_processes_open_a_new_registry_at_once(tmp_path, processes):
    started = processes.Event()
    for turn in range(4):
        folder = tmp_path / str(turn)
        folder.mkdir()
        children = [processes.Process(target=just_open, args=(folder, started)) for _ in range(8)]
        for child in children:
            child.start()
        for child in children:
            child.join()
        assert [child.exitcode for child in children] == [0] * 8


def test_a_killed_migration_is_done_by_the_next_process(tmp_path, processes):
    started = processes.Event()
    for turn in range(KILLS):
        folder = tmp_path / str(turn)
        folder.mkdir()
        kill_soon(processes.Process(target=just_open, args=(folder, started)), started)
        registry = open_registry(folder)
        registry.set_weights("feed", {"click": 1.0}, at=1, who="ada")
        registry.close()
