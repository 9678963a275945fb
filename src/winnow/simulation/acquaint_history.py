"""The log with which a network begins: people, the ties of a year, and what came of the lists of an older site."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import polars as pl

from winnow.core.time import MICROS, days, minutes, to_us
from winnow.data.importers.base import Part
from winnow.simulation.acquaint_world import AcquaintWorld, Ties
from winnow.simulation.people import Floats, Rows
from winnow.simulation.reactions import examination
from winnow.simulation.visiting import padded

SURFACE = "home"
DAY_US = to_us(days(1))
_ROLES = ("person", "candidate")
_STATES = {"request": "asked", "decline": "declined", "dismiss": "dismissed", "block": "blocked", "connect": "friends"}


def acquaint_tables(world: AcquaintWorld) -> Iterator[Part]:
    """The people, each known from when they joined."""
    p = world.persons
    (begun, ended), (hired, left) = p.studied.T, p.worked.T
    yield "person", pl.DataFrame({
        "person_id": p.ids, "changed_at": p.joined_at, "joined_at": p.joined_at, "town": p.names("town"),
        "school": p.names("school"), "school_from": begun, "school_until": ended, "work": p.names("work"),
        "work_from": hired, "work_until": [None if np.isnan(y) else y for y in left.tolist()], "groups": p.circles(),
        "hidden": p.hidden, "private_ties": p.private,
    }, schema_overrides={"work_until": pl.Float64, "groups": pl.List(pl.String)}).sort("changed_at")  # fmt: skip


@dataclass
class Past:
    """What happened before the service began, day by day; `ties` goes along.

    Args:
        world: who acts.
    """

    world: AcquaintWorld
    ties: Ties = field(init=False)
    _due: list[tuple[int, str, int, int]] = field(init=False, default_factory=list)

    def __post_init__(self) -> None:
        self.ties = Ties.none(len(self.world.persons))

    def events(self) -> Iterator[Part]:
        """All of it, in the order of time as far as days go."""
        one, two, at = self.world.founded
        self.ties.friends[one, two] = self.ties.friends[two, one] = True
        yield self._frame("connect", one, two, at, stem="founded")
        for day in range(self.world.size.days):
            yield from self._day(day)

    def _day(self, day: int) -> Iterator[Part]:
        world, p, rng = self.world, self.world.persons, self.world.rng(53, day)
        begin = world.starts_at + day * DAY_US
        yield from self._answers(begin, f"d{day}")
        there = np.flatnonzero((p.joined_at < begin) & (rng.random(len(p)) < 1 - np.exp(-p.visits_per_day)))
        mutual, shown = self.ties.mutual, self._lists(there, begin, rng)
        at = begin + rng.integers(0, DAY_US - to_us(minutes(30)), len(there))
        yield self._impressions(there, shown, at, day)
        place, column = np.nonzero(shown >= 0)
        who, whom = there[place], shown[place, column]
        moment = at[place] + column * MICROS
        looked = rng.random(len(who)) < examination(column, np.zeros(len(who), np.int64))
        chance = world.chances(who, whom, mutual[who, whom])
        visits = looked & (rng.random(len(who)) < 0.05 + 0.5 * chance["accept"] + 0.3 * p.knows[who, whom])
        asked = looked & (rng.random(len(who)) < chance["request"])
        gone = looked & ~asked & (rng.random(len(who)) < chance["dismiss"] / np.maximum(1 - chance["request"], 1e-9))
        for name, flags, after in (("profile_visit", visits, 5), ("request", asked, 20), ("dismiss", gone, 10)):
            yield self._done(name, who[flags], whom[flags], moment[flags] + after * MICROS, stem=f"d{day}")
        part = (who[asked], whom[asked], moment[asked])
        self._answer(*part, {head: value[asked] for head, value in chance.items()}, rng=rng)

    def _lists(self, people: Rows, now: int, rng: np.random.Generator) -> Rows:
        """What an older site shows: most by friends in common, some whom many know, some by chance."""
        p, ties = self.world.persons, self.ties
        allowed = ties.open()[people] & ~p.hidden & (p.joined_at < now)
        known = ties.friends.sum(axis=1)
        scores = (ties.mutual[people], np.broadcast_to(known, allowed.shape), np.zeros(allowed.shape))
        which = rng.choice(3, allowed.shape, p=(0.5, 0.15, 0.35))
        score = np.choose(which, [_ranked(s + rng.random(allowed.shape)) for s in scores])
        order = np.argsort(np.where(allowed, -score, np.inf), axis=1)[:, : self.world.size.shown]
        return np.where(np.take_along_axis(allowed, order, axis=1), order, -1)

    def _answer(
        self, who: Rows, whom: Rows, at: Rows, chance: Mapping[str, Floats], *, rng: np.random.Generator
    ) -> None:
        """Draws what comes of requests, within days; some are never answered."""
        asked = np.maximum(chance["request"], 1e-9)
        draw = rng.random(len(who))
        yes = draw < chance["accept"] / asked
        no = ~yes & (draw < (chance["accept"] + chance["decline"]) / asked)
        talk = yes & (rng.random(len(who)) < chance["message"] / np.maximum(chance["accept"], 1e-9))
        block = no & (rng.random(len(who)) < chance["block"] / np.maximum(chance["decline"], 1e-9))
        later = at + (rng.exponential(0.8, len(who)).clip(0.01, 5) * DAY_US).astype(np.int64)
        for name, flags, wait in (("connect", yes, 0), ("decline", no, 0), ("message", talk, 1), ("block", block, 2)):
            times = later[flags] + wait * to_us(minutes(30))
            self._due += [(t, name, i, j) for t, i, j in zip(
                times.tolist(), who[flags].tolist(), whom[flags].tolist(), strict=True
            )]  # fmt: skip

    def _answers(self, until: int, stem: str) -> Iterator[Part]:
        """What was answered before a moment."""
        due, self._due = [d for d in self._due if d[0] < until], [d for d in self._due if d[0] >= until]
        for name in ("connect", "decline", "message", "block"):
            some = [d for d in due if d[1] == name]
            at, one, two = (np.array([d[i] for d in some], np.int64) for i in (0, 2, 3))
            yield self._done(name, one, two, at, stem=stem)

    def _done(self, name: str, one: Rows, two: Rows, at: Rows, *, stem: str) -> Part:
        """Events, taken note of in the ties."""
        if name in _STATES:
            getattr(self.ties, _STATES[name])[one, two] = True
        if name == "connect":
            self.ties.friends[two, one] = True
        return self._frame(name, one, two, at, stem=stem)

    def _frame(self, name: str, one: Rows, two: Rows, at: Rows, *, stem: str, **more: Any) -> Part:
        ids = self.world.persons.ids
        frame = {"event_id": [f"{name}-{stem}-{i}" for i in range(len(one))], "at": at}
        frame |= {r: [ids[i] for i in rows.tolist()] for r, rows in zip(_ROLES, (one, two), strict=True)}
        text = {"event_id": pl.String, "person": pl.String, "candidate": pl.String, "at": pl.Int64}
        return name, pl.DataFrame(frame | more, schema_overrides=text).sort("at")

    def _impressions(self, people: Rows, shown: Rows, at: Rows, day: int) -> Part:
        place, column = np.nonzero(shown >= 0)
        more = {"surface": [SURFACE] * len(place), "position": column + 1.0}
        return self._frame("impression", people[place], shown[place, column], at[place] + column * MICROS,
                           stem=f"d{day}", **more)  # fmt: skip


def _ranked(score: Floats) -> Floats:
    """Scores as ranks within their row, 0 to 1."""
    return np.asarray(score.argsort(axis=1).argsort(axis=1) / max(score.shape[1] - 1, 1))


def best(score: Floats, allowed: Any, size: int) -> Rows:
    """The places with the highest scores among those allowed, int64 [N, size]; -1 pads."""
    order = np.argsort(np.where(allowed, -score, np.inf), axis=1, kind="stable")[:, :size]
    return padded([row[ok] for row, ok in zip(order, np.take_along_axis(allowed, order, axis=1), strict=True)])
