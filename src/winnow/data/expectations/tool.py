"""What `winnow data` does: learn expectations, hold data against them, write down who was flagged."""

import os
from pathlib import Path

from winnow.core.errors import Conflict, NotFound, Problem
from winnow.data.expectations.declare import FILE, Expectations
from winnow.data.expectations.edge import TALLY
from winnow.data.expectations.file import Schema, number, read
from winnow.data.expectations.flags import Flags
from winnow.data.expectations.infer import Data, Report, infer, silent
from winnow.data.expectations.measure import Check, measure
from winnow.data.expectations.tally import Tally
from winnow.data.expectations.write import to_toml

FLAGS = "flags.parquet"


def learn(
    data: Data, folder: Path, *, start: int | None = None, until: int | None = None, force: bool = False,
    report: Report = silent,
) -> Expectations:  # fmt: skip
    """Learns expectations and writes `expectations.toml`.

    Args:
        data: of the project.
        folder: of the project.
        start, until: the training period; see `infer`.
        force: write over a file that is there.
        report: told what is being done.

    Raises:
        Conflict: `expectations-exist`.
        InputError: `bad-period`, `empty-period`.
    """
    path = folder / FILE
    if path.exists() and not force:
        fix = "compare and edit it, or write it anew with --force"
        raise Conflict(Problem("expectations-exist", f"{path} is there already", why="it may hold edits", fix=fix))
    found, notes = infer(data, start=start, until=until, report=report)
    part = path.with_suffix(".part")
    part.write_text(to_toml(found, notes), encoding="utf-8")
    os.replace(part, path)
    return found


def check(data: Data, folder: Path, *, since: int | None = None, report: Report = silent) -> Check:
    """Holds data against the project's expectations, and writes who was flagged to `flags.parquet`.

    Args:
        data: of the project.
        folder: of the project.
        since: from which moment on; None for what came after the training period, or, if nothing did, everything.
        report: told what is being done.

    Raises:
        NotFound: `no-expectations`.
        InputError: every mistake in the file; see `file.read`.
    """
    path = folder / FILE
    if not path.exists():
        fix = "`winnow data infer` learns them from the data that is there"
        raise NotFound(Problem("no-expectations", f"there is no {path}", fix=fix))
    expected = read(path, Schema.of(data.tables, data.events))
    start = _since(expected) if since is None else since
    found = _measured(data, folder, expected, start, report)
    if since is None and not found.rows:
        found = _measured(data, folder, expected, 0, report)
    keep(found.flags, folder / FLAGS)
    return found


def _since(expected: Expectations) -> int:
    return int(number(expected.period.until)) if expected.period else 0


def _measured(data: Data, folder: Path, expected: Expectations, since: int, report: Report) -> Check:
    return measure(data, expected, Tally(folder / TALLY).rows(since), since=since, report=report)


def keep(flags: Flags, path: Path) -> None:
    """Writes the users that were flagged as Parquet, one record per reason; see `Flags.users`."""
    part = path.with_suffix(".part")
    flags.users.write_parquet(part)
    os.replace(part, path)
