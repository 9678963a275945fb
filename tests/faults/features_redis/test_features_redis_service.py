"""A service whose workers read features from Redis answers as one whose workers read the tables."""

import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from redis_server import RedisServer, reader_of, serving

from winnow.core.errors import InputError
from winnow.core.settings import Settings
from winnow.features.remote import RedisReader
from winnow.http import ingester
from winnow.project import Project
from winnow.serving.runtime import Runtime

NAME = "video_recommendation"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RedisServer]:
    (tmp_path / "redis").mkdir()
    yield from serving(tmp_path / "redis")


def answers(project: Project) -> list[Any]:
    """The lists of some people."""
    runtime = Runtime(project, served=False)
    runtime.refresh()
    people = project.log.ids.ids("user", range(20))
    made = [runtime.rank(NAME, {"user": who, "size": 10, "exploration": 0}, log=False) for who in people]
    runtime.close()
    return [[(item["id"], item["score"]) for item in reply["items"]] for reply in made]


def test_workers_that_read_redis_answer_the_same(server: RedisServer, project: Project) -> None:
    (project.folder / "winnow.toml").write_text(f'[features]\nredis = "{server.url}"\n')
    stop = threading.Event()
    copying = threading.Thread(target=ingester.run, args=(Project(project.folder), stop))
    copying.start()
    try:
        reader, until = reader_of(server), time.monotonic() + 60
        while _applied(reader) < project.log.last_seq():
            assert time.monotonic() < until
            time.sleep(0.05)
        local = answers(Project(project.folder))
        with (project.folder / "winnow.toml").open("a") as file:
            file.write('[server]\nstate = "redis"\n')
        assert answers(Project(project.folder)) == local
        assert any(local)
    finally:
        stop.set()
        copying.join()


def _applied(reader: RedisReader) -> int:
    try:
        return reader.applied_seq
    except Exception:
        return -1


def test_workers_cannot_read_a_redis_that_nobody_names(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no-redis"):
        Settings.load(tmp_path / "winnow.toml", {"WINNOW_SERVER_STATE": "redis"})
