"""Meetup: events of local groups, and who said to come, as the public API gave them (version 2, until 2019).

Nobody offers these data for download any more; a folder holds `events`, `groups`, `members`, `rsvps`, `venues` and, if
known, `groups_topics`, each as CSV with the columns of the API or as JSON with its results. Times are milliseconds UTC;
`utc_offset` is that of the place on the day of the event, in milliseconds too.

The data were collected once, when everything had happened, so not everything in them was known at its time:

- When an event was announced is told by `created` where the file has it. Where not, an event is taken as announced by
  the first answer to it, whoever gave it; one that nobody ever answered is left out. What an answer was a reaction to
  is so known only from the second one on.
- An answer has the time of its last change (`mtime`): what it had been before is not told, so an answer that was
  changed later announces nothing either. A yes is a registration, a no takes it back (or says no from the start).
- Title, text, start and venue of an event are those of the day of collection, whatever they had been before. How many
  came in the end is left out, and so are the rating of a group and the topics of a member, which nobody dates.
- Who left a group is not among its members; somebody who came back joined when they came back.
"""

import json
from collections.abc import Iterator
from html import unescape
from pathlib import Path
from typing import Any

import polars as pl

from winnow.core.errors import NotFound, Problem
from winnow.data.importers.base import Importer, Part

_MILLI = 1_000  # microseconds
_HOUR = 3_600_000  # milliseconds


class Meetup(Importer):
    """Members, groups, venues and events; who joined which group, and who registered or took it back."""

    name = "meetup"

    def tables(self, path: Path) -> Iterator[Part]:
        members, groups, events = read(path, "members"), read(path, "groups"), announced(path)
        joined = members.group_by(member_id="id").agg(joined_at=_time("joined").min()).sort("joined_at", "member_id")
        yield "member", joined.with_columns(changed_at="joined_at")
        yield "group", _groups(groups, path)
        first = events.group_by(id="venue").agg(changed_at=pl.col("created_at").min())
        venues = read(path, "venues").join(first, on="id", how="inner").sort("changed_at", "id")
        places = [pl.col(name).cast(pl.Float64, strict=False) for name in ("lat", "lon")]
        yield "venue", venues.select("changed_at", "city", *places, venue_id="id", title="name")
        yield "event", events

    def events(self, path: Path) -> Iterator[Part]:
        joins = read(path, "members").select(at=_time("joined"), member="id", group="groupId")
        ids = pl.format("join-{}-{}", "member", "group")
        yield "join", joins.with_columns(event_id=ids).sort("at", "event_id")
        answers = read(path, "rsvps").with_columns(at=_time("mtime")).sort("at", "rsvp_id")
        answers = answers.filter(pl.col("event_id").is_in(announced(path)["event_id"].implode()))
        ids = pl.format("rsvp-{}-{}", "event_id", "member_id")  # the files repeat numbers of answers
        for name, response in (("register", "yes"), ("cancel", "no")):
            some = answers.filter(pl.col("response") == response)
            yield name, some.select("at", member="member_id", event="event_id", event_id=ids)


def announced(path: Path) -> pl.DataFrame:
    """The events as rows of the table `event`, each known from when it was announced.

    Raises:
        NotFound: `missing-file`.
    """
    raw = read(path, "events").unique("id", keep="first", maintain_order=True)
    answers = read(path, "rsvps").group_by(id="event_id").agg(first=_time("mtime").min())
    rows = raw.join(answers, on="id", how="left")
    created = pl.coalesce(*([_time("created")] if "created" in raw.columns else []), "first")
    starts = _time("time")
    lasts = _number(raw, "duration", 3 * _HOUR)
    return rows.select(
        event_id="id", group="group_id", venue="venue_id", title="name",
        text=pl.col("description").map_elements(plain, return_dtype=pl.String), created_at=created, starts_at=starts,
        ends_at=starts + lasts.cast(pl.Int64) * _MILLI, changed_at=created,
        utc_offset_h=(pl.col("utc_offset").cast(pl.Float64) / _HOUR).round(6), price=_number(raw, "fee_amount", None),
        capacity=_number(raw, "rsvp_limit", None),
    ).filter(pl.col("created_at").is_not_null()).sort("created_at", "event_id")  # fmt: skip


def _groups(groups: pl.DataFrame, path: Path) -> pl.DataFrame:
    """The groups with what they say they are about."""
    about: dict[str, list[str]] = {}
    if _place(path, "groups_topics") is not None:
        for group, topic in read(path, "groups_topics").select("groupId", "urlkey").iter_rows():
            about.setdefault(group, []).append(topic)
    topics = pl.Series("topics", [about.get(group, []) for group in groups["id"]], dtype=pl.List(pl.String))
    created = _time("created")
    return groups.select(group_id="id", title="name", created_at=created, changed_at=created).with_columns(topics)


def read(path: Path, name: str) -> pl.DataFrame:
    """A file of the folder with every column as text; what JSON nests (`venue: {id}`) is `venue_id`.

    Raises:
        NotFound: `missing-file`.
    """
    place = _place(path, name)
    if place is None:
        what, fix = f"neither `{name}.csv` nor `{name}.json` in `{path.name}`", "give the folder with the files"
        raise NotFound(Problem("missing-file", what, str(path), fix=fix))
    if place.suffix == ".csv":
        return pl.read_csv(place, infer_schema_length=0)
    data = json.loads(place.read_text())
    rows = [_flat(row) for row in (data["results"] if isinstance(data, dict) else data)]
    columns = dict.fromkeys(column for row in rows for column in row)
    return pl.DataFrame({c: [row.get(c) for row in rows] for c in columns}, schema=dict.fromkeys(columns, pl.String))


def _place(path: Path, name: str) -> Path | None:
    files = (path / f"{name}.csv", path / f"{name}.json")
    return next((file for file in files if file.exists()), None)


def _flat(row: dict[str, Any]) -> dict[str, str]:
    """One result of the API as one line: `{"member": {"member_id": 7}}` → `{"member_id": "7"}`."""
    line = {}
    for name, value in row.items():
        inner = value.items() if isinstance(value, dict) else [("", value)]
        for key, one in inner:
            column = name if not key else key if key.startswith(name) else f"{name}_{key}"
            if one is not None and not isinstance(one, list | dict):
                line[column] = str(one)
    return line


def plain(text: str) -> str:
    """A description without its tags.

    >>> plain("<p>Bring &amp; share<br/>a dish</p>")
    'Bring & share a dish'
    """
    parts = (part.partition(">")[2] if i else part for i, part in enumerate(text.split("<")))
    return " ".join(unescape(" ".join(parts)).split())


def _time(name: str) -> pl.Expr:
    """Milliseconds as microseconds."""
    return pl.col(name).cast(pl.Int64) * _MILLI


def _number(frame: pl.DataFrame, name: str, default: float | None) -> pl.Expr:
    """A column that not every file has."""
    given = pl.col(name).cast(pl.Float64, strict=False) if name in frame.columns else pl.lit(None, pl.Float64)
    return given if default is None else given.fill_null(default)
