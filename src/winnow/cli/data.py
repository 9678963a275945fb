"""`winnow data`: learn what the data of a project looks like, and hold what comes in against it."""

import re
from typing import TYPE_CHECKING, Annotated

from cyclopts import App, Parameter

from winnow.cli.options import HERE, Json, ProjectFolder, opened

if TYPE_CHECKING:
    from winnow.data.expectations.infer import Data, Report
    from winnow.project import Project

data = App(name="data", help="What the data looks like: learn expectations, and hold what comes in against them.")
Moment = Annotated[str | None, Parameter(negative="")]


@data.command
def infer(
    *, from_: Annotated[str | None, Parameter(name="--from", negative="")] = None, to: Moment = None,
    force: bool = False, project: ProjectFolder = HERE, json: Json = False,
) -> None:  # fmt: skip
    """Learn what the data looks like and write it to expectations.toml, to be reviewed and edited.

    From then on, imports and the service hold every row against it.

    Args:
        from_: Start of the training period: ISO 8601, UTC.
        to: End of the training period.
        force: Write over an expectations.toml that is there.
    """
    from winnow.cli.printing import out, print_json, progress
    from winnow.data.expectations import tool
    from winnow.data.expectations.declare import FILE

    found = opened(project)
    with progress(quiet=json) as bar:
        learned = tool.learn(
            _data(found, bar), found.folder, start=_moment(from_, "--from"), until=_moment(to, "--to"), force=force,
            report=bar,
        )  # fmt: skip
    groups = {**learned.event, **learned.table}
    counts = {name: {"rows": group.rows, "columns": len(group.columns)} for name, group in groups.items()}
    if json:
        print_json({"file": str(found.folder / FILE), "learned": counts})
        return
    rows = sum(group.rows for group in groups.values())
    out.print(f"Learned from {rows:,} rows: [bold]{found.folder / FILE}[/]. Read it, edit it, keep it with the code.")
    out.print(f"Next: winnow data check --project {found.folder}")


@data.command
def check(*, since: Moment = None, everything: bool = False, project: ProjectFolder = HERE, json: Json = False) -> None:
    """Hold the data against expectations.toml; ends with 1 when something is broken.

    Users who behave as no person does are written to flags.parquet.

    Args:
        since: From when on: ISO 8601, UTC, or an age such as 24h or 7d; else what came after the training period.
        everything: Also show what is as expected.
    """
    from winnow.cli.checked import print_check, to_data
    from winnow.cli.printing import print_json, progress
    from winnow.data.expectations import tool

    found = opened(project)
    with progress(quiet=json) as bar:
        done = tool.check(_data(found, bar), found.folder, since=_moment(since, "--since"), report=bar)
    print_json(to_data(done, found)) if json else print_check(done, found, everything=everything)
    raise SystemExit(1 if done.verdict == "broken" else 0)


def _data(project: "Project", report: "Report") -> "Data":
    from winnow.data.expectations.infer import Data

    report("reading the log", 0, 1)
    project.history.sync(project.log)
    report("reading the log", 1, 1)
    return Data(project.history, project.log.ids, project.tables, project.events, project.systems)


def _moment(text: str | None, where: str) -> int | None:
    from winnow.core.errors import InputError, Problem
    from winnow.core.time import MICROS, now_us, parse_time

    if text is None:
        return None
    if age := re.fullmatch(r"(\d{1,6})([mhd])", text):
        return now_us() - int(age[1]) * {"m": 60, "h": 3600, "d": 86_400}[age[2]] * MICROS
    try:
        return parse_time(text)
    except ValueError as error:
        fix = "write 2026-01-31, 2026-01-31T18:00:00Z, 24h or 7d"
        raise InputError(Problem("bad-time", f"`{text}` is not a time", where, fix=fix)) from error
