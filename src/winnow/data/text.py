"""Texts as numbers: a content hash stands for a text wherever only arrays go."""

from collections.abc import Iterable
from hashlib import blake2b

import numpy as np
from numpy.typing import NDArray

_POSITIVE = (1 << 63) - 1


def text_hashes(texts: Iterable[str | None]) -> NDArray[np.int64]:
    """63 bits of each text's BLAKE2b hash, int64 [n]; -1 for a missing or empty text.

    >>> text_hashes(["a", None, "a"]).tolist()
    [4681665781835383343, -1, 4681665781835383343]
    """
    hashes = [int.from_bytes(blake2b(t.encode(), digest_size=8).digest()) & _POSITIVE if t else -1 for t in texts]
    return np.array(hashes, np.int64)
