"""The one process that applies the log to the live tables: each row exactly once, every batch all or nothing."""

import logging
import shutil
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from winnow.core.errors import Unavailable
from winnow.data.chunk import Chunk
from winnow.data.schema import Table
from winnow.features.aggregate import Aggregate
from winnow.features.batch import Ints
from winnow.features.live.building import Building, Replay, ahead, batches
from winnow.features.live.feed import Feed, Prepared
from winnow.features.live.files import CLOSED, FORMAT, Write, blocks, boot_id, copy, rows_changed, sync
from winnow.features.live.home import Home
from winnow.features.live.layout import Caps, column_name
from winnow.features.live.room import Room
from winnow.features.live.state import opened, stats
from winnow.features.live.tables import Tables
from winnow.features.state import KNOWN_AT

REBUILT_AT_ONCE = 400_000  # rows, when no reader waits
_CHECKPOINT = "checkpoint-"
_log = logging.getLogger(__name__)


class LiveWriter:
    """Keeps live tables up to date with the log.

    On start it goes on where it stopped. When the tables are torn (killed while publishing), lost (the machine
    stopped) or of another shape, it builds a new generation from the last checkpoint, or else from the log, while
    readers keep the old one.

    Args:
        folder: where the tables lie; made when absent.
        aggregates: what to keep.
        tables: the tables whose columns to keep.
        replay: the log's chunks after a seq, to its end: `lambda after: ...`.
        caps: the largest sizes.
        batch: rows applied at a time when catching up.
        threads: how many work on large batches.
        wait: whether to build aggregates that are new since the last start before anything else; else it is done
            bit by bit while catching up.
        memory: a folder in shared memory for the tables while they are written, if there is room; see `home`.

    Attributes:
        listeners: told of every change once it is visible: table → the rows that changed.

    Raises:
        Conflict: `live-locked`, when another process writes there.
    """

    def __init__(
        self,
        folder: Path | str,
        aggregates: Iterable[Aggregate],
        tables: Iterable[Table],
        *,
        replay: Replay,
        caps: Caps | None = None,
        batch: int = 10_000,
        threads: int = 1,
        wait: bool = True,
        memory: Path | None = None,
    ):
        self._folder, self._replay, self._batch, self._threads = Path(folder), replay, batch, threads
        self._aggregates, self._schema = list(dict.fromkeys(aggregates)), list(tables)
        self._caps = caps or Caps()
        self._building: Building | None = None
        self._saving: threading.Thread | None = None
        self.listeners: list[Callable[[Mapping[str, Ints]], None]] = []
        self._folder.mkdir(parents=True, exist_ok=True)
        self._home = Home(self._folder, memory)
        self._tables = self._resumed() or self._rebuilt()
        self._feed = self._feed_into(self._tables)
        self.ensure((), wait=wait)

    @property
    def applied_seq(self) -> int:
        """The last row of the log that has been applied."""
        return self._tables.header.applied

    @property
    def watermark(self) -> int:
        """The moment as of which everything has been applied."""
        return self._tables.header.watermark

    def stats(self) -> dict[str, Any]:
        """As `LiveReader.stats`."""
        return stats(self._tables)

    def apply(self, chunks: Sequence[Chunk]) -> int:
        """Applies chunks in log order, all at once for readers; rows applied before are left out.

        Give whole appends, and all the chunks that share a `known_at`: the watermark moves past it.

        Returns:
            The last seq applied.
        """
        header = self._tables.header
        until = max((max(int(c.ints("seq").max()), c.until) for c in chunks if len(c)), default=0)
        if until > header.applied:
            header = self._roomy().header
            prepared = self._feed.prepare(chunks, after=header.applied, until=until)
            with header.publishing():
                self._publish(prepared)
                header.watermark = max(header.watermark, prepared.watermark)
                header.applied = until
            self._tell(prepared.writes)
        return header.applied

    def advance(self, watermark: int) -> None:
        """Says that every event known before this moment has been applied (the log's own watermark, once caught up)."""
        header = self._tables.header
        if watermark > header.watermark:
            with header.publishing():
                header.watermark = watermark

    def catch_up(self) -> int:
        """Applies what the log holds by now, and goes on building new aggregates for a while.

        Returns:
            The last seq applied.
        """
        for chunks in batches(self._replay(self.applied_seq), self._batch):
            self.apply(chunks)
        self.build()
        return self.applied_seq

    def ensure(self, aggregates: Iterable[Aggregate], *, wait: bool = True) -> None:
        """Adds aggregates: built from the log beside the tables in use, then made known to readers.

        Args:
            aggregates: those to keep from now on, besides those that are kept.
            wait: whether to build them now; else every `catch_up` goes on with it, so that new events need not wait.
        """
        self._aggregates = list(dict.fromkeys([*self._aggregates, *aggregates]))
        self._begin()
        while wait and self.building:
            self.build()

    @property
    def building(self) -> bool:
        """Whether new aggregates are on their way."""
        return self._building is not None

    def build(self) -> None:
        """Builds new aggregates from the next rows of the log; once they have caught up, readers get to know them."""
        self._roomy()
        if self._building is not None and self._building.step(self.applied_seq):
            self._tables.adopt(self._building.tables, self._building.names)
            self._building = None
            self._feed = self._feed_into(self._tables)
            self._begin()

    def _begin(self) -> None:
        """Starts to build what is not kept yet, unless something is being built."""
        if self._building is not None:
            return
        kept = self._tables.aggregates
        new = [a for a in self._aggregates if a.name not in kept]
        entries = self._caps.entries(new, self._schema, sheet=self._tables.sheets)
        fresh = {name: entry for name, entry in entries.items() if name not in self._tables.entries}
        if fresh:
            columns = self._caps.entries((), self._schema)
            beside = self._tables.beside(fresh, columns)
            room = Room(lambda: [beside], _publish_plainly, only=fresh)
            feed = Feed(beside, new, self._schema, room=room, threads=self._threads)
            self._building = Building(beside, list(fresh), feed, replay=self._replay, rows=self._batch)

    def checkpoint(self, *, wait: bool = True) -> None:
        """Copies the tables as they stand; a later rebuild starts there instead of at the start of the log.

        Args:
            wait: whether to wait until the copy is on disk; else that goes on beside, and the checkpoint counts once it
                is. One at a time: with another on its way, nothing is done.
        """
        target = self._folder / f"{_CHECKPOINT}{self.applied_seq:020}"
        if target.exists() or (self._saving is not None and self._saving.is_alive()):
            return
        source, beside = self._tables.folder, self._folder / "checkpoint.new"
        snapshot = None if wait else self._home.snapshot(blocks(source))
        shutil.rmtree(beside, ignore_errors=True)
        copy(source, snapshot or beside, durable=False)
        self._saving = threading.Thread(target=self._saved, args=(snapshot, beside, target), name="checkpoint")
        self._saving.start()
        if wait:
            self._saving.join()

    def _saved(self, snapshot: Path | None, beside: Path, target: Path) -> None:
        try:
            if snapshot is not None:
                copy(snapshot, beside, durable=False)
                shutil.rmtree(snapshot)
            sync(beside)
            beside.rename(target)
            for old in self._checkpoints():
                if old != target:
                    shutil.rmtree(old)
        except OSError as error:
            _log.warning("a checkpoint of the live tables failed: %s", error)

    def close(self) -> None:
        """Puts everything on disk, so that even a restart of the machine goes on from here."""
        if self._saving is not None:
            self._saving.join()
        try:
            if self._home.volatile(self._tables.folder):
                self._tables = self._moved(self._tables, self._home.elsewhere())
            sync(self._tables.folder)
            self._tables.header.boot = CLOSED
            sync(self._tables.folder)
        except OSError as error:
            _log.warning("live tables are not on disk, and come back from a checkpoint if need be: %s", error)
        self._home.close()

    def _roomy(self) -> Tables:
        """The tables, which leave shared memory before it is full: to write there then would end this process."""
        if self._home.crowded(self._tables.folder):
            _log.warning("shared memory gets full: live tables move to the project's folder (live_folder)")
            self._building = None
            self._tables = self._moved(self._tables, self._home.elsewhere())
            self._feed = self._feed_into(self._tables)
            self._begin()
        return self._tables

    def _moved(self, tables: Tables, target: Path) -> Tables:
        copy(tables.folder, target)
        self._home.follow(tables.folder, target)
        return Tables(target)

    def _feed_into(self, tables: Tables) -> Feed:
        kept = tables.aggregates
        schema = [t for t in self._schema if column_name(t, KNOWN_AT) in tables.entries]
        room = Room(self._all_tables, self._publish_evicted)
        return Feed(tables, [a for a in self._aggregates if a.name in kept], schema, room=room, threads=self._threads)

    def _all_tables(self) -> list[Tables]:
        return [self._tables, *([self._building.tables] if self._building else [])]

    def _publish(self, prepared: Prepared) -> None:
        for write in prepared.writes:
            write.publish()
        for name, count in prepared.refused.items():
            self._tables.counters(name)[0] += count
        for name, highest in prepared.rows.items():
            counters = self._tables.counters(name)
            counters[2] = max(counters[2], highest)

    def _publish_evicted(self, writes: list[Write], table: str, count: int) -> None:
        with self._tables.header.publishing():
            for write in writes:
                write.publish()
            self._tables.counters(table)[1] += count
        self._tell(writes)

    def _tell(self, writes: Iterable[Write]) -> None:
        if self.listeners:
            rows = rows_changed(writes)
            for listener in self.listeners:
                listener(rows)

    def _resumed(self) -> Tables | None:
        """The tables as they were left, if they are whole and of the shape asked for."""
        try:
            tables = opened(self._folder)
        except Unavailable:
            return None
        if not tables.header.sound or not self._caps.fit(tables.entries, self._aggregates, self._schema):
            return None
        self._home.sweep(tables.folder)
        place = self._home.better(tables.folder)
        return self._taken_over(self._moved(tables, place) if place else tables)

    def _taken_over(self, tables: Tables) -> Tables:
        """Tables that somebody else has left, to go on with."""
        tables.header.boot = boot_id()
        tables.forget(tables.aggregates.keys() - {a.name for a in self._aggregates})
        for index in tables.indexes().values():
            index.mend()
        return tables

    def _rebuilt(self) -> Tables:
        """A new generation, caught up with the log before readers see it."""
        expected = self._home.expected(next(reversed(self._checkpoints()), None))
        self._home.make_room()
        folder = self._home.fresh(expected)
        self._tables = self._from_checkpoint(folder) or self._blank(folder)
        self._feed = self._feed_into(self._tables)
        self.ensure(())
        for chunks in ahead(batches(self._replay(self.applied_seq), max(self._batch, REBUILT_AT_ONCE))):
            self.apply(chunks)
        self._home.use(self._tables.folder)
        return self._tables

    def _checkpoints(self) -> list[Path]:
        return sorted(self._folder.glob(f"{_CHECKPOINT}*"))

    def _from_checkpoint(self, folder: Path) -> Tables | None:
        for path in reversed(self._checkpoints()):
            tables = Tables(path)
            fits = self._caps.fit(tables.entries, self._aggregates, self._schema)
            if tables.header.format == FORMAT and fits:
                copy(path, folder)
                return self._taken_over(Tables(folder))
        return None

    def _blank(self, folder: Path) -> Tables:
        folder.mkdir()
        tables = Tables(folder)
        tables.header.format, tables.header.boot = FORMAT, boot_id()
        tables.add(tables.numbered(self._caps.entries(self._aggregates, self._schema)))
        return tables


def _publish_plainly(writes: list[Write], _: str, __: int) -> None:
    for write in writes:
        write.publish()
