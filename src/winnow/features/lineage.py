"""What a feature is made of, down to the fields of events and the columns of tables."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from winnow.core.time import FOREVER, short
from winnow.data.schema import Path
from winnow.features.aggregate import Aggregate
from winnow.features.declare import Feature
from winnow.features.meaning import kept, thing


@dataclass(frozen=True)
class Node:
    """One thing and what it is made of.

    Args:
        name: as it is written in a declaration: `watch.seconds`, `video.author`.
        what: `feature`, `state`, `event`, `field`, `condition`, `key`, `column` or `request`.
        told: what it is, in words.
        of: what it is made of.
    """

    name: str
    what: str
    told: str = ""
    of: "tuple[Node, ...]" = ()


def lineage(feature: Feature, name: str | None = None) -> Node:
    """The tree of one column of a feature.

    Args:
        feature: the declaration; of several windows see `meaning.alone`.
        name: its column; the first when left out.
    """
    inner = [lineage(part) for part in feature.parts]
    inner += [_state(a) for a in _own(feature)]
    keys = {str(p) for a in feature.aggregates() for p in a.by} | {str(p) for f in feature.parts for p in f.paths}
    inner += [_column(p) for p in feature.paths if str(p) not in keys]
    inner += [Node(str(f.to_data()), "request", "field of the request") for f in _fields(feature)]
    return Node(name or feature.names[0], "feature", type(feature).__name__.lower(), tuple(inner))


def state(feature: Feature) -> list[dict[str, Any]]:
    """What is kept for a feature, one record per aggregate: `keeps, by, window, hop, buckets, aggregate`."""
    return [
        {
            "keeps": kept(a),
            "by": " × ".join(map(str, a.by)),
            "window": "" if a.kind == "recent" else short(a.window),
            "hop": _hop(a),
            "buckets": a.k if a.kind == "recent" else a.buckets,
            "aggregate": a.name,
        }
        for a in feature.aggregates()
    ]


def _own(feature: Feature) -> list[Aggregate]:
    of_parts = {a.name for part in feature.parts for a in part.aggregates()}
    return [a for a in feature.aggregates() if a.name not in of_parts]


def _fields(feature: Feature) -> list[Any]:
    of_parts = {str(f.to_data()) for part in feature.parts for f in part.fields}
    return [f for f in feature.fields if str(f.to_data()) not in of_parts]


def _state(aggregate: Aggregate) -> Node:
    events = aggregate.events
    inner = [Node(events.name, "event", "every event of this type")]
    if aggregate.value:
        what = "own time" if aggregate.value == "at" else "role" if aggregate.value in events.refs else "field"
        inner.append(Node(f"{events.name}.{aggregate.value}", "field", f"{what} of the event"))
    told = {str(c.to_data()): Node(f"{events.name}.{c.field}", "condition", f"{c.op} {c.value:g}")
            for c in aggregate.conditions if abs(c.value) < 1e300}  # fmt: skip
    keys = [Node(f"{events.name}.{events.role(p.table)}", "key", "", (_column(p),)) for p in aggregate.by]
    return Node(kept(aggregate), "state", _shape(aggregate), (*inner, *told.values(), *keys))


def _column(path: Path) -> Node:
    """A path with the references that lead to it."""
    inner = tuple(_column(Path(path.table, path.columns[:depth])) for depth in [len(path.columns) - 1] if depth > 0)
    kind = path.kind
    told = f"row of the table {path.table.name}" if not path.columns else f"{kind.storage} column"
    return Node(str(path), "column", f"{told}: {thing(path)}" if path.columns else told, inner)


def _shape(aggregate: Aggregate) -> str:
    if aggregate.kind == "recent":
        return f"the last {aggregate.k}"
    if aggregate.window == FOREVER or not aggregate.hop:
        return "one number, for ever"
    return f"{aggregate.buckets} hops of {_hop(aggregate)}"


def _hop(aggregate: Aggregate) -> str:
    if aggregate.kind == "recent" or not aggregate.hop:
        return ""
    return short(timedelta(microseconds=aggregate.hop))
