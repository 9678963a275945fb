"""An index whose encoder can change while it serves: the next index is built beside it and takes over in one step."""

import threading
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from winnow.core.errors import Conflict, InputError, Problem
from winnow.core.time import now_us
from winnow.retrieval import kinds
from winnow.retrieval.checks import check_encoder, check_vectors
from winnow.retrieval.index import Found, Ints, Vectors
from winnow.retrieval.kept import Allowed
from winnow.retrieval.live import Live

Encode = Callable[[Ints], Vectors]
"""Rows int64 [n] → vectors float32 [n, D] of their present content."""

_GRACE_US = 60_000_000
_BATCH = 1_024


class _Generations(NamedTuple):
    """What answers: the present index, and the one before it until a moment in microseconds UTC."""

    present: Live
    before: Live | None = None
    until: int = 0


class Changing:
    """A `VectorIndex` over a live index, whose encoder can be exchanged.

    Every search is answered by one index, that of the encoder which made its queries: requests that encoded their
    query before a change are still answered by the index before, for a time of grace.

    Args:
        index: what serves at first.
        grace: how long the index before a change answers, microseconds.
        clock: the present, microseconds UTC.
    """

    def __init__(self, index: Live, *, grace: int = _GRACE_US, clock: Callable[[], int] = now_us):
        self._now, self._grace, self._clock = _Generations(index), grace, clock
        self._lock = threading.Lock()  # writers; held while the last changed rows are encoded and the next takes over
        self._noted: list[Ints] | None = None  # rows written since a change began

    @property
    def present(self) -> Live:
        """The index of the present encoder; who encodes a query takes it once and uses its `encoder`."""
        return self._now.present

    @property
    def encoder(self) -> str:
        return self.present.encoder

    @property
    def dimensions(self) -> int:
        return self.present.dimensions

    def __len__(self) -> int:
        return len(self.present)

    @property
    def changing(self) -> bool:
        """Whether the next index is being built."""
        return self._noted is not None

    def search(self, queries: Vectors, k: int, allowed: Allowed = None, *, encoder: str) -> Found:
        """See `VectorIndex.search`; answered by the index of `encoder`."""
        now = self._in_time()
        index = now.before if now.before is not None and encoder == now.before.encoder else now.present
        return index.search(queries, k, allowed, encoder=encoder)

    def upsert(self, rows: Ints, vectors: Vectors, *, encoder: str) -> None:
        """As `Live.upsert`, by the present encoder. While a change runs, the rows are encoded again for the next index.

        Write the content from which `change` encodes before the vectors.

        Raises:
            Conflict: `encoder-differs`, also when a change took over since the vectors were made: encode them again.
            InputError: `vector-shape`, `vector-not-finite`.
        """
        with self._lock:
            check_encoder(encoder, self.encoder)
            self.present.upsert(rows, vectors, encoder=encoder)
            self._note(rows)

    def delete(self, rows: Ints) -> None:
        """As `Live.delete`; the rows leave every index."""
        with self._lock:
            for index in (self._now.present, self._now.before):
                if index is not None:
                    index.delete(rows)
            self._note(rows)

    def change(
        self, encoder: str, encode: Encode, *, batch: int = _BATCH, kind: str = "auto", threads: int = 1,
        memory: int | None = None, told: Callable[[int, int], None] | None = None,
    ) -> Live:  # fmt: skip
        """Encodes every item again, builds the next index, and moves to it; searches go on all the while.

        Runs in the caller's thread; give it one of its own. When it fails, or the process dies, nothing has changed.

        Args:
            encoder: version of the next encoder.
            encode: makes its vectors; it must not write to this index.
            batch: rows encoded at once; writers wait while the last batch is encoded.
            kind, threads, memory: as for `kinds.build`.
            told: called with items encoded and items in all, after every batch.

        Returns:
            the index that serves now.

        Raises:
            Conflict: `encoder-change-running`; `encoder-unchanged` when that encoder serves already.
            InputError: `vector-shape`, `vector-not-finite`: what `encode` returned is unusable.
        """
        start = self._begin(encoder)
        try:
            rows = start.snapshot.rows()
            vectors = _encoded(rows, encode, batch=batch, told=told)
            following = Live(kinds.build(vectors, rows, encoder, kind=kind, threads=threads, memory=memory))
            while len(late := self._take()) > batch:
                _catch_up(following, late, start, encode, batch=batch)
            with self._lock:
                _catch_up(following, np.concatenate([late, self._pending()]), start, encode, batch=batch)
                self._now = _Generations(following, start, self._clock() + self._grace)
        finally:
            with self._lock:
                self._noted = None
        return following

    def _in_time(self) -> _Generations:
        """What answers now; lets go of the index before a change when its time of grace is over."""
        now = self._now
        if now.before is None or self._clock() < now.until:
            return now
        alone = _Generations(now.present)
        if self._lock.acquire(blocking=False):  # a search waits for no writer; another search lets go later
            try:
                self._now = alone if self._now is now else self._now
            finally:
                self._lock.release()
        return alone

    def _begin(self, encoder: str) -> Live:
        with self._lock:
            if self._noted is not None:
                what = "the encoder of this index is being changed"
                raise Conflict(Problem("encoder-change-running", what, fix="wait for it to end"))
            if encoder == self.encoder:
                what, fix = f"encoder {encoder} serves already", "give the version of the next encoder"
                raise Conflict(Problem("encoder-unchanged", what, fix=fix))
            self._noted = []
            return self._now.present

    def _note(self, rows: Ints) -> None:
        if self._noted is not None:
            self._noted.append(rows)

    def _take(self) -> Ints:
        with self._lock:
            return self._pending()

    def _pending(self) -> Ints:
        """The distinct rows written since the last look."""
        noted, self._noted = self._noted or [], []
        return np.unique(np.concatenate([np.zeros(0, np.int64), *noted]))


def _encoded(rows: Ints, encode: Encode, *, batch: int, told: Callable[[int, int], None] | None) -> Vectors:
    """All vectors, float32 [n, D]."""
    parts = [_checked(encode(rows[:0]), 0)] if not len(rows) else []
    for start in range(0, len(rows), batch):
        parts.append(_checked(encode(rows[start : start + batch]), len(rows[start : start + batch])))
        if told is not None:
            told(min(start + batch, len(rows)), len(rows))
    return np.concatenate(parts)


def _checked(vectors: Vectors, rows: int) -> Vectors:
    check_vectors(vectors, vectors.shape[-1])
    if len(vectors) != rows:
        what = f"the encoder made {len(vectors)} vectors for {rows} rows"
        raise InputError(Problem("vector-shape", what, fix="return one vector for each row, in the order of the rows"))
    return vectors


def _catch_up(following: Live, rows: Ints, source: Live, encode: Encode, *, batch: int) -> None:
    """Brings written rows into the next index: those that the source still has are encoded, the others leave."""
    rows = np.unique(rows)
    there = source.holds(rows)
    following.delete(rows[~there])
    kept = rows[there]
    for start in range(0, len(kept), batch):
        part = kept[start : start + batch]
        following.upsert(part, _checked(encode(part), len(part)), encoder=following.encoder)
