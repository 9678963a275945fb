"""An index that takes new, changed and deleted vectors at once: an immutable base, what changed since, what is gone.

One thread writes; any number search. A search works on one snapshot and takes no lock.
"""

import logging
import threading
from typing import NamedTuple

import numpy as np

from winnow.core.errors import Conflict, Problem
from winnow.retrieval import kinds
from winnow.retrieval.checks import check_encoder, check_items, check_vectors
from winnow.retrieval.index import SCAN_NUMBERS, Found, Ints, Stored, Vectors, merged
from winnow.retrieval.kept import Allowed, Kept, Mask
from winnow.retrieval.overlay import Overlay, Rest

REBUILD_FROM = 5_000
REBUILD_SHARE = 0.1

_log = logging.getLogger(__name__)


class Snapshot(NamedTuple):
    """What a search sees.

    Args:
        base: the stored index.
        kept: rows of the base that are still valid.
        rest: what came since.
    """

    base: Stored
    kept: Kept
    rest: Rest

    def find(self, queries: Vectors, k: int, allowed: Allowed = None, *, exact: bool = False) -> Found:
        """The k best of base and rest, float32 [Q, D] → [Q, k]; `exact` compares with every vector."""
        found = self.base.find(queries, k, self.kept.narrowed(allowed), exact=exact)
        return merged(found, self.rest.find(queries, k, allowed), k) if len(self.rest.current) else found

    def rows(self) -> Ints:
        """All that can be found, int64 [n]."""
        return np.concatenate([self.kept.rows, self.rest.rows[self.rest.current]])

    def vectors(self) -> Vectors:
        """The vectors of `rows()`, float32 [n, D]."""
        at, late = self.base.positions(self.kept.rows), self.rest.current
        return np.concatenate([self.base.vectors[at], self.rest.vectors[late]])

    @property
    def changes(self) -> int:
        """What searches carry along until the next rebuild."""
        return len(self.rest.rows) + len(self.base) - self.kept.count


class Live:
    """A `VectorIndex` over a stored base plus changes.

    Args:
        base: as built or opened; it is never changed.
    """

    def __init__(self, base: Stored):
        self._lock = threading.Lock()
        self._changed: list[Ints] | None = None  # rows changed since a rebuild began
        self._overlay = Overlay(base.dimensions)
        self._now = Snapshot(base, base.kept, self._overlay.seen())
        self.trouble: str = ""  # why the last rebuild in the background failed

    @property
    def encoder(self) -> str:
        return self._now.base.encoder

    @property
    def dimensions(self) -> int:
        return self._now.base.dimensions

    @property
    def kind(self) -> str:
        """Kind of the base."""
        return type(self._now.base).__name__

    @property
    def snapshot(self) -> Snapshot:
        """What searches see now; later changes do not touch it."""
        return self._now

    def __len__(self) -> int:
        now = self._now
        return now.kept.count + len(now.rest.current)

    def __contains__(self, row: int) -> bool:
        return bool(self.holds(np.array([row]))[0])

    def holds(self, rows: Ints) -> Mask:
        """Which of some rows, int64 [n], can be found."""
        now = self._now
        return now.kept.holds(rows) | np.isin(rows, now.rest.rows[now.rest.current])

    def search(self, queries: Vectors, k: int, allowed: Allowed = None, *, encoder: str) -> Found:
        """See `VectorIndex.search`."""
        now = self._now
        check_encoder(encoder, now.base.encoder)
        check_vectors(queries, now.base.dimensions)
        return now.find(queries, k, allowed)

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
        distinct, first = np.unique(rows[::-1], return_index=True)
        last = vectors[::-1][first] if len(rows) == len(vectors) else vectors
        check_items(last, distinct)
        with self._lock:
            self._overlay.put(distinct, last)
            self._show(distinct)

    def delete(self, rows: Ints) -> None:
        """Removes items; rows that are not there are fine. The next search does not find them."""
        with self._lock:
            self._overlay.remove(rows)
            self._show(rows)

    def _show(self, rows: Ints) -> None:
        """Makes a change of some rows visible, all of it in one step."""
        now = self._now
        self._now = Snapshot(now.base, now.kept.without(rows), self._overlay.seen())
        if self._changed is not None:
            self._changed.append(rows)

    @property
    def wants_rebuild(self) -> bool:
        """Whether changes have grown enough to slow searches down."""
        most = min(REBUILD_SHARE * len(self._now.base), SCAN_NUMBERS / max(self.dimensions, 1))
        return self._now.changes > max(REBUILD_FROM, most)

    def rebuild(self, *, kind: str = "auto", threads: int = 1, memory: int | None = None) -> Stored:
        """Builds a new base from what is valid now, beside the old one, and moves to it without losing a change.

        Args:
            kind, threads, memory: as for `kinds.build`.

        Raises:
            Conflict: `rebuild-running` when another thread is at it.
        """
        with self._lock:
            if self._changed is not None:
                raise Conflict(Problem("rebuild-running", "this index is being rebuilt", fix="wait for it to end"))
            start, self._changed = self._now, []
        try:
            base = kinds.build(
                start.vectors(), start.rows(), start.base.encoder, kind=kind, threads=threads, memory=memory
            )
            with self._lock:
                self._move(base, np.unique(np.concatenate([np.zeros(0, np.int64), *self._changed])))
        finally:
            with self._lock:
                self._changed = None
        return base

    def rebuild_if_wanted(self, *, threads: int = 1) -> threading.Thread | None:
        """Starts a rebuild in the background when changes have grown enough and none runs; a failure is in `trouble`.

        Returns:
            the thread, None when nothing was started.
        """
        if not self.wants_rebuild or self._changed is not None:
            return None
        thread = threading.Thread(target=self._rebuild_quietly, args=(threads,), name="index-rebuild", daemon=True)
        thread.start()
        return thread

    def _rebuild_quietly(self, threads: int) -> None:
        try:
            self.rebuild(threads=threads)
            self.trouble = ""
        except Exception as error:
            self.trouble = f"{type(error).__name__}: {error}"
            _log.error("an index could not be rebuilt", exc_info=True)

    def _move(self, base: Stored, late: Ints) -> None:
        """The new base with the changes of rows that came while it was built."""
        rest = self._now.rest
        again = rest.current[np.isin(rest.rows[rest.current], late)]
        self._overlay = Overlay(base.dimensions)
        self._overlay.put(rest.rows[again], rest.vectors[again])
        self._now = Snapshot(base, base.kept.without(late), self._overlay.seen())
