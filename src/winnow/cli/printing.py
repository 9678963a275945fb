"""How commands print: tables for people, one JSON document with `--json`."""

import json
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from winnow.core.declare import plain
from winnow.core.errors import WinnowError

_WIDE = None if sys.stdout.isatty() else 120  # a file or a pipe has no width of its own
out = Console(width=_WIDE)
err = Console(stderr=True)


def print_json(data: Any) -> None:
    """One JSON document on standard output."""
    sys.stdout.write(json.dumps(plain(data), indent=1, ensure_ascii=False, allow_nan=False) + "\n")


def print_problems(error: WinnowError) -> None:
    """Every problem of an error: what, where, why, fix."""
    for problem in error.problems:
        where = f"[bold]{problem.where}[/]: " if problem.where else ""
        err.print(f"[red]✗[/] {where}{problem.what} [dim]\\[{problem.code}][/]", highlight=False)
        for name, text in (("why", problem.why), ("fix", problem.fix)):
            if text:
                err.print(f"  [dim]{name}:[/] {text}", highlight=False)


def print_rows(rows: Sequence[Mapping[str, Any]], *, title: str = "", as_json: bool = False) -> None:
    """Records as a table, or as JSON."""
    if as_json:
        print_json(list(rows))
        return
    table = Table(title=title, title_justify="left")
    for name in rows[0] if rows else ("nothing",):
        table.add_column(name)
    for row in rows:
        table.add_row(*(_cell(v) for v in row.values()))
    out.print(table)


def _cell(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, list | tuple):
        return ", ".join(map(str, value))
    return "" if value is None else str(value)


@contextmanager
def progress(*, quiet: bool = False) -> Iterator[Any]:
    """A callback `(what, done, total)` that draws one bar per `what` on standard error."""
    bars: dict[str, Any] = {}
    columns: Iterable[Any] = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(),
                              TimeElapsedColumn())  # fmt: skip
    with Progress(*columns, console=err, disable=quiet or not err.is_terminal) as display:

        def report(what: str, done: float, total: float | None) -> None:
            if what not in bars:
                bars[what] = display.add_task(what, total=total)
            display.update(bars[what], completed=done, total=total)

        yield report
