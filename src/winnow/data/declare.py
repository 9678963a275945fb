"""Label declarations: what counts as an outcome of an impression, and until when one waits for it."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Literal

from winnow.core.declare import Declared
from winnow.core.errors import Problem
from winnow.data.schema import Condition, EventField, Events, Table


@dataclass(frozen=True)
class Head(Declared):
    """One outcome to predict."""

    @property
    def events(self) -> Events:
        """The feedback that decides it."""
        raise NotImplementedError

    @property
    def type(self) -> Literal["binary", "regression"]:
        """`binary` heads are probabilities, `regression` heads amounts."""
        return "binary"


@dataclass(frozen=True)
class AnyOf(Head):
    """1 when at least one such event follows within the window, else 0."""

    of: Events
    conditions: tuple[Condition, ...] = ()

    @property
    def events(self) -> Events:
        return self.of


@dataclass(frozen=True)
class SumOf(Head):
    """The sum of a field over such events within the window (0 without any)."""

    of: EventField

    @property
    def events(self) -> Events:
        return self.of.events

    @property
    def type(self) -> Literal["binary", "regression"]:
        return "regression"


def any(events: Events, *conditions: Condition) -> AnyOf:
    """The head that is 1 when such an event follows: `labels.any(watch, watch.seconds >= 18)`."""
    return AnyOf(events, conditions)


def sum(of: EventField) -> SumOf:
    """The head that adds up a field: `labels.sum(watch.seconds)`."""
    return SumOf(of)


@dataclass(frozen=True)
class Labels(Declared):
    """How impressions get their labels.

    Args:
        of: the impression event; its first role is who saw it, its last what was seen.
        within: how long one waits for feedback; younger impressions carry provisional labels.
        heads: name → outcome.
    """

    of: Events = field(kw_only=True)
    within: timedelta = field(kw_only=True)
    heads: Mapping[str, Head] = field(kw_only=True, hash=False)

    @property
    def user_role(self) -> str:
        return next(iter(self.of.refs))

    @property
    def item_role(self) -> str:
        return list(self.of.refs)[-1]

    @property
    def user(self) -> Table:
        return self.of.refs[self.user_role]

    @property
    def item(self) -> Table:
        return self.of.refs[self.item_role]

    def types(self) -> dict[str, Literal["binary", "regression"]]:
        """Head → `binary` or `regression`."""
        return {name: head.type for name, head in self.heads.items()}

    def problems(self, system: Any) -> Iterator[Problem]:
        if not self.heads:
            yield Problem("no-heads", "labels declare no head", self.where, "nothing could be predicted", "add one")
        for name, head in self.heads.items():
            missing = [t.name for t in (self.user, self.item) if t not in head.events.refs.values()]
            if missing:
                yield Problem(
                    "unjoinable-label",
                    f"head `{name}` counts `{head.events.name}`, which does not refer to {', '.join(missing)}",
                    head.where,
                    "feedback is paired with impressions by user and item",
                    f"add the reference to Events({head.events.name!r}, refs=...)",
                )


def event_types(heads: Sequence[Head]) -> list[Events]:
    """The feedback events that a set of heads needs, once each."""
    return list({h.events.name: h.events for h in heads}.values())
