"""Ties between people from a file: one line for each, with the moment at which it was made where that is known.

A CSV file, or a text file with white space between columns as graph collections publish them (the first two columns
then are the people); lines that begin with `#` are left out. Columns are found by name: `person`, `source`, `from` or
`u`; `candidate`, `target`, `to` or `v`; `at`, `time` or `timestamp` in seconds, milliseconds, microseconds or ISO 8601;
`kind` names the event type, `connect` where there is none. A tie without a moment counts as made in 1970, so that all
of them stand when anything else happens.
"""

from collections.abc import Iterator
from pathlib import Path

import polars as pl

from winnow.core.errors import InputError, Problem
from winnow.data.importers.base import Importer, Part

_NAMES = {
    "person": ("person", "source", "from", "u"), "candidate": ("candidate", "target", "to", "v"),
    "at": ("at", "time", "timestamp"), "kind": ("kind", "type"),
}  # fmt: skip
_SCALES = ((1e11, 1_000_000), (1e14, 1_000))  # below: seconds, milliseconds; above both: microseconds
_JOINED_AT = 0


class TiesImporter(Importer):
    """People and their ties from an edge list; the path is a file, or a folder of files with the ending `.csv`."""

    name = "ties"

    def tables(self, path: Path) -> Iterator[Part]:
        frames = [_read(file) for file in _files(path)]
        ids = pl.concat([frame[role] for frame in frames for role in ("person", "candidate")]).unique().sort()
        known = pl.repeat(_JOINED_AT, len(ids), dtype=pl.Int64, eager=True)
        yield "person", pl.DataFrame({"person_id": ids, "changed_at": known, "joined_at": known})

    def events(self, path: Path) -> Iterator[Part]:
        for file in _files(path):
            frame = _read(file).filter(pl.col("person") != pl.col("candidate")).sort("at", maintain_order=True)
            for (kind,), part in frame.group_by("kind", maintain_order=True):
                key = pl.format("{}-{}-{}-{}", pl.lit(kind), "person", "candidate", "at")
                events = part.select("at", "person", "candidate", event_id=key)
                yield str(kind), events.unique("event_id", keep="first", maintain_order=True)


def _files(path: Path) -> list[Path]:
    found = [path] if path.is_file() else sorted(path.glob("*.csv"))
    if not found:
        what = "there is no file of ties"
        raise InputError(Problem("missing-file", what, str(path), fix="give a file, or a folder with *.csv"))
    return found


def _read(file: Path) -> pl.DataFrame:
    """`person`, `candidate`, `at` (microseconds) and `kind` of every line."""
    lines = [line for line in file.read_text(encoding="utf-8").splitlines() if line.strip() and line[0] != "#"]
    first = lines[0] if lines else ""
    if "," not in first:
        cells = [line.split() for line in lines]
        if any(len(row) < 2 for row in cells):
            raise _unreadable(file, "a line has fewer than two columns")
        raw = pl.DataFrame({"person": [c[0] for c in cells], "candidate": [c[1] for c in cells],
                            "at": [c[2] if len(c) > 2 else None for c in cells]},
                           schema_overrides={"person": pl.String, "candidate": pl.String, "at": pl.String})  # fmt: skip
    else:
        raw = pl.read_csv("\n".join(lines).encode(), infer_schema=False)
    return _named(raw, file)


def _named(raw: pl.DataFrame, file: Path) -> pl.DataFrame:
    lower = {c.strip().lower(): c for c in raw.columns}
    found = {role: next((lower[n] for n in names if n in lower), None) for role, names in _NAMES.items()}
    missing = [role for role in ("person", "candidate") if found[role] is None]
    if missing:
        raise _unreadable(file, f"no column names the {' or the '.join(missing)}")
    kind = pl.col(str(found["kind"])) if found["kind"] else pl.lit("connect")
    at = _moments(raw[found["at"]]) if found["at"] else pl.repeat(_JOINED_AT, len(raw), dtype=pl.Int64, eager=True)
    ends = {role: pl.col(str(found[role])).str.strip_chars() for role in ("person", "candidate")}
    return raw.select(**ends, kind=kind).with_columns(at=at)


def _moments(column: pl.Series) -> pl.Series:
    """Microseconds; whatever says no moment counts as 1970."""
    number = column.cast(pl.Float64, strict=False)
    (low, seconds), (high, milliseconds) = _SCALES
    scale = pl.when(pl.col("n") < low).then(seconds).when(pl.col("n") < high).then(milliseconds).otherwise(1)
    frame = pl.DataFrame({"n": number, "text": column.cast(pl.String)})
    told = pl.col("text").str.to_datetime(time_unit="us", time_zone="UTC", strict=False).dt.epoch("us")
    return frame.select(at=(pl.col("n") * scale).cast(pl.Int64).fill_null(told).fill_null(_JOINED_AT))["at"]


def _unreadable(file: Path, why: str) -> InputError:
    fix = "name the columns person, candidate and at, or give two columns with white space between them"
    return InputError(Problem("unreadable-ties", f"{file.name} is no list of ties: {why}", str(file), fix=fix))
