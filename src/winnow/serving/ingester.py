"""The ingester: follows the event log and keeps the live tables up to date with it."""

import logging
import os
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from winnow.core.system import System
from winnow.core.time import days, to_us
from winnow.data.chunk import Chunk
from winnow.data.log import EventLog
from winnow.data.schema import Table
from winnow.features.live import Caps, LiveWriter
from winnow.serving.aggregates import needed

_log = logging.getLogger(__name__)
QUIET_US = to_us(days(30))
_THREADS = min(4, os.cpu_count() or 1)  # used when there is much to catch up with
_IDLE_S = 0.5  # the watermark moves without events this often; asking the log for it costs a sync


class Ingester:
    """Applies the log to the live tables, each row exactly once.

    Args:
        log: the event log.
        folder: of the live tables.
        systems: whose state is kept.
        tables: those whose columns are kept.
        rows: applied at a time when there is much to catch up with.
        caps: how large live tables may grow.

    Raises:
        Conflict: `live-locked` when another ingester runs.
    """

    def __init__(
        self,
        log: EventLog,
        folder: Path,
        systems: Iterable[System],
        *,
        tables: Iterable[Table],
        rows: int,
        caps: Caps | None = None,
    ):
        self._log, self._rows = log, rows
        self._writer = LiveWriter(
            folder, needed(systems), tables, replay=self._replay, caps=caps, batch=rows, threads=_THREADS, wait=False
        )
        self._asked = time.monotonic() - _IDLE_S

    def step(self) -> int:
        """Applies what is new; how many rows that was."""
        before = self._writer.applied_seq
        rows = self._writer.catch_up() - before
        if not rows and time.monotonic() - self._asked >= _IDLE_S:
            moment = self._log.watermark()
            if self._writer.catch_up() == before and not self._quiet(moment):
                self._writer.advance(moment)
            self._asked = time.monotonic()
        return rows

    def run(self, stop: threading.Event, *, poll_s: float, each: Callable[[], None] = lambda: None) -> None:
        """Follows the log until told to stop.

        Args:
            stop: set to end.
            poll_s: pause between two steps, unless there is much to catch up with.
            each: called between two steps: checkpoints, history.
        """
        while not stop.is_set():
            # Also when there is more: readers repeat a look-up during which something was published, so few large
            # updates cost them less than many small ones.
            if self.step() < self._rows and not self._writer.building:
                stop.wait(poll_s)
            each()

    def keep(self, systems: Iterable[System]) -> None:
        """Keeps the state of these systems too; what is new is built from the log between the steps that follow."""
        self._writer.ensure(needed(systems), wait=False)

    def _quiet(self, moment: int) -> bool:
        """Whether the newest row is so old that the log is a data set rather than live traffic.

        Then the present stays at its end: a list as of now would know nothing of the last days but silence.
        """
        return 0 < self._writer.watermark < moment - QUIET_US

    @property
    def applied_seq(self) -> int:
        """The last row of the log that has been applied."""
        return self._writer.applied_seq

    @property
    def watermark(self) -> int:
        """The moment up to which every event has been applied, microseconds UTC."""
        return self._writer.watermark

    def stats(self) -> dict[str, Any]:
        """Position, memory and tables: see `LiveReader.stats`."""
        return self._writer.stats()

    def checkpoint(self) -> None:
        """Copies the live tables, so that a rebuild need not start at the start of the log."""
        self._writer.checkpoint()

    def close(self) -> None:
        """Puts the live tables on disk."""
        self._writer.close()

    def _replay(self, after: int) -> Iterator[Chunk]:
        while chunks := self._log.read(after, self._rows):
            yield from chunks
            after = chunks[-1].until
