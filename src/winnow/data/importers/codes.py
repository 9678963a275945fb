"""Text codes as whole numbers by hashing: the same on every machine and in every order, without a table of values."""

import hashlib

import numpy as np
import polars as pl
from numpy.typing import NDArray


def hashed(frame: pl.DataFrame, columns: tuple[str, ...], *, bits: int) -> NDArray[np.int64]:
    """Each value as one of 2^bits places; the same text in two columns goes to two of them, and missing is -1.

    Args:
        frame: has the columns, as text.
        columns: in the order of the result.
        bits: 1 to 62.

    Returns:
        int64 [N, columns].
    """
    found = [_column(frame[name].cast(pl.String), name, bits) for name in columns]
    return np.stack(found, axis=1) if found else np.zeros((len(frame), 0), np.int64)


def _column(values: pl.Series, name: str, bits: int) -> NDArray[np.int64]:
    """Each distinct value is hashed once."""
    distinct = values.unique().drop_nulls()
    places = [_place(f"{name}={text}", bits) for text in distinct]
    table = pl.DataFrame({"text": distinct, "place": pl.Series(places, dtype=pl.Int64)})
    joined = pl.DataFrame({"text": values}).join(table, on="text", how="left", maintain_order="left")
    return joined["place"].fill_null(-1).to_numpy()


def _place(text: str, bits: int) -> int:
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big") >> (64 - bits)
