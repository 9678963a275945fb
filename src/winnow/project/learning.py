"""Keeps a project learning: one process that trains, calibrates, updates and watches when it is time to."""

import fcntl
import logging
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

from winnow.continual.schedule import Diary, Done, Due, Move, plan
from winnow.core.errors import Conflict, Problem, WinnowError
from winnow.core.time import now_us
from winnow.project.project import Project

DIARY, LOCK = "learning.json", "learning.lock"
LOOK_S = 30.0  # a system file that changes, or a training by hand, is noticed so soon
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Options:
    """How a project learns.

    Args:
        systems: only these; all when empty.
        given: intervals in place of the usual ones (`schedule.cadence`).
        threads: CPU threads of a training.
        clock: the present, microseconds UTC.
        sleep: waits so many seconds.
        progress: of a training, called with (what, done, total).
    """

    systems: tuple[str, ...] = ()
    given: Mapping[Move, timedelta] = field(default_factory=dict)
    threads: int = 2
    clock: Callable[[], int] = now_us
    sleep: Callable[[float], None] = time.sleep
    progress: Any = None


class Learner:
    """Does what is due, one thing after the other.

    Every move opens the project anew, so that a system file that was changed counts from the next move on.

    Args:
        folder: of the project.
        options: how.
    """

    def __init__(self, folder: Path, options: Options | None = None) -> None:
        self._folder, self._options = folder, options or Options()
        self._diary = Diary(folder / DIARY)

    def plan(self) -> list[Due]:
        """What is due when, the next first.

        Raises:
            NotFound: `no-project`, `unknown-system`.
            DeclarationError: every mistake in a system file.
        """
        now, known = self._options.clock(), self._diary.read()
        with Project(self._folder) as project:
            systems = [project.system(name) for name in self._options.systems or project.systems]
            dues = [
                due
                for s in systems
                for due in plan(s, project.registry, known.get(s.name, {}), now=now, given=self._options.given)
            ]
        return sorted(dues, key=lambda due: max(due.at, now))

    def once(self) -> Iterator[tuple[Due, Done]]:
        """Does everything that is due by now, each thing once, and tells what came of it."""
        until, seen = self._options.clock(), set[tuple[str, Move]]()
        while due := next((d for d in self.plan() if d.at <= until and (d.system, d.move) not in seen), None):
            seen.add((due.system, due.move))
            yield due, self._do(due)

    def forever(self) -> Iterator[tuple[Due, Done]]:
        """Does what is due when it is due."""
        while True:
            yield from self.once()
            wait = min((due.at for due in self.plan()), default=0) - self._options.clock()
            self._options.sleep(min(max(wait / 1e6, 1.0), LOOK_S))

    def _do(self, due: Due) -> Done:
        begun = self._options.clock()
        self._diary.note(due.system, due.move, Done(at=begun))
        try:
            with Project(self._folder) as project:
                done = Done(at=begun, state="done", what=self._moved(project, due))
        except WinnowError as error:
            done = Done(at=begun, state="failed", what=str(error.problems[0]))
        except Exception as error:  # one move that breaks must not end all others
            _log.exception("%s of %s broke", due.move, due.system)
            done = Done(at=begun, state="failed", what=f"{type(error).__name__}: {error}")
        self._diary.note(due.system, due.move, done)
        return done

    def _moved(self, project: Project, due: Due) -> str:
        """What a move came to, in a line."""
        name, options = due.system, self._options
        if due.move == "monitor":
            watched = project.watch(name)
            bad = sum(not f.ok for f in watched.findings)
            back = f"{watched.rolled_back} was taken back, {watched.release} serves" if watched.rolled_back else ""
            return f"{len(watched.findings)} findings, {bad} beyond their limits" + (f"; {back}" if back else "")
        if due.move == "train":
            verdict = project.train(name, threads=options.threads, promote=True, progress=options.progress).verdict
        elif due.move == "calibrate":
            verdict = project.calibrate(name, last=_back(due), promote=True)
        else:
            verdict = project.update(name, last=_back(due), promote=True)
        return f"{verdict.candidate} {'serves now' if verdict.promoted else 'waits'}: {verdict.why}"


def _back(due: Due) -> timedelta:
    """How far back rows go: a day, or further where the move comes more rarely."""
    return max(timedelta(days=1), 2 * due.every)


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Nobody else keeps the project learning meanwhile; the lock goes with the process, however it ends.

    Raises:
        Conflict: `learning-already`.
    """
    with (folder / LOCK).open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            what, fix = f"another process keeps {folder} learning", "stop it first; one is enough"
            raise Conflict(Problem("learning-already", what, str(folder), fix=fix)) from None
        yield
