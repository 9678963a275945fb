"""The copy in Redis under kill -9 of Redis and of the mirror: an old or a new whole state, and it heals."""

import multiprocessing
import os
import random
import signal
import time
from collections.abc import Callable, Iterator
from multiprocessing.synchronize import Event
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from features_shop import CAPS, START, USERS, VIDEOS, batches, chunks, everything, plan, seen, user, video, writer
from redis_server import RedisServer, mirrored, reader_of, serving
from test_features_crash import lockstep
from test_features_parity import assert_same

from winnow.core.errors import Unavailable
from winnow.core.time import days, hours
from winnow.data.schema import Path as KeyPath
from winnow.features.aggregate import Aggregate
from winnow.features.batch import FeatureBatch, Ints
from winnow.features.live import Caps, LiveWriter
from winnow.features.remote import Mirror, RedisReader, RedisState
from winnow.features.remote import mirror as mirror_module
from winnow.features.remote import reader as reader_module
from winnow.features.remote.wire import POINTER, STARTED
from winnow.features.view import Moments

spawn = multiprocessing.get_context("spawn")
USER, VIDEO = KeyPath(user), KeyPath(video)
IN_STEP = [Aggregate("sum", seen, (USER,)), Aggregate("sum", seen, (VIDEO,)), Aggregate("sum", seen, (USER, VIDEO)),
           Aggregate("sum", seen, (USER,), window=hours(1))]  # fmt: skip


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RedisServer]:
    (tmp_path / "redis").mkdir()
    yield from serving(tmp_path / "redis", "--appendonly", "yes", "--appendfsync", "everysec")


def everything_in(server: RedisServer) -> FeatureBatch:
    """As `everything`, of Redis."""
    reader = reader_of(server)
    users, videos = (a.ravel() for a in np.meshgrid(np.arange(USERS), np.arange(VIDEOS)))
    moments = Moments(np.array([reader.watermark]), {"user": users, "video": videos})
    return reader.consistently(lambda state: plan.compute(moments, state))


def same_as_tables(server: RedisServer, folder: Path, what: str) -> None:
    assert_same(everything_in(server), everything(folder)[1], what)


def token(server: RedisServer) -> bytes:
    """What names the generation in use."""
    return bytes(server.client().get(POINTER))


@pytest.mark.parametrize("data", [True, False])
def test_redis_killed_while_changes_are_sent_heals(server: RedisServer, tmp_path: Path, data: bool) -> None:
    log, folder = chunks(60), tmp_path / "live"
    live = writer(folder, [])
    mirror, reader, chance = mirrored(live, folder, server), reader_of(server), random.Random(1)
    seen_applied, parts = [], batches(log)
    for number, part in enumerate(parts):
        live.apply(part)
        if number % 20 == 10:
            time.sleep(chance.random() * 0.05)
            server.kill(data=data)
            with pytest.raises(Unavailable, match="redis-unreachable"):
                reader.consistently(lambda state: state.as_of)
            live.apply(parts[number + 1])  # nobody waits for Redis
            server.start()
            seen_applied.append(_applied(reader))
    assert mirror.settle(20), mirror.trouble
    same_as_tables(server, folder, "after kills of Redis")
    ends = {part[-1].until for part in parts} | {0}
    assert set(seen_applied) - {None} <= ends, "a state that the tables never had"
    assert data == (None not in seen_applied), "its data were there, or were lost, as the test meant it"


def _applied(reader: RedisReader) -> int | None:
    try:
        return reader.applied_seq
    except Unavailable as error:
        if error.code != "live-missing":
            raise
        return None


def test_redis_that_comes_back_with_older_data_is_sent_everything(server: RedisServer, tmp_path: Path) -> None:
    log, folder, client = chunks(20), tmp_path / "live", server.client()
    live = writer(folder, [])
    mirror = mirrored(live, folder, server)
    live.apply([c for part in batches(log)[:10] for c in part])
    assert mirror.settle(10)
    old = {key: client.dump(key) for key in client.keys("*")}
    live.apply(log)
    assert mirror.settle(10)
    before = token(server)
    client.flushall()
    for key, value in old.items():
        client.restore(key, 0, value)
    live.apply(lockstep_after(log))
    assert mirror.settle(10)
    assert token(server) != before
    same_as_tables(server, folder, "after an old copy came back")


def lockstep_after(log: list[Any]) -> list[Any]:
    """One more append."""
    return [c for c in batches(chunks(21))[20] if c.until > log[-1].until]


def copy_in_step(folder: str, url: str, ready: Event, pause_s: float) -> None:
    """Process: applies lockstep batches and copies them until killed."""
    live = LiveWriter(folder, IN_STEP, [], replay=lambda _: [], caps=CAPS)
    mirror = Mirror(folder, url)
    live.listeners.append(mirror.changed)
    mirror.settle(20)
    number = live.applied_seq // 64
    ready.set()
    while True:
        live.apply(lockstep(number))
        mirror.step()
        number += 1
        time.sleep(pause_s)


def in_step(state: RedisState) -> Ints:
    """Every count of every row, all of which move in step."""
    rows, at = np.arange(64), np.array([state.as_of])
    return np.concatenate([state.windows([a], (rows,) * len(a.by), at)[0] for a in IN_STEP])


@pytest.mark.timeout(600)
@pytest.mark.parametrize("kills", [6, pytest.param(40, marks=pytest.mark.heavy)])
def test_kill_9_of_the_mirror_shows_no_reader_half_an_update(server: RedisServer, tmp_path: Path, kills: int) -> None:
    folder, chance, reader, found, last = tmp_path / "live", random.Random(2), reader_of(server), [], 0
    for _ in range(kills):
        ready = spawn.Event()
        process = spawn.Process(target=copy_in_step, args=(str(folder), server.url, ready, 0.001))
        process.start()
        assert ready.wait(30)
        until = time.monotonic() + 0.1 + chance.random() * 0.3
        while time.monotonic() < until:
            found.append(np.unique(reader.consistently(in_step)))
        os.kill(process.pid or 0, signal.SIGKILL)
        process.join()
        found.append(np.unique(reader.consistently(in_step)))  # what it left is whole
    assert all(len(values) == 1 for values in found)
    values = [int(v[0]) for v in found]
    assert values == sorted(values), "time went backwards"
    assert len(set(values)) > 5 * kills, "nothing moved: the test shows nothing"
    live = LiveWriter(folder, IN_STEP, [], replay=lambda _: [], caps=CAPS)
    mirror = Mirror(folder, server.url)
    assert mirror.settle(20), mirror.trouble
    last = live.applied_seq // 64
    assert np.unique(reader.consistently(in_step)).tolist() == [last]
    while mirror._garbage:  # what dead mirrors have left behind goes
        mirror.step()
    assert server.client().smembers(STARTED) == {mirror._copy.token.encode()}


def test_without_the_check_of_versions_readers_would_see_half_an_update(
    server: RedisServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The fault planted: the tests above must be able to fail."""
    from winnow.features.remote import fetched

    ready = spawn.Event()
    process = spawn.Process(target=copy_in_step, args=(str(tmp_path / "live"), server.url, ready, 0.0))
    process.start()
    assert ready.wait(30)
    reader, torn, until = reader_of(server), 0, time.monotonic() + 20
    monkeypatch.setattr(fetched.Fetched, "_settled", lambda self, data: setattr(self, "_head", fetched.Head.of(data)))
    while not torn and time.monotonic() < until:
        torn += len(np.unique(reader.consistently(in_step))) > 1
    os.kill(process.pid or 0, signal.SIGKILL)
    process.join()
    assert torn


def settled(server: RedisServer, folder: Path, log: list[Any], **options: Any) -> tuple[LiveWriter, Mirror]:
    """A writer that has applied a log, and its copy."""
    live = writer(folder, [])
    mirror = mirrored(live, folder, server, **options)
    live.apply(log)
    assert mirror.settle(10), mirror.trouble
    return live, mirror


def test_a_restart_in_order_goes_on_with_the_copy(server: RedisServer, tmp_path: Path) -> None:
    live, mirror = settled(server, tmp_path / "live", chunks(10))
    mirror.close()
    live.close()
    before = token(server)
    live = writer(tmp_path / "live", [])
    mirror = mirrored(live, tmp_path / "live", server)
    live.apply(chunks(20))
    assert mirror.settle(10)
    assert token(server) == before
    same_as_tables(server, tmp_path / "live", "after a restart")


def test_changes_that_were_not_sent_before_a_restart_mean_sending_everything(
    server: RedisServer, tmp_path: Path
) -> None:
    live, mirror = settled(server, tmp_path / "live", chunks(10))
    mirror.close()
    live.listeners.clear()
    live.apply(chunks(11))
    live.close()
    before = token(server)
    mirror = Mirror(tmp_path / "live", server.url)
    assert mirror.settle(10)
    assert token(server) != before
    same_as_tables(server, tmp_path / "live", "after a restart")


def test_lost_while_everything_is_sent_means_beginning_again(
    server: RedisServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mirror_module, "CELLS", 500)
    monkeypatch.setattr(mirror_module, "_SHARE_S", 0)
    live = writer(tmp_path / "live", [])
    live.apply(chunks(10))
    mirror = mirrored(live, tmp_path / "live", server)
    for number in range(12):
        mirror.step()
        mirror._background.wait(5)
        if number == 8:
            assert mirror._copy.walk is not None
            server.client().flushall()
    assert mirror.settle(20)
    same_as_tables(server, tmp_path / "live", "after a flush")


def test_changes_while_everything_is_sent_are_in_it(
    server: RedisServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mirror_module, "CELLS", 1000)
    monkeypatch.setattr(mirror_module, "_SHARE_S", 0)
    log, folder = batches(chunks(60)), tmp_path / "live"
    live = writer(folder, [])
    live.apply([c for part in log[:20] for c in part])
    mirror, switched = mirrored(live, folder, server), 0
    for part in log[20:]:
        walking = mirror._copy.walk is not None
        live.apply(part)
        mirror._background.wait(5)
        mirror.step()
        switched += walking and mirror._copy.in_use
    assert mirror._count == 0 or mirror.settle(10), mirror.trouble
    assert mirror.settle(10), mirror.trouble
    assert switched == 1, "everything was sent before the first change: the test shows nothing"
    same_as_tables(server, folder, "after changes meanwhile")


def test_new_aggregates_become_another_generation(server: RedisServer, tmp_path: Path) -> None:
    log, folder = chunks(20), tmp_path / "live"
    live = LiveWriter(folder, plan.aggregates[:4], [user, video], replay=lambda _: log, caps=CAPS)
    mirror, reader = mirrored(live, folder, server), reader_of(server)
    live.apply(log)
    assert mirror.settle(10)
    assert reader.missing(plan.aggregates) == [a.name for a in plan.aggregates[4:]]
    live.ensure(plan.aggregates)
    assert mirror.settle(10)
    assert reader.missing(plan.aggregates) == []
    same_as_tables(server, folder, "after a change of layout")


def test_pairs_that_are_evicted_leave_redis_too(server: RedisServer, tmp_path: Path) -> None:
    pair = Aggregate("sum", seen, (USER, VIDEO))
    live = LiveWriter(tmp_path / "live", [pair], [], replay=lambda _: [], caps=Caps(rows=64, pairs=16))
    mirror = mirrored(live, tmp_path / "live", server)
    for number in range(12):
        live.apply(pairs_of(number))
        assert mirror.settle(10), mirror.trouble
    client, reader = server.client(), reader_of(server)
    hashes = [key for key in client.keys("*") if client.type(key) == b"hash"]
    assert sum(client.hlen(key) - 1 for key in hashes) <= 16
    users, videos = (a.ravel() for a in np.meshgrid(np.arange(64), np.arange(64)))
    assert live.stats()["tables"]["pairs:user*video"]["evicted"] > 0
    at = np.array([reader.watermark])
    local = everywhere(tmp_path / "live", pair, (users, videos), at)
    np.testing.assert_array_equal(reader.consistently(lambda s: s.windows([pair], (users, videos), at)[0]), local)


def pairs_of(number: int) -> list[Any]:
    """Ten impressions of new pairs, and one of an old one."""
    (chunk,) = lockstep(number, users=11)
    columns = dict(chunk.columns) | {"user": np.arange(11) + number, "video": (np.arange(11) * 7 + number) % 64}
    columns["user"][0] = columns["video"][0] = 1
    return [type(chunk)("event", "impression", columns, chunk.until)]


def everywhere(folder: Path, a: Aggregate, keys: tuple[Ints, Ints], at: Ints) -> Ints:
    """What the tables themselves say."""
    from winnow.features.live import LiveReader

    return LiveReader(folder).consistently(lambda s: s.windows([a], keys, at)[0])


@pytest.mark.parametrize("live_clock", [True, False])
def test_lines_of_windows_pass_with_time_where_the_log_is_live(
    server: RedisServer, tmp_path: Path, live_clock: bool
) -> None:
    kept = [Aggregate("sum", seen, (USER,), window=hours(1)), Aggregate("sum", seen, (VIDEO,), window=days(1)),
            Aggregate("sum", seen, (USER, VIDEO), window=hours(1)), Aggregate("sum", seen, (VIDEO, USER))]  # fmt: skip
    live = LiveWriter(tmp_path / "live", kept, [], replay=lambda _: [], caps=CAPS)
    clock: Callable[[], int] = (lambda: START) if not live_clock else (lambda: 1000)
    mirror = mirrored(live, tmp_path / "live", server, clock=clock)
    assert mirror.settle(10)
    live.apply(lockstep(0))
    assert mirror.settle(10)
    client = server.client()
    lasting = [client.pttl(key) for key in client.keys("*") if key.startswith(b"\xf7") and len(key) == 11]
    passing = [t for t in lasting if t > 0]
    assert len(lasting) == 4 * 64
    assert len(passing) == 3 * 64 * live_clock
    assert all(hours(1).total_seconds() * 1000 < t < days(2).total_seconds() * 1000 for t in passing)


def test_a_redis_that_evicts_is_not_used(server: RedisServer, tmp_path: Path) -> None:
    client = server.client()
    client.config_set("maxmemory", "100mb")
    client.config_set("maxmemory-policy", "allkeys-lru")
    live = writer(tmp_path / "live", [])
    mirror = mirrored(live, tmp_path / "live", server)
    live.apply(chunks(3))
    assert not mirror.settle(0.5)
    assert "redis-evicts" in mirror.trouble
    client.config_set("maxmemory-policy", "noeviction")
    assert mirror.settle(10), mirror.trouble


def test_a_full_redis_keeps_the_old_state_and_heals(server: RedisServer, tmp_path: Path) -> None:
    live, mirror = settled(server, tmp_path / "live", chunks(10))
    before, client = everything_in(server), server.client()
    client.config_set("maxmemory", "1mb")
    live.apply(chunks(20))
    assert not mirror.settle(0.5)
    assert "maxmemory" in mirror.trouble
    assert_same(everything_in(server), before, "while Redis is full")
    client.config_set("maxmemory", "0")
    assert mirror.settle(10), mirror.trouble
    same_as_tables(server, tmp_path / "live", "after Redis was full")


def test_readers_say_what_is_wrong(server: RedisServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    reader = reader_of(server)
    with pytest.raises(Unavailable, match="live-missing"):
        reader.consistently(lambda state: state.as_of)
    settled(server, tmp_path / "live", chunks(3))
    monkeypatch.setattr(reader_module, "FORMAT", 99)
    with pytest.raises(Unavailable, match="redis-format"):
        reader_of(server).consistently(lambda state: state.as_of)
    with pytest.raises(Unavailable, match="redis-unreachable"):
        RedisReader("redis://127.0.0.1:1/0").consistently(lambda state: state.as_of)


def test_a_copy_that_never_holds_still_is_an_error(server: RedisServer, tmp_path: Path) -> None:
    """Every try asks for other rows, and meets a change each time."""
    live, mirror = settled(server, tmp_path / "live", chunks(3))
    reader = RedisReader(server.url, wait_s=0.3, cache_mb=0)
    log, rows = iter(batches(chunks(1000))[3:]), iter(range(10**6))

    def restless(state: RedisState) -> None:
        for _ in range(2):
            state.column(video, "author", np.array([next(rows)]), np.array([0]))
            live.apply(next(log))
            assert mirror.settle(10)

    with pytest.raises(Unavailable, match="redis-unsteady"):
        reader.consistently(restless)
