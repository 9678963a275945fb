"""Live tables in shared memory: alone there, on disk after a stop, moved in time, removed when left behind."""

import multiprocessing
import os
import shutil
import signal
import time
from pathlib import Path
from typing import Any

import pytest
from features_shop import CAPS, chunks, everything, plan, user, video, writer
from test_features_crash import apply_slowly, head
from test_features_parity import assert_same

from winnow.core.errors import Conflict, InputError, Unavailable
from winnow.core.settings import Settings
from winnow.features.live import LiveReader, LiveWriter, memory_for
from winnow.features.live import home as home_module
from winnow.features.live.files import blocks
from winnow.features.live.home import Home, pointed

spawn = multiprocessing.get_context("spawn")
LOG = chunks(20)


@pytest.fixture(autouse=True)
def _little_reserve(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(home_module, "RESERVE", 1 << 20)


@pytest.fixture
def memory(tmp_path: Path) -> Path:
    """Stands for shared memory: a folder elsewhere than the project's."""
    (tmp_path / "shm").mkdir()
    return tmp_path / "shm"


@pytest.fixture
def live(tmp_path: Path) -> Path:
    return tmp_path / "one" / "live"


def same_as_clean(folder: Path, tmp_path: Path, log: list[Any] = LOG) -> None:
    clean = tmp_path / "clean"
    shutil.rmtree(clean, ignore_errors=True)
    writer(clean, log).catch_up()
    assert_same(everything(folder)[1], everything(clean)[1], "not the tables of the log")


def lost(live: Path) -> None:
    """As if the machine had started again: nothing is left in memory."""
    shutil.rmtree(pointed(live).parent)


def test_what_a_kill_has_torn_makes_room_before_the_tables_are_built_anew(
    live: Path, memory: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = writer(live, LOG, memory=memory)
    first.catch_up()
    reader, torn = LiveReader(live), pointed(live)
    unfinished = torn.with_name("generation-000099")
    shutil.copytree(torn, unfinished)
    first._tables.header.version += 1  # killed while publishing
    first._home.close()
    before, seen = blocks(torn), list[tuple[bool, int, int]]()
    fresh = Home.fresh

    def watched(self: Home, expected: int) -> Path:
        seen.append((unfinished.exists(), blocks(torn), expected))
        return fresh(self, expected)

    monkeypatch.setattr(Home, "fresh", watched)
    writer(live, LOG, memory=memory)
    gone, left, expected = seen[0]
    assert not gone
    assert left < before / 10, "its pages are given back though a reader maps them"
    assert expected >= before, "what it took tells what the next one takes"
    assert reader.applied_seq == LOG[-1].until
    same_as_clean(live, tmp_path)


def test_tables_are_in_memory_while_they_are_written_and_on_disk_after_a_stop(
    live: Path, memory: Path, tmp_path: Path
) -> None:
    first = writer(live, head(LOG, 10), memory=memory)
    first.catch_up()
    reader = LiveReader(live)
    assert pointed(live).is_relative_to(memory)
    assert not list(live.glob("generation-*"))
    first.close()
    assert pointed(live).parent == live
    assert not list(memory.glob("*/*")), "memory is given back"
    assert reader.applied_seq == first.applied_seq
    replayed, again = list[int](), writer(live, LOG, memory=memory)
    again._replay = lambda after: replayed.append(after) or [c for c in LOG if c.until > after]  # type: ignore[func-returns-value]
    again.catch_up()
    assert replayed[0] == head(LOG, 10)[-1].until, "it goes on where it stopped"
    assert pointed(live).is_relative_to(memory)
    assert not list(live.glob("generation-*"))
    assert reader.applied_seq == LOG[-1].until
    same_as_clean(live, tmp_path)
    assert all(path.stat().st_mode & 0o077 == 0 for path in memory.glob("winnow-*"))


def test_after_a_restart_of_the_machine_they_come_back_from_the_checkpoint(
    live: Path, memory: Path, tmp_path: Path
) -> None:
    first = writer(live, head(LOG, 10), memory=memory)
    first.catch_up()
    first.checkpoint()
    lost(live)
    first._home.close()
    with pytest.raises(Unavailable, match="live-missing"):
        LiveReader(live).applied_seq  # noqa: B018
    again = writer(live, head(LOG, 10), memory=memory)
    assert again.applied_seq == first.applied_seq
    again.apply(LOG)
    same_as_clean(live, tmp_path)


@pytest.mark.parametrize("reserve", [1 << 20, 1 << 60])
def test_a_checkpoint_that_nobody_waits_for_is_of_the_moment_it_was_asked_for(
    live: Path, memory: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reserve: int
) -> None:
    first = writer(live, head(LOG, 10), memory=memory)
    first.catch_up()
    monkeypatch.setattr(Home, "crowded", lambda *_: False)
    monkeypatch.setattr(home_module, "RESERVE", reserve)
    first.checkpoint(wait=False)
    first.apply(LOG)
    first.checkpoint(wait=False)  # nothing, or one more: no two at once
    assert first._saving is not None
    first._saving.join()
    assert not list(memory.glob("*/*/snapshot"))
    lost(live)
    first._home.close()
    again = writer(live, [], memory=memory)
    assert again.applied_seq in (head(LOG, 10)[-1].until, LOG[-1].until)
    same_as_clean(live, tmp_path, [c for c in LOG if c.until <= again.applied_seq])


@pytest.mark.timeout(120)
def test_kill_9_while_they_are_in_memory(live: Path, memory: Path, tmp_path: Path) -> None:
    log, where = chunks(120), []
    live.parent.mkdir()
    live.with_suffix(".log").write_text("0")
    for number in range(4):
        started = spawn.Event()
        process = spawn.Process(target=apply_slowly, args=(str(live), log, started, memory))
        process.start()
        assert started.wait(60)
        time.sleep(0.05 + 0.07 * number)
        os.kill(process.pid or 0, signal.SIGKILL)
        process.join()
        where.append(pointed(live))
    done = [c for c in log if c.until <= int(live.with_suffix(".log").read_text())]
    last = writer(live, done, memory=memory)
    last.catch_up()
    assert all(place.is_relative_to(memory) for place in where)
    assert last.applied_seq == done[-1].until > 0
    assert len(list(memory.glob("*/*/generation-*"))) == 1, "kills leave no generation behind"
    same_as_clean(live, tmp_path, done)


def test_a_copy_of_a_project_does_not_share_its_tables(live: Path, memory: Path, tmp_path: Path) -> None:
    first = writer(live, head(LOG, 10), memory=memory)
    first.catch_up()
    first.checkpoint()
    copied = tmp_path / "two" / "live"
    shutil.copytree(live.parent, copied.parent)
    with pytest.raises(Unavailable, match="live-missing"):
        LiveReader(copied).applied_seq  # noqa: B018
    second = writer(copied, LOG, memory=memory)
    second.catch_up()
    assert pointed(copied).parent != pointed(live).parent
    assert LiveReader(live).applied_seq == head(LOG, 10)[-1].until < LiveReader(copied).applied_seq
    with pytest.raises(Conflict, match="live-locked"):
        writer(live, LOG, memory=memory)
    same_as_clean(live, tmp_path, head(LOG, 10))


def test_what_deleted_projects_left_is_removed_unless_somebody_writes_there(live: Path, memory: Path) -> None:
    gone, alive = live.parent.with_name("gone") / "live", live.parent.with_name("alive") / "live"
    writers = [writer(folder, head(LOG, 2), memory=memory) for folder in (gone, alive)]
    places = [pointed(folder).parent for folder in (gone, alive)]
    writers[0]._home.close()
    for folder in (gone, alive):
        shutil.rmtree(folder)
    writer(live, head(LOG, 2), memory=memory)
    assert [place.exists() for place in places] == [False, True]
    again = writer(gone, head(LOG, 2), memory=memory)  # another project in the same place
    again._home.close()
    assert places[1].exists()


def test_a_project_made_anew_in_the_same_place_has_nothing_of_the_old_one(live: Path, memory: Path) -> None:
    old = writer(live, LOG, memory=memory)
    old.catch_up()
    old._home.close()
    place = pointed(live).parent
    (live.parent / "keeps the number of the folder in use").write_text("")
    live.rename(live.with_name("old"))
    live.mkdir()
    shutil.rmtree(live.with_name("old"))
    new = writer(live, head(LOG, 2), memory=memory)
    new.catch_up()
    assert everything(live)[0] == head(LOG, 2)[-1].until
    assert not place.exists()


def test_without_room_they_stay_in_the_project(
    live: Path, memory: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(home_module, "RESERVE", 1 << 60)
    writer(live, LOG, memory=memory).catch_up()
    assert pointed(live).parent == live
    assert "live tables lie in the project's folder" in caplog.text
    assert "MB are wanted (live_folder)" in caplog.text
    same_as_clean(live, tmp_path)


def test_they_leave_memory_before_it_is_full(
    live: Path, memory: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    moving = writer(live, head(LOG, 10), memory=memory)
    moving.catch_up()
    reader = LiveReader(live)
    assert reader.applied_seq == moving.applied_seq
    monkeypatch.setattr(home_module, "RESERVE", 1 << 60)
    moving.apply(LOG)
    assert pointed(live).parent == live
    assert "shared memory gets full" in caplog.text
    assert not list(memory.glob("*/*/generation-*"))
    assert reader.applied_seq == LOG[-1].until
    same_as_clean(live, tmp_path)


def test_they_leave_memory_while_new_aggregates_are_built(
    live: Path, memory: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer(live, LOG, memory=memory).close()
    kept = plan.aggregates[:4]
    again = home_of_some(live, memory, kept)
    again.ensure(plan.aggregates, wait=False)
    again.build()
    monkeypatch.setattr(home_module, "RESERVE", 1 << 60)
    while again.building:
        again.build()
    assert pointed(live).parent == live
    same_as_clean(live, tmp_path)


def home_of_some(live: Path, memory: Path, kept: Any) -> Any:
    """A writer that keeps some of the plan's aggregates, in small steps."""

    made = LiveWriter(
        live, kept, [user, video], replay=lambda after: [c for c in LOG if c.until > after], caps=CAPS, batch=50,
        memory=memory,
    )  # fmt: skip
    made.catch_up()
    return made


def test_killed_while_a_rebuild_moves_out_of_memory(
    live: Path, memory: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The tables are not pointed to before they have caught up, wherever they lie."""
    used, crowded = [], Home.crowded
    monkeypatch.setattr(Home, "crowded", lambda self, at: bool(self.volatile(at)) or crowded(self, at))
    monkeypatch.setattr(Home, "use", lambda self, at: used.append(at))
    moved = writer(live, LOG, memory=memory, batch=50)
    assert used
    assert all(at.parent == live for at in used)
    assert moved.applied_seq == LOG[-1].until
    assert not (live / "current").exists()


def test_a_folder_that_others_can_reach_is_not_used(
    live: Path, memory: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (memory / f"winnow-{os.getuid()}").mkdir()
    (memory / f"winnow-{os.getuid()}").chmod(0o777)
    writer(live, LOG, memory=memory)
    assert pointed(live).parent == live
    assert "is not for this user alone" in caplog.text


def test_a_setting_that_changes_takes_the_tables_along(live: Path, memory: Path, tmp_path: Path) -> None:
    first = writer(live, LOG, memory=memory)
    first._home.close()
    again = writer(live, LOG)
    assert pointed(live).parent == live
    assert again.applied_seq == LOG[-1].until
    same_as_clean(live, tmp_path)


@pytest.mark.parametrize(("value", "place"), [("project", None), ("/mnt/fast", Path("/mnt/fast"))])
def test_the_setting(tmp_path: Path, value: str, place: Path | None) -> None:
    settings = Settings.load(tmp_path / "winnow.toml", {"WINNOW_FEATURES_LIVE_FOLDER": value})
    assert memory_for(settings.features.live_folder) == place
    with pytest.raises(InputError, match="says no place"):
        Settings.load(tmp_path / "winnow.toml", {"WINNOW_FEATURES_LIVE_FOLDER": "tmp"})
