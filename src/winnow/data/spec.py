"""What may be sent for an event type or a table, in one form for both."""

from collections.abc import Mapping
from dataclasses import dataclass

from winnow.data.chunk import ChunkKind
from winnow.data.schema import Events, Kind, Table, category, flag, time


@dataclass(frozen=True)
class Spec:
    """The columns that a row may have.

    Args:
        kind: `event` or `row`.
        name: the event type or the table.
        key: the column with the row's own id: `event_id`, or the table's key.
        time: the column with the row's own time: `at` or `changed_at`.
        columns: every column that may be sent, by name.
        stored: those that the log keeps as columns of the chunk.
        required: those that must have a value.
        domains: column → domain of its ids.
    """

    kind: ChunkKind
    name: str
    key: str
    time: str
    columns: Mapping[str, Kind]
    stored: tuple[str, ...]
    required: frozenset[str]
    domains: Mapping[str, str]


def of_events(events: Events) -> Spec:
    """What an event of a type may carry."""
    own = events.columns
    engine = {"event_id": category, "at": time, "recommendation_id": category}
    domains = {name: events.domain(name) for name, kind in own.items() if kind.has_domain}
    stored = ("recommendation_id", *own)
    return Spec("event", events.name, "event_id", "at", engine | own, stored, frozenset(events.refs), domains)


def of_table(table: Table) -> Spec:
    """What a row of a table may carry."""
    own = dict(table.columns)
    engine = {table.key: category, "changed_at": time, "deleted": flag}
    domains = {name: table.domain(name) for name, kind in own.items() if kind.has_domain}
    required = frozenset({table.key})
    return Spec("row", table.name, table.key, "changed_at", engine | own, tuple(own), required, domains)
