"""What a retriever between items is: one space in which items are asked for and found, by the same encoder.

I items, D numbers in a vector.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from winnow.core.errors import InputError, Problem
from winnow.features.batch import Floats
from winnow.models.artefact import Artefact
from winnow.models.base import QueryEncoder, Retriever, Run
from winnow.models.examples import Catalogue
from winnow.models.sessions import Journeys, Sessions

Ints = NDArray[np.int64]
_QUERIES = 2_048
_LEAST = 1e-12


@dataclass(frozen=True, kw_only=True)
class ItemRetriever(Retriever):
    """A model that answers an item with items: what is asked for has the vector that it is found by."""

    @property
    def learns_from(self) -> Sessions | None:
        """The sessions that it learns from; None when it learns from none."""
        return None

    def learn(self, train: Journeys, valid: Journeys, catalogue: Catalogue, run: Run) -> None:
        """Learn, encode the catalogue into `item_vectors.npy` and `item_rows.npy`, leave an artefact in `run.folder`.

        Args:
            train: sessions; may be empty for models that learn from none.
            valid: later ones.
            catalogue: items with their item-side features.
            run: where and how.

        Raises:
            InputError: `no-sessions`.
        """
        raise NotImplementedError

    @classmethod
    def query_encoder(cls, artefact: Artefact, threads: int) -> QueryEncoder:
        what = f"`{artefact.fact('model')}` answers items with items: nobody else can ask"
        raise InputError(Problem("wrong-model", what, str(artefact.folder), fix="ask with the vector of an item"))


def normalised(vectors: Floats) -> Floats:
    """Rows of length 1; rows of nothing but 0 stay."""
    length = np.sqrt(np.einsum("nd,nd->n", vectors, vectors, dtype=np.float32))
    return np.asarray(vectors / np.maximum(length, _LEAST)[:, None], np.float32)


def demand_sessions(train: Journeys) -> None:
    """Raises when there is nothing to learn from.

    Raises:
        InputError: `no-sessions`.
    """
    if not len(train):
        what = "there is no session in which two items were looked at"
        fix = "log what visitors look at, with who they are, or import such a log"
        raise InputError(Problem("no-sessions", what, fix=fix))


def ranks(vectors: Floats, asked: Ints, wanted: Ints, *, open_to: NDArray[np.bool_] | None = None) -> Ints:
    """At which place of the whole list each wanted item stands, from 1, int64 [q]; the item asked for is in no list.

    Ties count half, so that a space in which everything is the same is worth no more than chance.

    Args:
        vectors: float32 [I, D].
        asked, wanted: positions, int64 [q].
        open_to: which items may be found by each query, bool [q, I]; None for all.
    """
    found = np.empty(len(asked), np.int64)
    for start in range(0, len(asked), _QUERIES):
        part = slice(start, start + _QUERIES)
        scores = vectors[asked[part]] @ vectors.T
        line = np.arange(len(scores))
        mine = scores[line, wanted[part]][:, None]
        scores[line, asked[part]] = -np.inf
        if open_to is not None:
            scores[~open_to[part]] = -np.inf
        above, level = (scores > mine).sum(axis=1), (scores == mine).sum(axis=1) - 1
        found[part] = 1 + above + (np.maximum(level, 0) + 1) // 2
    return found


def places(rows: Ints, wanted: Ints) -> Ints:
    """Position of each wanted row among `rows`, int64 [n]; -1 where it is not there."""
    if not len(rows):
        return np.full(len(wanted), -1)
    order = np.argsort(rows, kind="stable")
    at = np.minimum(np.searchsorted(rows[order], wanted), len(rows) - 1)
    return np.where(rows[order][at] == wanted, order[at], -1)
