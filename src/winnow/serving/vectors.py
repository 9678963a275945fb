"""The vector space of one release: its encoders, and the index of vectors that its item encoder made."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from winnow.core.candidates import Floats, Ints, Mask
from winnow.core.errors import Conflict, Problem, Unavailable
from winnow.features.batch import FeatureBatch
from winnow.features.plan import Plan
from winnow.features.state import State
from winnow.features.view import Moments
from winnow.models.base import (
    FrameEncoder,
    ItemEncoder,
    QueryEncoder,
    load_frame_encoder,
    load_item_encoder,
    load_query_encoder,
)
from winnow.retrieval.index import Stored
from winnow.retrieval.kinds import open_index
from winnow.retrieval.live import Live
from winnow.retrieval.probe import Probe
from winnow.serving.query import Query

if TYPE_CHECKING:
    from winnow.serving.kit import Kit

Pixels = NDArray[np.uint8]
_STEP = 256  # new items encoded at once; the first can be found while the rest are being encoded


class Sides(Protocol):
    """The two encoders of a vector space."""

    def query(self, query: Query, kit: "Kit") -> Floats | None:
        """The vector of what is asked for, float32 [1, D]; None when that is an item: then its vector is taken."""
        ...

    def look(self, picture: Pixels) -> Floats:
        """The vector of a picture, uint8 [H, W, 3], that is no item: float32 [1, D].

        Raises:
            Unavailable: `no-vectors` where nothing looks at pictures.
        """
        ...

    def items(self, rows: Ints, state: State, at: int) -> Floats:
        """The vectors of items, float32 [n, D]; NaN for those that can have none."""
        ...

    def frames(self, rows: Ints, query: Query, kit: "Kit") -> Floats | None:
        """How near each frame of some videos is to what is asked for, float32 [n, F], NaN beyond the last; None where
        nothing looks at frames."""
        ...


class Towers:
    """Sides made of features: the user and the request on one side, the columns of the item on the other.

    Args:
        query: user side → vectors, float32 [N, D].
        item: item side and rows → vectors, float32 [I, D].
        plan: the features of the system.
        user_role: the user's role.
        item_role: the item's role.
        frames: item side → a vector of each frame; None for a model that looks at none.
    """

    def __init__(
        self, query: QueryEncoder, item: ItemEncoder, *, plan: Plan, user_role: str, item_role: str,
        frames: FrameEncoder | None = None,
    ):  # fmt: skip
        self._query, self._item, self._role, self._frames = query, item, item_role, frames
        self._user_plan, self._item_plan = plan.side(user_role, "request"), plan.side(item_role, static=True)

    def query(self, query: Query, kit: "Kit") -> Floats:
        return self._query(kit.user_side(query, self._user_plan))

    def look(self, picture: Pixels) -> Floats:
        raise Unavailable(Problem("no-vectors", "the retrieval model of the release reads features, not pictures"))

    def items(self, rows: Ints, state: State, at: int) -> Floats:
        return self._item(self._item_side(rows, state, at), rows)

    def frames(self, rows: Ints, query: Query, kit: "Kit") -> Floats | None:
        if self._frames is None:
            return None
        seen = self._frames(kit.live.consistently(lambda state: self._item_side(rows, state, query.at)))
        found: Floats = seen @ self.query(query, kit)[0]
        return found

    def _item_side(self, rows: Ints, state: State, at: int) -> FeatureBatch:
        return self._item_plan.compute(Moments(np.array([at]), {self._role: rows}), state)


class VectorSpace:
    """Everything by which near items are found.

    Args:
        base: the index of the release.
        encoder: version of the encoders; an index refuses vectors of any other.
        sides: the encoders.
        seq: place in the log up to which the base holds what tables say.
    """

    def __init__(self, base: Stored, *, encoder: str, sides: Sides, seq: int = 0):
        self.index, self.encoder, self.sides, self.seq = Live(base), encoder, sides, seq
        self.probe = Probe(lambda: self.index)
        self._refused = 0  # searches and writes with vectors of another encoder
        self._settled = np.zeros(int(base.rows.max(initial=-1)) + 1, bool)
        self._settled[base.rows] = True
        self._hidden = np.zeros(0, bool)
        self._turn = threading.Lock()

    def search(self, query: Query, kit: "Kit", k: int) -> tuple[Ints, Floats]:
        """The k items nearest to what is asked for, best first: rows int64 [n], scores float32 [n]."""
        vector = self.sides.query(query, kit)
        if vector is None:
            vector = self.of(np.array([query.user]))
        if np.isnan(vector).any():
            return np.empty(0, np.int64), np.empty(0, np.float32)
        self.probe.note(vector, encoder=self.encoder)
        with self._counting():
            found = self.index.search(vector, k, self._allowed(query.allowed), encoder=self.encoder)
        real = found.rows[0] >= 0
        return found.rows[0][real], found.scores[0][real]

    @property
    def size(self) -> int:
        """Row numbers of all items that it has looked at lie below it."""
        return len(self._settled)

    def of(self, rows: Ints) -> Floats:
        """The vectors of items, float32 [n, D]; NaN for those that are not in the index."""
        now, vectors = self.index.snapshot, np.full((len(rows), self.index.dimensions), np.nan, np.float32)
        stored = now.kept.holds(rows)
        vectors[stored] = now.base.vectors[now.base.positions(rows[stored])]
        if len(late := now.rest.current):
            order = late[np.argsort(now.rest.rows[late])]
            place = np.minimum(np.searchsorted(now.rest.rows[order], rows), len(order) - 1)
            newer = now.rest.rows[order][place] == rows
            vectors[newer] = now.rest.vectors[order[place[newer]]]
        return vectors

    def hide(self, rows: Ints, hidden: Mask) -> None:
        """Leaves items out of what is searched, or lets them in again, so that they take nobody's place.

        Args:
            rows: int64 [n].
            hidden: which of them are left out, bool [n].
        """
        flags = _padded(self._hidden, max(int(rows.max(initial=-1)) + 1, len(self._hidden)))
        flags[rows] = hidden
        self._hidden = flags

    def _allowed(self, wanted: Mask | None) -> Mask | None:
        """What a search may find; rows that nobody has looked at yet are not hidden."""
        hidden = self._hidden
        if not hidden.any():
            return wanted
        size = max(len(hidden), len(self._settled), 0 if wanted is None else len(wanted))
        visible = ~_padded(hidden, size)
        return visible if wanted is None else visible & _padded(wanted, size)

    def follow(self, exists: Mask, changed: Ints, state: State, *, at: int, seq: int) -> int:
        """Makes the index hold the items that exist: new and changed ones are encoded, gone ones leave.

        Searches go on meanwhile. Nothing happens while another thread follows.

        Args:
            exists: bool by row.
            changed: rows that changed after `self.seq`, int64 [n].
            state: to encode from.
            at: the moment of the look, microseconds UTC.
            seq: place in the log of the look.

        Returns:
            how many items were encoded.
        """
        if not self._turn.acquire(blocking=False):
            return 0
        try:
            size = max(len(exists), len(self._settled))
            wanted, self._settled = _padded(exists, size), _padded(self._settled, size)
            rows = np.union1d(np.flatnonzero(wanted != self._settled), changed[changed < size])
            self._settle(rows, wanted[rows], state, at)
            self.seq = max(self.seq, seq)
            return int(wanted[rows].sum())
        finally:
            self._turn.release()

    def refusals(self) -> int:
        """How many vectors of another encoder were refused since the last look."""
        count, self._refused = self._refused, 0
        return count

    def catch_up(self, rows: Ints, exists: Mask, state: State, *, at: int, seq: int) -> None:
        """As `follow`, for the rows alone that changed after `self.seq`: bool [n] tells which of them exist."""
        if not self._turn.acquire(blocking=False):
            return
        try:
            self._settled = _padded(self._settled, max(int(rows.max(initial=-1)) + 1, len(self._settled)))
            self._settle(rows, exists, state, at)
            self.seq = max(self.seq, seq)
        finally:
            self._turn.release()

    def _settle(self, rows: Ints, exists: Mask, state: State, at: int) -> None:
        gone, new = rows[~exists], rows[exists]
        if len(gone):
            self.index.delete(gone)
        self._settled[gone] = False
        for start in range(0, len(new), _STEP):
            self._encode(new[start : start + _STEP], state, at)
        self.index.rebuild_if_wanted()

    def _encode(self, rows: Ints, state: State, at: int) -> None:
        vectors = self.sides.items(rows, state, at)
        good = np.isfinite(vectors).all(axis=1)
        with self._counting():
            self.index.upsert(rows[good], vectors[good], encoder=self.encoder)
        if not good.all():
            self.index.delete(rows[~good])
        self._settled[rows] = True  # also those without a vector: they are tried again when they change

    @contextmanager
    def _counting(self) -> Iterator[None]:
        """Counts what is refused because versions of encoders differ."""
        try:
            yield
        except Conflict:
            self._refused += 1
            raise


def _padded(mask: Mask, size: int) -> Mask:
    return np.pad(mask, (0, size - len(mask)))


def open_space(
    retriever: Path, index: Path, *, encoder: str, seq: int, plan: Plan, user_role: str, item_role: str
) -> VectorSpace:
    """The vector space of a release whose retriever reads features, from its folders.

    Raises:
        Conflict: `encoder-differs` when the index was made by another encoder.
        Unavailable: `index-unreadable`.
    """
    query, item, frames = load_query_encoder(retriever), load_item_encoder(retriever), load_frame_encoder(retriever)
    sides = Towers(query, item, plan=plan, user_role=user_role, item_role=item_role, frames=frames)
    return VectorSpace(open_index(index, encoder=encoder), encoder=encoder, sides=sides, seq=seq)
