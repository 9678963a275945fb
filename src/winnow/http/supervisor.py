"""The supervisor: one ingester and N HTTP workers on one listening socket; what dies is started again."""

import logging
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from winnow.core.errors import Problem, Unavailable
from winnow.core.settings import PREFIX, Settings
from winnow.http import keys
from winnow.http.process import PROJECT, log_to_stderr
from winnow.monitoring import metrics

FACTORY = "winnow.http.app:create"
_LOOK_S = 0.05
_LONGEST_WAIT_S = 3.0
_STEADY_S = 5.0  # a process that lived this long starts again at once when it dies
_log = logging.getLogger(__name__)


@dataclass
class Child:
    """A process that must run.

    Args:
        name: for the log.
        command: what runs.
        process: the running process; None while waiting to start again.
        deaths: in a row, none of them after a steady life.
        due: when to start again, on the monotonic clock.
    """

    name: str
    command: list[str]
    process: "subprocess.Popen[bytes] | None" = None
    started: float = 0.0
    deaths: int = 0
    due: float = 0.0

    @property
    def pause_s(self) -> float:
        """How long to wait before the next start."""
        return 0.0 if not self.deaths else min(0.1 * 2.0**self.deaths, _LONGEST_WAIT_S)


@dataclass
class Supervisor:
    """Runs the processes of a service until it is told to stop.

    Args:
        folder: of the project.
        settings: of the project.
        factory: import string of a function that makes the ASGI application.
        listener: the listening socket, shared by all workers.
        environment: variables for the children, on top of this process's own.
    """

    folder: Path
    settings: Settings
    factory: str
    listener: socket.socket
    environment: Mapping[str, str]
    stop: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        python = [sys.executable, "-m"]
        serve = [*python, "winnow.http.worker", str(self.listener.fileno()), self.factory]
        self.ingester = Child("ingester", [*python, "winnow.http.ingester"])
        self.workers = [Child(f"worker {i + 1}", serve) for i in range(self.settings.server.workers)]

    def run(self) -> None:
        """Starts everything, keeps it running, ends it in order: workers first, then the ingester."""
        while not self.stop.is_set():
            for child in (self.ingester, *self.workers):
                self._keep(child)
            self.stop.wait(_LOOK_S)
        self._end(self.workers)
        self._end([self.ingester])

    def _keep(self, child: Child) -> None:
        now = time.monotonic()
        if child.process is not None and child.process.poll() is not None:
            status, lived = child.process.returncode, now - child.started
            child.deaths = 0 if lived > _STEADY_S else child.deaths + 1
            metrics.forget(self._figures, child.process.pid)
            child.process, child.due = None, now + (child.pause_s if child.deaths > 1 else 0.0)
            _log.warning("%s ended with %s after %.1f s; starts again", child.name, status, lived)
        if child.process is None and now >= child.due:
            child.process, child.started = self._spawn(child), now

    def _spawn(self, child: Child) -> "subprocess.Popen[bytes]":
        # A session of its own: Ctrl-C reaches the supervisor alone, which ends the others in order.
        return subprocess.Popen(
            child.command,
            env={**os.environ, **self.environment},
            pass_fds=[self.listener.fileno()],
            start_new_session=True,
        )

    def _end(self, children: list[Child]) -> None:
        running = [c.process for c in children if c.process is not None and c.process.poll() is None]
        for process in running:
            process.send_signal(signal.SIGTERM)
        until = time.monotonic() + self.settings.server.shutdown_s + 5
        for process in running:
            try:
                process.wait(max(until - time.monotonic(), 0.1))
            except subprocess.TimeoutExpired:
                _log.error("process %d did not end in time and is killed", process.pid)
                process.kill()
                process.wait()

    @property
    def _figures(self) -> Path:
        return Path(self.environment[metrics.VARIABLE])


def serve(
    folder: Path,
    *,
    factory: str = FACTORY,
    host: str | None = None,
    port: int | None = None,
    workers: int | None = None,
) -> None:
    """Serves a project until SIGTERM or SIGINT.

    Args:
        folder: of the project.
        factory: import string of a function that makes the ASGI application.
        host, port, workers: in place of what the settings say.

    Raises:
        InputError: settings that cannot work, `auth-off-in-public` among them.
    """
    given = {"HOST": host, "PORT": port, "WORKERS": workers}
    chosen = {f"{PREFIX}SERVER_{name}": str(value) for name, value in given.items() if value is not None}
    settings = Settings.load(folder / "winnow.toml", {**os.environ, **chosen})
    log_to_stderr("supervisor")
    if not settings.open_to_all and not keys.names(folder):
        _log.warning("no API key exists, every request will be refused: `winnow key create NAME` makes one")
    with _listening(settings) as listener:
        supervisor = Supervisor(folder, settings, factory, listener, _environment(folder, chosen))
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: supervisor.stop.set())
        address, bound = listener.getsockname()[:2]
        print(f"Winnow serves {folder} at http://{address}:{bound}", flush=True)
        supervisor.run()


def _listening(settings: Settings) -> socket.socket:
    host, port = settings.server.host, settings.server.port
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        fix = "stop what listens there, or choose another with --port"
        raise Unavailable(Problem("port-taken", f"cannot listen on {host}:{port}: {error}", "port", fix=fix)) from error
    listener.listen(2048)
    return listener


def _environment(folder: Path, chosen: Mapping[str, str]) -> dict[str, str]:
    """Variables of the children: the project, the choices of the command line, one thread per library."""
    one = {"OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE", "OPENBLAS_NUM_THREADS": "1", "POLARS_MAX_THREADS": "2"}
    figures = metrics.environment(folder / "run" / "metrics")
    return {PROJECT: str(folder.resolve()), **one, **figures, **chosen}
