"""Features of place: how far it is from one to another, where the places are given, remembered, or worked out."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from winnow.core.candidates import Doubles
from winnow.core.declare import Declared
from winnow.core.errors import Problem
from winnow.data.schema import EventField, Path
from winnow.features.aggregate import Aggregate
from winnow.features.declare import Feature, Key, Values, as_path, label
from winnow.features.meaning import meaning, plural, thing
from winnow.features.view import View

EARTH_KM = 6371.0088  # mean radius
Degrees = tuple[Doubles, Doubles]
Coordinate = Path | EventField


class Place(NamedTuple):
    """Somewhere: latitude and longitude in degrees, number columns or fields of the request."""

    lat: Coordinate
    lon: Coordinate

    @property
    def label(self) -> str:
        """How feature names call it: what its coordinates belong to."""
        first = self.lat
        return "request" if isinstance(first, EventField) else "_".join((first.table.name, *first.columns[:-1]))

    @property
    def told(self) -> str:
        """It in words."""
        return f"({thing(self.lat)} and {thing(self.lon)})"

    @property
    def paths(self) -> tuple[Path, ...]:
        """The columns that it reads."""
        return tuple(p for p in self if isinstance(p, Path))

    @property
    def fields(self) -> tuple[EventField, ...]:
        """The fields of the request that it reads."""
        return tuple(p for p in self if isinstance(p, EventField))

    @property
    def state(self) -> tuple[Aggregate, ...]:
        """What must be kept about the past for it."""
        return ()

    def degrees(self, view: View) -> Degrees:
        """Latitudes and longitudes, float64 [1 or n] each; NaN for both where either is not known."""
        lat, lon = (_number(view, of) for of in self)
        unknown = np.isnan(lat) | np.isnan(lon) | (abs(lat) > 90) | (abs(lon) > 180)
        return np.where(unknown, np.nan, lat), np.where(unknown, np.nan, lon)


@dataclass(frozen=True)
class Centre(Declared):
    """The middle of the places of a key's last k: where somebody who told no home goes out.

    It is the mean on the sphere: of unit vectors, so that it holds across the date line and at the poles.

    Args:
        past: the role of events whose rows lie somewhere: `register.event`.
        by: the key.
        of: where those rows lie.
        k: how many are looked at; those without a place do not count.
    """

    past: EventField
    by: Key = field(kw_only=True)
    of: Place = field(kw_only=True)
    k: int = field(kw_only=True, default=20)

    @property
    def label(self) -> str:
        return f"{as_path(self.by).label}_{self.past.events.name}_centre{self.k}"

    @property
    def told(self) -> str:
        of = f"the last {self.k} {plural(self.past.name)} of the {plural(self.past.events.name)}"
        return f"(the centre of {of} of {thing(as_path(self.by))})"

    @property
    def paths(self) -> tuple[Path, ...]:
        return (as_path(self.by),)

    @property
    def fields(self) -> tuple[EventField, ...]:
        return ()

    @property
    def state(self) -> tuple[Aggregate, ...]:
        return (Aggregate("recent", self.past.events, self.paths, self.past.name, (), k=self.k),)

    def degrees(self, view: View) -> Degrees:
        rows = view.recent(self.state[0])[0]
        lat, lon = (np.radians(view.column(p, rows)) for p in self.of.paths)
        known = ~(np.isnan(lat) | np.isnan(lon))
        axes = np.cos(lat) * np.cos(lon), np.cos(lat) * np.sin(lon), np.sin(lat)
        # Added up one after the other, so that the sum is the same however many rows are asked for.
        x, y, z = (np.cumsum(np.where(known, axis, 0.0), axis=1)[:, -1] for axis in axes)
        nowhere = ~known.any(axis=1)
        found = np.degrees(np.arctan2(z, np.hypot(x, y))), np.degrees(np.arctan2(y, x))
        return np.where(nowhere, np.nan, found[0]), np.where(nowhere, np.nan, found[1])

    def problems(self, system: Any) -> Iterator[Problem]:
        if self.of.fields or any(p.table.name != self.past.domain for p in self.of.paths):
            what = f"the place of a `{self.past.domain}` is asked for, and {self.of.told} is none"
            yield Problem("bad-place", what, self.where, fix=f"give number columns of `{self.past.domain}`")


@dataclass(frozen=True)
class Whereabouts(Declared):
    """The first of several places that is known: where the request says it is, else home, else where one goes out.

    Args:
        places: in order of preference.
    """

    places: tuple["Spot", ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "places", tuple(map(spot, self.places)))

    @property
    def label(self) -> str:
        return "_or_".join(place.label for place in self.places)

    @property
    def told(self) -> str:
        return f"({', or else '.join(place.told for place in self.places)})"

    @property
    def paths(self) -> tuple[Path, ...]:
        return tuple(dict.fromkeys(p for place in self.places for p in place.paths))

    @property
    def fields(self) -> tuple[EventField, ...]:
        return tuple(f for place in self.places for f in place.fields)

    @property
    def state(self) -> tuple[Aggregate, ...]:
        return tuple(dict.fromkeys(a for place in self.places for a in place.state))

    def degrees(self, view: View) -> Degrees:
        lat, lon = self.places[0].degrees(view)
        for place in self.places[1:]:
            other = place.degrees(view)
            lat, lon = (np.where(np.isnan(lat), b, a) for a, b in zip((lat, lon), other, strict=True))
        return lat, lon

    def problems(self, system: Any) -> Iterator[Problem]:
        if len(self.places) < 2:
            what = f"{len(self.places)} places to choose from"
            yield Problem("bad-place", what, self.where, fix="give two or more, or the place itself")


Spot = Place | Centre | Whereabouts


def spot(place: "Spot | tuple[Coordinate, Coordinate]") -> Spot:
    """A plain pair stands for a place."""
    return Place(*place) if isinstance(place, tuple) else place


def bad_degrees(place: Spot, where: str) -> Iterator[Problem]:
    """What is no coordinate among the columns and fields of a place."""
    places = place.places if isinstance(place, Whereabouts) else (place,)
    for one in (p.of if isinstance(p, Centre) else p for p in places):
        for part in one if isinstance(one, Place) else ():
            if part.kind.storage != "number":
                what = f"`{label(part)}` is {part.kind.storage}, not degrees"
                yield Problem("not-a-number", what, where, fix="give (latitude, longitude) as number columns")


@dataclass(frozen=True)
class Distance(Feature):
    """Kilometres between two places along the great circle (haversine formula, mean earth radius).

    `bucket(distance(...), edges=TRAVEL)` tells the way to travel: on foot, by cycle, by car, far.

    Args:
        of: latitude and longitude in degrees, number columns or fields of the request; or a centre, or whereabouts.
        to: the other place.
    """

    of: Spot
    to: Spot

    def __post_init__(self) -> None:
        for name in ("of", "to"):
            object.__setattr__(self, name, spot(getattr(self, name)))

    @property
    def names(self) -> tuple[str, ...]:
        return (f"{self.of.label}_to_{self.to.label}_km",)

    @property
    def paths(self) -> tuple[Path, ...]:
        return tuple(dict.fromkeys((*self.of.paths, *self.to.paths)))

    @property
    def fields(self) -> tuple[EventField, ...]:
        return (*self.of.fields, *self.to.fields)

    @property
    def static(self) -> bool:
        return not self.fields and not self.aggregates()

    def aggregates(self) -> tuple[Aggregate, ...]:
        return tuple(dict.fromkeys((*self.of.state, *self.to.state)))

    def compute(self, view: View) -> Sequence[Values]:
        return (kilometres(self.of.degrees(view), self.to.degrees(view)),)

    def problems(self, system: Any) -> Iterator[Problem]:
        yield from super().problems(system)
        for place in (self.of, self.to):
            yield from bad_degrees(place, self.where)


TRAVEL = (2.0, 8.0, 60.0)  # kilometres up to which people walk, cycle and drive for an evening


def kilometres(one: Degrees, other: Degrees) -> Doubles:
    """Great-circle distance, float64 [n]; NaN where a place is not known.

    >>> berlin, paris = ((np.array([lat]), np.array([lon])) for lat, lon in ((52.52, 13.405), (48.8566, 2.3522)))
    >>> kilometres(berlin, paris).round().tolist()
    [877.0]
    """
    (lat, lon), (lat_to, lon_to) = ([np.radians(part) for part in place] for place in (one, other))
    halves = np.sin((lat - lat_to) / 2) ** 2
    halves = halves + np.cos(lat) * np.cos(lat_to) * np.sin((lon - lon_to) / 2) ** 2
    return np.asarray(2 * EARTH_KM * np.arcsin(np.sqrt(np.minimum(halves, 1.0))))


def _number(view: View, of: Coordinate) -> Doubles:
    found = view.path(of) if isinstance(of, Path) else view.context(of.name, missing=np.nan)
    return np.asarray(found, np.float64)


@meaning.register
def _(feature: Distance, place: int) -> str:
    return f"kilometres from {feature.of.told} to {feature.to.told}"
