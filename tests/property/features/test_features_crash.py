"""Live tables under kill -9 and under readers: nothing torn is ever read, nothing is lost or applied twice."""

import multiprocessing
import os
import random
import signal
import time
from multiprocessing.synchronize import Event
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from features_shop import CAPS, batches, chunks, everything, plan, seen, user, video, writer
from test_features_parity import assert_same

from winnow.core.errors import Conflict, Unavailable
from winnow.data.chunk import Chunk
from winnow.features.aggregate import Aggregate
from winnow.features.batch import Ints
from winnow.features.live import LiveReader, LiveState, LiveWriter
from winnow.features.live.feed import Prepared
from winnow.features.live.files import Header

spawn = multiprocessing.get_context("spawn")


class SlowWriter(LiveWriter):
    """Takes its time between the writes of a batch, so that kills and readers meet it there."""

    def _publish(self, prepared: Prepared) -> None:
        for write in prepared.writes:
            write.publish()
            time.sleep(0.0003)


def apply_slowly(folder: str, log: list[Chunk], started: Event, memory: Path | None = None) -> None:
    """Process: appends to a log (a file holds its length) and applies it, with checkpoints, until killed."""
    length = Path(folder).with_suffix(".log")

    def replay(after: int) -> list[Chunk]:
        return [c for c in log if after < c.until <= int(length.read_text())]

    live = SlowWriter(folder, plan.aggregates, [user, video], replay=replay, caps=CAPS, batch=50, memory=memory)
    live.catch_up()
    started.set()
    for number, batch in enumerate(batches([c for c in log if c.until > live.applied_seq])):
        length.with_suffix(".new").write_text(str(batch[-1].until))
        length.with_suffix(".new").replace(length)
        live.apply(batch)
        if number % 5 == 4:
            live.checkpoint()


@pytest.mark.timeout(300)
@pytest.mark.parametrize("kills", [12, pytest.param(60, marks=pytest.mark.heavy)])
def test_kill_9_in_the_middle_of_applying_loses_and_doubles_nothing(tmp_path: Path, kills: int) -> None:
    log, chance, torn = chunks(30 * kills), random.Random(3), 0
    folder = tmp_path / "live"
    folder.with_suffix(".log").write_text("0")
    for _ in range(kills):
        started = spawn.Event()
        process = spawn.Process(target=apply_slowly, args=(str(folder), log, started))
        process.start()
        assert started.wait(30)
        time.sleep(0.03 + chance.random() * 0.2)
        os.kill(process.pid or 0, signal.SIGKILL)
        process.join()
        torn += _version(folder) % 2
    assert torn >= kills // 6, "kills met no change half-way: the test shows nothing"
    assert 100 < int(folder.with_suffix(".log").read_text()) < log[-1].until, "it was never, or always, at work"
    again, clean = writer(folder, log), writer(tmp_path / "clean", log)
    again.catch_up()
    clean.catch_up()
    one, two = everything(tmp_path / "clean"), everything(folder)
    assert one[0] == two[0] == log[-1].until
    assert_same(one[1], two[1], "after the kills")


def _version(folder: Path) -> int:
    pointer = folder / "current"
    return Header(folder / pointer.read_text() / "header").version if pointer.exists() else 0


def lockstep(number: int, users: int = 64) -> list[Chunk]:
    """One impression of each user by each video row: every table moves in step."""
    rows = np.arange(users)
    times = {
        "seq": number * users + 1 + rows,
        "at": np.full(users, 1000 + number),
        "known_at": np.full(users, 1000 + number),
    }
    return [Chunk("event", "impression", times | {"user": rows, "video": rows}, (number + 1) * users)]


def write_in_step(folder: str, ready: Event, stop: Event) -> None:
    """Process: applies lockstep batches until told to stop."""
    live = SlowWriter(folder, _in_step(), [user, video], replay=lambda _: [], caps=CAPS)
    number = 0
    while not stop.is_set():
        live.apply(lockstep(number))
        number += 1
        if number == 3:
            ready.set()
        time.sleep(0.002)


def _in_step() -> list[Aggregate]:
    single = [a for a in plan.aggregates if a.kind == "sum" and a.events is seen and a.subject in ("user", "video")]
    by = _path(user), _path(video)
    return [*single, Aggregate("sum", seen, by[:1]), Aggregate("sum", seen, by)]


def _path(table: Any) -> Any:
    return type(user.country)(table)


def counts(state: LiveState) -> Ints:
    """Every count of every row, all of which move in step."""
    rows, at = np.arange(64), np.array([state.as_of])
    return np.concatenate([state.windows([a], (rows,) * len(a.by), at)[0] for a in _in_step()])


def read_in_step(folder: str, stop: Event, results: Any) -> None:
    """Process: reads until told to stop; reports how often it read and how often it saw an update half-way."""
    reader, reads, torn, raw = LiveReader(folder), 0, 0, 0
    while not stop.is_set():
        torn += len(np.unique(reader.consistently(counts))) > 1
        raw += (
            len(np.unique(counts(LiveState(reader._current())))) > 1
        )  # without the lock: the test must be able to fail
        reads += 1
    results.put((reads, torn, raw))


@pytest.mark.timeout(60)
def test_no_reader_sees_half_an_update(tmp_path: Path) -> None:
    ready, stop, results = spawn.Event(), spawn.Event(), spawn.Queue()
    processes = [spawn.Process(target=write_in_step, args=(str(tmp_path), ready, stop))]
    processes[0].start()
    assert ready.wait(30)
    processes += [spawn.Process(target=read_in_step, args=(str(tmp_path), stop, results)) for _ in range(2)]
    for process in processes[1:]:
        process.start()
    time.sleep(4)
    stop.set()
    found = [results.get(timeout=20) for _ in range(2)]
    for process in processes:
        process.join(20)
    assert all(reads > 20 and torn == 0 for reads, torn, _ in found), found
    assert sum(raw for _, _, raw in found) > 0, (
        f"reads without the lock were never torn: the test shows nothing {found}"
    )


def head(log: list[Chunk], appends: int) -> list[Chunk]:
    """The first appends of a log."""
    return [c for batch in batches(log)[:appends] for c in batch]


def test_a_restart_goes_on_where_it_stopped(tmp_path: Path) -> None:
    log = chunks(20)
    first = writer(tmp_path, head(log, 10))
    first.catch_up()
    first.close()
    inode = next(tmp_path.glob("generation-*")).stat().st_ino
    again = writer(tmp_path, log)
    again.catch_up()
    again.apply(log)  # sent twice: left out
    assert next(tmp_path.glob("generation-*")).stat().st_ino == inode, "it was built anew"
    clean = writer(tmp_path / "clean", log)
    clean.catch_up()
    assert_same(everything(tmp_path)[1], everything(tmp_path / "clean")[1], "after a restart")


@pytest.mark.parametrize("checkpoint", [False, True])
def test_a_lost_machine_means_building_anew(tmp_path: Path, checkpoint: bool) -> None:
    log = chunks(20)
    first, replayed = writer(tmp_path, log), []
    first.catch_up()
    if checkpoint:
        first.checkpoint()
    before = everything(tmp_path)[1]
    reader = LiveReader(tmp_path)
    assert reader.applied_seq == log[-1].until
    first._tables.header.boot = 12345  # as if the machine had started again since
    first._home.close()

    def replay(after: int) -> list[Chunk]:
        replayed.append(after)
        return [c for c in log if c.until > after]

    LiveWriter(tmp_path, plan.aggregates, [user, video], replay=replay, caps=CAPS)
    assert replayed[-1] == (log[-1].until if checkpoint else 0)
    assert reader.applied_seq == log[-1].until  # the reader has moved to the new generation
    assert_same(everything(tmp_path)[1], before, "after a rebuild")


def test_new_aggregates_are_built_from_the_log(tmp_path: Path) -> None:
    log = chunks(20)
    first = LiveWriter(tmp_path, plan.aggregates[:4], [user, video], replay=lambda _: log, caps=CAPS)
    first.apply(head(log, 10))
    reader = LiveReader(tmp_path)
    moments_at = np.array([reader.watermark])
    with pytest.raises(Unavailable, match="feature-not-live"):
        reader.consistently(lambda s: s.windows(plan.aggregates[4:5], (np.array([0]),), moments_at))
    first.ensure(plan.aggregates)
    first.apply(log)
    clean = writer(tmp_path / "clean", log)
    clean.catch_up()
    assert_same(everything(tmp_path)[1], everything(tmp_path / "clean")[1], "after ensure")
    assert not list(tmp_path.glob("generation-*/scratch*"))


def test_a_full_table_refuses_and_counts(tmp_path: Path) -> None:
    by = (_path(user), _path(video))
    pair, single = Aggregate("sum", seen, by), Aggregate("sum", seen, by[:1])
    live = LiveWriter(tmp_path, [pair, single], [], replay=lambda _: [], caps=type(CAPS)(rows=10, pairs=8))
    live.apply(lockstep(0))
    tables = live.stats()["tables"]
    told = {name: {k: v for k, v in t.items() if k != "bytes"} for name, t in tables.items()}
    assert told["pairs:user*video"] == {"cap": 8, "used": 8, "refused": 56, "evicted": 0}
    assert told["record:user"] == {"cap": 10, "used": 10, "refused": 54, "evicted": 0}
    assert all(t["bytes"] > 0 for t in tables.values())
    rows, state = np.arange(64), LiveState(live._tables)
    assert state.windows([single], (rows,), np.array([2000]))[0].tolist() == [1] * 10 + [0] * 54
    assert state.windows([pair], (rows, rows), np.array([2000]))[0].tolist() == [1] * 8 + [0] * 56


def test_new_events_show_while_new_aggregates_are_built(tmp_path: Path) -> None:
    log = chunks(30)
    known: list[Chunk] = head(log, 20)
    live = LiveWriter(
        tmp_path, plan.aggregates[:4], [user, video], replay=lambda after: [c for c in known if c.until > after],
        caps=CAPS, batch=100,
    )  # fmt: skip
    live.catch_up()
    live.ensure(plan.aggregates, wait=False)
    reader, steps = LiveReader(tmp_path), 0
    while live.building:
        assert reader.missing(plan.aggregates) == [a.name for a in plan.aggregates[4:]]
        known[:] = head(log, min(21 + steps, 30))
        assert live.catch_up() == known[-1].until == reader.applied_seq
        steps += 1
    assert steps > 3
    clean = writer(tmp_path / "clean", known)
    clean.catch_up()
    assert_same(everything(tmp_path)[1], everything(tmp_path / "clean")[1], "built beside")


def test_aggregates_that_were_let_go_are_built_anew_when_they_come_back(tmp_path: Path) -> None:
    log = chunks(20)
    for aggregates, appends in ((plan.aggregates, 10), (plan.aggregates[:3], 15), (plan.aggregates, 20)):
        known = head(log, appends)
        live = LiveWriter(
            tmp_path, aggregates, [user, video], replay=lambda after, k=known: [c for c in k if c.until > after],
            caps=CAPS,
        )  # fmt: skip
        live.catch_up()
        live.close()
    clean = writer(tmp_path / "clean", log)
    clean.catch_up()
    assert_same(everything(tmp_path)[1], everything(tmp_path / "clean")[1], "come back")


def test_listeners_hear_of_every_row_that_changes(tmp_path: Path) -> None:
    """Whoever copies the changed lines after each batch holds what the writer holds."""
    live, copied = writer(tmp_path, []), dict[tuple[str, int], list[int]]()

    def copy(changed: Any) -> None:
        for name, rows in changed.items():
            if name not in live._tables.indexes():
                lines = live._tables.sheet(name).lines(rows)
                copied.update({(name, r): line for r, line in zip(rows.tolist(), lines.tolist(), strict=True)})

    live.listeners.append(copy)
    for batch in batches(chunks(12)):
        live.apply(batch)
    sheets = [n for n in live._tables.entries if n not in live._tables.indexes()]
    held = {
        (n, r): line for n in sheets for r, line in enumerate(live._tables.sheet(n).lines(np.arange(4096)).tolist())
    }
    assert {place: line for place, line in held.items() if any(line)} == {p: v for p, v in copied.items() if any(v)}


def test_one_writer_only(tmp_path: Path) -> None:
    live = writer(tmp_path, [])
    with pytest.raises(Conflict, match="live-locked"):
        writer(tmp_path, [])
    live.close()
    writer(tmp_path, []).close()


def test_a_writer_that_died_half_way_makes_readers_say_so(tmp_path: Path) -> None:
    live = writer(tmp_path, [])
    live._tables.header.version += 1
    with pytest.raises(Unavailable, match="live-torn"):
        LiveReader(tmp_path, wait_s=0.05).consistently(lambda _: 0)
    with pytest.raises(Unavailable, match="live-missing"):
        LiveReader(tmp_path / "nowhere").consistently(lambda _: 0)
