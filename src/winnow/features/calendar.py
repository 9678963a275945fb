"""Features of the calendar: hour and weekday in local time, and the time that is left.

Local time is UTC plus an offset that is given, carried by a column, or looked up in the time zone database, which
knows when each zone changes its clocks.
"""

from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any
from zoneinfo import ZoneInfo, available_timezones

import numpy as np

from winnow.core.errors import Problem, did_you_mean
from winnow.core.time import MICROS, to_us
from winnow.data.schema import Path
from winnow.data.text import text_hashes
from winnow.features.batch import Ints
from winnow.features.declare import DAY_US, Feature, Values
from winnow.features.meaning import meaning, thing
from winnow.features.state import NEVER
from winnow.features.view import View

HOUR_US = 3_600 * MICROS
_FIRST_S, _LAST_S = 0, 130 * 31_556_952  # 1970 to 2099; beyond, a zone keeps its first or last offset
_STEP_S = 7 * 86_400  # no zone goes back and forth within a week
_NONE = timedelta(0)


@cache
def changes(zone: str) -> tuple[Ints, Ints]:
    """When a zone changes its clocks, microseconds UTC, int64 [c], and its offsets before and after, int64 [c + 1].

    >>> first, offsets = changes("Asia/Kolkata")
    >>> len(first), offsets.tolist()
    (0, [19800000000])
    """
    there = ZoneInfo(zone)

    def offset(second: int) -> int:
        return to_us(datetime.fromtimestamp(second, UTC).astimezone(there).utcoffset() or _NONE)

    steps = range(_FIRST_S, _LAST_S, _STEP_S)
    found = [offset(second) for second in steps]
    moved = [i for i in range(1, len(found)) if found[i] != found[i - 1]]
    at = [_changed(steps[i - 1], steps[i], offset, to=found[i]) for i in moved]
    return np.array(at, np.int64) * MICROS, np.array([found[0], *(found[i] for i in moved)], np.int64)


def _changed(low: int, high: int, offset: Callable[[int], int], *, to: int) -> int:
    """The first second of a span with the offset of its end."""
    return low + bisect_left(range(low, high), True, key=lambda second: offset(second) == to)


def offsets(at: Ints, zone: str) -> Ints:
    """Local time minus UTC at moments in a zone of the time zone database, microseconds, int64 [n].

    >>> hours = offsets(np.array([1_741_503_599, 1_741_503_600]) * MICROS, "America/New_York") // HOUR_US
    >>> hours.tolist()  # 9 March 2025, 2 o'clock: to summer time
    [-5, -4]
    """
    moments, between = changes(zone)
    return between[np.searchsorted(moments, at, side="right")]


@cache
def _zones() -> dict[int, str]:
    """Names of zones by the content hash that stands for a text in state."""
    names = sorted(available_timezones())
    return dict(zip(text_hashes(names).tolist(), names, strict=True))


def offsets_of(at: Ints, zones: Ints) -> Ints:
    """As `offsets`, each moment in a zone of its own, told by the hash of its name; NEVER where no zone has it."""
    at, zones = np.broadcast_arrays(at, zones)
    found = np.full(at.shape, NEVER)
    for zone in np.unique(zones).tolist():
        if zone in _zones():
            there = zones == zone
            found[there] = offsets(at[there], _zones()[zone])
    return found


@dataclass(frozen=True)
class Clock(Feature):
    """Base of what a clock or a calendar shows at some place, of the request or of a time column.

    Args:
        of: the time column; the moment of the request when left out.
        utc_offset: local time minus UTC, or a number column that has it in hours.
        zone: name of a zone of the time zone database (`Europe/Berlin`), or a text column that has such names.
    """

    of: Path | None = None
    utc_offset: timedelta | Path = _NONE
    zone: str | Path = ""

    @property
    def names(self) -> tuple[str, ...]:
        return (f"{self.of.label if self.of else 'request'}_{type(self).__name__.lower()}",)

    @property
    def paths(self) -> tuple[Path, ...]:
        return tuple(p for p in (self.of, self.utc_offset, self.zone) if isinstance(p, Path))

    @property
    def static(self) -> bool:
        return self.of is not None

    def to_data(self) -> dict[str, Any]:
        new = {"of": None, "zone": ""}
        return {name: value for name, value in super().to_data().items() if name not in new or value != new[name]}

    def shown(self, local: Ints) -> Ints:
        """What it shows at local times, microseconds, int64 [n]."""
        raise NotImplementedError

    def compute(self, view: View) -> Sequence[Values]:
        at: Ints = view.at if self.of is None else view.path(self.of)
        offset = self._offset(view, at)
        if not self.paths:
            return (self.shown(at + offset),)
        unknown = (at == NEVER) | (offset == NEVER)
        return (np.where(unknown, np.nan, self.shown(np.where(unknown, 0, at + offset))),)

    def _offset(self, view: View, at: Ints) -> Ints:
        if isinstance(self.zone, Path):
            return offsets_of(at, view.path(self.zone))
        if self.zone:
            return offsets(at, self.zone)
        if isinstance(self.utc_offset, timedelta):
            return np.array([to_us(self.utc_offset)])
        hours = view.path(self.utc_offset)
        return np.where(np.isnan(hours), NEVER, np.rint(np.nan_to_num(hours) * HOUR_US)).astype(np.int64)

    def problems(self, system: Any) -> Iterator[Problem]:
        yield from super().problems(system)
        wanted = ((self.of, "time"), (self.utc_offset, "number"), (self.zone, "text"))
        for path, storage in wanted:
            if path and not isinstance(path, str | timedelta) and path.kind.storage != storage:
                what = f"`{path}` is {path.kind.storage}"
                yield Problem("bad-column", what, self.where, fix=f"give a {storage} column")
        if isinstance(self.zone, str) and self.zone and self.zone not in available_timezones():
            what = f"there is no time zone `{self.zone}`"
            yield Problem("unknown-zone", what, self.where, fix=did_you_mean(self.zone, available_timezones()))
        if self.zone and self.utc_offset != _NONE:
            what = f"`{self.names[0]}` has a zone and an offset"
            yield Problem("two-clocks", what, self.where, "they need not agree", "give one of them")


@dataclass(frozen=True)
class Hour(Clock):
    """Hour of the day, 0 to 23."""

    def shown(self, local: Ints) -> Ints:
        return local // HOUR_US % 24


@dataclass(frozen=True)
class Weekday(Clock):
    """Day of the week, 0 (Monday) to 6."""

    def shown(self, local: Ints) -> Ints:
        return (local // DAY_US + 3) % 7  # 1 January 1970 was a Thursday


@dataclass(frozen=True)
class Until(Feature):
    """Hours left until a time column; negative when it has passed.

    Args:
        of: the time column.
    """

    of: Path

    @property
    def names(self) -> tuple[str, ...]:
        return (f"{self.of.label}_until_h",)

    @property
    def paths(self) -> tuple[Path, ...]:
        return (self.of,)

    def compute(self, view: View) -> Sequence[Values]:
        then = view.path(self.of)
        return (np.where(then == NEVER, np.nan, (then - view.at) / HOUR_US),)

    def problems(self, system: Any) -> Iterator[Problem]:
        yield from super().problems(system)
        if self.of.kind.storage != "time":
            yield Problem("bad-column", f"`{self.of}` is {self.of.kind.storage}", self.where, fix="use a time column")


def _zone(feature: Clock) -> str:
    if isinstance(feature.zone, Path) or isinstance(feature.utc_offset, Path):
        of = feature.zone if isinstance(feature.zone, Path) else feature.utc_offset
        assert isinstance(of, Path)
        return f"in the local time that {thing(of)} tells"
    if feature.zone:
        return f"in the local time of {feature.zone}"
    hours = feature.utc_offset.total_seconds() / 3600
    return f"UTC{hours:+g}" if hours else "UTC"


@meaning.register
def _(feature: Hour, place: int) -> str:
    return f"hour of the day of {thing(feature.of) if feature.of else 'the request'}, {_zone(feature)}"


@meaning.register
def _(feature: Weekday, place: int) -> str:
    of = thing(feature.of) if feature.of else "the request"
    return f"day of the week of {of}, 0 is Monday, {_zone(feature)}"


@meaning.register
def _(feature: Until, place: int) -> str:
    return f"hours left until {thing(feature.of)}, negative when it has passed"
