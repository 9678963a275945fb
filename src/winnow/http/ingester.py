"""The ingester process: live tables, checkpoints and history follow the log. `python -m winnow.http.ingester`."""

import logging
import signal
import threading
import time
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from winnow.core.time import MICROS, now_us
from winnow.features.spill import sweep
from winnow.http.process import follow_parent, log_to_stderr, project_folder
from winnow.monitoring import metrics
from winnow.project import Project
from winnow.project.moderating import Findings
from winnow.serving.aggregates import released
from winnow.serving.charging import charging
from winnow.serving.ingester import Ingester, mirrored

if TYPE_CHECKING:  # imported when it is used
    from winnow.features.remote import Mirror

_SHARE = 0.01
_LONG_S = 0.5
_log = logging.getLogger(__name__)


def main() -> None:
    """Follows the log until SIGTERM."""
    log_to_stderr("ingester")
    follow_parent()
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    run(Project(project_folder()), stop)


def run(project: Project, stop: threading.Event) -> None:
    """Follows the log of a project until told to stop."""
    settings = project.settings.ingest
    sweep(project.folder / "scratch")
    ingester = Ingester.of(project)
    chores = [
        _Chore("checkpoint", settings.checkpoint_s, ingester.checkpoint),
        _Apart("history", settings.history_s, lambda: project.history.sync(project.log)),
        _Apart("leftovers", 300.0, project.collection.leftovers.sweep),
        _Apart("findings", 5.0, Findings(project).follow),
        _Chore("releases", 1.0, lambda: ingester.keep(released(project.registry, project.systems))),
        _Chore("charges", 0.0, charging(project)),
        _Chore("figures", 1.0, lambda: _figures(project, ingester)),
        _Chore("tables", 5.0, lambda: metrics.live_tables(ingester.stats()["tables"])),
    ]
    with mirrored(project, ingester) as mirror:
        chores += [_Chore("redis", 0.0, mirror.step), _Chore("lag", 1.0, lambda: _lag(mirror))] if mirror else []
        ingester.run(stop, poll_s=settings.poll_ms / 1000, each=partial(_do, chores))
    for chore in chores:
        chore.wait()
    ingester.close()
    project.log.close()


def _do(chores: "list[_Chore]") -> None:
    for chore in chores:
        chore.maybe()


class _Chore:
    """Something to be done from time to time; when it fails, it is tried again the next time.

    What takes long is done less often: events wait meanwhile, and no chore is to take more than `_SHARE` of the time.
    """

    def __init__(self, name: str, every_s: float, work: Callable[[], object]):
        self._name, self._every_s, self._work = name, every_s, work
        self._due = time.monotonic() + every_s

    def maybe(self) -> None:
        """Does it when it is due."""
        began = time.monotonic()
        if began < self._due:
            return
        try:
            self._work()
        except Exception:
            _log.exception("%s failed", self._name)
        now = time.monotonic()
        if now - began > _LONG_S:
            _log.info("%s took %.1f s", self._name, now - began)
        self._due = now + max(self._every_s, (now - began) / _SHARE if self._every_s else 0.0)

    def wait(self) -> None:
        """Until it is not being done."""


class _Apart(_Chore):
    """A chore that takes so long that it is done in a thread: events go on meanwhile."""

    _thread: threading.Thread | None = None

    def maybe(self) -> None:
        """Begins it when it is due."""
        if time.monotonic() >= self._due and (self._thread is None or not self._thread.is_alive()):
            self._thread = threading.Thread(target=super().maybe, name=self._name)
            self._thread.start()

    def wait(self) -> None:
        """Until it is not being done."""
        if self._thread is not None:
            self._thread.join()


def _lag(mirror: "Mirror | None") -> None:
    if mirror is not None:
        rows, seconds = mirror.lag
        metrics.MIRROR_LAG_ROWS.set(rows)
        metrics.MIRROR_LAG_SECONDS.set(seconds)


def _figures(project: Project, ingester: Ingester) -> None:
    last, applied = project.log.last_seq(), ingester.applied_seq
    metrics.LOG_SEQ.set(last)
    metrics.APPLIED_SEQ.set(applied)
    metrics.LAG_SECONDS.set(max(now_us() - ingester.watermark, 0) / MICROS if applied < last else 0.0)


if __name__ == "__main__":
    main()
