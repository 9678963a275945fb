"""A real Redis for the tests, and live state that goes through it."""

import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from winnow.features.live import LiveWriter
from winnow.features.remote import Mirror, RedisReader


class RedisServer:
    """A redis-server of our own on a free port.

    Args:
        folder: where it keeps its data.
        options: of its command line.
    """

    def __init__(self, folder: Path, *options: str):
        self.port, self._folder, self._options = free_port(), folder, options
        self._process: subprocess.Popen[bytes] | None = None
        self.start()

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def start(self) -> None:
        """Starts it, with what it finds of its data."""
        command = ["redis-server", "--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(self._folder),
                   "--save", "", *self._options]  # fmt: skip
        self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        deadline = time.monotonic() + 20
        while not self._answers():
            assert time.monotonic() < deadline, "redis-server does not start"
            time.sleep(0.02)

    def kill(self, *, data: bool) -> None:
        """Kill -9, and away with its data unless it may stay."""
        assert self._process is not None
        self._process.send_signal(signal.SIGKILL)
        self._process.wait()
        if not data:
            shutil.rmtree(self._folder)
            self._folder.mkdir()

    def _answers(self) -> bool:
        try:
            return bool(self.client().ping())
        except Exception:
            return False

    def client(self) -> Any:
        """A client."""
        import redis

        return redis.Redis(port=self.port)


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def skip_without_redis() -> None:
    """Skips a test on a machine without Redis; where tests run for everybody it must be there."""
    if shutil.which("redis-server") is None and os.environ.get("CI") != "true":
        pytest.skip("needs redis-server on the PATH: apt-get install redis-server")


def serving(folder: Path, *options: str) -> Iterator[RedisServer]:
    """A server for a fixture."""
    skip_without_redis()
    server = RedisServer(folder, *options)
    yield server
    server.kill(data=False)


def mirrored(writer: LiveWriter, folder: Path, server: RedisServer, **options: Any) -> Mirror:
    """A mirror that follows a writer."""
    mirror = Mirror(folder, server.url, **options)
    writer.listeners.append(mirror.changed)
    return mirror


def reader_of(server: RedisServer, **options: Any) -> RedisReader:
    """Reads what is there."""
    return RedisReader(server.url, wait_s=5.0, **options)
