"""History, live tables and the oracle agree on place, time, company and room, to the bit, over random logs of ties."""

import math
from random import Random
from typing import Any

import numpy as np
import pytest
from features_oracle import Happened, LogSource
from features_world import START, World, plan_of
from test_features_parity import assert_same, check_parity

import winnow as w
from winnow.core.time import MICROS
from winnow.features.history import HistoryState
from winnow.features.place import TRAVEL
from winnow.features.state import SET_WIDTH
from winnow.features.view import Moments

venue = w.Table("venue", key="id", columns={"lat": w.number, "lon": w.number, "zone": w.text, "offset": w.number})
member = w.Table("member", key="id", columns={"lat": w.personal(w.number), "lon": w.personal(w.number)})
event = w.Table("event", key="id", columns={
    "venue": w.ref(venue), "host": w.ref(member), "starts_at": w.time, "price": w.number, "capacity": w.number,
    "topics": w.categories,
})  # fmt: skip
both, pair = {"member": member, "event": event}, {"member": member, "other": member}
seen = w.Events("impression", refs=both, fields={"place": w.category, "seconds": w.number})
register, cancel = (w.Tie(name, refs=both) for name in ("register", "cancel"))
befriend, unfriend = (w.Tie(name, refs=pair) for name in ("befriend", "unfriend"))
TABLES, EVENTS = [venue, member, event], [seen, register, cancel, befriend, unfriend]

going = w.Bond(register, cancel)
last = w.last(register.event, by=member, k=3)
there, home = w.Place(event.venue.lat, event.venue.lon), w.Place(member.lat, member.lon)
centre = w.centre(register.event, by=member, k=3, of=there)
somewhere = w.Whereabouts((w.Place(seen.seconds, seen.seconds), home, centre))
local = {"zone": event.venue.zone}
FEATURES = [
    w.distance(home, there, default=-1), w.distance(centre, there), w.distance(somewhere, there),
    w.bucket(w.distance(home, there), edges=TRAVEL), w.until(event.starts_at),
    w.hour(event.starts_at, **local), w.weekday(event.starts_at, utc_offset=event.venue.offset),
    w.hour(zone="Europe/Dublin"), w.match(event.host, last), w.match(event.topics, last, prior=(1, 3)),
    w.match(w.weekday(event.starts_at, **local), last, prior=(1, 7)), w.match(event.venue, last),
    w.match(w.bucket(w.hour(event.starts_at), edges=(6, 12, 18)), last), w.deviation(w.column(event.price), last),
    w.match(w.bucket(w.column(event.price), edges=(1, 18)), w.last(register.event, by=member, k=3, ttl=w.days(1))),
    *(w.company(w.Bond(befriend, unfriend, mutual=mutual), of, by=event, k=3, last=3)
      for mutual, of in ((True, going), (False, register))),
    w.company(w.Bond(befriend, unfriend), register, by=event.host, k=3, last=3),
    w.room(event.capacity, taken=going), w.room(event.price, taken=event.capacity), w.tied(going, by=(member, event)),
]  # fmt: skip
PLACES = [(0.0, 179.95), (0.01, -179.95), (52.52, 13.4), (89.9, 0.0), (91.0, 0.0), (math.nan, 3.0)]
ROWS = 3
HOUR = 3_600 * MICROS


def evening(seed: int) -> World:
    """A log in which much happens to few: members, venues and events that change, ties that are made and ended."""
    random, log, now = Random(seed), [], START
    for seq in range(1, 90):
        now += random.choice([0, 1, MICROS, 20 * 60 * MICROS, HOUR])
        of: Any = random.choice(TABLES) if seq < 12 else random.choice([*TABLES, *EVENTS, register, befriend])
        at = now - random.choice([0, 0, 0, 1, HOUR])
        if isinstance(of, w.Events):
            log.append(Happened(seq, now, at, of, {c: _value(random, k, at) for c, k in of.columns.items()}))
            continue
        deleted = seq > 40 and random.random() < 0.1
        columns = sorted(of.columns) if random.random() < 0.7 else random.sample(sorted(of.columns), 2)
        values = {c: _value(random, of.columns[c], at) for c in columns} | _somewhere(random, of)
        log.append(Happened(seq, now, at, of, {} if deleted else values, random.randrange(ROWS), deleted))
    return World(TABLES, list(EVENTS), plan_of(seen, FEATURES), log)


def _somewhere(random: Random, of: Any) -> dict[str, float]:
    if "lat" not in of.columns or random.random() < 0.3:
        return {}
    return dict(zip(("lat", "lon"), random.choice(PLACES), strict=True))


def _value(random: Random, kind: Any, at: int) -> Any:
    if kind.storage == "number":
        return random.choice([0.0, 1.0, 2.0, 3.5, -7.0, math.nan])
    if kind.storage == "time":
        return at + random.randrange(-2, 200) * HOUR
    if kind.storage == "text":
        return random.choice(["Europe/Paris", "Australia/Lord_Howe", "Neverland/City", None])
    if kind.storage == "categories":
        return (random.sample(range(4), 2) + [-1] * SET_WIDTH)[:SET_WIDTH]
    return random.choice([*range(ROWS), *range(ROWS), -1])


def asked(seed: int, world: World) -> list[tuple[int, Moments]]:
    """Every member with every event, at moments that matter."""
    random = Random(-seed)
    at = sorted(random.choice(world.log).known_at + random.choice([-1, 0, 1, 40 * 60 * MICROS]) for _ in range(3))
    members, events = (a.ravel() for a in np.meshgrid(np.arange(-1, ROWS + 1), np.arange(-1, ROWS + 1)))
    context = {"place": np.array([0]), "seconds": np.array([random.choice([math.nan, 45.0])])}
    requests = [
        Moments(np.array([t]), {"member": np.array([r]) if alone else members, "event": events}, context)
        for t, r, alone in zip(at, (0, 1, 2), (True, False, False), strict=True)
    ]
    return list(zip(at, requests, strict=True))


@pytest.mark.parametrize("seed", range(12))
def test_history_and_live_equal_the_oracle(seed: int) -> None:
    world = evening(seed)
    check_parity(world, asked(seed, world))


@pytest.mark.heavy
@pytest.mark.parametrize("seed", range(12, 400))
def test_history_and_live_equal_the_oracle_at_length(seed: int) -> None:
    world = evening(seed)
    check_parity(world, asked(seed, world))


@pytest.mark.parametrize("seed", range(6))
def test_many_moments_at_once_are_the_same_as_one_by_one(seed: int) -> None:
    """As training asks: each row with a moment of its own."""
    world = evening(seed)
    history, random = HistoryState(LogSource(world.log, world.kinds)), Random(seed)
    at = np.array([random.choice(world.log).known_at + 1 for _ in range(20)])
    rows = np.array([[random.randrange(ROWS), random.randrange(ROWS)] for _ in at])
    refs = {"member": rows[:, 0], "event": rows[:, 1]}
    together = world.plan.compute(Moments(at, refs), history)
    for i in range(len(at)):
        alone = Moments(at[i : i + 1], {role: row[i : i + 1] for role, row in refs.items()})
        one = world.plan.compute(alone, HistoryState(LogSource(world.log, world.kinds)))
        np.testing.assert_array_equal(together.numeric[i], one.numeric[0], strict=True)


@pytest.mark.parametrize("seed", range(12))
def test_what_comes_later_changes_nothing_earlier(seed: int) -> None:
    """A capacity raised, a start moved, a seat taken: none is seen before it was known."""
    world = evening(seed)
    for at, request in asked(seed, world):
        before = [h for h in world.log if h.known_at < at]
        then, now = (HistoryState(LogSource(log, world.kinds)) for log in (before, world.log))
        assert_same(world.plan.compute(request, then), world.plan.compute(request, now), "later rows")


def test_every_feature_is_more_than_its_default_somewhere() -> None:
    """Else the comparisons above would compare nothing."""
    told: set[str] = set()
    for seed in range(12):
        world = evening(seed)
        _, request = asked(seed, world)[-1]
        batch = world.plan.compute(request, HistoryState(LogSource(world.log, world.kinds)))
        defaults = {n: np.float32(f.default) for f in world.plan.features for n in f.names}
        for name, column in zip(batch.numeric_names, batch.numeric.T, strict=True):
            told |= {name} if (column != defaults[name]).any() else set()
    assert told == {n for f in world.plan.features for n in f.names} - {"member_to_event_venue_km_bucket"}
