"""The vector space of one release: its encoders, and the index of vectors that its item encoder made."""

from pathlib import Path

import numpy as np

from winnow.core.candidates import Floats, Ints, Mask
from winnow.features.batch import FeatureBatch
from winnow.features.plan import Plan
from winnow.features.state import State
from winnow.features.view import Moments
from winnow.models.base import ItemEncoder, QueryEncoder, load_item_encoder, load_query_encoder
from winnow.retrieval.index import Stored
from winnow.retrieval.kinds import open_index
from winnow.retrieval.live import Live

_STEP = 4_096  # new items encoded at once


class VectorSpace:
    """Everything by which a user finds near items.

    Args:
        base: the index of the release.
        encoder: version of the encoders; an index refuses vectors of any other.
        query: user side → vectors, float32 [N, D].
        item: item side and rows → vectors, float32 [I, D].
        user_plan: features of the user and the request.
        item_plan: features of the item that hold until its row changes.
        item_role: the item's role.
    """

    def __init__(
        self, base: Stored, *, encoder: str, query: QueryEncoder, item: ItemEncoder, user_plan: Plan, item_plan: Plan,
        item_role: str,
    ):  # fmt: skip
        self.index, self.encoder = Live(base), encoder
        self.user_plan, self._item_plan, self._item_role = user_plan, item_plan, item_role
        self._query, self._item = query, item
        self._held = np.zeros(int(base.rows.max(initial=-1)) + 1, bool)
        self._held[base.rows] = True

    def search(self, user: FeatureBatch, k: int, *, allowed: Mask | None) -> tuple[Ints, Floats]:
        """The k items nearest to one user, best first: rows int64 [n], scores float32 [n].

        Args:
            user: the user side, one row.
            k: most items.
            allowed: which items may be found, bool by row; None for all.
        """
        found = self.index.search(self._query(user), k, allowed, encoder=self.encoder)
        real = found.rows[0] >= 0
        return found.rows[0][real], found.scores[0][real]

    def follow(self, exists: Mask, state: State, at: int) -> int:
        """Makes the index hold the items that exist: new ones are encoded, gone ones leave.

        One thread at a time may follow; searches go on meanwhile.

        Args:
            exists: bool by row.
            state: to encode new items from.
            at: the moment of the look, microseconds UTC.

        Returns:
            how many items were encoded.
        """
        size = max(len(exists), len(self._held))
        wanted, held = _padded(exists, size), _padded(self._held, size)
        gone, new = np.flatnonzero(held & ~wanted), np.flatnonzero(wanted & ~held)
        if len(gone):
            self.index.delete(gone)
        for start in range(0, len(new), _STEP):
            self._add(new[start : start + _STEP], state, at)
        self._held = wanted
        if self.index.wants_rebuild:
            self.index.rebuild()
        return len(new)

    def _add(self, rows: Ints, state: State, at: int) -> None:
        features = self._item_plan.compute(Moments(np.array([at]), {self._item_role: rows}), state)
        self.index.upsert(rows, self._item(features, rows), encoder=self.encoder)


def _padded(mask: Mask, size: int) -> Mask:
    return np.pad(mask, (0, size - len(mask)))


def open_space(
    retriever: Path, index: Path, *, encoder: str, plan: Plan, user_role: str, item_role: str
) -> VectorSpace:
    """The vector space of a release from its folders.

    Raises:
        Conflict: `encoder-differs` when the index was made by another encoder.
        Unavailable: `index-unreadable`.
    """
    return VectorSpace(
        open_index(index, encoder=encoder),
        encoder=encoder,
        query=load_query_encoder(retriever),
        item=load_item_encoder(retriever),
        user_plan=plan.side(user_role, "request"),
        item_plan=plan.side(item_role, static=True),
        item_role=item_role,
    )
