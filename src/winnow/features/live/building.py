"""Building new tables from the log beside those in use, and the batches in which a log is replayed."""

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor

from winnow.data.chunk import Chunk
from winnow.features.live.feed import Feed
from winnow.features.live.tables import Tables

Replay = Callable[[int], Iterable[Chunk]]


class Building:
    """New tables on their way from the start of the log to where the tables in use stand.

    Args:
        tables: those to fill.
        names: of the new ones among them.
        feed: fills them.
        replay: the log's chunks after a seq.
        rows: how many a step takes.
    """

    def __init__(self, tables: Tables, names: list[str], feed: Feed, *, replay: Replay, rows: int):
        self.tables, self.names, self._feed = tables, names, feed
        self._replay, self._rows = replay, rows
        self._applied, self._next = 0, iter(batches(replay(0), rows))

    def step(self, until: int) -> bool:
        """Applies the next rows of the log, as far as a seq; whether the tables have got there."""
        if self._applied >= until:
            return True
        chunks = next(self._next, None)
        if chunks is None:  # the log has grown since it was opened
            self._next = iter(batches(self._replay(self._applied), self._rows))
            chunks = next(self._next, None)
        if chunks is None:
            return True
        last = min(max(c.until for c in chunks), until)
        prepared = self._feed.prepare(chunks, after=self._applied, until=last)
        for write in prepared.writes:
            write.publish()
        for name, highest in prepared.rows.items():
            if name in self.names:
                counters = self.tables.counters(name)
                counters[2] = max(counters[2], highest)
        self._applied = last
        return last >= until


def batches(chunks: Iterable[Chunk], size: int) -> Iterator[list[Chunk]]:
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


def ahead(found: Iterator[list[Chunk]]) -> Iterator[list[Chunk]]:
    """The same batches, the next one read while the present one is worked on."""
    with ThreadPoolExecutor(1) as pool:
        coming = pool.submit(next, found, None)
        while (batch := coming.result()) is not None:
            coming = pool.submit(next, found, None)
            yield batch


def _apart(before: Chunk, after: Chunk) -> bool:
    return before.until != after.until and before.ints("known_at")[-1] != after.ints("known_at")[0]
