"""Spots on the globe by cell: what lies around a place, found without looking at all the others.

The globe is cut into bands of latitude about a kilometre high, and each band into cells about a kilometre wide, so
that cells are alike in size wherever they lie. A circle touches a run of cells in each band that it crosses; what is in
those cells is measured exactly.
"""

import math
from dataclasses import dataclass

import numpy as np

from winnow.core.candidates import Doubles, Ints
from winnow.core.time import MICROS
from winnow.features.place import EARTH_KM

_KM_A_DEGREE = EARTH_KM * np.pi / 180
_BANDS = int(180 * _KM_A_DEGREE)
_WIDEST = 1 << 16  # more than the cells around the equator
_WIDTHS = np.maximum((360 * _KM_A_DEGREE * np.cos(np.pi * ((np.arange(_BANDS) + 0.5) / _BANDS - 0.5))).astype(int), 1)
_PAST = np.array([0, 1])  # a run ends behind its last cell
_LEAST_KM, _GROWTH = 2.0, (1.2, 4.0)  # the first circle that is looked at, and how much larger the next one is
_CORNERS = 1.3  # cells that a circle touches hold about so many times what is in it


@dataclass(frozen=True, eq=False)
class Around:
    """What lies around a place.

    Args:
        rows: int64 [n], in no order.
        km: how far each is, float64 [n].
        times: when each is, microseconds UTC, int64 [n].
    """

    rows: Ints
    km: Doubles
    times: Ints


@dataclass(frozen=True, eq=False)
class Spots:
    """Spots by cell, and by time within a cell.

    Args:
        cells: the cells that hold any, ascending, int64 [c].
        starts: where the spots of each begin, int64 [c + 1].
        rows: whose spots they are, int64 [n].
        times: when something happens there, microseconds UTC, int64 [n].
        xyz: where they are, float64 [n, 3], on a globe of radius 1.
    """

    cells: Ints
    starts: Ints
    rows: Ints
    times: Ints
    xyz: Doubles

    @classmethod
    def of(cls, rows: Ints, lat: Doubles, lon: Doubles, times: Ints) -> "Spots":
        """From spots in any order; those whose place is not known (NaN) are left out.

        Args:
            rows: int64 [n].
            lat, lon: degrees, float64 [n] each.
            times: int64 [n], of the years 1902 to 2262.
        """
        known = np.flatnonzero(~(np.isnan(lat) | np.isnan(lon)))
        cells = cell(lat[known], lon[known])
        minutes = np.clip(times[known] // (60 * MICROS) + (1 << 25), 0, (1 << 31) - 1)
        order = np.argsort(cells << 31 | minutes)
        found, starts = np.unique(cells[order], return_index=True)
        kept = known[order]
        return cls(found, np.append(starts, len(kept)), rows[kept], times[kept], unit(lat[kept], lon[kept]))

    def around(self, lat: float, lon: float, *, km: float, after: int, enough: int, most: int = 2_000) -> Around:
        """What is nearest: of growing circles the first that holds enough, or the last.

        Of a cell that holds more than `most`, the soonest stand for it.

        Args:
            lat, lon: the middle, degrees.
            km: radius of the last circle.
            after: what is not later than this does not count, microseconds UTC.
            enough: how many are wanted.
            most: how many of one cell are measured.
        """
        middle, radius = unit(np.array([lat]), np.array([lon])), min(_LEAST_KM, km)
        while True:
            cells = self._touched(lat, lon, radius)
            many = np.minimum(self.starts[cells + 1] - self.starts[cells], most)
            held = int(many.sum())
            if radius >= km or held >= _CORNERS * enough:
                found = self._measured(runs(self.starts[cells], many), middle, km=radius, after=after)
                if radius >= km or len(found.rows) >= enough:
                    return found
            wished = math.sqrt(_CORNERS * enough / max(held, 1))
            radius = min(radius * min(max(wished, _GROWTH[0]), _GROWTH[1]), km)

    def _measured(self, places: Ints, middle: Doubles, *, km: float, after: int) -> Around:
        places = places[self.times[places] > after]
        chord = np.sqrt(((self.xyz[places] - middle) ** 2).sum(axis=1))
        far = 2 * EARTH_KM * np.arcsin(np.minimum(chord / 2, 1.0))
        inside = far <= km
        places = places[inside]
        return Around(self.rows[places], far[inside], self.times[places])

    def _touched(self, lat: float, lon: float, km: float) -> Ints:
        """Places in `cells` of those that a circle may touch, int64 [m]."""
        reach = km / _KM_A_DEGREE * (1 + 1e-9) + 1e-9
        south, north = _band(np.array([lat - reach, lat + reach]))
        bands = np.arange(south, north + 1)
        wide = _half_width(lat, reach)
        west, east = lon - wide + 180, lon + wide + 180
        spans = [(0.0, 360.0)] if wide >= 180 else [(max(west, 0.0), min(east, 360.0))]
        spans += [(west + 360, 360.0)] if west < 0 and wide < 180 else []
        spans += [(0.0, east - 360)] if east > 360 and wide < 180 else []
        pieces = []
        for span in spans:
            first, last = np.searchsorted(self.cells, (_code(bands[:, None], np.array(span)) + _PAST).T)
            pieces.append(runs(first, last - first))
        return np.unique(np.concatenate(pieces)) if len(pieces) > 1 else pieces[0]


def cell(lat: Doubles, lon: Doubles) -> Ints:
    """The cell of each place, int64 [n].

    >>> one, next_door, far = cell(np.array([52.52, 52.52, 52.52]), np.array([13.405, 13.406, 13.5]))
    >>> bool(one == next_door), bool(one == far)
    (True, False)
    """
    return _code(_band(lat), lon + 180)


def unit(lat: Doubles, lon: Doubles) -> Doubles:
    """Places in degrees as vectors of length 1, float64 [n, 3]."""
    lat, lon = np.radians(lat), np.radians(lon)
    return np.stack([np.cos(lat) * np.cos(lon), np.cos(lat) * np.sin(lon), np.sin(lat)], axis=1)


def runs(first: Ints, many: Ints) -> Ints:
    """Whole numbers from each first on, as many as are asked for, one run after the other, int64 [sum].

    >>> runs(np.array([5, 20]), np.array([3, 2])).tolist()
    [5, 6, 7, 20, 21]
    """
    ends = np.cumsum(many)
    total = int(ends[-1]) if len(ends) else 0
    return np.arange(total) - np.repeat(ends - many, many) + np.repeat(first, many)


def _band(lat: Doubles) -> Ints:
    return np.clip((lat + 90) / 180 * _BANDS, 0, _BANDS - 1).astype(np.int64)


def _code(bands: Ints, east: Doubles) -> Ints:
    """Cells of bands at degrees east of the date line."""
    wide = _WIDTHS[bands]
    return np.asarray(bands * _WIDEST + np.minimum((east / 360 * wide).astype(np.int64), wide - 1))


def _half_width(lat: float, reach: float) -> float:
    """Degrees of longitude to each side that a circle of `reach` degrees spans; 180 where it holds a pole."""
    if abs(lat) + reach >= 90:
        return 180.0
    return float(np.degrees(np.arcsin(np.sin(np.radians(reach)) / np.cos(np.radians(lat))))) + 1e-9
