"""Labels of a system whose impressions name one table twice: the picture that asks and the picture that is shown."""

from dataclasses import replace
from typing import Any

from winnow.data.declare import Answered, Head, Labels
from winnow.data.schema import EventField, Events, Table


def roled(labels: Labels) -> Labels:
    """The same labels with a table for each role, so that feedback is paired role by role."""
    if labels.user.name != labels.item.name:
        return labels
    heads = {name: _head(head, labels) for name, head in labels.heads.items()}
    return replace(labels, of=_events(labels.of, labels), heads=heads)


def _head(head: Head, labels: Labels) -> Head:
    of = head.of  # type: ignore[attr-defined]
    apart = _events(head.events, labels)
    told: dict[str, Any] = {"of": EventField(apart, of.name) if isinstance(of, EventField) else apart}
    if isinstance(head, Answered):
        told |= {"asked": _events(head.asked, labels), "refused": _events(head.refused, labels)}
    return replace(head, **told)


def _events(events: Events, labels: Labels) -> Events:
    roles = (labels.user_role, labels.item_role)
    refs = {role: Table(role, key=table.key) if role in roles else table for role, table in events.refs.items()}
    return replace(events, refs=refs)
