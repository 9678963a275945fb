"""The members of a social world using a running feed, through its HTTP API only, and what its lists are worth."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from winnow.core.time import now_us
from winnow.simulation.people import Rows
from winnow.simulation.policies import best
from winnow.simulation.reactions import Flags, examination
from winnow.simulation.service import Service
from winnow.simulation.social_history import SURFACE, post_frame
from winnow.simulation.social_reactions import BINARY, EVENTS
from winnow.simulation.social_world import SocialWorld
from winnow.simulation.visiting import everyone, interval, padded, posted, rows_of

SYSTEM = "news_feed"


@dataclass(frozen=True, eq=False)
class FeedVisit:
    """One list that the service showed.

    Args:
        member: row.
        at: moment, microseconds.
        posts: rows in the order shown, int64 [k].
        counts: event type → how many were posted.
        degraded: whether a part of the service could not do its work for this list.
    """

    member: int
    at: int
    posts: Rows
    counts: dict[str, int]
    degraded: bool = False


@dataclass(frozen=True)
class FeedRound:
    """What a round of visits showed.

    Args:
        visits, impressions, degraded: counts.
        value: true expected value of a post that is looked at, places weighted by how surely they are.
        low, high: 95 % interval of the mean over visits.
        oracle, chronological, chance: the same for the best lists there are, for the newest posts of one's circle, and
            for posts by chance, for the same members at the same moments.
        forbidden: posts that may not be shown to whom they were shown: removed, too old for them, of somebody blocked.
        counts: event type → how many were posted.
    """

    visits: int
    impressions: int
    degraded: int
    value: float
    low: float
    high: float
    oracle: float
    chronological: float
    chance: float
    forbidden: int
    counts: dict[str, int]

    @property
    def reached(self) -> float:
        """What share of the best that could be reached was reached."""
        return self.value / self.oracle


@dataclass(eq=False)
class FeedDriver:
    """Acts for the members of a world.

    Args:
        world: who acts; replaced when posts are put up.
        url: of the service.
        key: API key, or None.
        shown: length of the lists that are asked for.
        at_once: requests in flight.
        clock: the present, microseconds.
        seen: who has been shown what, bool [P, V]; neither the service nor the references show it again.
    """

    world: SocialWorld
    url: str
    key: str | None = None
    shown: int = 12
    at_once: int = 8
    clock: Callable[[], int] = now_us
    seen: Flags = field(init=False)

    def __post_init__(self) -> None:
        self.seen = np.zeros((len(self.world.members), len(self.world.posts)), bool)

    def remember(self, member: Sequence[str], post: Sequence[str]) -> None:
        """Takes note of impressions of the initial log."""
        rows = {name: row for row, name in enumerate(self.world.members.ids)}
        self.seen[[rows[m] for m in member], [self.world.post_rows[p] for p in post]] = True

    def put_up(self, count: int) -> Rows:
        """Lets members write the next posts that were held back; returns their rows."""
        rows, at = self.world.posts.held_back()[:count], self.clock()
        self.world = self.world.put_up(rows, at)
        asyncio.run(self._put(post_frame(self.world, rows).drop("changed_at").to_dicts()))
        return rows

    async def _put(self, rows: Sequence[dict[str, Any]]) -> None:
        async with self._service() as service:
            await service.put("post", rows)

    def _service(self) -> Service:
        return Service(self.url, key=self.key, system=SYSTEM)

    def round(self, number: int, visits: int, **options: Any) -> FeedRound:
        """Lets members visit, and measures what they were shown.

        Args:
            number: of the round; the same number draws the same members with the same luck.
            visits: how many.
            options: of the rank requests, such as `mode`.
        """
        rate = self.world.members.sessions_per_day / self.world.members.sessions_per_day.sum()
        members: list[int] = self.world.rng(40, number).choice(len(rate), visits, p=rate).tolist()

        async def visit(service: Service, index: int) -> FeedVisit:
            name = self.world.members.ids[members[index]]
            reply = await service.rank(name, size=self.shown, surface=SURFACE, **options)
            rng = self.world.rng(41, number, index)
            made, events = self.act(reply, members[index], key=f"r{number}-{index}", rng=rng)
            await service.events(events)
            return made

        done = everyone(self._service, visits, visit, at_once=self.at_once)
        report = measure(self.world, done, seen=self.seen, number=number)
        for one in done:
            self.seen[one.member, one.posts] = True
        return report

    def act(
        self, reply: dict[str, Any], member: int, *, key: str, rng: np.random.Generator
    ) -> tuple[FeedVisit, list[dict[str, Any]]]:
        """What a member does with a reply: the visit, and the events to post; see `visiting.posted`."""
        posts, at = rows_of(reply, self.world.post_rows), self.clock()
        place, who = np.arange(len(posts)), np.full(len(posts), member)
        looks = examination(place, np.zeros(len(posts), np.int64))
        done, seconds = self.world.react(who, posts, seen=looks, rng=rng)
        happened = {"dwell": seconds > 0} | {EVENTS.get(name, name): done[name] for name in BINARY}
        events = posted(
            reply, happened, who={"member": self.world.members.ids[member]}, item="post", key=key, at=at,
            context={"surface": SURFACE}, amounts={"dwell": {"seconds": seconds}},
        )  # fmt: skip
        counts = {name: int(flags.sum()) for name, flags in happened.items()}
        return FeedVisit(member, at, posts, counts, bool(reply.get("degraded"))), events


def measure(world: SocialWorld, visits: Sequence[FeedVisit], *, seen: Flags, number: int) -> FeedRound:
    """What a round showed, beside what the best, the newest and chance lists would have been worth.

    Args:
        world: the truth.
        visits: at least one.
        seen: who had been shown what before the round, bool [P, V].
        number: of the round.
    """
    members, at = np.array([v.member for v in visits]), np.array([v.at for v in visits])
    lists = padded([v.posts for v in visits])
    value, low, high = interval(world.list_value(members, lists))
    allowed = world.showable(members, at)
    forbidden = (~np.take_along_axis(allowed, np.maximum(lists, 0), axis=1) & (lists >= 0)).sum()
    every = world.true_value(members[:, None], np.arange(len(world.posts))[None, :])
    newest = world.circle(members) * 1e20 + world.posts.created_at
    chance = world.rng(42, number).random(allowed.shape)
    references = {
        name: _worth(world, members, np.where(allowed, score, -np.inf), size=lists.shape[1], seen=seen[members])
        for name, score in (("oracle", every), ("chronological", newest), ("chance", chance))
    }
    return FeedRound(
        visits=len(visits), impressions=int((lists >= 0).sum()), degraded=sum(v.degraded for v in visits), value=value,
        low=low, high=high, forbidden=int(forbidden), **references,
        counts={name: sum(v.counts[name] for v in visits) for name in visits[0].counts},
    )  # fmt: skip


def _worth(world: SocialWorld, members: Rows, score: Any, *, size: int, seen: Flags) -> float:
    return float(world.list_value(members, best(score, size, seen)).mean())
