"""The people of a world of events: where they live, what they like, when they have time, whom they know."""

from dataclasses import dataclass

import numpy as np

from winnow.simulation.people import Floats, Rows, draw_tastes
from winnow.simulation.reactions import Flags
from winnow.simulation.titles import TOPIC_NAMES, channel_names, person_ids

TOWNS = (("Alder", 47.05, 8.30), ("Birch", 47.38, 8.54), ("Cedar", 46.95, 7.45))  # name, latitude, longitude
_KM_PER_DEGREE = 111.2
_SPREAD_KM = 6.0  # how far around its centre a town reaches


@dataclass(frozen=True, eq=False)
class Goers:
    """Everyone who may go somewhere, as columns; P people, T topics.

    Args:
        ids: readable ids, [P].
        lat, lon: of their homes, [P].
        tastes: taste for each topic, unit length, [P, T].
        late: the hour of the day that suits them best, [P].
        thrift: how much a price keeps them away, [P].
        visits_per_day: mean, [P].
        friends: who is whose friend, symmetric, bool [P, P].
        joined: who is a member of which group, bool [P, G].
    """

    ids: list[str]
    lat: Floats
    lon: Floats
    tastes: Floats
    late: Floats
    thrift: Floats
    visits_per_day: Floats
    friends: Flags
    joined: Flags

    def __len__(self) -> int:
        return len(self.ids)


@dataclass(frozen=True, eq=False)
class Hosts:
    """The groups that make events, and the places where these happen; G groups, S places.

    Args:
        ids: readable ids, [G].
        topics: what each is about, int64 [G].
        quality: how good their events are, about standard normal, [G].
        towns: where each is at home, int64 [G].
        venue_ids: [S].
        venue_towns: int64 [S].
        lat, lon: of the places, [S].
        room: how many people fit in, [S].
    """

    ids: list[str]
    topics: Rows
    quality: Floats
    towns: Rows
    venue_ids: list[str]
    venue_towns: Rows
    lat: Floats
    lon: Floats
    room: Floats


def make_hosts(groups: int, topics: int, rng: np.random.Generator) -> Hosts:
    """Groups about one topic each, with three places a town for every ten of them."""
    about = np.arange(groups) % topics
    places = max(3, 3 * groups // 10) * len(TOWNS)
    towns = np.arange(places) % len(TOWNS)
    lat, lon = around(towns, rng)
    return Hosts(
        ids=[name.lower().replace("'", "").replace(" ", "-") for name in channel_names(about, rng)], topics=about,
        quality=rng.standard_normal(groups), towns=rng.integers(0, len(TOWNS), groups),
        venue_ids=[f"{TOWNS[t][0].lower()}-hall-{i // len(TOWNS) + 1}" for i, t in enumerate(towns.tolist())],
        venue_towns=towns, lat=lat, lon=lon, room=rng.choice([4.0, 8.0, 20.0, 60.0], places),
    )  # fmt: skip


def make_goers(count: int, hosts: Hosts, topics: int, rng: np.random.Generator) -> Goers:
    """People with two or three topics close to their heart, who have joined some groups about them near to them."""
    tastes = draw_tastes(count, topics, rng)[:, 0]
    towns = rng.integers(0, len(TOWNS), count)
    lat, lon = around(towns, rng)
    near = towns[:, None] == towns[None, :]
    weight = np.exp(2.5 * tastes @ tastes.T) * np.where(near, 4.0, 1.0) * (1 - np.eye(count))
    friends = rng.random(weight.shape) < 4.0 * weight / weight.sum(axis=1, keepdims=True)
    fits = tastes[:, hosts.topics] ** 2 * np.where(towns[:, None] == hosts.towns, 0.8, 0.15)
    return Goers(
        ids=person_ids(count, rng), lat=lat, lon=lon, tastes=tastes, late=rng.choice([12.0, 18.0, 19.0, 20.0], count),
        thrift=rng.gamma(2.0, 0.5, count), visits_per_day=rng.lognormal(-0.4, 0.7, count),
        friends=np.asarray(friends | friends.T), joined=rng.random(fits.shape) < fits,
    )  # fmt: skip


def around(towns: Rows, rng: np.random.Generator) -> tuple[Floats, Floats]:
    """Latitudes and longitudes near the centres of towns."""
    centres = np.array([town[1:] for town in TOWNS])[towns]
    apart = rng.standard_normal((len(towns), 2)) * _SPREAD_KM / _KM_PER_DEGREE
    return centres[:, 0] + apart[:, 0], centres[:, 1] + apart[:, 1] / np.cos(np.radians(centres[:, 0]))


def topic_names(topics: Rows) -> list[str]:
    """Readable topics."""
    return [TOPIC_NAMES[t] for t in topics.tolist()]
