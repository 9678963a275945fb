"""Any CSV or Parquet file by a mapping of its columns, written in TOML; read in batches, larger than memory.

[[table]]
name = "video"
file = "items.csv"                       # relative to the folder that is imported; may be a pattern
time = { value = "2024-01-01" }          # when the rows became known
columns = { video_id = "id", title = "name", tags = { column = "genres", split = "|" } }

[[event]]
name = "watch"
file = "log-*.parquet"
time = { column = "ts", unit = "ms" }    # s, ms, us, or iso for text
id = ["uid", "vid", "ts"]                # columns that together tell one event from all others of its type
where = { action = ["play", "replay"] }  # only rows with one of these values
columns = { user = "uid", video = "vid", seconds = { column = "dur_ms", scale = 0.001 }, surface = { value = "home" } }
"""

import tomllib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Literal

import msgspec
import polars as pl

from winnow.core.errors import InputError, Problem
from winnow.core.time import parse_time
from winnow.data.importers.base import Importer, Part, file
from winnow.data.intake import SLICE
from winnow.data.schema import Kind, Storage

Scalar = str | int | float | bool


class From(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """Where the values of one column come from: a column of the file, or the same value in every row."""

    column: str | None = None
    value: Scalar | None = None
    scale: float | None = None
    split: str | None = None
    unit: Literal["s", "ms", "us", "iso"] | None = None


class Source(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """How the rows of one event type or table are read from files."""

    name: str
    file: str
    columns: dict[str, str | From]
    time: From | None = None
    id: Annotated[list[str], msgspec.Meta(min_length=1)] | None = None
    where: dict[str, list[Scalar] | Scalar] = {}


class Layout(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """A whole mapping file."""

    table: list[Source] = []
    event: list[Source] = []


class Mapped(Importer):
    """An importer made of a mapping.

    Args:
        layout: what the TOML file says.
        kinds: event type or table → column → kind, as the project declares them (`Intake.kinds`).
    """

    name = "mapping"

    def __init__(self, layout: Layout, kinds: Mapping[str, Mapping[str, Kind]]) -> None:
        self._layout = layout
        self._kinds = kinds

    @classmethod
    def read(cls, toml: Path | str, kinds: Mapping[str, Mapping[str, Kind]]) -> "Mapped":
        """The importer that a TOML file describes.

        Raises:
            InputError: `bad-mapping`, with the place of the mistake.
        """
        return cls(layout(toml), kinds)

    def tables(self, path: Path) -> Iterator[Part]:
        for source in self._layout.table:
            yield from self._parts(path, source, time="changed_at")

    def events(self, path: Path) -> Iterator[Part]:
        for source in self._layout.event:
            if not source.id:
                fix = "give id = [...], the columns that together tell one event from all others"
                raise InputError(Problem("bad-mapping", f"event `{source.name}` has no `id`", source.file, fix=fix))
            yield from self._parts(path, source, time="at")

    def _parts(self, path: Path, source: Source, *, time: str) -> Iterator[Part]:
        storages = {column: kind.storage for column, kind in self._kinds.get(source.name, {}).items()}
        folder = path if path.is_dir() else path.parent
        file(folder, source.file)
        for one in sorted(folder.glob(source.file)):
            scanned = _scan(one)
            _check(source, scanned.collect_schema().names(), one.name)
            for batch in _wanted(scanned, source).collect_batches(chunk_size=SLICE, maintain_order=True):
                for frame in _typed(_named(batch, source, time), storages):
                    yield source.name, frame


def layout(toml: Path | str) -> Layout:
    """What a TOML file says.

    Raises:
        InputError: `bad-mapping`, with the place of the mistake.
    """
    try:
        return msgspec.convert(tomllib.loads(Path(toml).read_text()), Layout)
    except (OSError, tomllib.TOMLDecodeError, msgspec.ValidationError) as error:
        fix = "see the example at the top of winnow/data/importers/mapping.py"
        raise InputError(Problem("bad-mapping", f"the mapping is wrong: {error}", Path(toml).name, fix=fix)) from error


def _scan(path: Path) -> pl.LazyFrame:
    # CSV as text: what the columns mean is declared, and a guess from the first rows may fail on a later one.
    return pl.scan_parquet(path) if path.suffix == ".parquet" else pl.scan_csv(path, infer_schema=False)


def _origins(source: Source) -> dict[str, From]:
    return {name: From(column=f) if isinstance(f, str) else f for name, f in source.columns.items()}


def _check(source: Source, columns: Sequence[str], where: str) -> None:
    used = [f.column for f in _origins(source).values()] + [source.time.column if source.time else None]
    missing = [c for c in (*used, *(source.id or ()), *source.where) if c is not None and c not in columns]
    if missing:
        what = f"`{source.name}` is mapped from columns that are not there: {', '.join(dict.fromkeys(missing))}"
        raise InputError(Problem("bad-mapping", what, where, fix=f"the file has: {', '.join(columns)}"))


def _wanted(scanned: pl.LazyFrame, source: Source) -> pl.LazyFrame:
    for column, values in source.where.items():
        allowed = values if isinstance(values, list) else [values]
        scanned = scanned.filter(pl.col(column).cast(pl.String).is_in([str(v) for v in allowed]))
    return scanned


def _named(batch: pl.DataFrame, source: Source, time: str) -> pl.DataFrame:
    columns = [_value(origin).alias(name) for name, origin in _origins(source).items()]
    if source.time:
        columns.append(_moment(source.time).alias(time))
    if source.id:
        parts = [pl.col(c).cast(pl.String) for c in source.id]
        columns.append(pl.concat_str([pl.lit(source.name), *parts], separator="-").alias("event_id"))
    return batch.select(columns)


def _value(origin: From) -> pl.Expr:
    if origin.column is None:
        return pl.lit(origin.value)
    if origin.unit:
        return _moment(origin)
    value = pl.col(origin.column)
    if origin.scale is not None:
        return value.cast(pl.Float64, strict=False) * origin.scale
    return value if origin.split is None else value.cast(pl.String).str.split(origin.split)


def _moment(origin: From) -> pl.Expr:
    if origin.column is None:
        return pl.lit(parse_time(str(origin.value)))
    value = pl.col(origin.column)
    if origin.unit in (None, "iso"):
        return value
    factor = {"s": 1_000_000, "ms": 1_000, "us": 1}[str(origin.unit)]
    return (value.cast(pl.Float64, strict=False) * factor).round().cast(pl.Int64, strict=False)


def _typed(frame: pl.DataFrame, storages: Mapping[str, Storage]) -> Iterator[pl.DataFrame]:
    """The rows with text turned into what is declared; rows where that fails come apart, with the text that failed.

    They follow grouped by the columns at fault, so that the intake can name those and set the rows aside.
    """
    texts = {n: storages[n] for n in frame.columns if n in storages and frame[n].dtype == pl.String}
    read = frame.with_columns(_read(n, s) for n, s in texts.items() if s in ("number", "flag", "time"))
    failed = {n: read[n].is_null() & frame[n].is_not_null() for n in texts}
    fault = pl.DataFrame({n: mask for n, mask in failed.items() if mask.any()})
    if not fault.width:
        yield read
        return
    groups = fault.select(group=pl.struct(pl.all())).to_series()
    for which in groups.unique(maintain_order=True):
        rows = groups == pl.lit(which, dtype=groups.dtype)
        mask = pl.select(rows).to_series()
        raw = [frame[n] for n, bad in which.items() if bad]
        yield read.with_columns(raw).filter(mask)


def _read(name: str, storage: Storage) -> pl.Expr:
    text = pl.col(name).str.strip_chars()
    if storage == "number":
        return text.cast(pl.Float64, strict=False).alias(name)
    if storage == "flag":
        known = {"1": True, "0": False, "true": True, "false": False, "yes": True, "no": False}
        return text.str.to_lowercase().replace_strict(known, default=None, return_dtype=pl.Boolean).alias(name)
    with_offset = text.str.to_datetime(time_unit="us", time_zone="UTC", strict=False)
    return with_offset.alias(name)
