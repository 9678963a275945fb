"""A world of events: its truth, and the log that comes of it."""

from dataclasses import replace

import numpy as np
import pytest

from winnow.core.time import parse_time
from winnow.simulation.event_history import event_log, event_tables
from winnow.simulation.event_world import EventSize, EventWorld

UNTIL = parse_time("2026-03-01T00:00:00Z")
SIZE = EventSize(members=80, groups=12, events=200, topics=6, days=5, impressions=4_000)


@pytest.fixture(scope="module")
def world():
    return EventWorld.make(SIZE, until=UNTIL, seed=3)


@pytest.fixture(scope="module")
def log(world):
    parts, going = event_log(world)
    return dict(parts), going


def test_a_world_is_the_same_when_it_is_built_again(world, tmp_path):
    world.write(tmp_path / "w.json")
    again = EventWorld.read(tmp_path / "w.json")
    assert np.array_equal(again.appeal, world.appeal)
    one, two = (dict(event_log(w)[0]) for w in (world, again))
    assert all(one[name].equals(two[name]) for name in one)


def test_friends_who_go_make_it_likelier(world):
    nobody = np.zeros((len(world.members), len(world.events)), bool)
    one = np.array([int(world.members.friends.any(axis=1).argmax())])
    some = nobody.copy()
    some[world.members.friends[one[0]].argmax(), 5] = True
    before, after = world.chances(one, nobody)[0], world.chances(one, some)[0]
    assert after[5] > before[5]
    assert np.array_equal(np.delete(after, 5), np.delete(before, 5))


def test_likelier_where_it_is_nearer_and_to_taste(world):
    assert np.corrcoef(world.km.ravel(), world.appeal.ravel())[0, 1] < -0.15
    assert np.corrcoef(world.members.tastes[:, world.events.topics].ravel(), world.appeal.ravel())[0, 1] > 0.3


def test_only_what_was_on_and_had_room_was_shown(world, log):
    parts, going = log
    shown, rows = parts["impression"], world.event_rows
    event = np.array([rows[e] for e in shown["event"]])
    at = shown["at"].to_numpy()
    assert (world.events.created_at[event] <= at).all()
    # The last of a list is shown some seconds after it was made.
    assert (world.events.starts_at[event] > at - 10_000_000).all()
    assert (going.sum(axis=0) <= world.events.capacity).all()
    made = parts["register"].select("member", "event")
    assert made.is_unique().all()
    assert going.sum() == len(made)


def test_what_is_full_is_not_open(world):
    full = np.zeros((len(world.members), len(world.events)), bool)
    on = int(world.events.alive(np.array([UNTIL]))[0].argmax())
    full[1 : 1 + int(world.events.capacity[on]), on] = True
    assert not world.open(np.array([0]), np.array([UNTIL]), full)[0, on]
    roomy = replace(world.events, capacity=world.events.capacity + 1)
    assert replace(world, events=roomy).open(np.array([0]), np.array([UNTIL]), full)[0, on]


def test_tables_hold_nothing_before_its_time(world):
    tables = dict(event_tables(world))
    assert (tables["event"]["changed_at"] == tables["event"]["created_at"]).all()
    assert tables["event"]["created_at"].max() <= UNTIL
    assert set(tables["event"]["group"]) <= set(tables["group"]["group_id"])
