"""An index that takes new, changed and deleted vectors at once: an immutable base and a small scanned rest.

One thread writes; any number search. A search works on one snapshot and takes no lock.
"""

import threading
from dataclasses import dataclass, replace

import numpy as np

from winnow.core.errors import Conflict, Problem
from winnow.retrieval import kinds
from winnow.retrieval.index import (
    Allowed,
    Found,
    Ints,
    Mask,
    Stored,
    Vectors,
    check_encoder,
    check_vectors,
    nothing,
    padded,
    permitted,
    scan,
)

REBUILD_FROM = 5_000
REBUILD_SHARE = 0.1


@dataclass(frozen=True)
class _Snapshot:
    """What searches see.

    Args:
        base: the stored index.
        kept: positions of the base that are still valid, bool [I]; None for all.
        rows: int64 [n] of the rest, in order of arrival.
        vectors: float32 [n, D] of the rest.
        current: entries of the rest that no later one replaced, bool [n].
    """

    base: Stored
    kept: Mask | None
    rows: Ints
    vectors: Vectors
    current: Mask


class Live:
    """A `VectorIndex` over a stored base plus changes.

    Args:
        base: as built or opened; it is never changed.
    """

    def __init__(self, base: Stored):
        self._lock = threading.Lock()
        self._changed: set[int] | None = None  # rows changed since a rebuild began
        self._now = _fresh(base)

    @property
    def encoder(self) -> str:
        return self._now.base.encoder

    @property
    def dimensions(self) -> int:
        return self._now.base.dimensions

    def __len__(self) -> int:
        now = self._now
        return (len(now.base) if now.kept is None else int(now.kept.sum())) + int(now.current.sum())

    def __contains__(self, row: int) -> bool:
        now, wanted = self._now, np.array([row])
        in_base = np.isin(now.base.rows if now.kept is None else now.base.rows[now.kept], wanted)
        return bool(in_base.any() or np.isin(now.rows[now.current], wanted).any())

    def search(self, queries: Vectors, k: int, allowed: Allowed = None, *, encoder: str) -> Found:
        """See `VectorIndex.search`."""
        now = self._now
        check_encoder(encoder, now.base.encoder)
        check_vectors(queries, now.base.dimensions)
        kept = now.kept
        if allowed is not None:
            kept = permitted(allowed, now.base.rows) if kept is None else kept & permitted(allowed, now.base.rows)
        found = now.base.find(queries, k, kept)
        return found if not now.current.any() else _merged(found, _rest(now, queries, k, allowed), k)

    def upsert(self, rows: Ints, vectors: Vectors, *, encoder: str) -> None:
        """Adds items or replaces their vectors; the next search sees them.

        Args:
            rows: int64 [n]; the last of a repeated row counts.
            vectors: float32 [n, D].
            encoder: version of the encoder that made them.

        Raises:
            Conflict: `encoder-differs`.
            InputError: `vector-shape`, `vector-not-finite`.
        """
        check_encoder(encoder, self.encoder)
        check_vectors(vectors, self.dimensions)
        last = len(rows) - 1 - np.unique(rows[::-1], return_index=True)[1]
        with self._lock:
            now = _without(self._now, rows)
            self._now = replace(
                now,
                rows=np.concatenate([now.rows, rows[last]]),
                vectors=np.concatenate([now.vectors, vectors[last]]),
                current=np.concatenate([now.current, np.ones(len(last), np.bool_)]),
            )
            self._note(rows)

    def delete(self, rows: Ints) -> None:
        """Removes items; rows that are not there are fine. The next search does not find them."""
        with self._lock:
            self._now = _without(self._now, rows)
            self._note(rows)

    @property
    def wants_rebuild(self) -> bool:
        """Whether changes have grown enough to slow searches down."""
        now = self._now
        changes = len(now.rows) + (0 if now.kept is None else int((~now.kept).sum()))
        return changes > max(REBUILD_FROM, REBUILD_SHARE * len(now.base))

    def rebuild(self, *, kind: str = "auto", threads: int = 1) -> Stored:
        """Builds a new base from what is valid now, beside the old one, and moves to it without losing a change.

        Raises:
            Conflict: `rebuild-running` when another thread is at it.
        """
        with self._lock:
            if self._changed is not None:
                raise Conflict(Problem("rebuild-running", "this index is being rebuilt", fix="wait for it to end"))
            start, self._changed = self._now, set()
        try:
            rows, vectors = _valid(start)
            base = kinds.build(vectors, rows, start.base.encoder, kind=kind, threads=threads)
            with self._lock:
                self._now = _moved(self._now, base, np.array(sorted(self._changed), np.int64))
        finally:
            with self._lock:
                self._changed = None
        return base

    def _note(self, rows: Ints) -> None:
        if self._changed is not None:
            self._changed.update(rows.tolist())


def _fresh(base: Stored) -> _Snapshot:
    none = np.zeros(0, np.int64)
    return _Snapshot(base, None, none, np.zeros((0, base.dimensions), np.float32), np.zeros(0, np.bool_))


def _without(now: _Snapshot, rows: Ints) -> _Snapshot:
    gone = permitted(rows, now.base.rows) if len(rows) else np.zeros(len(now.base), np.bool_)
    kept = now.kept
    if gone.any():
        kept = ~gone if kept is None else kept & ~gone
    return replace(now, kept=kept, current=now.current & ~np.isin(now.rows, rows))


def _moved(now: _Snapshot, base: Stored, late: Ints) -> _Snapshot:
    """The new base with the changes that came while it was built."""
    again = np.flatnonzero(now.current & np.isin(now.rows, late))
    return replace(
        _without(_fresh(base), late),
        rows=now.rows[again],
        vectors=now.vectors[again],
        current=np.ones(len(again), np.bool_),
    )


def _valid(now: _Snapshot) -> tuple[Ints, Vectors]:
    kept = slice(None) if now.kept is None else now.kept
    rows = np.concatenate([now.base.rows[kept], now.rows[now.current]])
    return rows, np.concatenate([now.base.vectors[kept], now.vectors[now.current]])


def _rest(now: _Snapshot, queries: Vectors, k: int, allowed: Allowed) -> Found:
    usable = now.current if allowed is None else now.current & permitted(allowed, now.rows)
    at = np.flatnonzero(usable)
    if not len(at) or not len(queries):
        return nothing(len(queries), k)
    found, scores = scan(now.vectors, queries, min(k, len(at)), at)
    return padded(now.rows[found], scores, k)


def _merged(base: Found, rest: Found, k: int) -> Found:
    rows, scores = np.hstack([base.rows, rest.rows]), np.hstack([base.scores, rest.scores])
    order = np.argsort(-scores, axis=1, kind="stable")[:, :k]
    return Found(np.take_along_axis(rows, order, axis=1), np.take_along_axis(scores, order, axis=1))
