"""A world of listings and travellers whose tastes are known: who would book what, and how likely.

L listings, T trips, C cities, K styles. What makes a listing right for a trip is where it is, what it costs, how many
it sleeps, its type, and its style, of which columns tell nothing and its name a little.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from winnow.core.time import MICROS
from winnow.data.nights import date_of, written

Ints = NDArray[np.int64]
Doubles = NDArray[np.float64]
Mask = NDArray[np.bool_]

DAY_US = 86_400 * MICROS
TYPES = ("Entire home", "Private room", "Shared room")
STYLES = ("loft", "garden", "heritage", "seaview", "studio", "family", "minimal", "artist")
AREAS = 6  # of each city
HORIZON = 180  # nights that calendars tell
_FAR = 2.5  # what a whole city away costs


@dataclass(frozen=True)
class ListingSize:
    """How large, and from which seed.

    Args:
        listings: at the start.
        later: more of them, listed while the log lasts.
        cities: markets that trips do not cross.
        trips: visits in the log.
        days: that the log lasts.
        robots: visitors that crawl.
        seed: of everything.
    """

    listings: int = 1_200
    later: int = 60
    cities: int = 6
    trips: int = 12_000
    days: int = 30
    robots: int = 3
    seed: int = 0


@dataclass(frozen=True, eq=False)
class Listings:
    """The listings as columns [L]."""

    city: Ints
    area: Ints
    lat: Doubles
    lon: Doubles
    type: Ints
    guests: Ints
    price: Doubles
    rating: Doubles
    host: Ints
    style: Ints
    listed_at: Ints
    free: Mask
    """Which nights from the end of the log on are free, bool [L, HORIZON]."""

    def __len__(self) -> int:
        return len(self.city)

    @cached_property
    def ids(self) -> list[str]:
        return [f"listing-{i:05d}" for i in range(len(self))]

    @cached_property
    def degrees(self) -> tuple[Doubles, Doubles]:
        """Latitude and longitude, float64 [L] each: cities lie ten degrees apart."""
        return self.lat / 10 + 10.0 * (self.city % 9 - 4), self.lon / 10 + 10.0 * (self.city // 9 - 17)

    @cached_property
    def names(self) -> list[str]:
        """A name tells the style of two listings in three."""
        kinds = ["home", "room", "bunk"]
        return [f"{STYLES[s] if i % 3 else 'nice'} {kinds[t]} in area {a}"
                for i, (s, t, a) in enumerate(zip(self.style, self.type, self.area, strict=True))]  # fmt: skip


@dataclass(frozen=True, eq=False)
class Trips:
    """What travellers want, as columns [T]; nights count from the end of the log."""

    city: Ints
    lat: Doubles
    lon: Doubles
    type: Ints
    guests: Ints
    budget: Doubles
    style: Ints
    arrival: Ints
    nights: Ints

    def __len__(self) -> int:
        return len(self.city)


@dataclass(frozen=True, eq=False)
class ListingWorld:
    """Listings, and the trips that people make.

    Args:
        size: how large.
        ends_at: when the log ends, microseconds UTC.
    """

    size: ListingSize
    ends_at: int

    @property
    def starts_at(self) -> int:
        """When the log begins."""
        return self.ends_at - self.size.days * DAY_US

    @property
    def today(self) -> int:
        """The day of the end of the log; calendars and stays count from it."""
        return self.ends_at // DAY_US + 1

    def rng(self, *salt: int) -> np.random.Generator:
        """Random numbers of this world."""
        return np.random.default_rng([self.size.seed, *salt])

    @cached_property
    def listings(self) -> Listings:
        """Everything there is to book."""
        rng, size = self.rng(1), self.size
        n = size.listings + size.later
        city, area = rng.integers(0, size.cities, n), rng.integers(0, AREAS, n)
        turn = 2 * np.pi * area / AREAS
        lat, lon = 0.6 * np.cos(turn) + rng.normal(0, 0.15, n), 0.6 * np.sin(turn) + rng.normal(0, 0.15, n)
        kind, guests = rng.choice(3, n, p=(0.6, 0.32, 0.08)), rng.integers(1, 7, n)
        price = 60 * np.array([1.6, 0.8, 0.4])[kind] * guests**0.5 * np.exp(rng.normal(0, 0.35, n) + 0.08 * (city % 4))
        host = np.where(rng.random(n) < 0.3, rng.integers(0, max(n // 40, 1), n), n + np.arange(n))
        listed = np.full(n, self.starts_at - 40 * DAY_US)
        listed[size.listings :] = self.starts_at + (rng.random(size.later) * size.days * DAY_US).astype(np.int64)
        busy = rng.beta(1.2, 2.0, n)
        free = np.repeat(rng.random((n, -(-HORIZON // 3))) >= busy[:, None], 3, axis=1)[:, :HORIZON]
        rating = np.clip(rng.normal(4.6, 0.3, n), 2, 5).round(2)
        return Listings(city, city * AREAS + area, lat, lon, kind, guests, price.round(), rating, host,
                        rng.integers(0, len(STYLES), n), listed, free)  # fmt: skip

    def trips(self, count: int, salt: int) -> Trips:
        """Trips that nobody has made yet, others for every salt."""
        rng, all_ = self.rng(2, salt), self.listings
        # People want something like what there is: each trip has a listing in mind, and differs from it a little.
        like = rng.integers(0, self.size.listings, count)
        return Trips(
            all_.city[like], all_.lat[like] + rng.normal(0, 0.2, count), all_.lon[like] + rng.normal(0, 0.2, count),
            all_.type[like], np.maximum(all_.guests[like] - rng.integers(0, 2, count), 1),
            all_.price[like] * np.exp(rng.normal(0, 0.2, count)), all_.style[like],
            rng.integers(1, HORIZON - 15, count), rng.integers(1, 6, count),
        )  # fmt: skip

    def fits(self, trips: Trips, one: int, rows: Ints) -> Mask:
        """Which listings a trip could book at all: in its city, for so many, free on all its nights; bool [n]."""
        all_, stay = self.listings, slice(trips.arrival[one], trips.arrival[one] + trips.nights[one])
        room = (all_.guests[rows] >= trips.guests[one]) & all_.free[rows, stay].all(axis=1)
        return np.asarray((all_.city[rows] == trips.city[one]) & room)

    def pleases(self, trips: Trips, one: int, rows: Ints, *, style: bool = True) -> Doubles:
        """How right listings are for a trip, float64 [n]; above 0 for a good one, falling without end."""
        all_ = self.listings
        far = np.hypot(all_.lat[rows] - trips.lat[one], all_.lon[rows] - trips.lon[one])
        dear = np.abs(np.log(all_.price[rows] / trips.budget[one]))
        wrong = (all_.type[rows] != trips.type[one]) * 2.0 + (all_.style[rows] != trips.style[one]) * (2.5 * style)
        return np.asarray(2.0 - _FAR * far - 2.5 * dear - wrong + (all_.rating[rows] - 4.6))

    def books(self, trips: Trips, one: int, rows: Ints) -> Doubles:
        """The probability that a traveller who looks at a listing books it, float64 [n]; 0 where it does not fit."""
        return np.asarray(self.fits(trips, one, rows) / (1 + np.exp(-(self.pleases(trips, one, rows) - 1.5) * 2)))

    def clicks(self, trips: Trips, one: int, rows: Ints) -> Doubles:
        """The probability that a traveller who sees a listing in a list opens it, float64 [n]."""
        return np.asarray(0.8 / (1 + np.exp(-self.pleases(trips, one, rows) - 0.5)))

    def calendar(self, row: int) -> str:
        """The value of a listing's `nights` column."""
        return written(date_of(self.today), self.listings.free[row])

    def stay(self, trips: Trips, one: int) -> dict[str, str]:
        """The dates of a trip, as a request filters by them."""
        first = self.today + int(trips.arrival[one])
        return {"from": date_of(first), "to": date_of(first + int(trips.nights[one]))}

    def rows(self, ids: Sequence[str]) -> Ints:
        """Rows of listings by id."""
        return np.array([int(i.removeprefix("listing-")) for i in ids], np.int64)

    @classmethod
    def make(cls, size: ListingSize, *, until: int) -> "ListingWorld":
        """A world whose log ends at a moment, microseconds UTC."""
        return cls(size, until)

    def write(self, file: Path) -> None:
        """Notes from what the world is made again."""
        file.write_text(json.dumps({"size": asdict(self.size), "ends_at": self.ends_at}))

    @classmethod
    def read(cls, file: Path) -> "ListingWorld":
        """From what `write` noted."""
        noted = json.loads(file.read_text())
        return cls(ListingSize(**noted["size"]), noted["ends_at"])
