"""The people of a world using a running service, through its HTTP API only, and what its lists are really worth.

A visit takes no time here: its impressions and reactions carry the moments at which they were drawn, microseconds
apart, so that rounds of collecting and retraining can follow each other in minutes. Declare a label window to match.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import polars as pl

from winnow.core.time import days, now_us, to_us
from winnow.simulation import policies
from winnow.simulation.people import Floats, Rows
from winnow.simulation.reactions import SURFACES, Flags, examination
from winnow.simulation.service import Service
from winnow.simulation.tables import FEEDBACK, video_frame
from winnow.simulation.visiting import everyone, interval, padded, posted, rows_of
from winnow.simulation.world import World

_HALF_LIFE_US = to_us(days(2))


@dataclass(frozen=True, eq=False)
class Visit:
    """One list that the service showed, and what the person did with it.

    Args:
        person: row.
        at: moment, microseconds.
        videos: rows in the order shown, int64 [k].
        clicks: number of clicks.
        watched: rows of the videos that were watched, int64 [c].
        events: how many events were posted.
        degraded: whether a part of the service could not do its work for this list.
    """

    person: int
    at: int
    videos: Rows
    clicks: int
    watched: Rows
    events: int
    degraded: bool = False


@dataclass(frozen=True)
class Round:
    """What a round of visits showed.

    Args:
        visits, impressions, clicks, events: counts.
        degraded: visits for which a part of the service could not do its work.
        value: true expected value of an impression on what the service showed, places weighted by examination.
        low, high: 95 % interval of the mean over visits.
        oracle, popular, chance: the same for the best lists there are, the most watched videos, and chance, for the
            same people at the same moments.
    """

    visits: int
    impressions: int
    clicks: int
    events: int
    degraded: int
    value: float
    low: float
    high: float
    oracle: float
    popular: float
    chance: float

    @property
    def reached(self) -> float:
        """What share of the best that could be reached was reached."""
        return self.value / self.oracle

    @property
    def click_rate(self) -> float:
        """Clicks per impression."""
        return self.clicks / max(self.impressions, 1)


@dataclass(eq=False)
class Driver:
    """Acts for the people of a world.

    Args:
        world: who acts; replaced when videos are put up.
        url: of the service.
        key: API key, or None.
        shown: length of the lists that are asked for.
        at_once: requests in flight.
        clock: the present, microseconds.
        watches: decayed watches per video, float64 [V]; the popularity rung orders by it.
        seen: who has been shown what, bool [P, V]; neither the service nor the references show it again.
    """

    world: World
    url: str
    key: str | None = None
    shown: int = 12
    at_once: int = 8
    clock: Callable[[], int] = now_us
    watches: Floats = field(init=False)
    seen: Flags = field(init=False)
    _counted_at: int = field(init=False)

    def __post_init__(self) -> None:
        self.watches, self._counted_at = np.zeros(len(self.world.videos)), self.world.until
        self.seen = np.zeros((len(self.world.people), len(self.world.videos)), bool)

    def remember(self, name: str, events: pl.DataFrame) -> None:
        """Takes note of a frame of the initial log: who was shown what, and what was watched."""
        if name not in ("impression", "watch"):
            return
        rows = np.array([self.world.video_rows[v] for v in events["video"]], dtype=np.int64)
        if name == "impression":
            self.seen[[self.world.person_rows[p] for p in events["user"]], rows] = True
        else:
            weight = 0.5 ** ((self.world.until - events["at"].to_numpy()) / _HALF_LIFE_US)
            self.watches += np.bincount(rows, weight, len(self.watches))

    def put_up(self, count: int) -> Rows:
        """Puts up the next videos that were held back; returns their rows.

        Raises:
            InputError: `service-refused`.
        """
        rows, at = self.world.videos.held_back()[:count], self.clock()
        self.world = self.world.put_up(rows, at)
        new = video_frame(self.world, rows).drop("changed_at").to_dicts()
        asyncio.run(self._put(new))
        return rows

    async def _put(self, rows: Sequence[dict[str, Any]]) -> None:
        async with Service(self.url, key=self.key) as service:
            await service.put("video", rows)

    def round(self, number: int, visits: int) -> Round:
        """Lets people visit, and measures what they were shown.

        Args:
            number: of the round; the same number draws the same people with the same luck.
            visits: how many.

        Raises:
            Unavailable: `service-unavailable`, when the service stays away for a minute.
            InputError: `service-refused`.
        """
        done = self._visits(number, visits)
        report = measure(self.world, done, self._decayed(done[-1].at), seen=self.seen, number=number)
        for visit in done:
            np.add.at(self.watches, visit.watched, 1.0)
            self.seen[visit.person, visit.videos] = True
        return report

    def _decayed(self, at: int) -> Floats:
        self.watches *= 0.5 ** ((at - self._counted_at) / _HALF_LIFE_US)
        self._counted_at = at
        return self.watches

    def _visits(self, number: int, count: int) -> list[Visit]:
        rate = self.world.people.sessions_per_day / self.world.people.sessions_per_day.sum()
        people = self.world.rng(20, number).choice(len(rate), count, p=rate).tolist()

        async def visit(service: Service, index: int) -> Visit:
            rng = self.world.rng(21, number, index)
            surface = int(rng.random() < 0.2)
            user = self.world.people.ids[people[index]]
            reply = await service.rank(user, size=self.shown, surface=SURFACES[surface])
            made, events = self.act(reply, people[index], surface=surface, key=f"r{number}-{index}", rng=rng)
            await service.events(events)
            return made

        return everyone(lambda: Service(self.url, key=self.key), count, visit, at_once=self.at_once)

    def act(
        self, reply: dict[str, Any], person: int, *, surface: int, key: str, rng: np.random.Generator
    ) -> tuple[Visit, list[dict[str, Any]]]:
        """What a person does with a reply: the visit, and the events to post.

        Args:
            reply: of the rank route.
            person: row.
            surface: index into `SURFACES`.
            key: stem of the event ids; the same visit always has the same.
            rng: their luck.

        Raises:
            InputError: `not-this-world`.
        """
        videos, at = rows_of(reply, self.world.video_rows), self.clock()
        place, who = np.arange(len(videos)), np.full(len(videos), person)
        seen = examination(place, np.full(len(videos), surface))
        outcome = self.world.react(who, videos, np.full(len(videos), at), seen=seen, rng=rng)
        happened = {name: outcome.click if name == "watch" else getattr(outcome, name) for name in FEEDBACK}
        amounts = {"watch": {"seconds": outcome.seconds, "long": outcome.long}}
        events = posted(
            reply, happened, who={"user": self.world.people.ids[person]}, item="video", key=key, at=at,
            context={"surface": SURFACES[surface]}, amounts=amounts,
        )  # fmt: skip
        watched = videos[outcome.click]
        late = bool(reply.get("degraded"))
        return Visit(person, at, videos, len(watched), watched, len(events), late), events


def measure(world: World, visits: Sequence[Visit], watches: Floats, *, seen: Flags, number: int) -> Round:
    """What a round showed, beside what the best lists, the most watched videos and chance would have been worth.

    Args:
        world: the truth.
        visits: at least one.
        watches: (decayed) watches per video before the round, float64 [V].
        seen: who had been shown what before the round, bool [P, V].
        number: of the round.
    """
    people, at = np.array([v.person for v in visits]), np.array([v.at for v in visits])
    lists = padded([v.videos for v in visits])
    value, low, high = interval(world.list_value(people, lists, at))
    shown = lists.shape[1]
    before = seen[people]
    references = {
        "oracle": policies.oracle(world, people, at, size=shown, seen=before),
        "popular": policies.popular(world, people, at, size=shown, watches=watches, seen=before),
        "chance": policies.chance(world, people, at, size=shown, rng=world.rng(22, number), seen=before),
    }
    return Round(
        visits=len(visits),
        impressions=int((lists >= 0).sum()),
        clicks=sum(v.clicks for v in visits),
        events=sum(v.events for v in visits),
        degraded=sum(v.degraded for v in visits),
        value=value,
        low=low,
        high=high,
        **{name: float(world.list_value(people, best, at).mean()) for name, best in references.items()},
    )
