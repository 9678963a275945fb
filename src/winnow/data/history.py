"""The history: the log as Delta tables on disk, one per event type and one per table, for training and analysis.

Derived from the log and rebuilt from it when deleted. Every commit of a Delta table carries the log position that it
reaches, so that a chunk is copied exactly once however often a copy is broken off.
"""

import fcntl
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa
from deltalake import CommitProperties, DeltaTable, Transaction, write_deltalake
from deltalake.exceptions import DeltaError
from numpy.typing import NDArray

from winnow.core.errors import Problem, Unavailable, unknown
from winnow.data.chunk import NO_TIME, Chunk, ChunkKind, Column
from winnow.data.ids import IdMap
from winnow.data.log import EventLog
from winnow.data.schema import Events, Kind, Storage, Table

COPIED = 500_000  # rows of the log that are held in memory and committed at a time
_APP = "winnow-log"
_TYPES: Mapping[Storage, pl.DataType] = {
    "number": pl.Float64(), "category": pl.Int64(), "ref": pl.Int64(), "categories": pl.List(pl.Int64),
    "text": pl.String(), "time": pl.Int64(), "flag": pl.Int64(),
}  # fmt: skip
_MISSING: Mapping[Storage, object] = {"number": np.nan, "category": -1, "ref": -1, "time": NO_TIME, "flag": -1}
_TIMES = {"seq": pl.Int64(), "at": pl.Int64(), "known_at": pl.Int64()}
_EVENT = {**_TIMES, "event_id": pl.String(), "recommendation_id": pl.String()}
_ROW = {"row": pl.Int64(), **_TIMES, "deleted": pl.Int64()}


class History:
    """Everything that the log holds, as frames with row numbers instead of ids.

    Args:
        folder: where the Delta tables are; made when absent.
        tables: the tables of the project by name.
        events: its event types by name.
    """

    def __init__(self, folder: Path | str, tables: Mapping[str, Table], events: Mapping[str, Events]) -> None:
        self.folder = Path(folder)
        self._tables = tables
        self._events = events
        self.folder.mkdir(parents=True, exist_ok=True)

    def sync(self, log: EventLog) -> int:
        """Copies what is new in the log; returns how many rows. One process copies, another waits for it.

        What is appended after the call is left for the next one, or a busy log would keep it copying for ever.

        Raises:
            Unavailable: `history-full`, when there is no room; what was committed stays, the rest follows next time.
        """
        rows, end = 0, log.last_seq()
        with self._alone():
            after = self.seq()
            while after < end and (chunks := log.read(after, COPIED)):
                try:
                    rows += sum(self._copy(*named) for named in _by_name(chunks))
                    after = chunks[-1].until
                    self._reached(after)
                except (OSError, DeltaError) as error:
                    why, fix = f"training data stays as it was ({error})", "free disk space; the copy resumes by itself"
                    problem = Problem("history-full", "the history cannot be written", str(self.folder.name), why, fix)
                    raise Unavailable(problem) from error
        return rows

    def seq(self) -> int:
        """The log position up to which everything has been copied."""
        try:
            return int(json.loads((self.folder / "position.json").read_text())["seq"])
        except FileNotFoundError:
            return 0

    def events(self, name: str) -> pl.LazyFrame:
        """All events of a type in log order.

        Returns:
            `seq, at, known_at` (int64), `event_id, recommendation_id` (text), roles and fields: int64 row numbers
            (-1 missing), float64 numbers (NaN missing), int64 microseconds (`NO_TIME` missing), int64 flags (-1
            missing), lists of int64 for categories, text (null missing).

        Raises:
            NotFound: `unknown-event`.
        """
        if name not in self._events:
            raise unknown("event", name, self._events)
        kinds = self._events[name].columns
        frame = self._scan("event", name, _EVENT | _types(kinds))
        return frame.with_columns(_filled(kinds, text=None)).sort("seq")

    def rows(self, name: str) -> pl.LazyFrame:
        """All versions of the rows of a table, each complete, sorted by row and time.

        Version n of a row is what was known from its `known_at` on: the values that its changes up to then set.

        Returns:
            `row, seq, at, known_at, deleted` (int64) and the columns, as in `events` (a missing text is empty).

        Raises:
            NotFound: `unknown-table`.
        """
        return self._versions(name, None)

    def table_at(self, name: str, at: int | None = None) -> pl.DataFrame:
        """The rows of a table as they were known at a moment (`known_at` < at), without deleted ones, sorted by row.

        Args:
            name: the table.
            at: the moment, microseconds UTC; None for the latest.

        Raises:
            NotFound: `unknown-table`.
        """
        versions = self._versions(name, at).collect()
        last = versions.filter(pl.col("row") != pl.col("row").shift(-1, fill_value=-1))
        return last.filter(pl.col("deleted") == 0)

    def decoded(self, name: str, ids: IdMap) -> pl.DataFrame:
        """Events of a type, or the current rows of a table, with ids as text and times as `Datetime`, for people.

        Raises:
            NotFound: `unknown-event`, when neither has this name.
        """
        if name in self._events:
            event = self._events[name]
            frame, kinds = self.events(name).collect(), event.columns
            domains = {column: event.domain(column) for column, kind in kinds.items() if kind.has_domain}
        else:
            if name not in self._tables:
                raise unknown("event", name, [*self._events, *self._tables])
            table = self._tables[name]
            frame, kinds = self.table_at(name), dict(table.columns)
            domains = {column: table.domain(column) for column, kind in kinds.items() if kind.has_domain}
            frame = frame.with_columns(pl.col("row").alias(table.key)).drop("row", "deleted")
            domains[table.key] = name
        times = [column for column, kind in kinds.items() if kind.storage == "time"]
        return _readable(frame, domains, ["at", "known_at", *times], ids)

    def _versions(self, name: str, at: int | None) -> pl.LazyFrame:
        if name not in self._tables:
            raise unknown("table", name, self._tables)
        kinds = self._tables[name].columns
        frame = self._scan("row", name, _ROW | _types(kinds))
        if at is not None:
            frame = frame.filter(pl.col("known_at") < at)
        # A null here is a column that a change did not set (a cleared one has the missing value of its kind), so
        # carrying values forward in the order of becoming known gives every version in full.
        frame = frame.sort("row", "known_at", "seq")
        # A deletion clears every column: what comes after it begins a new life of the row.
        frame = frame.with_columns(_life=pl.col("deleted").cum_sum().over("row"))
        frame = frame.with_columns(pl.col(column).forward_fill().over("row", "_life") for column in kinds).drop("_life")
        return frame.with_columns(_filled(kinds, text=""))

    def _path(self, kind: ChunkKind, name: str) -> Path:
        return self.folder / kind / name

    def _scan(self, kind: ChunkKind, name: str, schema: Mapping[str, pl.DataType]) -> pl.LazyFrame:
        path = self._path(kind, name)
        if not DeltaTable.is_deltatable(str(path)):
            return pl.LazyFrame(schema=schema)
        files = DeltaTable(path).file_uris()
        frame = pl.scan_parquet(files, schema=schema, missing_columns="insert", extra_columns="ignore")
        return frame.select(*schema)

    def _copy(self, kind: ChunkKind, name: str, chunks: Sequence[Chunk]) -> int:
        path = self._path(kind, name)
        reached = 0
        if DeltaTable.is_deltatable(str(path)):
            reached = DeltaTable(path).transaction_version(_APP) or 0
        new = [c for c in chunks if c.until > reached]
        if not new:
            return 0
        frame = pl.concat(map(_frame, new), how="diagonal")
        mark = CommitProperties(app_transactions=[Transaction(_APP, new[-1].until)])
        path.parent.mkdir(exist_ok=True)
        write_deltalake(path, frame, mode="append", schema_mode="merge", commit_properties=mark)
        return len(frame)

    def _reached(self, seq: int) -> None:
        # Only spares reading the log again: if it is lost, the positions in the Delta tables still tell.
        part = self.folder / "position.json.part"
        part.write_text(json.dumps({"seq": seq}))
        os.replace(part, self.folder / "position.json")

    @contextmanager
    def _alone(self) -> Iterator[None]:
        with (self.folder / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield


def padded(lists: pl.Series) -> NDArray[np.int64]:
    """A column of lists as int64 [n, m], padded with -1; m is the longest list, at least 1.

    >>> padded(pl.Series([[3, 4], [], [5]])).tolist()
    [[3, 4], [-1, -1], [5, -1]]
    """
    lengths = lists.list.len().fill_null(0).to_numpy()
    out = np.full((len(lists), max(1, int(lengths.max(initial=0)))), -1, dtype=np.int64)
    out[np.arange(out.shape[1]) < lengths[:, None]] = lists.explode(empty_as_null=False).drop_nulls().to_numpy()
    return out


def _by_name(chunks: Sequence[Chunk]) -> Iterator[tuple[ChunkKind, str, list[Chunk]]]:
    groups: dict[tuple[ChunkKind, str], list[Chunk]] = {}
    for chunk in chunks:
        groups.setdefault((chunk.kind, chunk.name), []).append(chunk)
    for (kind, name), group in groups.items():
        yield kind, name, group


def _frame(chunk: Chunk) -> pl.DataFrame:
    return pl.DataFrame({name: _series(column) for name, column in chunk.columns.items()})


def _series(column: Column) -> pl.Series:
    if isinstance(column, list):
        return pl.Series(column, dtype=pl.String)
    if column.ndim == 1:
        return pl.Series(column)
    there = column >= 0
    offsets = np.concatenate([[0], np.cumsum(there.sum(axis=1))])
    array = pa.LargeListArray.from_arrays(pa.array(offsets), pa.array(column[there], type=pa.int64()))
    series = pl.from_arrow(array)
    assert isinstance(series, pl.Series)
    return series


def _types(kinds: Mapping[str, Kind]) -> dict[str, pl.DataType]:
    return {name: _TYPES[kind.storage] for name, kind in kinds.items()}


def _filled(kinds: Mapping[str, Kind], *, text: str | None) -> list[pl.Expr]:
    """Values in place of nulls, for columns that were declared after a row was written or that it never set."""
    lists = [pl.col(n).fill_null(pl.lit([], pl.List(pl.Int64))) for n, k in kinds.items() if k.storage == "categories"]
    texts = [pl.col(n).fill_null(text) for n, k in kinds.items() if k.storage == "text" and text is not None]
    return lists + texts + [pl.col(n).fill_null(_MISSING[k.storage]) for n, k in kinds.items() if k.storage in _MISSING]


def _readable(frame: pl.DataFrame, domains: Mapping[str, str], times: Sequence[str], ids: IdMap) -> pl.DataFrame:
    every = {domain: pl.Series(ids.all(domain), dtype=pl.String) for domain in set(domains.values())}
    columns = [_with_ids(frame[name], every[domain]) for name, domain in domains.items()]
    moments = [pl.col(t).replace(NO_TIME, None).cast(pl.Datetime("us", "UTC")) for t in times]
    return frame.with_columns(columns).with_columns(moments)


def _with_ids(rows: pl.Series, ids: pl.Series) -> pl.Series:
    if rows.dtype != pl.List:
        return ids.gather(rows.replace(-1, None)).alias(rows.name)
    flat = rows.explode(empty_as_null=False)
    lengths = rows.list.len().to_numpy()
    offsets = pa.array(np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64))
    series = pl.from_arrow(pa.LargeListArray.from_arrays(offsets, ids.gather(flat).to_arrow()))
    assert isinstance(series, pl.Series)
    return series.alias(rows.name)
