"""Label declarations: what counts as an outcome of an impression, and until when one waits for it."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Literal

from winnow.core.declare import Declared
from winnow.core.errors import Problem
from winnow.data.alternatives import Alternatives
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

    @property
    def roles(self) -> tuple[str, ...]:
        """What of an impression its feedback shares with it."""
        return ("user", "item")

    @property
    def parts(self) -> "tuple[Head, ...]":
        """The outcomes beside its own events that it is made of."""
        return ()

    def problems(self, system: Any) -> Iterator[Problem]:
        shown = system.labels.of.refs
        tables = [shown[role] if role in shown else getattr(system.labels, role, None) for role in self.roles]
        missing = [role if t is None else t.name for role, t in zip(self.roles, tables, strict=True)
                   if t is None or t not in self.events.refs.values()]  # fmt: skip
        if missing:
            name = next(n for n, head in system.labels.heads.items() if head is self)
            yield Problem(
                "unjoinable-label",
                f"head `{name}` counts `{self.events.name}`, which does not refer to {', '.join(missing)}",
                self.where,
                f"feedback is paired with impressions by {' and '.join(self.roles)}",
                f"add the reference to Events({self.events.name!r}, refs=...)",
            )


@dataclass(frozen=True)
class AnyOf(Head):
    """1 when at least one such event follows within the window, else 0.

    Args:
        of: the events.
        conditions: what they must meet.
        by: role of the impression that it shares with them, in place of the first: who saw it, where another item did
            the asking.
    """

    of: Events
    conditions: tuple[Condition, ...] = ()
    by: str = field(kw_only=True, default="")

    @property
    def events(self) -> Events:
        return self.of

    @property
    def roles(self) -> tuple[str, ...]:
        return (self.by or "user", "item")

    def to_data(self) -> dict[str, Any]:
        data = super().to_data()
        return data if self.by else {k: v for k, v in data.items() if k != "by"}


@dataclass(frozen=True)
class Answered(AnyOf):
    """1 when what was asked is granted within the window, 0 when it is refused or nothing was asked.

    Unknown, and so no part of what is learned, where something was asked and nobody has answered: what is pending is
    no refusal.

    Args:
        asked: the events that ask.
        refused: the events that refuse.
    """

    asked: Events = field(kw_only=True)
    refused: Events = field(kw_only=True)

    @property
    def parts(self) -> tuple[Head, ...]:
        return AnyOf(self.asked), AnyOf(self.refused)

    def problems(self, system: Any) -> Iterator[Problem]:
        yield from super().problems(system)
        for events in (self.asked, self.refused):
            tables = (system.labels.user, system.labels.item)
            if missing := [t.name for t in tables if t not in events.refs.values()]:
                what = f"an answer counts `{events.name}`, which does not refer to {', '.join(missing)}"
                why = "it is paired with impressions by user and item"
                yield Problem("unjoinable-label", what, self.where, why, f"add it to Events({events.name!r}, refs=...)")


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


@dataclass(frozen=True)
class Finding(Head):
    """What was found out about the item, whoever did: the flag of the last such event within the window.

    Unknown, and so no part of what is learned, while nobody has said anything. Of events of one moment the one that
    the log learned last counts, so that a correction overrules.
    """

    of: EventField

    @property
    def events(self) -> Events:
        return self.of.events

    @property
    def roles(self) -> tuple[str, ...]:
        return ("item",)

    def problems(self, system: Any) -> Iterator[Problem]:
        yield from super().problems(system)
        if self.of.kind.storage != "flag":
            what = f"`{self.of.events.name}.{self.of.name}` is {self.of.kind.storage}"
            yield Problem("bad-column", what, self.where, fix="use a flag")


def any(events: Events, *conditions: Condition, by: str = "") -> AnyOf:
    """The head that is 1 when such an event follows: `labels.any(watch, watch.seconds >= 18)`."""
    return AnyOf(events, conditions, by=by)


def answered(granted: Events, *, asked: Events, refused: Events) -> Answered:
    """The head that is 1 when a request is granted: `labels.answered(connect, asked=request, refused=decline)`."""
    return Answered(granted, asked=asked, refused=refused)


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
        against: where the log holds choices and not what was shown: what each of them was made against.
    """

    of: Events = field(kw_only=True)
    within: timedelta = field(kw_only=True)
    heads: Mapping[str, Head] = field(kw_only=True, hash=False)
    against: Alternatives | None = field(kw_only=True, default=None)

    def to_data(self) -> dict[str, Any]:
        data = super().to_data()
        return data if self.against is not None else {k: v for k, v in data.items() if k != "against"}

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

    @property
    def waits(self) -> bool:
        """Whether a label is known only when the window has passed; findings are known when they have been made."""
        return not all(isinstance(head, Finding) for head in self.heads.values())

    def types(self) -> dict[str, Literal["binary", "regression"]]:
        """Head → `binary` or `regression`."""
        return {name: head.type for name, head in self.heads.items()}

    def problems(self, system: Any) -> Iterator[Problem]:
        if not self.heads:
            yield Problem("no-heads", "labels declare no head", self.where, "nothing could be predicted", "add one")


def finding(of: EventField) -> Finding:
    """The head that is what was last found out about the item: `labels.finding(review.insult)`."""
    return Finding(of)


def event_types(heads: Sequence[Head]) -> list[Events]:
    """The feedback events that a set of heads needs, once each."""
    return list({h.events.name: h.events for head in heads for h in (head, *head.parts)}.values())
