"""What an index refuses: vectors of another encoder, and what is no vector at all."""

import numpy as np
from numpy.typing import NDArray

from winnow.core.errors import Conflict, InputError, Problem

Vectors = NDArray[np.float32]
Ints = NDArray[np.int64]


def check_encoder(given: str, expected: str) -> None:
    """Refuses vectors of one encoder version for the index of another."""
    if given != expected:
        raise Conflict(
            Problem(
                "encoder-differs", f"vectors of encoder {given} meet an index of encoder {expected}",
                why="distances between vectors of different encoders mean nothing",
                fix="build the index and encode the queries from the same release",
            )
        )  # fmt: skip


def check_vectors(vectors: Vectors, dimensions: int) -> None:
    """Refuses anything but finite float32 [n, `dimensions`]."""
    if vectors.ndim != 2 or vectors.shape[1] != dimensions or vectors.dtype != np.float32:
        what = f"vectors are {vectors.dtype} {list(vectors.shape)}, expected float32 [n, {dimensions}]"
        raise InputError(Problem("vector-shape", what, fix="pass one row of float32 per vector"))
    if not np.isfinite(vectors).all():
        bad = int(np.flatnonzero(~np.isfinite(vectors).all(axis=1))[0])
        fix = "check the encoder: its input or its weights are not finite"
        raise InputError(Problem("vector-not-finite", "a vector is NaN or infinite", f"vector {bad}", fix=fix))


def check_items(vectors: Vectors, rows: Ints) -> None:
    """Refuses vectors that do not belong to distinct rows, from 0 on, one by one."""
    check_vectors(vectors, vectors.shape[-1])
    distinct = len(np.unique(rows))
    if not len(rows) == len(vectors) == distinct or rows.min(initial=0) < 0:
        what = f"{len(vectors)} vectors for {distinct} distinct rows, the lowest {rows.min(initial=0)}"
        raise InputError(Problem("vector-shape", what, fix="give one vector for each row, each row once"))
