"""What a look-up says beforehand comes in one round trip, and what was taken from the cache before it is looked at."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from features_shop import START, USERS, VIDEOS, batches, chunks, everything, plan, video, writer
from redis_server import RedisServer, mirrored, reader_of, serving
from test_features_parity import assert_same

from winnow.core.time import MICROS
from winnow.data.chunk import Chunk
from winnow.features.batch import FeatureBatch, Ints
from winnow.features.live import LiveWriter
from winnow.features.remote import Mirror, RedisReader, RedisState
from winnow.features.remote.fetched import Fetched
from winnow.features.view import Moments


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RedisServer]:
    (tmp_path / "redis").mkdir()
    yield from serving(tmp_path / "redis")


@dataclass
class Shop:
    """Live tables and their copy."""

    folder: Path
    live: LiveWriter
    mirror: Mirror

    def apply(self, chunks: list[Chunk]) -> None:
        self.live.apply(chunks)
        assert self.mirror.settle(10), self.mirror.trouble

    def author(self, value: int) -> None:
        """Gives every video an author."""
        seq, known = self.live.applied_seq, self.live.watermark + 1
        times = {"seq": seq + 1 + np.arange(VIDEOS), "at": np.full(VIDEOS, known), "known_at": np.full(VIDEOS, known)}
        columns = {"row": np.arange(VIDEOS), "deleted": np.zeros(VIDEOS, np.int64), "author": np.full(VIDEOS, value)}
        self.apply([Chunk("row", "video", times | columns, seq + VIDEOS)])


@pytest.fixture
def shop(server: RedisServer, tmp_path: Path) -> Shop:
    live = writer(tmp_path / "live", [])
    made = Shop(tmp_path / "live", live, mirrored(live, tmp_path / "live", server))
    made.apply([c for part in batches(chunks(30)) for c in part])
    return made


def computed(reader: RedisReader) -> FeatureBatch:
    users, videos = (a.ravel() for a in np.meshgrid(np.arange(USERS), np.arange(VIDEOS)))
    moments = Moments(np.array([reader.watermark]), {"user": users, "video": videos})
    return reader.consistently(lambda state: plan.compute(moments, state))


@pytest.fixture
def trips(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many commands each round trip has."""
    counted, ask = list[int](), Fetched._replies

    def counting(self: Fetched, commands: list[bytes]) -> Any:
        counted.append(len(commands))
        return ask(self, commands)

    monkeypatch.setattr(Fetched, "_replies", counting)
    return counted


@pytest.mark.parametrize(("cache_mb", "most"), [(64, 1), (0, 3)])
def test_a_whole_look_up_is_one_round_trip(
    server: RedisServer, shop: Shop, trips: list[int], cache_mb: int, most: int
) -> None:
    reader = reader_of(server, cache_mb=cache_mb)
    assert_same(computed(reader), everything(shop.folder)[1], "cold")
    trips.clear()
    assert_same(computed(reader), everything(shop.folder)[1], "warm")
    assert len(trips) <= most, "columns of each table first, where they are not in the cache, then all the rest"


def test_after_changes_it_is_two(server: RedisServer, shop: Shop, trips: list[int]) -> None:
    reader = reader_of(server, cache_mb=64)
    computed(reader)
    for part in batches(chunks(60))[30:40]:
        changed_columns = any(c.kind == "row" for c in part)
        shop.apply(part)
        trips.clear()
        assert_same(computed(reader), everything(shop.folder)[1], "after a change")
        assert len(trips) <= (5 if changed_columns else 2)


def test_keys_that_come_from_a_column_that_has_changed_meanwhile(server: RedisServer, shop: Shop) -> None:
    reader = reader_of(server, cache_mb=64)
    for value in (1, 2, 3):
        shop.author(value)
        assert_same(computed(reader), everything(shop.folder)[1], f"author {value}")


def test_what_is_all_in_the_cache_is_still_asked_about(server: RedisServer, shop: Shop) -> None:
    reader, rows = reader_of(server, cache_mb=64), np.arange(VIDEOS)

    def author(state: RedisState) -> Ints:
        return np.asarray(state.column(video, "author", rows, np.array([START])))

    for value in (1, 2, 3):
        shop.author(value)
        assert reader.consistently(author).tolist() == [value] * VIDEOS


def test_a_change_that_another_thread_has_seen_is_seen_by_a_look_up_that_began_before(
    server: RedisServer, shop: Shop
) -> None:
    reader, rows, read = reader_of(server, cache_mb=64), np.arange(VIDEOS), list[list[int]]()
    shop.author(1)
    computed(reader)

    def author(state: RedisState) -> Ints:
        found = np.asarray(state.column(video, "author", rows, np.array([START])))
        read.append(found.tolist())
        if len(read) == 1:
            shop.author(2)
            computed(reader)  # the cache has the new lines now, which are as good as the old ones were
        return found

    assert reader.consistently(author).tolist() == [2] * VIDEOS
    assert read[0] == [1] * VIDEOS, "the first try read the old one: else this shows nothing"


def test_the_copy_follows_tables_that_move(server: RedisServer, shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    reader, home = reader_of(server), shop.live._home
    computed(reader)
    monkeypatch.setattr(home, "crowded", lambda _: True)
    monkeypatch.setattr(home, "volatile", lambda _: True)
    shop.apply(batches(chunks(60))[30])
    monkeypatch.undo()
    shop.apply(batches(chunks(60))[31])
    assert_same(computed(reader), everything(shop.folder)[1], "after a move")


def test_lag_is_told(server: RedisServer, shop: Shop) -> None:
    assert shop.mirror.lag == (0, 0.0)
    before, (first, second) = shop.live.watermark, batches(chunks(60))[30:32]
    server.kill(data=True)
    shop.live.apply(first)
    shop.mirror.step()
    shop.live.apply(second)
    rows, seconds = shop.mirror.lag
    assert rows == second[-1].until - first[0].first_seq + 1
    assert seconds == (shop.live.watermark - before) / MICROS > 0
    server.start()
    assert shop.mirror.settle(10), shop.mirror.trouble
    assert shop.mirror.lag == (0, 0.0)
