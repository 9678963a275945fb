"""The members of a social world: what they like, whom they know and follow, where they belong, whom they avoid."""

from dataclasses import dataclass

import numpy as np

from winnow.simulation.people import Floats, Rows, draw_tastes
from winnow.simulation.reactions import Flags
from winnow.simulation.titles import TOPIC_NAMES, person_ids

_COUNTRIES = ("de", "fr", "ng", "in", "jp", "br", "gb", "se")
FRIEND, FOLLOWED = 1.0, 0.6  # how close somebody is
_PROVOKERS = 0.08  # share of members who mean to outrage


@dataclass(frozen=True, eq=False)
class Members:
    """Everyone, as columns.

    Args:
        ids: readable ids, [P].
        tastes: taste for each topic, unit length, [P, T].
        warmth: readiness to react, about standard normal, [P].
        temper: how easily outrage draws them into talk, 0 to 1.5, [P].
        provoking: how much what they write outrages, [P].
        sessions_per_day: mean, [P].
        birth_year, country: what the service is told, [P].
        friends: who is whose friend, symmetric, bool [P, P].
        follows: who follows whom, bool [P, P].
        blocks: who has blocked whom, bool [P, P].
        group_ids, group_topics: [G].
        belongs: who is in which group, bool [P, G].
    """

    ids: list[str]
    tastes: Floats
    warmth: Floats
    temper: Floats
    provoking: Floats
    sessions_per_day: Floats
    birth_year: Rows
    country: list[str]
    friends: Flags
    follows: Flags
    blocks: Flags
    group_ids: list[str]
    group_topics: Rows
    belongs: Flags

    def __len__(self) -> int:
        return len(self.ids)

    def close(self, one: Rows, other: Rows) -> Floats:
        """How close the second is to the first, 0 to 1."""
        return np.asarray(np.maximum(FRIEND * self.friends[one, other], FOLLOWED * self.follows[one, other]))

    def apart(self, one: Rows, other: Rows) -> Flags:
        """Whether either has blocked the other."""
        return np.asarray(self.blocks[one, other] | self.blocks[other, one])


def make_members(count: int, topics: int, rng: np.random.Generator) -> Members:
    """Members with two or three topics close to their heart, friends of like taste and some of chance."""
    tastes = draw_tastes(count, topics, rng)[:, 0]
    likeness = tastes @ tastes.T
    provoking = np.where(rng.random(count) < _PROVOKERS, 1.5, 0.0) + 0.3 * rng.standard_normal(count)
    friends = _drawn(np.exp(3.0 * likeness), 5.0, rng)
    friends |= friends.T
    standing = rng.lognormal(0.0, 0.8, count) + 0.5 * (provoking > 1)  # provokers have their public
    blocks = _drawn(np.exp(2.0 * np.maximum(provoking, 0))[None, :] * np.ones((count, 1)), 0.6, rng) & ~friends
    follows = _drawn(np.exp(2.5 * likeness) * standing, 9.0, rng) & ~friends & ~blocks
    group_topics = np.repeat(np.arange(topics), 2)
    return Members(
        ids=person_ids(count, rng), tastes=tastes, warmth=rng.standard_normal(count), temper=1.5 * rng.random(count),
        provoking=provoking, sessions_per_day=rng.lognormal(-0.4, 0.8, count),
        birth_year=rng.integers(1950, 2014, count), country=[_COUNTRIES[i] for i in rng.integers(0, 8, count)],
        friends=friends, follows=follows, blocks=blocks,
        group_ids=[f"{TOPIC_NAMES[t]}-{'ab'[i % 2]}" for i, t in enumerate(group_topics)], group_topics=group_topics,
        belongs=rng.random((count, 2 * topics)) < 0.7 * tastes[:, group_topics] ** 2,
    )  # fmt: skip


def _drawn(weight: Floats, each: float, rng: np.random.Generator) -> Flags:
    """Pairs of different members by chance in proportion to their weights, about `each` of every row."""
    chance = weight * (1 - np.eye(len(weight)))
    return np.asarray(rng.random(weight.shape) < each * chance / chance.sum(axis=1, keepdims=True))
