"""An ad market whose truth is known: people and what they click on, advertisers and what a click is worth to them."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from winnow.core.time import days, hours, to_us
from winnow.market.money import UNIT, Micros

Floats = NDArray[np.float64]
Rows = NDArray[np.int64]
Flags = NDArray[np.bool_]
COUNTRIES = ("AT", "CH", "DE", "FR")
DEVICES = ("phone", "desktop", "tablet")
TOPICS = ("bikes", "books", "cars", "fashion", "food", "games", "garden", "music", "pets", "phones", "sport", "travel")
EFFECTS = (1.0, 0.7, 0.5)  # factor on the chance of a click in each slot
_BASE = -2.4  # log-odds of a click on an ad that is neither liked nor disliked
_TIRED = 0.75  # factor on the odds of a click for each recent showing of the same campaign
_REST_US = to_us(hours(12))  # after which a showing tires half as much
_BOUGHT_US = to_us(days(2))  # half of the conversions come later than this


@dataclass(frozen=True)
class AdSize:
    """How big an ad market is.

    Args:
        people: how many.
        advertisers: how many, each with a campaign or two of three ads.
        visits_per_day: requests of a usual day.
        wealth: of a usual campaign's budget, the part of what its ads could cost if it never paused; below 1, it must
            be paced.
    """

    people: int = 50_000
    advertisers: int = 12
    visits_per_day: int = 150_000
    wealth: float = 0.25


@dataclass(frozen=True, eq=False)
class AdWorld:
    """Everybody and everything, as columns.

    Args:
        size: how big.
        seed: of everything.
        tastes: how much each person cares for each topic, [P, T].
        country: of each person, index into `COUNTRIES`, [P].
        age: of each person, years, [P].
        advertiser: of each campaign, [C].
        topic: of each campaign, [C].
        value: what a click is worth to the campaign, micros, [C]; nobody else knows.
        reach: whether a campaign wants people of a country, bool [C, 4].
        age_from: from which age, [C].
        daily: budget, micros, [C].
        campaign: of each ad, [A].
        appeal: of each ad, in log-odds, [A].
    """

    size: AdSize
    seed: int
    tastes: Floats
    country: Rows
    age: Rows
    advertiser: Rows
    topic: Rows
    value: Micros
    reach: Flags
    age_from: Rows
    daily: Micros
    campaign: Rows
    appeal: Floats

    @classmethod
    def make(cls, size: AdSize | None = None, *, seed: int = 1) -> "AdWorld":
        """Builds the world; two of the same size and seed are equal in every number."""
        size = size or AdSize()
        rng = np.random.default_rng([seed, 31])
        advertiser = np.repeat(np.arange(size.advertisers), rng.integers(1, 3, size.advertisers))
        campaigns = len(advertiser)
        value = np.round(rng.lognormal(-0.7, 0.5, campaigns) * 100).astype(np.int64) * (UNIT // 100)
        reach = rng.random((campaigns, len(COUNTRIES))) < 0.7
        reach[np.arange(campaigns), rng.integers(0, len(COUNTRIES), campaigns)] = True
        share = size.visits_per_day * len(EFFECTS) / campaigns
        daily = value * share * 0.05 * size.wealth * rng.uniform(0.5, 1.5, campaigns)
        return cls(
            size=size, seed=seed,
            tastes=rng.gamma(0.3, 1.0, (size.people, len(TOPICS))),
            country=rng.integers(0, len(COUNTRIES), size.people),
            age=rng.integers(14, 80, size.people),
            advertiser=advertiser, topic=rng.integers(0, len(TOPICS), campaigns), value=value, reach=reach,
            age_from=rng.choice([0, 18, 25], campaigns, p=[0.5, 0.3, 0.2]),
            daily=np.maximum(np.round(daily / 10_000), 100).astype(np.int64) * 10_000,
            campaign=np.repeat(np.arange(campaigns), 3), appeal=rng.normal(0, 0.4, campaigns * 3),
        )  # fmt: skip

    @property
    def campaigns(self) -> int:
        return len(self.value)

    @property
    def ads(self) -> int:
        return len(self.campaign)

    def rng(self, *purpose: int) -> np.random.Generator:
        """The random numbers of one purpose."""
        return np.random.default_rng([self.seed, *purpose])

    def wanted(self, people: Rows) -> Flags:
        """Which ads want which people, bool [n, A]."""
        met = self.reach[:, self.country[people]].T & (self.age[people][:, None] >= self.age_from)
        return np.asarray(met[:, self.campaign])

    def clicks(self, people: Rows, tired: Floats) -> Floats:
        """The chance that people click on each ad in a slot of effect 1, float64 [n, A].

        Args:
            people: rows, int64 [n].
            tired: recent showings of each campaign to each of them, float64 [n, C]: see `Fatigue`.
        """
        liking = np.log1p(self.tastes[people][:, self.topic]) + np.log(_TIRED) * tired
        odds = _BASE + liking[:, self.campaign] + self.appeal
        return np.asarray(1 / (1 + np.exp(-odds)))

    def traffic(self, parts: int) -> Floats:
        """Requests in each part of a usual day, on average, float64 [parts]: few at night, most in the evening."""
        at = np.arange(parts) / parts
        rate = 1 + 0.7 * np.sin(2 * np.pi * (at - 0.4)) + 0.2 * np.sin(4 * np.pi * at)
        return np.asarray(rate / rate.sum() * self.size.visits_per_day)

    def bought(self, clicked: Rows, rng: np.random.Generator) -> tuple[Flags, Rows]:
        """What follows clicks on ads: whether a purchase, bool [n], and how much later, microseconds, int64 [n]."""
        chance = 0.08 * np.exp(0.5 * self.appeal[clicked])
        delay = rng.lognormal(np.log(_BOUGHT_US), 1.2, len(clicked))
        return rng.random(len(clicked)) < chance, np.minimum(delay, to_us(days(30))).astype(np.int64)


class Fatigue:
    """How often each person has lately seen each campaign: showings, of which half is forgotten in twelve hours.

    Args:
        people, campaigns: how many.
    """

    def __init__(self, people: int, campaigns: int) -> None:
        self._seen, self._at = np.zeros((people, campaigns)), np.zeros(people, np.int64)

    def of(self, people: Rows, at: int) -> Floats:
        """How tired some people are of each campaign, float64 [n, C]."""
        return np.asarray(self._seen[people] * 0.5 ** ((at - self._at[people]) / _REST_US)[:, None])

    def add(self, people: Rows, campaigns: Rows, at: int) -> None:
        """Campaigns shown to people, pair by pair."""
        who = np.unique(people)
        self._seen[who] = self.of(who, at)
        self._at[who] = at
        np.add.at(self._seen, (people, campaigns), 1.0)
