"""The log with which a world of events begins: what people did while an older site showed what was on near them."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import polars as pl

from winnow.core.time import MICROS, days, minutes, to_us
from winnow.data.importers.base import Part
from winnow.simulation.event_people import TOWNS, topic_names
from winnow.simulation.event_world import UTC_OFFSET_H, EventWorld
from winnow.simulation.people import Rows
from winnow.simulation.reactions import Flags, examination

SHOWN = 10  # length of the lists
SURFACE = "home"
_BLINK_US = MICROS // 2  # between the impressions of one list
_LOOK_US = 20 * MICROS  # from an impression to what it leads to
_TAIL_US = to_us(minutes(20))  # nobody visits so shortly before the log ends
_BESIDE = {"bookmark": 0.5, "share": 0.15}  # how much less likely than a registration each is


def event_tables(world: EventWorld) -> Iterator[Part]:
    """The people, the groups, the places, and the events, each known from its announcement on."""
    m, h, e, before = world.members, world.hosts, world.events, world.starts_at - to_us(days(60))

    def known(count: int) -> pl.Series:
        return pl.repeat(before, count, dtype=pl.Int64, eager=True)

    yield "member", pl.DataFrame({"member_id": m.ids, "changed_at": known(len(m)), "joined_at": known(len(m)),
                                  "home_lat": m.lat, "home_lon": m.lon})  # fmt: skip
    yield "group", pl.DataFrame({"group_id": h.ids, "changed_at": known(len(h.ids)), "created_at": known(len(h.ids)),
                                 "title": h.ids, "topics": [[t] for t in topic_names(h.topics)]})  # fmt: skip
    yield "venue", pl.DataFrame({"venue_id": h.venue_ids, "changed_at": known(len(h.venue_ids)), "title": h.venue_ids,
                                 "city": [TOWNS[t][0] for t in h.venue_towns.tolist()],
                                 "lat": h.lat, "lon": h.lon})  # fmt: skip
    yield "event", pl.DataFrame({
        "event_id": e.ids, "changed_at": e.created_at, "group": [h.ids[g] for g in e.groups.tolist()],
        "venue": [h.venue_ids[v] for v in e.venues.tolist()], "title": e.titles, "text": e.texts,
        "created_at": e.created_at, "starts_at": e.starts_at, "ends_at": e.ends_at, "price": e.price,
        "capacity": e.capacity,
    }).with_columns(utc_offset_h=pl.lit(UTC_OFFSET_H), cancelled=pl.lit(False))  # fmt: skip


def event_log(world: EventWorld) -> tuple[list[Part], Flags]:
    """The ties and what came of showing events, and who is going to what in the end, bool [P, V]."""
    going = np.zeros((len(world.members), len(world.events)), bool)
    rows: dict[str, list[tuple[int, int, int, int]]] = {name: [] for name in ("impression", "register", *_BESIDE)}
    who, at = _visits(world)
    rng = world.rng(55)
    for member, moment in zip(who.tolist(), at.tolist(), strict=True):
        _visit(world, member, moment, going=going, rows=rows, rng=rng)
    return [*_ties(world), *(_frame(world, name, some) for name, some in rows.items())], going


def _visit(
    world: EventWorld, member: int, moment: int, *, going: Flags, rows: dict[str, list[tuple[int, int, int, int]]],
    rng: np.random.Generator,
) -> None:  # fmt: skip
    """One list of the older site: by chance of what is on, the nearer the likelier; and what came of it."""
    one, now = np.array([member]), np.array([moment])
    free = np.flatnonzero(world.open(one, now, going)[0])
    score = -0.05 * world.km[member, free] + rng.gumbel(size=len(free))
    shown = free[np.argsort(-score)[:SHOWN]]
    looked = rng.random(len(shown)) < examination(np.arange(len(shown)), np.zeros(len(shown), np.int64))
    chance = world.chances(one, going, shown)[0]
    for place, event in enumerate(shown.tolist()):
        rows["impression"].append((moment + place * _BLINK_US, member, event, place + 1))
        for name, share in (("register", 1.0), *_BESIDE.items()):
            if looked[place] and rng.random() < share * chance[place]:
                rows[name].append((moment + place * _BLINK_US + _LOOK_US, member, event, 0))
                going[member, event] |= name == "register"


def _visits(world: EventWorld) -> tuple[Rows, Rows]:
    """Who comes when, in time order."""
    rng = world.rng(54)
    rate = world.members.visits_per_day / world.members.visits_per_day.sum()
    count = world.size.impressions // SHOWN
    at = np.sort(rng.integers(world.starts_at, world.until - _TAIL_US, count))
    return rng.choice(len(rate), count, p=rate), at


def _ties(world: EventWorld) -> Iterator[Part]:
    m, rng, day = world.members, world.rng(56), to_us(days(1))
    for name, flags, other, ids in (("befriend", np.triu(m.friends), "friend", m.ids),
                                    ("join", m.joined, "group", world.hosts.ids)):  # fmt: skip
        one, two = np.nonzero(flags)
        yield name, pl.DataFrame({
            "event_id": [f"{name}-{i}" for i in range(len(one))],
            "at": world.starts_at - rng.integers(day, 30 * day, len(one)),
            "member": [m.ids[i] for i in one.tolist()], other: [ids[i] for i in two.tolist()],
        }, schema_overrides={"at": pl.Int64}).sort("at")  # fmt: skip


def _frame(world: EventWorld, name: str, rows: list[tuple[int, int, int, int]]) -> Part:
    columns: dict[str, Any] = {
        "event_id": [f"{name}-{i}" for i in range(len(rows))], "at": [row[0] for row in rows],
        "member": [world.members.ids[row[1]] for row in rows], "event": [world.events.ids[row[2]] for row in rows],
    }  # fmt: skip
    if name == "impression":
        columns |= {"surface": [SURFACE] * len(rows), "position": [float(row[3]) for row in rows]}
    return name, pl.DataFrame(columns, schema_overrides={"at": pl.Int64})
