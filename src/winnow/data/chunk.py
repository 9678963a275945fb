"""Chunks: the rows of one event type or one table as columns, and their form on disk (msgpack, never pickle)."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

from winnow.core.errors import Problem, Unavailable

ChunkKind = Literal["event", "row"]
Column = NDArray[np.int64] | NDArray[np.float64] | list[str | None]
NO_TIME = int(np.iinfo(np.int64).min)  # a missing moment
_DTYPES = frozenset({"<i8", "<f8"})


@dataclass(frozen=True, eq=False)
class Chunk:
    """Some rows of one event type (`event`) or one table (`row`), in log order.

    Args:
        kind: `event` or `row`.
        name: the event type or the table.
        columns: name → int64 or float64 [n] (categories int64 [n, m], padded with -1) or a list of n strings. Always
            `seq`, `at`, `known_at` (int64); an event chunk also `event_id`, `recommendation_id`, the roles and the
            fields; a table chunk also `row`, `deleted` (0/1) and those columns that its rows set: a column that is
            not there keeps the value it had.
        until: the last `seq` of the append that brought the chunk; what `EventLog.read` continues after.
    """

    kind: ChunkKind
    name: str
    columns: Mapping[str, Column]
    until: int = 0

    def __len__(self) -> int:
        return len(self.columns["seq"])

    @property
    def first_seq(self) -> int:
        return int(self.columns["seq"][0])  # type: ignore[arg-type]

    def ints(self, name: str) -> NDArray[np.int64]:
        """An int64 column: times, row numbers, flags."""
        return self.columns[name]  # type: ignore[return-value]

    def floats(self, name: str) -> NDArray[np.float64]:
        """A float64 column."""
        return self.columns[name]  # type: ignore[return-value]

    def texts(self, name: str) -> list[str | None]:
        """A text column."""
        return self.columns[name]  # type: ignore[return-value]


def encode(columns: Mapping[str, Column]) -> bytes:
    """The columns as msgpack: arrays as `{"dtype", "shape", "data"}` (little endian), texts as lists."""
    return msgspec.msgpack.encode({name: _plain(column) for name, column in columns.items()})


def _plain(column: Column) -> Any:
    if isinstance(column, list):
        return column
    dtype = "<f8" if column.dtype.kind == "f" else "<i8"
    data = np.ascontiguousarray(column, dtype=dtype)
    return {"dtype": dtype, "shape": list(data.shape), "data": data.tobytes()}


def decode(body: bytes) -> dict[str, Column]:
    """The columns that `encode` wrote; arrays are read-only views of `body`.

    Raises:
        Unavailable: `log-corrupt`, when the bytes are not such columns.
    """
    try:
        return {name: _column(value) for name, value in msgspec.msgpack.decode(body).items()}
    except (msgspec.MsgspecError, KeyError, TypeError, ValueError, AttributeError) as error:
        why = "the file was damaged or written by something else"
        fix = "restore truth.db from a backup"
        raise Unavailable(Problem("log-corrupt", f"a chunk cannot be read: {error}", "truth.db", why, fix)) from error


def _column(value: Any) -> Column:
    if isinstance(value, list):
        return value
    if value["dtype"] not in _DTYPES:
        raise ValueError(f"dtype {value['dtype']!r}")
    return np.frombuffer(value["data"], dtype=value["dtype"]).reshape(value["shape"])
