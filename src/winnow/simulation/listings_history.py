"""The log of an older site: searches, what was looked at, a carousel of the same area and price, and bookings."""

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import polars as pl

from winnow.core.time import MICROS
from winnow.simulation.listings_world import AREAS, DAY_US, TYPES, Ints, ListingWorld, Trips

Part = tuple[str, pl.DataFrame]
SEARCH, CAROUSEL = "search", "similar"
SURFACE = "listing_page"
_SHOWN, _BESIDE = 14, 8
_VAGUE = 0.8  # how far a search misses what somebody wants
_MOST = 10  # listings that somebody opens in one visit
_BATCH = 4_000


def listing_tables(world: ListingWorld) -> Iterator[Part]:
    """The listings, each known from the moment it was listed."""
    all_ = world.listings
    yield "listing", pl.DataFrame({
        "listing_id": all_.ids, "changed_at": all_.listed_at, "title": all_.names, "text": all_.names,
        "host": [f"host-{h}" for h in all_.host],
        "city": [f"city-{c}" for c in all_.city], "area": [f"city-{a // AREAS} area-{a % AREAS}" for a in all_.area],
        "kind": [TYPES[t] for t in all_.type], "lat": all_.degrees[0], "lon": all_.degrees[1], "price": all_.price,
        "rating": all_.rating, "beds": np.ceil(all_.guests / 2), "guests": all_.guests.astype(np.float64),
        "calendar": [world.calendar(row) for row in range(len(all_))], "listed_at": all_.listed_at,
    }).sort("changed_at")  # fmt: skip


def listing_events(world: ListingWorld) -> Iterator[Part]:
    """What visitors did, and what robots did."""
    yield from _Log(world).parts()


@dataclass
class _Log:
    """Events while they are made up, as columns."""

    world: ListingWorld
    rows: dict[str, list[tuple[object, ...]]] = field(default_factory=lambda: {n: [] for n in _COLUMNS})

    def parts(self) -> Iterator[Part]:
        size = self.world.size
        trips, rng = self.world.trips(size.trips, 0), self.world.rng(3)
        begin = np.sort(
            self.world.starts_at + (rng.random(size.trips) * (size.days * DAY_US - DAY_US / 8)).astype(np.int64)
        )
        for one in range(size.trips):
            self._visit(trips, one, int(begin[one]), rng)
        for robot in range(size.robots):
            self._crawl(robot)
        for name, columns in _COLUMNS.items():
            frame = pl.DataFrame(self.rows[name], schema=columns, orient="row").sort("at")
            for start in range(0, len(frame), _BATCH):
                yield name, frame[start : start + _BATCH]

    def _note(self, name: str, at: int, *values: object) -> None:
        self.rows[name].append((f"{name}-{len(self.rows[name])}", at, *values))

    def _visit(self, trips: Trips, one: int, at: int, rng: np.random.Generator) -> None:
        """A search, listings opened from it and from carousels, and perhaps a booking."""
        world, who = self.world, f"visitor-{one % (len(trips) // 2)}"  # people travel twice
        there = np.flatnonzero(world.listings.listed_at < at)
        fit = there[world.fits(trips, one, there)]
        found = self._search(trips, one, fit, rng)
        opened = found[rng.random(len(found)) < world.clicks(trips, one, found)]
        to_open = [(int(row), SEARCH) for row in opened]
        looked: list[int] = []
        while to_open and len(looked) < _MOST:
            row, source = to_open.pop(0)
            at += int(rng.integers(5, 120)) * MICROS
            self._note("view", at, who, world.listings.ids[row], source)
            looked.append(row)
            if rng.random() < world.books(trips, one, np.array([row]))[0]:
                self._note("book", at + 90 * MICROS, who, world.listings.ids[row], float(trips.nights[one]))
                return
            if rng.random() < 0.4:
                beside = self._beside(row, fit, looked)
                clicked = self._carousel(trips, one, row, beside, who=who, at=at, rng=rng)
                to_open = [(c, CAROUSEL) for c in clicked] + to_open

    def _search(self, trips: Trips, one: int, fit: Ints, rng: np.random.Generator) -> Ints:
        """What a search shows: about what was asked for, of which the style is no part."""
        liking = self.world.pleases(trips, one, fit, style=False) + rng.normal(0, _VAGUE, len(fit))
        return fit[np.argsort(-liking, kind="stable")[:_SHOWN]]

    def _beside(self, row: int, fit: Ints, looked: list[int]) -> Ints:
        """What the older site showed: the same area, the nearest price."""
        all_ = self.world.listings
        other = fit[~np.isin(fit, looked)]
        apart = (all_.area[other] != all_.area[row]) * 1e6 + np.abs(all_.price[other] - all_.price[row])
        return other[np.argsort(apart, kind="stable")[:_BESIDE]]

    def _carousel(
        self, trips: Trips, one: int, row: int, beside: Ints, *, who: str, at: int, rng: np.random.Generator
    ) -> list[int]:
        """Shows a carousel; what was clicked, at most two."""
        ids = self.world.listings.ids
        for place, other in enumerate(beside.tolist()):
            self._note("impression", at + MICROS, ids[row], who, ids[other], SURFACE, float(place))
        # What stands first is looked at, what stands last often is not.
        examined = rng.random(len(beside)) < 0.9 ** np.arange(len(beside))
        clicked = beside[examined & (rng.random(len(beside)) < self.world.clicks(trips, one, beside))][:2].tolist()
        for other in clicked:
            self._note("click", at + 2 * MICROS, ids[row], who, ids[other])
        return [int(c) for c in clicked]

    def _crawl(self, robot: int) -> None:
        """Opens every listing in order of its number, one every two seconds, night after night."""
        world = self.world
        for day in range(min(world.size.days - 1, 3)):
            start = world.starts_at + (day + robot) * DAY_US
            for place, row in enumerate(np.flatnonzero(world.listings.listed_at < start).tolist()):
                self._note("view", start + place * 2 * MICROS, f"robot-{robot}", world.listings.ids[row], SEARCH)


_EVENT = {"event_id": pl.String, "at": pl.Int64}
_COLUMNS: dict[str, dict[str, type[pl.DataType]]] = {
    "view": _EVENT | {"visitor": pl.String, "listing": pl.String, "source": pl.String},
    "book": _EVENT | {"visitor": pl.String, "listing": pl.String, "nights": pl.Float64},
    "impression": _EVENT | {"viewed": pl.String, "visitor": pl.String, "listing": pl.String, "surface": pl.String,
                            "position": pl.Float64},
    "click": _EVENT | {"viewed": pl.String, "visitor": pl.String, "listing": pl.String},
}  # fmt: skip
