"""The vector space of items that are asked for and found alike: each has one vector, whoever looks at it."""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from winnow.core.candidates import Floats, Ints
from winnow.core.errors import Problem, Unavailable
from winnow.features.plan import Plan
from winnow.features.state import State
from winnow.features.view import Moments
from winnow.models.base import ItemEncoder, load_item_encoder
from winnow.retrieval.kinds import open_index
from winnow.serving.query import Query
from winnow.serving.vectors import VectorSpace

if TYPE_CHECKING:
    from winnow.serving.kit import Kit

Pixels = NDArray[np.uint8]


class Alike:
    """Sides of which there is one: what is asked for is an item, and has the vector that it is found by.

    Args:
        item: item side and rows → vectors, float32 [I, D].
        plan: the item side of the features.
        role: of the items.
    """

    def __init__(self, item: ItemEncoder, plan: Plan, role: str):
        self._item, self._plan, self._role = item, plan, role

    def query(self, query: Query, kit: "Kit") -> Floats | None:
        return None

    def look(self, picture: Pixels) -> Floats:
        raise Unavailable(Problem("no-vectors", "the retrieval model of the release reads features, not pictures"))

    def items(self, rows: Ints, state: State, at: int) -> Floats:
        return self._item(self._plan.compute(Moments(np.array([at]), {self._role: rows}), state), rows)

    def frames(self, rows: Ints, query: Query, kit: "Kit") -> Floats | None:
        return None


def open_items(retriever: Path, index: Path, *, encoder: str, seq: int, plan: Plan, role: str) -> VectorSpace:
    """The vector space of a release whose retriever answers items with items, from its folders.

    Raises:
        Conflict: `encoder-differs` when the index was made by another encoder.
        Unavailable: `index-unreadable`.
    """
    sides = Alike(load_item_encoder(retriever), plan.side(role, static=True), role)
    return VectorSpace(open_index(index, encoder=encoder), encoder=encoder, sides=sides, seq=seq)
