"""A world of events whose truth is known: how likely each person is to register for each, given who is going."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from scipy.special import expit

from winnow.core.time import days, hours, to_us
from winnow.features.place import kilometres
from winnow.simulation.event_people import TOWNS, Goers, Hosts, make_goers, make_hosts
from winnow.simulation.noted import Noted, facts, places
from winnow.simulation.people import Floats, Rows
from winnow.simulation.reactions import Flags
from winnow.simulation.titles import TOPIC_NAMES
from winnow.simulation.visiting import weighed
from winnow.simulation.words import FORMS, TOPICS

UTC_OFFSET_H = 1.0
_DAY_US, _HOUR_US = to_us(days(1)), to_us(hours(1))
_HOURS = np.array([10, 12, 14, 18, 19, 19, 20, 20])  # of the day at which events begin
_AHEAD_DAYS = (2.0, 12.0)  # between announcement and start


@dataclass(frozen=True)
class EventSize:
    """How big a world of events is.

    Args:
        members: people.
        groups: hosts.
        events: announced from twelve days before the log begins until it ends.
        topics: at most 24.
        days: length of the initial log.
        impressions: how many it has, about.
    """

    members: int = 500
    groups: int = 60
    events: int = 1_500
    topics: int = 12
    days: int = 14
    impressions: int = 40_000


@dataclass(frozen=True, eq=False)
class Outings:
    """All events, as columns; [V].

    Args:
        ids, titles, texts: what people read.
        groups, venues, topics: rows, int64.
        price: in any currency.
        capacity: how many can come.
        quality: about standard normal.
        created_at, starts_at, ends_at: microseconds.
        hour: of the day at which it begins, where it is.
    """

    ids: list[str]
    titles: list[str]
    texts: list[str]
    groups: Rows
    venues: Rows
    topics: Rows
    price: Floats
    capacity: Floats
    quality: Floats
    created_at: Rows
    starts_at: Rows
    ends_at: Rows
    hour: Floats

    def __len__(self) -> int:
        return len(self.ids)

    def alive(self, at: Rows) -> Flags:
        """Which can be gone to at N moments: announced and not begun, bool [N, V]."""
        return np.asarray((self.created_at <= at[:, None]) & (at[:, None] < self.starts_at))


@dataclass(frozen=True, eq=False)
class EventWorld(Noted):
    """People, hosts and events, with the true chance that one registers for the other.

    Two worlds of the same size, seed and end are equal in every number.

    Args:
        size, seed, until: see `Noted`.
        members: who may go.
        hosts: who invites, and where to.
        events: to what.
    """

    size: EventSize
    members: Goers
    hosts: Hosts
    events: Outings

    @classmethod
    def make(cls, size: EventSize | None = None, *, until: int, seed: int = 1) -> "EventWorld":
        """Builds the world; less than a second for 500 people and 1,500 events."""
        size = size or EventSize()
        hosts = make_hosts(size.groups, size.topics, np.random.default_rng([seed, 51]))
        members = make_goers(size.members, hosts, size.topics, np.random.default_rng([seed, 52]))
        first_at = until - to_us(days(size.days + 12))
        events = make_events(
            hosts, size.events, first_at=first_at, last_at=until, rng=np.random.default_rng([seed, 53])
        )
        return cls(size, seed, until, members, hosts, events)

    @classmethod
    def read(cls, path: Path) -> "EventWorld":
        """The world that `write` noted down, built again.

        Raises:
            NotFound: `no-world`.
        """
        data = facts(path, fix="`winnow demo FOLDER --system event_recommendation --no-serve` makes one")
        return cls.make(EventSize(**data["size"]), until=data["until"], seed=data["seed"])

    def write(self, path: Path) -> None:
        """See `Noted.note`."""
        self.note(path, {"register": 1.0})

    @cached_property
    def event_rows(self) -> dict[str, int]:
        """Id of an event → row."""
        return places(self.events.ids)

    @cached_property
    def appeal(self) -> Floats:
        """What of the chance does not depend on who is going, as log-odds, float64 [P, V]."""
        m, h, e = self.members, self.hosts, self.events
        near = np.exp(-self.km / 12.0)
        suits = np.exp(-np.abs(e.hour[None, :] - m.late[:, None]) / 2.5)
        pleases = 4.0 * m.tastes[:, e.topics] + 2.2 * near + 0.9 * suits + 0.7 * m.joined[:, e.groups]
        worth = 0.5 * h.quality[e.groups] + 0.4 * e.quality
        return np.asarray(-5.7 + pleases + worth - 0.05 * m.thrift[:, None] * e.price)

    @cached_property
    def km(self) -> Floats:
        """From every home to every event, float64 [P, V]."""
        m, h, e = self.members, self.hosts, self.events
        here, there = (m.lat[:, None], m.lon[:, None]), (h.lat[e.venues][None, :], h.lon[e.venues][None, :])
        return np.asarray(kilometres(here, there))

    def chances(self, members: Rows, going: Flags, events: Rows | slice = slice(None)) -> Floats:
        """P(registers | looked at) of N people for every event, or some of them, float64 [N, V].

        Args:
            members: rows, int64 [N].
            going: who is going to what, bool [P, V].
            events: rows.
        """
        friends = self.members.friends[members].astype(np.float64) @ going[:, events].astype(np.float64)
        return np.asarray(expit(self.appeal[members][:, events] + 0.8 * np.minimum(friends, 3.0)))

    def open(self, members: Rows, at: Rows, going: Flags) -> Flags:
        """What can be registered for by N people at N moments: alive, with room, and not done yet; bool [N, V]."""
        room = going.sum(axis=0) < self.events.capacity
        return np.asarray(self.events.alive(at) & room & ~going[members])

    def list_value(self, members: Rows, lists: Rows, going: Flags) -> Floats:
        """The value of ranked lists, float64 [N]: mean chance, weighted by how surely each place is looked at.

        Args:
            members: rows, int64 [N].
            lists: rows of events in order, -1 where a list is shorter, int64 [N, k].
            going: who is going to what, bool [P, V].
        """
        chances = np.take_along_axis(self.chances(members, going), np.maximum(lists, 0), axis=1)
        return weighed(chances, lists >= 0)


def make_events(hosts: Hosts, count: int, *, first_at: int, last_at: int, rng: np.random.Generator) -> Outings:
    """Events of groups in their town, announced between two moments, each some days before it begins.

    Args:
        hosts: who invites.
        count: how many.
        first_at, last_at: microseconds.
        rng: every choice.
    """
    groups = rng.integers(0, len(hosts.ids), count)
    created = np.sort(rng.integers(first_at, last_at, count))
    hour = _HOURS[rng.integers(0, len(_HOURS), count)]
    ahead = rng.uniform(*_AHEAD_DAYS, count)
    day = (created + (ahead * _DAY_US).astype(np.int64)) // _DAY_US
    starts = day * _DAY_US + ((hour - UTC_OFFSET_H) * _HOUR_US).astype(np.int64)
    venues = np.array([rng.choice(np.flatnonzero(hosts.venue_towns == town)) for town in hosts.towns[groups]])
    titles, texts = _words(hosts.topics[groups], hosts.towns[groups], rng)
    return Outings(
        ids=[f"e{i:05d}" for i in range(count)], titles=titles, texts=texts, groups=groups, venues=venues,
        topics=hosts.topics[groups], price=np.where(rng.random(count) < 0.5, 0.0, rng.choice([5.0, 12.0, 30.0], count)),
        capacity=hosts.room[venues], quality=rng.standard_normal(count), created_at=created,
        starts_at=np.maximum(starts, created + _HOUR_US), ends_at=np.maximum(starts, created + _HOUR_US) + 2 * _HOUR_US,
        hour=hour.astype(np.float64),
    )  # fmt: skip


def _words(topics: Rows, towns: Rows, rng: np.random.Generator) -> tuple[list[str], list[str]]:
    """Titles and texts."""
    titles, texts = [], []
    for topic, town in zip(topics.tolist(), towns.tolist(), strict=True):
        words = TOPICS[TOPIC_NAMES[topic]][1]
        one, two = (words[i] for i in rng.integers(0, len(words), 2))
        title = FORMS[rng.integers(len(FORMS))].format(one)
        titles.append(title[:1].upper() + title[1:])
        texts.append(f"{titles[-1]}. An evening in {TOWNS[town][0]} about {one} and {two}. Everyone is welcome.")
    return titles, texts
