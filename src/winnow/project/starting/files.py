"""The files of a folder as tables: what their columns are called and hold."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import polars as pl

from winnow.core.errors import NotFound, Problem
from winnow.project.starting.words import PEOPLE, TIMES, singular, words

ROWS = 200_000  # looked at
_SEPARATORS = ("|", ";", ",")
_FLAGS = {"0", "1", "true", "false", "yes", "no"}


@dataclass(frozen=True, eq=False)
class Column:
    """A column of a file.

    Args:
        name: as the file has it.
        values: the first rows.
    """

    name: str
    values: pl.Series

    @cached_property
    def texts(self) -> pl.Series:
        return self.values.cast(pl.String, strict=False).drop_nulls()

    @cached_property
    def distinct(self) -> int:
        return self.values.n_unique()

    @property
    def unique(self) -> bool:
        return self.values.null_count() == 0 and self.distinct == len(self.values)

    @property
    def numeric(self) -> bool:
        return self.values.dtype.is_numeric()

    @cached_property
    def flag(self) -> bool:
        return self.values.dtype == pl.Boolean or set(self.texts.str.to_lowercase().unique()) <= _FLAGS

    @cached_property
    def unit(self) -> str | None:
        """How its moments are written: `iso`, `s`, `ms`, `us`; empty for a Parquet column of moments; None for none."""
        if self.values.dtype.is_temporal():
            return ""
        if self.numeric:
            return _epoch(self.values.drop_nulls()) if self.values.dtype.is_integer() else None
        text = self.texts.head(1_000).str.strip_chars()
        parsed = text.str.to_datetime(time_unit="us", time_zone="UTC", strict=False) if _may_be_time(text) else None
        return "iso" if parsed is not None and parsed.null_count() <= 0.05 * len(parsed) else None

    @cached_property
    def separator(self) -> str | None:
        """What stands between several values of one cell, when at least a fifth of the cells hold several."""
        if self.values.dtype != pl.String or self.unit is not None:
            return None
        found = {s: self.texts.str.contains(s, literal=True).mean() or 0 for s in _SEPARATORS}
        best = max(found, key=lambda s: found[s])
        short = (
            self.texts.str.split(best).list.eval(pl.element().str.len_chars().max()).list.first().median() or 0
        ) < 25  # type: ignore[operator]
        return best if found[best] >= 0.2 and short else None  # type: ignore[operator]

    @property
    def grouped(self) -> bool:
        """Whether its values come again, as those of a category do."""
        return self.distinct <= max(50, len(self.values) // 5)

    @property
    def timely(self) -> bool:
        """Whether it is called and written like a moment."""
        return self.unit is not None and (not self.numeric or bool(set(words(self.name)) & TIMES))

    def earliest(self) -> str:
        """The day of its first moment."""
        if self.unit in ("s", "ms", "us"):
            scale = {"s": 1_000_000, "ms": 1_000, "us": 1}[self.unit]
            return str(pl.Series([int(self.values.min()) * scale]).cast(pl.Datetime("us"))[0].date())  # type: ignore[arg-type]
        return str(self.texts.str.strip_chars().min())[:10]


def _epoch(values: pl.Series) -> str | None:
    """Seconds, milliseconds or microseconds since 1970, by how large they are."""
    low = values.min() if len(values) else 0
    edges = (("s", 3e8, 5e9), ("ms", 3e11, 5e12), ("us", 3e14, 5e15))
    return next((unit for unit, a, b in edges if a <= float(low) <= b), None)  # type: ignore[arg-type]


def _may_be_time(text: pl.Series) -> bool:
    return len(text) > 0 and bool(text.str.contains(r"^\d{4}-\d\d-\d\d").mean() or 0)


@dataclass(frozen=True, eq=False)
class File:
    """A file.

    Args:
        name: within its folder.
        columns: by name.
    """

    name: str
    columns: dict[str, Column] = field(repr=False)

    @property
    def thing(self) -> str:
        """What its rows are, by its name: `books.csv` holds a `book`."""
        return singular("_".join(words(Path(self.name).stem)))

    @cached_property
    def key(self) -> Column | None:
        """The column that names its rows: unique, and called like an id if it can be."""
        unique = [c for c in self.columns.values() if c.unique and c.unit is None and not c.values.dtype.is_float()]
        called = [c for c in unique if {"id", "key", "code", "isbn", self.thing} & set(words(c.name))]
        return next(iter(called or unique[:1]), None)

    @cached_property
    def time(self) -> Column | None:
        """When what a row tells happened."""
        timely = [c for c in self.columns.values() if c.timely]
        return next((c for c in timely if set(words(c.name)) & TIMES), next(iter(timely), None))

    def holding(self, others: Column) -> Column | None:
        """The column whose values are nearly all among those of another one: a reference to it."""
        known = others.texts.unique()
        shares = (
            (c, c.texts.is_in(known.implode()).mean() or 0)
            for c in self.columns.values()
            if c.grouped or c.distinct > 50
        )
        best = max(((c, s) for c, s in shares if s >= 0.9), key=lambda p: p[1], default=None)  # type: ignore[operator]
        return best[0] if best else None

    def called(self, wanted: frozenset[str] = PEOPLE) -> Column | None:
        """The first column that is called by one of some words."""
        return next((c for c in self.columns.values() if set(map(singular, words(c.name))) & wanted), None)


def read(folder: Path) -> list[File]:
    """Every CSV and Parquet file of a folder.

    Raises:
        NotFound: `no-such-path`, `no-files`.
    """
    if not folder.is_dir():
        raise NotFound(Problem("no-such-path", f"`{folder.name}` is not a folder", str(folder), fix="give a folder"))
    found = sorted(p for p in folder.iterdir() if p.suffix in (".csv", ".parquet"))
    if not found:
        fix = "give the folder with your files, or leave --data out and write the mapping yourself"
        raise NotFound(Problem("no-files", f"no CSV or Parquet file in `{folder.name}`", str(folder), fix=fix))
    return [File(p.name, dict(_columns(p))) for p in found]


def _columns(path: Path) -> Iterator[tuple[str, Column]]:
    parquet = path.suffix == ".parquet"
    frame = pl.scan_parquet(path) if parquet else pl.scan_csv(path, infer_schema_length=10_000, ignore_errors=True)
    for series in frame.head(ROWS).collect().get_columns():
        yield series.name, Column(series.name, series)
