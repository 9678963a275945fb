"""The ingester: follows the event log and keeps the live tables up to date with it."""

import logging
import os
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from winnow.core.system import System
from winnow.core.time import days, to_us
from winnow.data.chunk import Chunk
from winnow.data.log import EventLog
from winnow.data.schema import Table
from winnow.encoders.encodings import Encodings
from winnow.features.batch import Ints
from winnow.features.declare import Feature
from winnow.features.embedding import embeds, encode_rows
from winnow.features.live import Caps, LiveWriter, memory_for
from winnow.serving.aggregates import needed, released
from winnow.serving.stores import Stores

if TYPE_CHECKING:  # imported when it is used
    from winnow.features.remote import Mirror

_log = logging.getLogger(__name__)
LIVE = "live"  # folder of the live tables in a project
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
        encodings: where the vectors of texts and images go, when features embed any.
        memory: a folder in shared memory for the tables in use: see `LiveWriter`.

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
        encodings: Encodings | None = None,
        memory: Path | None = None,
    ):
        self._log, self._rows, self._encodings = log, rows, encodings
        self._features: list[Feature] = []
        self._embed(systems := list(systems))
        self._writer = LiveWriter(
            folder, needed(systems), tables, replay=self._replay, caps=caps, batch=rows, threads=_THREADS, wait=False,
            memory=memory,
        )  # fmt: skip
        self._asked = time.monotonic() - _IDLE_S

    @classmethod
    def of(cls, stores: Stores) -> "Ingester":
        """The ingester of a project, which keeps the state of its systems and of their releases.

        Raises:
            Conflict: `live-locked` when another ingester runs.
        """
        systems = [*stores.systems.values(), *released(stores.registry, stores.systems)]
        settings = stores.settings
        return cls(
            stores.log,
            stores.folder / LIVE,
            systems,
            tables=stores.tables.values(),
            rows=settings.ingest.batch_rows,
            caps=Caps(rows=settings.features.rows, pairs=settings.features.pairs),
            encodings=stores.encodings,
            memory=memory_for(settings.features.live_folder),
        )

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
        self._embed(systems := list(systems))
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

    @property
    def listeners(self) -> list[Callable[[Mapping[str, Ints]], None]]:
        """Told of every change of the live tables once it is visible: table → the rows that changed."""
        return self._writer.listeners

    def checkpoint(self) -> None:
        """Copies the live tables, so that a rebuild need not start at the start of the log; the disk follows later."""
        self._writer.checkpoint(wait=False)

    def close(self) -> None:
        """Puts the live tables on disk."""
        self._writer.close()

    def _replay(self, after: int) -> Iterator[Chunk]:
        while chunks := self._log.read(after, self._rows):
            for chunk in chunks:
                self._encode(chunk)
                yield chunk
            after = chunks[-1].until

    def _embed(self, systems: Iterable[System]) -> None:
        """Makes sure that vectors of every encoder can be asked for, even before there are any."""
        self._features = [feature for system in systems for feature in system.reads]
        if self._encodings is not None:
            for embed in embeds(self._features):
                self._encodings.ensure(embed.encoder, [])

    def _encode(self, chunk: Chunk) -> None:
        """Vectors are there before the rows that they belong to are seen."""
        if chunk.kind == "row" and self._encodings is not None:
            encode_rows(self._features, self._encodings, table=chunk.name, columns=chunk.columns)


@contextmanager
def mirrored(stores: Stores, ingester: Ingester) -> "Iterator[Mirror | None]":
    """Copies the live tables of a project to Redis, if its settings name one; call `step` of the mirror often.

    Raises:
        InputError: `bad-redis-url`.
        Unavailable: `package-missing`.
    """
    if not stores.settings.features.redis:
        yield None
        return
    from winnow.features.remote import Mirror

    mirror = Mirror(stores.folder / LIVE, stores.settings.features.redis)
    ingester.listeners.append(mirror.changed)
    yield mirror
    mirror.close()
