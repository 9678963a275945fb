"""A running service of a project, for tests and benchmarks: real processes on a free port."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

import httpx

from winnow.http import keys


class Service:
    """Starts `python -m winnow.http` on a project and talks to it.

    Args:
        folder: of the project.
        workers: HTTP processes.
        environment: further settings, such as `{"WINNOW_SERVER_AUTH": "off"}`.
        ready: whether to wait until every release is loaded.
    """

    def __init__(
        self, folder: Path, *, workers: int = 1, environment: Mapping[str, str] | None = None, ready: bool = True
    ):
        if "tests" not in keys.names(folder):
            (folder / "tests.key").write_text(keys.create(folder, "tests", ["admin"]))
        self.folder, self.key = folder, (folder / "tests.key").read_text()
        settings = {"WINNOW_SERVER_PORT": "0", "WINNOW_SERVER_WORKERS": str(workers), **(environment or {})}
        self._log = (folder / "service.log").open("a+b")
        self.process = subprocess.Popen(
            [sys.executable, "-m", "winnow.http", str(folder)],
            env={**os.environ, **settings},
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
        )
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        found = re.search(r"http://\S+", line)
        if found is None:
            self.process.wait()
            told = self.log()
            self._close()
            raise RuntimeError(f"no service: {line}{told}")
        self.url = found.group()
        self.client = httpx.Client(base_url=self.url, headers={"X-API-Key": self.key}, timeout=30)
        self.wait("/health/ready" if ready else "/health/live")

    def wait(self, path: str = "/health/ready", seconds: float = 60) -> None:
        """Until a health route answers with 200."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            try:
                if self.client.get(path).status_code == 200:
                    return
            except httpx.TransportError:
                pass
            time.sleep(0.05)
        raise TimeoutError(f"{path} never answered 200:\n{self.log()}")

    def rank(self, user: str = "u1", **given: Any) -> httpx.Response:
        """One rank request to `video_recommendation`."""
        return self.client.post("/v1/systems/video_recommendation/rank", json={"user": user, **given})

    def events(self, rows: list[dict[str, Any]]) -> httpx.Response:
        """One batch of events."""
        return self.client.post("/v1/events", json=rows)

    def children(self, what: str) -> list[int]:
        """Process ids of the children whose command line holds a word: `worker`, `ingester`."""
        found = []
        for path in Path("/proc").glob("[0-9]*"):
            try:
                parent = int((path / "stat").read_text().rpartition(")")[2].split()[1])
                if parent == self.process.pid and f"winnow.http.{what}" in (path / "cmdline").read_text():
                    found.append(int(path.name))
            except (OSError, IndexError, ValueError):
                continue
        return found

    def log(self) -> str:
        """What the service wrote to standard error."""
        self._log.flush()
        return (self.folder / "service.log").read_text(errors="replace")[-8000:]

    def stop(self) -> int:
        """Ends it gracefully; its exit status."""
        self.client.close()
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        status = self.process.wait(60)
        self._close()
        return status

    def _close(self) -> None:
        self._log.close()
        assert self.process.stdout is not None
        self.process.stdout.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
