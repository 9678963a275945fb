"""How `winnow data check` looks to a person."""

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from rich.markup import escape
from rich.table import Table

from winnow.cli.printing import out
from winnow.core.declare import plain
from winnow.core.time import iso
from winnow.data.expectations.finding import Finding, Verdict
from winnow.data.expectations.measure import Check

if TYPE_CHECKING:
    from winnow.project import Project

_SHOWN = 10  # users and storms in a table; --json has all of them
_COLOURS: dict[Verdict, str] = {"ok": "green", "warn": "yellow", "broken": "red"}
_WORDS = {
    "per_hour": "events of one type in an hour", "hours_a_day": "hours of a day with events",
    "regular": "spread of the gaps between events", "dwell_s": "median seconds from one act to the next",
    "share": "share of impressions acted on",
}  # fmt: skip


def print_check(check: Check, project: "Project", *, everything: bool) -> None:
    """Verdicts by table and event type, what is not as expected, and who was flagged."""
    out.print(_overview(check))
    shown = [f for f in check.findings if everything or f.verdict != "ok"]
    if shown:
        out.print(_findings(shown))
    else:
        out.print(f"[green]✓[/] {len(check.findings)} expectations, all met")
    users, storms = _users(check, project), _storms(check, project)
    if users:
        out.print(_table("users who behave as no person does (all in flags.parquet)", users))
    if storms:
        out.print(_table("storms: one event under many ids", storms))
    if len(check.counted):
        rows = [{"rows": f"{r['rows']:,}", "where": _place(r), "code": r["code"]} for r in check.counted.to_dicts()]
        out.print(_table("let in and counted", rows[:_SHOWN]))
    aside = project.quarantine.counts().to_dicts()
    if aside:
        rows = [{"rows": f"{r['rows']:,}", "where": _place(r), "code": r["code"]} for r in aside]
        out.print(_table("in the quarantine", rows[:_SHOWN]))


def to_data(check: Check, project: "Project") -> dict[str, Any]:
    """The same as JSON data, with everything in it."""
    return {
        "since": iso(check.since), "until": iso(check.until), "rows": check.rows, "verdict": check.verdict,
        "findings": [plain(f) for f in check.findings], "users": _users(check, project, most=None),
        "storms": _storms(check, project, most=None), "counted": check.counted.to_dicts(),
        "quarantine": project.quarantine.counts().to_dicts(),
    }  # fmt: skip


def _overview(check: Check) -> Table:
    since = "the beginning" if check.since <= 0 else iso(check.since)[:16]
    table = Table(title=f"{check.rows:,} events from {since} to {iso(check.until)[:16]}", title_justify="left")
    table.add_column("data")
    for name in ("ok", "warn", "broken"):
        table.add_column(name, justify="right")
    counts = Counter((f.kind, f.name, f.verdict) for f in check.findings)
    for kind, name in sorted({(f.kind, f.name) for f in check.findings}):
        found = [counts[kind, name, verdict] for verdict in _COLOURS]
        table.add_row(f"{kind} {name}", *(_cell(n, v) for n, v in zip(found, _COLOURS, strict=True)))
    return table


def _cell(count: int, verdict: Verdict) -> str:
    return f"[{_COLOURS[verdict]}]{count}[/]" if count else ""


def _findings(findings: Sequence[Finding]) -> Table:
    table = Table("verdict", "data", "measure", title="held against expectations.toml", title_justify="left")
    for name in ("value", "limit"):
        table.add_column(name, justify="right")
    table.add_column("what")
    for f in findings:
        verdict = f"[{_COLOURS[f.verdict]}]{f.verdict}[/]"
        table.add_row(verdict, escape(f.subject), f.measure, f"{f.value:.3g}", f"{f.limit:.3g}", escape(f.what))
    return table


def _users(check: Check, project: "Project", most: int | None = _SHOWN) -> list[dict[str, Any]]:
    frame = check.flags.users
    frame = frame if most is None else frame.head(most)
    names = _ids(project, frame["user"].to_list())
    return [
        {"user": name, "reason": _WORDS[r["reason"]], "event": r["event"], "value": round(r["value"], 4),
         "limit": r["limit"], "events": r["events"]}
        for name, r in zip(names, frame.to_dicts(), strict=True)
    ]  # fmt: skip


def _storms(check: Check, project: "Project", most: int | None = _SHOWN) -> list[dict[str, Any]]:
    frame = check.flags.storms
    frame = frame if most is None else frame.head(most)
    names = _ids(project, frame["user"].to_list())
    return [
        {"event": r["event"], "user": name, "copies": r["copies"], "first": iso(r["first_at"]),
         "seconds": (r["last_at"] - r["first_at"]) / 1e6}
        for name, r in zip(names, frame.to_dicts(), strict=True)
    ]  # fmt: skip


def _ids(project: "Project", rows: Sequence[int]) -> list[str]:
    domain = next(iter(project.systems.values())).labels.user.name
    return project.log.ids.ids(domain, rows)


def _place(row: dict[str, Any]) -> str:
    return ".".join(filter(None, (row["name"], row["field"]))) + (f" from {row['who']}" if row.get("who") else "")


def _table(title: str, rows: Sequence[dict[str, Any]]) -> Table:
    table = Table(*rows[0], title=title, title_justify="left")
    for row in rows:
        table.add_row(*(f"{v:g}" if isinstance(v, float) else escape(str(v)) for v in row.values()))
    return table
