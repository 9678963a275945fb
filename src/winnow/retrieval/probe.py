"""How much an index finds of what an exact scan finds."""

import numpy as np

from winnow.retrieval.index import Allowed, Stored, Vectors, permitted, scan


def recall(index: Stored, queries: Vectors, k: int, allowed: Allowed = None) -> float:
    """Mean share of the exact k best that the index returns, in [0, 1]; NaN without queries or permitted items.

    Args:
        index: any stored index; its own vectors are the truth.
        queries: float32 [Q, D]; use real ones, recall depends on where they lie.
        k: length of each list.
        allowed: as in `VectorIndex.search`.
    """
    keep = np.arange(len(index)) if allowed is None else np.flatnonzero(permitted(allowed, index.rows))
    k = min(k, len(keep))
    if not k or not len(queries):
        return float("nan")
    exact = index.rows[scan(index.vectors, queries, k, keep)[0]]
    found = index.search(queries, k, allowed, encoder=index.encoder).rows
    return float(np.mean([np.isin(a, b).mean() for a, b in zip(exact, found, strict=True)]))
