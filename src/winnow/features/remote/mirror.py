"""Keeps a copy of the live tables in Redis up to date, beside the writer and in its process.

The tables in shared memory stay what they are. Of every change of theirs the mirror sends the new lines of the rows
that changed, all at once: a reader in Redis sees a state that the tables had, some milliseconds ago. Lines are whole,
so a change that is sent twice does no harm. When the mirror cannot know what the copy holds (Redis lost it, the
ingester died, the layout changed) it sends everything anew under other keys, and then turns the pointer to them.
"""

import logging
import math
import time
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from winnow.core.time import MICROS, now_us
from winnow.features.batch import Ints
from winnow.features.live.layout import Entry
from winnow.features.live.state import opened
from winnow.features.live.tables import Tables
from winnow.features.remote.background import Background
from winnow.features.remote.source import Batch, Rows, Source
from winnow.features.remote.target import Target
from winnow.features.remote.wire import Head, connected, new_token, prefix_of

CELLS = 1 << 20  # looked at together when everything is sent
ROWS = 100_000  # changed rows that are sent at once; when there are more, everything is sent anew beside
_RETRY_S = 0.5
_SHARE_S = 0.02  # of the caller's time, when everything is sent
_ALIVE_US = 60 * MICROS
_TOKEN = "mirror"  # file beside the tables: the generation that they were copied to
_log = logging.getLogger(__name__)


class Mirror:
    """Copies live tables to Redis. Make it before the writer applies anything, and tell it of every change.

        mirror = Mirror(folder, "redis://localhost:6379/0")
        writer.listeners.append(mirror.changed)
        while ...:
            writer.catch_up()
            mirror.step()

    Args:
        folder: of the live tables.
        url: where Redis listens.
        timeout_s: how long Redis may take to answer.
        clock: the present, microseconds UTC.

    Raises:
        InputError: `bad-redis-url`.
        Unavailable: `package-missing`.
    """

    def __init__(self, folder: Path | str, url: str, *, timeout_s: float = 5.0, clock: Callable[[], int] = now_us):
        self._folder, self._clock = Path(folder), clock
        self._tables = opened(self._folder)
        self._redis = connected(url, timeout_s=timeout_s)
        self._target, self._background = Target(self._redis), Background[Any]("mirror")
        self._changed: dict[str, list[Ints]] = {}
        self._count = 0
        self._trouble, self._again_at, self._garbage = "", 0.0, True
        self._head = self._position(0)
        self._copy = _Copy(self._token, self._tables)
        self._copy.source.resume()
        self._job: Callable[[], Any] | None = None
        self._then: Callable[[Any], None] = _nothing
        self._running = False
        self._do(self._target.found, self._found)

    def changed(self, rows: Mapping[str, Ints]) -> None:
        """Takes note of changed rows, by table, and sends them if nothing else is on its way."""
        for table, some in rows.items():
            self._changed.setdefault(table, []).append(some)
            self._count += len(some)
        self.step()

    def step(self) -> None:
        """Sends what there is to send, without waiting for Redis; call it often."""
        until = time.monotonic() + _SHARE_S
        self._advance()
        while self._copy.walk is not None and time.monotonic() < until:
            self._background.wait(until - time.monotonic())
            self._advance()

    @property
    def trouble(self) -> str:
        """Why the copy is not kept up to date at present; empty when it is."""
        return self._trouble

    @property
    def lag(self) -> tuple[int, float]:
        """By how many sequence numbers, and by how many seconds of the log's time, readers see less than in the tables.

        All and infinitely many, before there is a copy.
        """
        header = self._tables.header
        if not self._copy.in_use:
            return header.applied, math.inf
        rows = header.applied - self._head.applied
        return rows, max(header.watermark - self._head.watermark, 0) / MICROS if rows else 0.0

    @property
    def _in_use(self) -> bool:
        """Whether readers see a copy of the tables as they are laid out now."""
        return self._copy.in_use and self._copy.layout == self._tables.header.layout

    @property
    def behind(self) -> bool:
        """Whether the copy is not yet what the tables are."""
        header = self._tables.header
        same = (self._head.applied, self._head.watermark) == (header.applied, header.watermark)
        return not (self._in_use and self._job is None and not self._count and same)

    def settle(self, seconds: float) -> bool:
        """Waits until the copy is what the tables are, which nobody changes meanwhile; whether it is."""
        deadline = time.monotonic() + seconds
        while self.behind and time.monotonic() < deadline:
            self._background.wait(0.01)
            self.step()
            time.sleep(0.0005)
        return not self.behind

    def close(self, *, wait_s: float = 5.0) -> None:
        """Sends what is left, and lets go of Redis."""
        self.settle(wait_s)
        self._background.close()
        self._redis.close()

    # One call at a time -------------------------------------------------------------------------------------------

    def _do(self, job: Callable[[], Any], then: Callable[[Any], None]) -> None:
        """What to do next, again and again until it succeeds, and what to do with its result."""
        self._job, self._then = job, then

    def _advance(self) -> None:
        if not self._background.idle:
            return
        if self._running:
            self._running = False
            self._ended(self._background.result())
        if self._job is None:
            self._next()
        if self._job is not None and time.monotonic() >= self._again_at:
            self._running = True
            self._background.start(self._job)

    def _ended(self, result: Any) -> None:
        if isinstance(result, Exception):
            self._again_at = time.monotonic() + _RETRY_S
            trouble = str(result).rpartition("caused error: ")[2]  # without the command, which is full of bytes
            if trouble != self._trouble:
                self._trouble = trouble
                _log.warning("the live state cannot be copied to Redis: %s", trouble)
            return
        self._trouble, self._job = "", None
        self._then(result)

    def _next(self) -> None:
        header, copy = self._tables.header, self._copy
        if header.retired:
            self._tables = opened(self._folder)
            self._anew()
        elif header.layout != copy.layout or (copy.in_use and self._count > ROWS):
            self._anew()
        elif copy.walk is not None:
            self._walk_on(copy.walk)
        elif self._count:
            self._change(self._taken(), self._head.version + 1)
        elif (self._head.applied, self._head.watermark) != (header.applied, header.watermark):
            self._change(Batch(), self._head.version)
        elif self._garbage:
            self._do(partial(self._target.clean, copy.token), self._cleaned)

    # What is done ---------------------------------------------------------------------------------------------------

    def _found(self, found: tuple[str, Mapping[str, Entry], Head] | None) -> None:
        """Goes on with the copy that there is, if it is what the tables were when this began."""
        start, copy = self._head, self._copy
        if found is not None and found[0] == copy.token and found[1] == copy.entries:
            head = found[2]
            if (head.applied, head.watermark, head.source) == (start.applied, start.watermark, start.source):
                self._head, copy.in_use = head, True
                return
        self._anew()

    def _anew(self) -> None:
        """Starts to send everything to a new generation."""
        self._tables.follow()
        self._changed, self._count = {}, 0
        self._copy = copy = _Copy(new_token(), self._tables)
        copy.walk = copy.source.walk(CELLS)
        self._do(partial(self._target.start, copy.token), copy.started)

    def _walk_on(self, walk: Iterator[dict[str, Ints]]) -> None:
        copy, rows = self._copy, next(walk, None)
        if rows is not None:
            self._do(partial(self._target.add, self._batch(rows)), _nothing)
        elif self._count > ROWS:
            self._do(partial(self._target.add, self._taken()), _nothing)
        else:
            head = self._position(1)
            switch = partial(self._target.switch, copy.token, copy.entries, self._taken(), head, run=copy.run)
            self._do(switch, partial(self._switched, head))

    def _switched(self, head: Head, done: bool) -> None:
        if not done:
            self._anew()
            return
        self._head, self._garbage = head, True
        self._copy.walk, self._copy.in_use = None, True
        (self._tables.folder / _TOKEN).write_text(self._copy.token)

    def _change(self, batch: Batch, version: int) -> None:
        head, before = self._position(version), self._head.version
        change = partial(self._target.change, self._copy.token, batch, head, before=before)
        self._do(change, partial(self._done, head))

    def _done(self, head: Head, done: bool) -> None:
        if done:
            self._head = head
        else:
            self._anew()

    def _cleaned(self, more: bool) -> None:
        self._garbage = more

    def _taken(self) -> Batch:
        """The lines of all changed rows."""
        changed, self._changed, self._count = self._changed, {}, 0
        return self._batch({table: np.concatenate(rows) for table, rows in changed.items()})

    def _batch(self, rows: Rows) -> Batch:
        now, watermark = self._clock(), self._tables.header.watermark
        alive = abs(now - watermark) < _ALIVE_US  # else the clock of the log is not ours, and lines stay
        return self._copy.source.batch(rows, passing=alive)

    def _position(self, version: int) -> Head:
        header = self._tables.header
        return Head(version, header.applied, header.watermark, header.version)

    @property
    def _token(self) -> str:
        path = self._tables.folder / _TOKEN
        return path.read_text() if path.exists() else ""


class _Copy:
    """A generation in Redis.

    Args:
        token: its name.
        tables: what it is a copy of.
    """

    def __init__(self, token: str, tables: Tables):
        self.token, self.entries, self.layout = token, dict(tables.entries), tables.header.layout
        self.source = Source(tables, prefix_of(token))
        self.walk: Iterator[dict[str, Ints]] | None = None
        self.in_use = False
        self.run = ""

    def started(self, run: str) -> None:
        """Redis knows of it."""
        self.run = run


def _nothing(_: Any) -> None:
    """What follows when there is nothing more to do."""
