"""How much room an item has left: its capacity less what is taken now."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from winnow.core.errors import Problem
from winnow.data.schema import Events, Path
from winnow.data.ties import Bond
from winnow.features.aggregate import Aggregate
from winnow.features.declare import Feature, Values, kept
from winnow.features.meaning import meaning, plural, thing
from winnow.features.view import View

Taken = Bond | Events | Path


def taken_of(item: Path, taken: Taken) -> tuple[Aggregate, ...]:
    """The state that tells how much is taken: how often it was, and how often given back.

    Args:
        item: the table that has the room.
        taken: see `Room`.
    """
    if isinstance(taken, Path):
        return ()
    both = (taken.made, taken.undone) if isinstance(taken, Bond) else (taken,)
    return tuple(Aggregate("sum", events, (item,), None, ()) for events in both)


def left(capacity: Values, counts: Sequence[Values]) -> Values:
    """What is left, float64 [n], never below 0; NaN where there is no capacity, or no count.

    Args:
        capacity: float64 [n].
        counts: how much was taken, and how much given back if that can be; [n] each.
    """
    taken = counts[0] - sum(counts[1:])
    return np.asarray(np.maximum(capacity - np.maximum(taken, 0), 0))


@dataclass(frozen=True)
class Room(Feature):
    """Spots left and the share of them that is left; -1 where no capacity is known.

    Args:
        of: the capacity, a number column.
        taken: what takes a spot: a bond (registering takes it, cancelling gives it back), an event, or a number
            column that says how many are taken. Each event of a bond counts: whoever reports must not report one
            cancellation under two event ids.
    """

    of: Path
    taken: Taken = field(kw_only=True)
    default: float = field(kw_only=True, default=-1.0)

    @property
    def names(self) -> tuple[str, ...]:
        return f"{self.of.label}_left", f"{self.of.label}_left_share"

    @property
    def paths(self) -> tuple[Path, ...]:
        return (self.of, self.taken) if isinstance(self.taken, Path) else (self.of,)

    @kept
    def aggregates(self) -> tuple[Aggregate, ...]:
        return taken_of(Path(self.of.table), self.taken)

    def compute(self, view: View) -> Sequence[Values]:
        capacity = np.asarray(view.path(self.of), np.float64)
        if isinstance(self.taken, Path):
            spots = left(capacity, [view.path(self.taken)])
        else:
            spots = left(capacity, [view.window(a) for a in self.aggregates()])
        return spots, np.where(capacity > 0, spots / np.where(capacity > 0, capacity, 1.0), spots)

    def problems(self, system: Any) -> Iterator[Problem]:
        yield from super().problems(system)
        yield from bad_room(self.of, self.taken, self.where)


def bad_room(capacity: Path, taken: Taken, where: str) -> Iterator[Problem]:
    """What cannot be a capacity, or cannot take room of it."""
    for path in (p for p in (capacity, taken) if isinstance(p, Path)):
        if path.kind.storage != "number":
            yield Problem("bad-column", f"`{path}` is {path.kind.storage}", where, fix="use a number column")


@meaning.register
def _(feature: Room, place: int) -> str:
    if isinstance(feature.taken, Path):
        taken = thing(feature.taken)
    elif isinstance(feature.taken, Bond):
        taken = f"{plural(feature.taken.made.name)} less {plural(feature.taken.undone.name)} so far"
    else:
        taken = f"{plural(feature.taken.name)} so far"
    what = f"{thing(feature.of)} less {taken}, not below 0"
    return f"{what}, over {thing(feature.of)}" if place else what
