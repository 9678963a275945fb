"""What is expected of the data of a project: of every column, every event type, and of what people do."""

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from winnow.data.chunk import ChunkKind
from winnow.data.schema import Storage

FILE = "expectations.toml"
Share = Annotated[float, Meta(ge=0, le=1)]
Positive = Annotated[float, Meta(gt=0)]
Whole = Annotated[int, Meta(ge=1)]
Bound = float | datetime
Level = Literal["warn", "refuse"]


class ColumnExpectation(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is expected of one column. A line that is left out is not checked.

    Args:
        kind: how the system file declares the column; it must still be so.
        level: what happens to a row outside `at_least`, `at_most`, `values` (with `others` 0) or `missing` (when 0):
            `warn` lets it in and counts it, `refuse` sets it aside.
        missing: largest share of rows without a value.
        at_least, at_most: the usual range, of numbers or moments.
        never_below, never_above: beyond these a row is set aside whatever the level says.
        values: categories, the most frequent first.
        others: largest share of values that are not in `values`; 0 makes `values` a closed list.
        edges: upper edges of the bins of a histogram but the last, ascending.
        shares: share of known values in each bin; of each of `values`; of false and true.
        psi: largest population stability index against `shares`.
        unique: of an event's id or a table's key: no two rows share one.
    """

    kind: Storage
    level: Level = "warn"
    missing: Share | None = None
    at_least: Bound | None = None
    at_most: Bound | None = None
    never_below: Bound | None = None
    never_above: Bound | None = None
    values: tuple[str, ...] | None = None
    others: Share | None = None
    edges: tuple[float, ...] | None = None
    shares: tuple[Share, ...] | None = None
    psi: Positive | None = None
    unique: bool = False


_BOUNDS = ("at_least", "at_most", "never_below", "never_above")
KEYS: Mapping[Storage, tuple[str, ...]] = {
    "number": ("missing", *_BOUNDS, "edges", "shares", "psi"),
    "category": ("missing", "values", "others", "shares", "psi", "unique"),
    "categories": ("missing", "values", "others", "shares", "psi"),
    "time": ("missing", *_BOUNDS),
    "flag": ("missing", "shares", "psi"),
    "text": ("missing",),
    "ref": ("missing",),
}  # what can be said about a column of each kind, besides `kind` and `level`


class Group(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is expected of an event type or a table as a whole.

    Args:
        rows: how many rows this was learned from.
        per_hour, per_day: fewest and most events in a whole hour or day; events only.
        late_s: seconds within which 99 of 100 events are known; events only.
        ahead: largest share of events whose clock runs ahead of ours; events only.
        producer: a column that tells which program sent an event, such as its version or its surface; events only.
        columns: what is expected of each.
    """

    rows: Whole = 1
    per_hour: tuple[float, float] | None = None
    per_day: tuple[float, float] | None = None
    late_s: Positive | None = None
    ahead: Share | None = None
    producer: str = ""
    columns: Mapping[str, ColumnExpectation] = msgspec.field(default_factory=dict)


class Bots(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Beyond which a user behaves as no person does. A line that is left out is not checked.

    Args:
        least: events (of the kind in question) below which nothing is said about a user.
        per_hour: events of one type in one hour.
        hours_a_day: hours of one day in which there was an event.
        regular: gaps as even as this: the middle half of them spans less than this share of the median gap.
        dwell_s: median seconds between two acts of one type (impressions are no acts).
        share: event type → share of impressions that it follows.
    """

    least: Whole = 50
    per_hour: Positive | None = None
    hours_a_day: Whole | None = None
    regular: Positive | None = None
    dwell_s: Positive | None = None
    share: Mapping[str, Share] = msgspec.field(default_factory=dict)


class Storms(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """When the same event under different ids is a storm rather than a person.

    Args:
        copies: events of one type about the same rows, each within `within_s` of the one before.
        within_s: seconds.
        at_most: largest share of the events of a type that may be such copies.
    """

    copies: Whole = 5
    within_s: Positive = 10.0
    at_most: Share = 0.01


class Period(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The training period.

    Args:
        start: own time of its first event.
        until: just after its last event.
    """

    start: datetime
    until: datetime


class Expectations(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Everything that is expected of a project's data; the contents of `expectations.toml`.

    Args:
        period: what it was learned from.
        bots: limits of what people do.
        storms: when repetition is a fault.
        event: event type → what is expected of it.
        table: table → what is expected of it.
    """

    period: Period | None = None
    bots: Bots = Bots()
    storms: Storms = Storms()
    event: Mapping[str, Group] = msgspec.field(default_factory=dict)
    table: Mapping[str, Group] = msgspec.field(default_factory=dict)

    def group(self, kind: ChunkKind, name: str) -> Group | None:
        """What is expected of an event type (`event`) or a table (`row`)."""
        return (self.event if kind == "event" else self.table).get(name)
