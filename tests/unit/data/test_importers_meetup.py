"""Meetup's files: what is known when, in CSV and in the JSON of the API."""

import json
import os
from pathlib import Path

import polars as pl
import pytest

from winnow.core.errors import NotFound
from winnow.core.time import parse_time
from winnow.data.importers.meetup import Meetup, plain

DATA = Path(os.environ.get("WINNOW_DATA", Path(__file__).resolve().parents[4] / "shared" / "data")) / "meetup_montana"
DAY = 86_400_000  # milliseconds
NOON = parse_time("2015-06-01T12:00:00Z") // 1_000

EVENTS = [
    {"id": "e1", "name": "Walk", "time": NOON + 9 * DAY, "utc_offset": -21_600_000, "group_id": "7", "venue_id": "v1",
     "status": "past", "description": "<p>Bring &amp; share<br/>water</p>"},
    {"id": "e2", "name": "Talk", "time": NOON + 3 * DAY, "utc_offset": -25_200_000, "group_id": "7", "venue_id": "v9",
     "status": "past", "description": ""},
    {"id": "e3", "name": "Nobody answered", "time": NOON, "utc_offset": 0, "group_id": "7", "venue_id": "v1",
     "status": "past", "description": "x"},
    {"id": "e1", "name": "Walk, twice", "time": NOON, "utc_offset": 0, "group_id": "7", "venue_id": "v1",
     "status": "past", "description": "x"},
]  # fmt: skip
RSVPS = [
    {"rsvp_id": "1", "event_id": "e1", "member_id": "m1", "response": "yes", "created": NOON, "mtime": NOON + 5 * DAY},
    {
        "rsvp_id": "1",
        "event_id": "e1",
        "member_id": "m2",
        "response": "yes",
        "created": NOON + DAY,
        "mtime": NOON + DAY,
    },
    {"rsvp_id": "3", "event_id": "e2", "member_id": "m2", "response": "no", "created": NOON, "mtime": NOON + 2 * DAY},
]
MEMBERS = [
    {"id": "m1", "joined": NOON - 3 * DAY, "topics": "5;6", "groupId": "7"},
    {"id": "m2", "joined": NOON - 2 * DAY, "topics": "", "groupId": "7"},
    {"id": "m1", "joined": NOON - 9 * DAY, "topics": "", "groupId": "8"},
]
GROUPS = [{"id": "7", "name": "Walkers", "created": NOON - 99 * DAY, "rating": "4.9"}]
VENUES = [{"id": "v1", "name": "Hall", "city": "Town", "lat": "45.5", "lon": "-111.0"},
          {"id": "v2", "name": "Unused", "city": "Town", "lat": "1", "lon": "2"}]  # fmt: skip
TOPICS = [{"groupId": "7", "name": "Walking", "id": "1", "urlkey": "walking"}]
FILES = {"events": EVENTS, "rsvps": RSVPS, "members": MEMBERS, "groups": GROUPS, "venues": VENUES}


@pytest.fixture(params=["csv", "json"])
def folder(request, tmp_path):
    for name, rows in {**FILES, "groups_topics": TOPICS}.items():
        if request.param == "csv":
            pl.DataFrame(rows).write_csv(tmp_path / f"{name}.csv")
        else:
            (tmp_path / f"{name}.json").write_text(json.dumps({"results": [nested(name, row) for row in rows]}))
    return tmp_path


def nested(name, row):
    """As the API has it: what a row refers to is an object."""
    if name == "events":
        kept = {k: v for k, v in row.items() if k not in ("group_id", "venue_id")}
        return {**kept, "group": {"id": int(row["group_id"])}, "venue": {"id": row["venue_id"], "lat": 1.0}}
    if name == "rsvps":
        kept = {k: v for k, v in row.items() if k not in ("event_id", "member_id")}
        return {**kept, "event": {"id": row["event_id"]}, "member": {"member_id": row["member_id"], "name": "x"}}
    return row


def test_tables_are_known_from_when_they_were_there(folder):
    tables = dict(Meetup().tables(folder))
    assert tables["member"].sort("member_id").select("member_id", "changed_at").rows() == [
        ("m1", (NOON - 9 * DAY) * 1_000), ("m2", (NOON - 2 * DAY) * 1_000)
    ]  # fmt: skip
    (walk, talk) = tables["event"].sort("event_id").to_dicts()
    assert walk["created_at"] == walk["changed_at"] == (NOON + DAY) * 1_000  # what was changed later announces nothing
    assert talk["created_at"] == (NOON + 2 * DAY) * 1_000
    assert walk["starts_at"] == (NOON + 9 * DAY) * 1_000
    assert (walk["utc_offset_h"], talk["utc_offset_h"]) == (-6.0, -7.0)
    assert walk["text"] == "Bring & share water"
    assert walk["title"] == "Walk"
    assert tables["venue"]["venue_id"].to_list() == ["v1"]
    assert tables["group"]["topics"].to_list() == [["walking"]]


def test_what_nobody_dates_is_left_out(folder):
    columns = {column for _, frame in Meetup().tables(folder) for column in frame.columns}
    assert not columns & {"rating", "yes_rsvp_count", "headcount", "status"}
    assert "topics" not in dict(Meetup().tables(folder))["member"].columns


def test_answers_have_the_time_of_their_last_change(folder):
    events = dict(Meetup().events(folder))
    assert events["register"].select("member", "event", "at").rows() == [
        ("m2", "e1", (NOON + DAY) * 1_000), ("m1", "e1", (NOON + 5 * DAY) * 1_000)
    ]  # fmt: skip
    assert events["cancel"].select("member", "event", "at").rows() == [("m2", "e2", (NOON + 2 * DAY) * 1_000)]
    assert events["register"]["event_id"].is_unique().all()
    assert len(events["join"]) == 3


def test_a_time_of_announcement_counts_where_the_files_have_one(tmp_path):
    files = FILES | {"events": [{**row, "created": NOON - DAY, "rsvp_limit": 12} for row in EVENTS]}
    for name, rows in files.items():
        pl.DataFrame(rows).write_csv(tmp_path / f"{name}.csv")
    event = dict(Meetup().tables(tmp_path))["event"]
    assert set(event["created_at"]) == {(NOON - DAY) * 1_000}
    assert set(event["capacity"]) == {12.0}


def test_a_folder_without_the_files_is_refused(tmp_path):
    with pytest.raises(NotFound, match="members"):
        list(Meetup().tables(tmp_path))


def test_broken_tags_do_no_harm():
    assert plain("a < b") == "a"
    assert plain("") == ""
    assert plain("no tags &lt;here&gt;") == "no tags <here>"


@pytest.mark.skipif(not DATA.exists(), reason="the Meetup data are not here (WINNOW_DATA)")
def test_the_real_files_keep_their_counts():
    tables, events = dict(Meetup().tables(DATA)), dict(Meetup().events(DATA))
    assert [len(tables[name]) for name in ("group", "venue", "event")] == [13, 282, 1_389]
    assert [len(events[name]) for name in ("register", "cancel", "join")] == [7_616, 2_800, 1_941]
    first = events["register"].group_by("event").agg(pl.col("at").min())
    known = tables["event"].select(event="event_id", created_at="created_at")
    assert (first.join(known, on="event").select(pl.col("at") - pl.col("created_at")).to_series() >= 0).all()
