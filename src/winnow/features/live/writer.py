"""The one process that applies the log to the live tables: each row exactly once, every batch all or nothing."""

import fcntl
import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from winnow.core.errors import Conflict, Problem, Unavailable
from winnow.data.chunk import Chunk
from winnow.data.schema import Table
from winnow.features.aggregate import Aggregate
from winnow.features.live.feed import Feed, Prepared
from winnow.features.live.files import CLOSED, FORMAT, Header, boot_id, copy, sync
from winnow.features.live.layout import Caps, Entry, Tables
from winnow.features.live.state import POINTER, opened, stats

Replay = Callable[[int], Iterable[Chunk]]
_CHECKPOINT = "checkpoint-"


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
    ):
        self._folder, self._replay, self._batch = Path(folder), replay, batch
        self._aggregates, self._schema = list(dict.fromkeys(aggregates)), list(tables)
        self._caps = caps or Caps()
        self._folder.mkdir(parents=True, exist_ok=True)
        self._lock = _locked(self._folder / "lock")
        self._tables = self._resumed() or self._rebuilt()
        self._feed = self._feed_into(self._tables)
        self.ensure(())

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
            prepared = self._feed.prepare(chunks, after=header.applied, until=until)
            with header.publishing():
                self._publish(prepared)
                header.watermark = max(header.watermark, prepared.watermark)
                header.applied = until
        return header.applied

    def advance(self, watermark: int) -> None:
        """Says that every event known before this moment has been applied (the log's own watermark, once caught up)."""
        header = self._tables.header
        if watermark > header.watermark:
            with header.publishing():
                header.watermark = watermark

    def catch_up(self) -> int:
        """Applies what the log holds by now.

        Returns:
            The last seq applied.
        """
        for chunks in _batches(self._replay(self.applied_seq), self._batch):
            self.apply(chunks)
        return self.applied_seq

    def ensure(self, aggregates: Iterable[Aggregate]) -> None:
        """Adds aggregates: built from the log up to here beside the tables in use, then made known to readers."""
        self._aggregates = list(dict.fromkeys([*self._aggregates, *aggregates]))
        entries = self._caps.entries(self._aggregates, self._schema)
        fresh = {name: entry for name, entry in entries.items() if name not in self._tables.entries}
        if fresh:
            self._build(fresh)
        self._feed = self._feed_into(self._tables)

    def checkpoint(self) -> Path:
        """Copies the tables as they stand; a later rebuild starts there instead of at the start of the log."""
        target = self._folder / f"{_CHECKPOINT}{self.applied_seq:020}"
        if not target.exists():
            beside = self._folder / "checkpoint.new"
            shutil.rmtree(beside, ignore_errors=True)
            copy(self._tables.folder, beside)
            beside.rename(target)
        for old in self._checkpoints():
            if old != target:
                shutil.rmtree(old)
        return target

    def close(self) -> None:
        """Puts everything on disk, so that even a restart of the machine goes on from here."""
        sync(self._tables.folder)
        self._tables.header.boot = CLOSED
        sync(self._tables.folder)
        os.close(self._lock)

    def _feed_into(self, tables: Tables, names: Iterable[str] | None = None) -> Feed:
        kept = [a for a in self._aggregates if names is None or a.name in names]
        return Feed(tables, kept, self._schema)

    def _publish(self, prepared: Prepared) -> None:
        for write in prepared.writes:
            write.publish()
        for name, count in prepared.refused.items():
            self._tables.header.counters[self._tables.number(name)] += count

    def _resumed(self) -> Tables | None:
        """The tables as they were left, if they are whole and of the shape asked for."""
        try:
            tables = opened(self._folder)
        except Unavailable:
            return None
        if not tables.header.sound or not self._fits(tables.entries):
            return None
        tables.header.boot = boot_id()
        return tables

    def _fits(self, entries: dict[str, Entry]) -> bool:
        wanted = self._caps.entries(self._aggregates, self._schema)
        return all(wanted[n] | {"file": e["file"]} == e for n, e in entries.items() if n in wanted)

    def _rebuilt(self) -> Tables:
        """A new generation, caught up with the log before readers see it."""
        old = sorted(self._folder.glob("generation-*"))
        number = 1 + max((int(p.name.rpartition("-")[2]) for p in old), default=0)
        folder = self._folder / f"generation-{number:06}"
        self._tables = self._from_checkpoint(folder) or self._blank(folder)
        self._feed = self._feed_into(self._tables)
        self.ensure(())
        self.catch_up()
        pointer = self._folder / f"{POINTER}.new"
        pointer.write_text(folder.name)
        pointer.replace(self._folder / POINTER)
        for path in old:
            Header(path / "header").retired = 1
            shutil.rmtree(path)
        return self._tables

    def _checkpoints(self) -> list[Path]:
        return sorted(self._folder.glob(f"{_CHECKPOINT}*"))

    def _from_checkpoint(self, folder: Path) -> Tables | None:
        for path in reversed(self._checkpoints()):
            tables = Tables(path)
            if tables.header.format == FORMAT and self._fits(tables.entries):
                copy(path, folder)
                tables = Tables(folder)
                tables.header.boot = boot_id()
                return tables
        return None

    def _blank(self, folder: Path) -> Tables:
        folder.mkdir()
        tables = Tables(folder)
        tables.header.format, tables.header.boot = FORMAT, boot_id()
        tables.add(tables.numbered(self._caps.entries(self._aggregates, self._schema)))
        return tables

    def _build(self, fresh: dict[str, Entry]) -> None:
        """Fills new tables from the log up to the last row applied, then makes them known."""
        beside = self._tables.beside(fresh, self._caps.entries((), self._schema))
        feed, until = self._feed_into(beside, fresh), self.applied_seq
        for chunks in _batches(self._replay(0), self._batch) if until else ():
            if chunks[0].first_seq > until:
                break
            for write in feed.prepare(chunks, after=0, until=until).writes:
                write.publish()
        self._tables.add({name: beside.entries[name] for name in fresh})
        beside.drop_scratch()


def _batches(chunks: Iterable[Chunk], size: int) -> Iterator[list[Chunk]]:
    """Chunks in batches of about `size` rows that split neither an append nor rows with one `known_at`."""
    batch: list[Chunk] = []
    rows = 0
    for chunk in chunks:
        if rows >= size and _apart(batch[-1], chunk):
            yield batch
            batch, rows = [], 0
        batch.append(chunk)
        rows += len(chunk)
    if batch:
        yield batch


def _apart(before: Chunk, after: Chunk) -> bool:
    return before.until != after.until and before.ints("known_at")[-1] != after.ints("known_at")[0]


def _locked(path: Path) -> int:
    """An open lock file that no other process can hold; released when this process ends, however it ends."""
    handle = os.open(path, os.O_RDWR | os.O_CREAT)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(handle)
        what = "another process writes the live tables"
        raise Conflict(Problem("live-locked", what, fix="stop the other ingester first")) from error
    return handle
