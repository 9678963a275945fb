"""Live state in Redis passes what every `State` passes, and equals history and the oracle on random logs."""

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from features_oracle import Happened, OracleState, chunks_of
from features_world import World, worlds
from hypothesis import given, settings
from hypothesis import strategies as st
from redis_server import RedisServer, mirrored, reader_of, serving
from test_features_parity import SETTINGS, assert_same, some_requests
from test_features_state_contract import AGGREGATES, StateContract, post, user

from winnow.features.live import Caps, LiveWriter
from winnow.features.remote import Mirror
from winnow.features.state import State


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    yield from serving(tmp_path_factory.mktemp("redis"))


class OfRedis(StateContract):
    @pytest.fixture(autouse=True)
    def _server(self, server: RedisServer) -> None:
        self.server = server

    def writer(self, folder: Path) -> LiveWriter:
        return LiveWriter(folder, AGGREGATES, [user, post], replay=lambda _: [], caps=Caps(rows=32, pairs=32))

    def read(self, mirror: Mirror) -> State:
        assert mirror.settle(10), mirror.trouble
        mirror.close()
        return reader_of(self.server).consistently(lambda state: state)


class TestRedisSentWhole(OfRedis):
    def state(self, log: list[Happened], at: int, folder: Path) -> State:
        writer = self.writer(folder)
        writer.apply(chunks_of([h for h in log if h.known_at < at]))
        writer.advance(at)
        return self.read(Mirror(folder, self.server.url))


class TestRedisSentByChanges(OfRedis):
    def state(self, log: list[Happened], at: int, folder: Path) -> State:
        writer = self.writer(folder)
        mirror = mirrored(writer, folder, self.server)
        assert mirror.settle(10), mirror.trouble
        for until in sorted({h.known_at for h in log if h.known_at < at}):
            writer.apply(chunks_of([h for h in log if h.known_at == until]))
            assert mirror.settle(10), mirror.trouble
        writer.advance(at)
        return self.read(mirror)


def check_redis(world: World, asked: list[tuple[int, Any]], server: RedisServer) -> None:
    """Replays the log moment by moment, and compares what Redis says with the oracle at each."""
    chunks, oracle = chunks_of(world.log), OracleState(world.log)
    with tempfile.TemporaryDirectory() as name:
        folder, caps = Path(name), Caps(rows=16, pairs=64)
        writer = LiveWriter(folder, world.plan.aggregates, world.tables, replay=lambda _: [], caps=caps)
        mirror, readers = mirrored(writer, folder, server), [reader_of(server, cache_mb=mb) for mb in (0, 64)]
        for at, request in asked:
            writer.apply([c for c in chunks if c.first_seq > writer.applied_seq and c.ints("known_at")[0] < at])
            writer.advance(at)
            assert mirror.settle(10), mirror.trouble
            truth = world.plan.compute(request, oracle)
            for reader in readers:
                found = reader.consistently(lambda s, r=request: world.plan.compute(r, s))
                assert_same(found, truth, "Redis")
        mirror.close()
        writer.close()
        for reader in readers:
            reader.close()


@given(world=worlds(), data=st.data())
@settings(max_examples=60, **SETTINGS)
def test_redis_equals_the_oracle(server: RedisServer, world: World, data: Any) -> None:
    check_redis(world, some_requests(world, data, 3), server)


@pytest.mark.heavy
@pytest.mark.timeout(7200)
@given(world=worlds(size=60), data=st.data())
@settings(max_examples=2_000, **SETTINGS)
def test_redis_equals_the_oracle_at_length(server: RedisServer, world: World, data: Any) -> None:
    check_redis(world, some_requests(world, data, 5), server)
