"""Holds data against expectations: what came in since a moment, measured by columns, with a verdict for each."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from winnow.core.time import now_us
from winnow.data.expectations import flags
from winnow.data.expectations.compare import columns, never
from winnow.data.expectations.declare import Expectations, Group, Storms
from winnow.data.expectations.file import number
from winnow.data.expectations.finding import ORDER, Finding, Verdict, judge
from winnow.data.expectations.infer import Data, Report, lateness, silent
from winnow.data.expectations.profile import Rate
from winnow.data.expectations.sample import room
from winnow.data.schema import Events, Table

_FEW_HOURS = 0.05


@dataclass(frozen=True)
class Check:
    """What a check found.

    Args:
        since, until: the moments between which events and changes were looked at, microseconds UTC.
        rows: how many there were.
        findings: worst first.
        flags: users and storms.
        counted: what the edge counted since: `name, field, code, who, rows`.
    """

    since: int
    until: int
    rows: int
    findings: tuple[Finding, ...]
    flags: flags.Flags
    counted: pl.DataFrame = field(default_factory=pl.DataFrame)

    @property
    def verdict(self) -> Verdict:
        """The worst of all verdicts."""
        return max((f.verdict for f in self.findings), key=ORDER.index, default="ok")


def measure(data: Data, expected: Expectations, tally: pl.DataFrame, *, since: int, report: Report = silent) -> Check:
    """Holds what came in since a moment against what is expected.

    Args:
        data: of a project.
        expected: the contents of `expectations.toml`.
        tally: what the edge counted (`Tally.rows`).
        since: the moment from which on events and changes of rows were known: what came in since, whatever its date.
        report: told what is being done.
    """
    frames, findings = {}, list[Finding]()
    steps = len(data.events) + len(data.tables) + 1
    for i, (name, event) in enumerate(data.events.items()):
        report("checking", i, steps)
        wanted = ["seq", "at", "known_at", *event.columns]
        frames[name] = data.history.events(name).filter(pl.col("known_at") >= since).select(wanted).collect()
    until = _until(frames.values(), since)
    learned = number(expected.period.until) if expected.period else 0
    for name, group in expected.event.items():
        # A type that was introduced later was not silent before; one that fell silent after the period was.
        begun = int(frames[name]["known_at"].min() or since) if since < learned else since  # type: ignore[arg-type]
        findings += _event(data, name, group, frames[name], since=since, span=(max(since, begun), until))
    for i, (name, group) in enumerate(expected.table.items()):
        report("checking", len(data.events) + i, steps)
        findings += _table(data, data.tables[name], group, since=since)
    found = _flags(data, expected, frames)
    findings += _copies(found, frames, expected.storms)
    findings += _clocks(expected, tally)
    report("checking", steps, steps)
    rows = sum(map(len, frames.values()))
    ordered = sorted(findings, key=lambda f: (-ORDER.index(f.verdict), f.kind, f.name, f.column))
    return Check(since, until, rows, tuple(ordered), found, _counted(tally))


def _until(frames: Any, since: int) -> int:
    """The present; or, where the newest events were imported, the end of the data set."""
    ends = [(int(f["at"][i]), int(f["known_at"][i])) for f in frames if len(f) and (i := f["at"].arg_max()) is not None]
    at, known_at = max(ends, default=(since, since))
    return at + 1 if at == known_at else now_us()


# Events -------------------------------------------------------------------------------------------------------------


def _event(
    data: Data, name: str, group: Group, frame: pl.DataFrame, *, since: int, span: tuple[int, int]
) -> Iterator[Finding]:
    rate = Rate.of(frame["at"].to_numpy(), *span)
    for what, counts, fits in (("per_hour", rate.hours, group.per_hour), ("per_day", rate.days, group.per_day)):
        if fits is not None and len(counts):
            yield _rate(name, what, counts, fits)
    event = data.events[name]
    yield from columns(data.ids, event, group, frame, kind="event")
    if group.late_s is not None:
        for who, part in _by_producer(frame, group.producer):
            yield from _late(name, _named(data, event, group.producer, who), group.late_s, part)
    if len(frame):
        wrong = int((frame["at"] > frame["known_at"]).sum())
        what = f"{wrong:,} events are known before they happened"
        yield Finding("event", name, "at", "order", wrong / len(frame), 0.0, len(frame), judge(wrong, 0), what)
        yield from never(name, "at", group.columns.get("at"), frame["at"], "event")
        if (key := group.columns.get("event_id")) and key.unique:
            yield _unique_events(data, name, since)


def _rate(name: str, what: str, counts: NDArray[np.int64], span: tuple[float, float]) -> Finding:
    """Hours may stray now and then; a day that does is a warning, and far out it is a fault."""
    low, high = span
    out = (counts < low) | (counts > high)
    far = (counts < low / 2) | (counts > 2 * high)
    allowed = int(_FEW_HOURS * len(counts)) if what == "per_hour" else 0
    verdict: Verdict = "ok" if out.sum() <= allowed else "broken" if far.sum() > allowed else "warn"
    unit = what.removeprefix("per_")
    seen = f"{int(out.sum()):,} of {len(counts):,} {unit}s outside {low:,.0f} to {high:,.0f}"
    seen += f"; observed {int(counts.min()):,} to {int(counts.max()):,}"
    return Finding("event", name, "", what, float(out.sum()), allowed, int(counts.sum()), verdict, seen)


def _by_producer(frame: pl.DataFrame, producer: str) -> Iterator[tuple[int | None, pl.DataFrame]]:
    if not producer:
        yield None, frame
        return
    for (who,), part in frame.group_by(producer, maintain_order=True):
        yield int(str(who)), part


def _named(data: Data, event: Events, producer: str, who: int | None) -> str:
    return "" if who is None else data.ids.ids(event.domain(producer), [who])[0] or "(unnamed)"


def _late(name: str, who: str, limit: float, frame: pl.DataFrame) -> Iterator[Finding]:
    late = lateness(frame)
    if len(late):
        share = float((late > limit).mean())
        p99 = float(np.quantile(late, 0.99))
        what = f"{share:.1%} known later than {limit:g} s, 99 of 100 within {p99:.3g} s"
        what += f"; from {who}" if who else ""
        allowed = 0.01 + room(0.01, len(late))
        yield Finding("event", name, who, "late_s", share, allowed, len(late), judge(share, allowed), what)


def _unique_events(data: Data, name: str, since: int) -> Finding:
    ids = data.history.events(name).filter(pl.col("known_at") >= since).select(
        pl.len(), different=pl.col("event_id").n_unique()
    ).collect()  # fmt: skip
    rows, different = int(ids["len"][0]), int(ids["different"][0])
    return _unique("event", name, "event_id", rows, different)


def _unique(kind: str, name: str, column: str, rows: int, different: int) -> Finding:
    again = rows - different
    what = f"{again:,} rows share an id with another one"
    return Finding(kind, name, column, "unique", again / max(rows, 1), 0.0, rows, judge(again, 0), what)


# Tables -------------------------------------------------------------------------------------------------------------


def _table(data: Data, table: Table, group: Group, *, since: int) -> Iterator[Finding]:
    changed = data.history.rows(table.name).filter((pl.col("known_at") >= since) & (pl.col("deleted") == 0)).collect()
    if not len(changed):
        return
    yield from columns(data.ids, table, group, changed, kind="table")
    if (key := group.columns.get(table.key)) and key.unique:
        different = changed.select(pl.struct("row", "at").n_unique()).item()
        yield _unique("table", table.name, table.key, len(changed), different)


# Flags and the edge -------------------------------------------------------------------------------------------------


def _flags(data: Data, expected: Expectations, frames: Mapping[str, pl.DataFrame]) -> flags.Flags:
    parts = [flags.find(s, frames, expected.bots, expected.storms) for s in data.systems.values()]
    if not parts:
        return flags.none()
    users = pl.concat([p.users for p in parts]).unique(maintain_order=True)
    storms = pl.concat([p.storms for p in parts]).unique(maintain_order=True)
    copies = {name: share for p in parts for name, share in p.copies.items()}
    return flags.Flags(users, storms.sort("copies", "seq", descending=[True, False]), copies)


def _copies(found: flags.Flags, frames: Mapping[str, pl.DataFrame], storms: Storms) -> Iterator[Finding]:
    for name, share in found.copies.items():
        rows = len(frames[name])
        if rows:
            limit = storms.at_most + room(storms.at_most, rows)
            what = f"{share:.2%} of the events are copies in storms"
            yield Finding("event", name, "", "copies", share, limit, rows, judge(share, limit), what)


def _clocks(expected: Expectations, tally: pl.DataFrame) -> Iterator[Finding]:
    """Producers whose clock runs ahead, and events sent again, as the edge counted them."""
    totals = tally.group_by("name", "code", "who").agg(pl.col("rows", "amount").sum(), pl.col("most").max())
    count = {(n, c, w): (rows, amount, most) for n, c, w, rows, amount, most in totals.iter_rows()}
    for (name, code, who), (taken, _, _) in sorted(count.items()):
        limit = expected.event[name].ahead if name in expected.event else None
        if code == "taken" and limit is not None:
            rows, seconds, most = count.get((name, "ahead", who), (0, 0.0, 0.0))
            share = rows / taken
            sender = f"producer {who}" if who else "its producers"
            what = f"{share:.1%} of the events of {sender} are ahead of our clock"
            what += f", by {seconds / rows:.3g} s on average, {most:.3g} s at most" if rows else ""
            allowed = limit + room(limit, taken)
            yield Finding("event", name, who, "ahead", share, allowed, taken, judge(share, allowed), what)


def _counted(tally: pl.DataFrame) -> pl.DataFrame:
    """What the edge let in and counted, most frequent first."""
    kept = tally.filter(~pl.col("code").is_in(["taken", "ahead"]))
    groups = kept.group_by("name", "field", "code", "who").agg(pl.col("rows").sum())
    return groups.sort("rows", "name", "field", "code", descending=[True, False, False, False])
