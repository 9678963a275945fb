"""How much an index finds of what an exact scan finds, and a probe that keeps measuring it on a live one."""

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from winnow.core.time import now_us
from winnow.retrieval.index import Stored, Vectors
from winnow.retrieval.kept import Allowed
from winnow.retrieval.live import Live, Snapshot
from winnow.retrieval.quantised import overlap

LEAST = 0.95
_log = logging.getLogger(__name__)
_EVERY_US = 60_000_000
_ENOUGH = 32  # queries of people, below which items stand in for them


def recall(index: Stored | Snapshot, queries: Vectors, k: int, allowed: Allowed = None) -> float:
    """Mean share of the exact k best that the index returns, in [0, 1]; NaN without queries or permitted items.

    Args:
        index: a stored index or the snapshot of a live one; its own vectors are the truth.
        queries: float32 [Q, D]; use real ones, recall depends on where they lie.
        k: length of each list.
        allowed: as in `VectorIndex.search`.
    """
    now = index if isinstance(index, Snapshot) else Live(index).snapshot
    exact = now.find(queries, k, allowed, exact=True).rows
    wanted = exact[:, : int((exact[:1] >= 0).sum())]
    return overlap(now.find(queries, k, allowed).rows, wanted) if wanted.size else float("nan")


@dataclass(frozen=True)
class Measured:
    """One measurement.

    Args:
        recall: mean share of the exact best k that were found; NaN for an empty index.
        queries: how many were asked, Q.
        asked: whether people asked them; otherwise they are vectors of items.
        k: length of the lists.
        kind: of the index.
        items: that could be found.
        made_at: when the base of the index was built, microseconds UTC.
        at: of the measurement, microseconds UTC.
    """

    recall: float
    queries: int
    asked: bool
    k: int
    kind: str
    items: int
    made_at: int
    at: int


class Probe:
    """Measures a live index with the last queries that were asked of it.

    Args:
        index: gives the live index; after a change of encoder it gives another.
        k: length of the lists.
        size: queries kept.
        least: when recall falls below it, the index looks twice as wide from then on.
        every: between measurements, microseconds.
        clock: the present, microseconds UTC.
        told: called with every measurement.
    """

    def __init__(
        self, index: Callable[[], Live], *, k: int = 10, size: int = 128, least: float = LEAST, every: int = _EVERY_US,
        clock: Callable[[], int] = now_us, told: Callable[[Measured], None] | None = None,
    ):  # fmt: skip
        self._index, self._k, self._size, self._least = index, k, size, least
        self._every, self._clock, self._told = every, clock, told
        self._asked = _Asked("", np.zeros((size, 0), np.float32))
        self._turn = threading.Lock()
        self._begun = -every  # the last measurement, also one that failed
        self.last: Measured | None = None
        self.trouble: str = ""  # why the last measurement in the background failed

    def note(self, queries: Vectors, *, encoder: str) -> None:
        """Remembers queries, float32 [Q, D], that were asked; cheap enough for the request path."""
        asked = self._asked
        if asked.encoder != encoder or asked.ring.shape[1] != queries.shape[1]:
            self._asked = asked = _Asked(encoder, np.zeros((self._size, queries.shape[1]), np.float32))
        asked.add(queries)

    @property
    def due(self) -> bool:
        return self._clock() - self._begun >= self._every

    def refresh(self) -> Measured:
        """Measures now, against all items that can be found now."""
        self._begun = self._clock()
        live = self._index()
        now, asked = live.snapshot, self._asked
        by_people = asked.encoder == live.encoder and asked.count >= _ENOUGH
        queries = asked.seen() if by_people else _some(now, self._size)
        reached = recall(now, queries, self._k)
        if reached < self._least:
            now.base.widen()
        items, made_at = len(live), now.base.made_at
        self.last = Measured(reached, len(queries), by_people, self._k, live.kind, items, made_at, self._clock())
        if self._told is not None:
            self._told(self.last)
        return self.last

    def start_when_due(self) -> threading.Thread | None:
        """Measures in the background when it is time to and no measurement runs; the thread, None when not started."""
        if not self.due or not self._turn.acquire(blocking=False):
            return None
        thread = threading.Thread(target=self._refresh_in_turn, name="index-probe", daemon=True)
        thread.start()
        return thread

    def _refresh_in_turn(self) -> None:
        try:
            self.refresh()
            self.trouble = ""
        except Exception as error:
            self.trouble = f"{type(error).__name__}: {error}"
            _log.error("the recall of an index could not be measured", exc_info=True)
        finally:
            self._turn.release()


class _Asked:
    """The last queries of one encoder, float32 [size, D]; a query that is torn by a race does no harm."""

    def __init__(self, encoder: str, ring: Vectors):
        self.encoder, self.ring, self.count = encoder, ring, 0

    def add(self, queries: Vectors) -> None:
        size = len(self.ring)
        last = queries[-size:]
        at = (self.count + np.arange(len(last))) % size
        self.ring[at] = last
        self.count += len(last)

    def seen(self) -> Vectors:
        return self.ring[: min(self.count, len(self.ring))].copy()


def _some(now: Snapshot, size: int) -> Vectors:
    """Vectors of some items."""
    rows = now.kept.rows
    chosen = rows[np.random.default_rng(0).permutation(len(rows))[:size]]
    late = now.rest.vectors[now.rest.current[:size]]
    both = np.concatenate([now.base.vectors[now.base.positions(chosen)], late])
    return np.ascontiguousarray(both[:size], np.float32)
