"""The log with which a feed begins: ties, posts, and what members did while an older site chose posts by hand."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from winnow.core.time import MICROS, days, minutes, to_us
from winnow.simulation.people import Floats, Rows
from winnow.simulation.reactions import Flags, examination
from winnow.simulation.social_reactions import BINARY, EVENTS
from winnow.simulation.social_world import SocialWorld
from winnow.simulation.titles import TOPIC_NAMES
from winnow.simulation.videos import NOT_YET

DAY_US = to_us(days(1))
_TAIL_US = to_us(minutes(20))  # the last visits begin this long before the log ends, so that all feedback is in it
_BLINK_US = MICROS // 2  # between the impressions of one list
_REACH_US = 4 * DAY_US  # older posts were not shown
SURFACE = "home"

Part = tuple[str, pl.DataFrame]


def social_tables(world: SocialWorld) -> Iterator[Part]:
    """The members, the groups, and the posts that were written when the log ends."""
    m, before = world.members, world.starts_at - 40 * DAY_US
    known = pl.repeat(before, len(m), dtype=pl.Int64, eager=True)
    yield "member", pl.DataFrame({"member_id": m.ids, "changed_at": known, "country": m.country, "joined_at": known,
                                  "birth_year": m.birth_year.astype(np.float64)})  # fmt: skip
    topics = [TOPIC_NAMES[t] for t in m.group_topics]
    known = pl.repeat(before, len(topics), dtype=pl.Int64, eager=True)
    yield "group", pl.DataFrame({"group_id": m.group_ids, "changed_at": known, "topic": topics, "created_at": known})
    yield "post", post_frame(world)


def post_frame(world: SocialWorld, rows: Rows | None = None) -> pl.DataFrame:
    """The posts that have been written (or these rows of them), each known from then on."""
    p, m = world.posts, world.members
    rows = np.flatnonzero(p.created_at != NOT_YET) if rows is None else rows
    every: list[int] = rows.tolist()
    return pl.DataFrame({
        "post_id": [p.ids[i] for i in every], "changed_at": p.created_at[rows],
        "author": [m.ids[a] for a in p.authors[rows].tolist()],
        "group": [m.group_ids[g] if g >= 0 else None for g in p.groups[rows].tolist()],
        "text": [p.texts[i] for i in every], "topic": [TOPIC_NAMES[t] for t in p.topics[rows].tolist()],
        "created_at": p.created_at[rows], "removed": p.removed[rows], "least_age": p.least_age[rows],
    }, schema_overrides={"group": pl.String})  # fmt: skip


def social_events(world: SocialWorld, *, shown: int = 12, pace: float = 1.0) -> Iterator[Part]:
    """The ties, then what members did, day by day.

    Args:
        world: who acts.
        shown: length of the lists.
        pace: how long looking takes, as a share of real time; for projects with short label windows.
    """
    yield from _ties(world)
    seen = np.zeros((len(world.members), len(world.posts)), bool)
    for day in range(world.size.days):
        yield from _Day(world, day, shown, pace).frames(seen)


def _ties(world: SocialWorld) -> Iterator[Part]:
    m, rng = world.members, world.rng(33)
    for name, flags, other in (("befriend", np.triu(m.friends), "author"), ("follow", m.follows, "author"),
                               ("join", m.belongs, "group"), ("block", m.blocks, "author")):  # fmt: skip
        one, two = np.nonzero(flags)
        ids = m.group_ids if other == "group" else m.ids
        at = world.starts_at - rng.integers(DAY_US, 30 * DAY_US, len(one))
        yield name, pl.DataFrame({
            "event_id": [f"{name}-{i}" for i in range(len(one))], "at": at,
            "member": [m.ids[i] for i in one.tolist()], other: [ids[i] for i in two.tolist()],
        }, schema_overrides={"at": pl.Int64}).sort("at")  # fmt: skip


@dataclass
class _Day:
    """One day of the older site: mostly new posts of one's circle, some of strangers, in no strict order."""

    world: SocialWorld
    day: int
    shown: int
    pace: float

    def frames(self, seen: Flags) -> Iterator[Part]:
        """Event types and their rows, impressions first; marks in `seen` [P, V] what was shown."""
        who, at = self._visits()
        lists = self._lists(who, at, seen)
        place = np.broadcast_to(np.arange(self.shown), lists.shape)
        keep = lists >= 0
        members, posts, position = np.broadcast_to(who[:, None], lists.shape)[keep], lists[keep], place[keep]
        moment = np.broadcast_to(at[:, None], lists.shape)[keep] + position * _BLINK_US
        looks = examination(position, np.zeros(len(position), np.int64))
        done, seconds = self.world.react(members, posts, seen=looks, rng=self.world.rng(35, self.day))
        rows = {"member": members, "post": posts}
        everything = np.ones(len(members), bool)
        surface = np.full(len(members), SURFACE)
        yield self._frame("impression", everything, rows, moment, surface=surface, position=position + 1.0)
        later = moment + (MICROS * (1 + seconds) * self.pace).astype(np.int64)
        yield self._frame("dwell", seconds > 0, rows, later, seconds=seconds)
        for name in BINARY:
            if done[name].any():
                yield self._frame(EVENTS.get(name, name), done[name], rows, later)

    def _visits(self) -> tuple[Rows, Rows]:
        world, rng = self.world, self.world.rng(34, self.day)
        expected = world.size.impressions / self.shown / world.size.days
        rate = world.members.sessions_per_day / world.members.sessions_per_day.sum()
        who = np.repeat(np.arange(len(rate)), rng.poisson(expected * rate))
        hour = np.minimum(24 * rng.beta(3.0, 2.0, len(who)), 23.99)
        at = world.starts_at + self.day * DAY_US + (hour / 24 * (DAY_US - _TAIL_US)).astype(np.int64)
        order = np.argsort(at, kind="stable")
        return who[order], at[order]

    def _lists(self, who: Rows, at: Rows, seen: Flags) -> Rows:
        """What each visit is shown, int64 [S, shown], -1 where there is nothing left."""
        world, rng, lists = self.world, self.world.rng(36, self.day), np.full((len(who), self.shown), -1)
        created = world.posts.created_at
        recent = np.flatnonzero((created <= at.max(initial=0)) & (created > at.min(initial=0) - _REACH_US))
        part = world.only(recent)
        for one, moment, row in zip(who, at, lists, strict=True):
            score = _older_site(part, np.array([one]), moment, rng)
            score[seen[one, recent]] = -np.inf
            best = np.argsort(-score)[: self.shown]
            best = best[np.isfinite(score[best])]
            row[: len(best)] = recent[best]
            seen[one, recent[best]] = True
        return lists

    def _frame(self, name: str, happened: Flags, rows: dict[str, Rows], at: Rows, **fields: Any) -> Part:
        which: list[int] = np.flatnonzero(happened).tolist()
        members, posts = self.world.members.ids, self.world.posts.ids
        return name, pl.DataFrame({
            "event_id": [f"h{self.day}-{i}-{name}" for i in which],
            "at": at[happened],
            "member": [members[i] for i in rows["member"][happened].tolist()],
            "post": [posts[i] for i in rows["post"][happened].tolist()],
        } | {field: values[happened] for field, values in fields.items()})  # fmt: skip


def _older_site(world: SocialWorld, person: Rows, moment: int, rng: np.random.Generator) -> Floats:
    """By what the older site ordered the posts of a world for one member, float64 [V]."""
    allowed = world.showable(person, np.array([moment]))[0]
    age = np.maximum(moment - world.posts.created_at, 0) / DAY_US
    score = 2.0 * world.circle(person)[0] - 0.7 * age + rng.gumbel(size=len(age))
    return np.where(allowed, score, -np.inf)
