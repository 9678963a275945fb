"""What is known of bonds: which stand between two rows, since when, and whom two rows have in common."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from winnow.core.errors import Problem
from winnow.data.schema import Path
from winnow.data.ties import Bond
from winnow.features.aggregate import Aggregate, latest
from winnow.features.batch import Ints
from winnow.features.declare import DAY_US, Feature, Key, Values, as_paths, kept
from winnow.features.meaning import meaning, things
from winnow.features.past import subject
from winnow.features.state import NEVER, State
from winnow.features.view import View

Mask = NDArray[np.bool_]
_TOGETHER = 1 << 22  # numbers compared at once


def times_of(bond: Bond) -> tuple[Aggregate, Aggregate]:
    """The own time of the last event that made a bond between two rows, and of the last that ended it."""
    return latest(bond.made, bond.ends(bond.made)), latest(bond.undone, bond.ends(bond.undone))


def recents_of(bond: Bond, last: int) -> tuple[Aggregate, ...]:
    """The last rows to which one was tied; of a mutual bond also those that tied themselves to it."""
    (first, second), (one, other) = bond.ends(bond.made), bond.made.ends
    mine = Aggregate("recent", bond.made, (first,), other, (), k=last)
    return (mine, Aggregate("recent", bond.made, (second,), one, (), k=last)) if bond.mutual else (mine,)


def made_and_undone(bond: Bond, state: State, first: Ints, second: Ints, at: Ints) -> tuple[Ints, Ints]:
    """When a bond between rows was last made and last ended, own times int64 [n]; NEVER for not at all.

    Args:
        bond: the bond.
        state: history or live.
        first: who made it, int64 [1 or n].
        second: with whom, int64 [1 or n].
        at: moments, int64 [1 or n].
    """
    one, two, _ = np.broadcast_arrays(first, second, at)
    if not len(one):
        return np.full(0, NEVER), np.full(0, NEVER)
    keys = one.copy(), two.copy()
    made, undone = state.windows(times_of(bond), keys, at)
    if bond.mutual:
        back = state.windows(times_of(bond), (keys[1], keys[0]), at)
        made, undone = np.maximum(made, back[0]), np.maximum(undone, back[1])
    return made, undone


def standing(
    bond: Bond, state: State, first: Ints, second: Ints, at: Ints, *, doubt: bool = False
) -> Mask:  # fmt: skip
    """Whether a bond stands between rows, bool [n].

    Args:
        bond: the bond.
        state: history or live.
        first, second: rows, int64 [1 or n].
        at: moments, int64 [1 or n].
        doubt: the answer when it was made and ended at the same moment.
    """
    made, undone = made_and_undone(bond, state, first, second, at)
    return np.asarray((made != NEVER) & ((made > undone) | (doubt & (made == undone))))


@dataclass(frozen=True)
class BetweenTwo(Feature):
    """Base of features about a bond and two rows.

    Args:
        of: the bond.
        by: who may have made it, and with whom.
    """

    of: Bond
    by: tuple[Key, Key] = field(kw_only=True)

    @property
    def paths(self) -> tuple[Path, ...]:
        return as_paths(self.by)

    @property
    def stem(self) -> str:
        """How its names begin."""
        return f"{subject(self.paths)}_{self.of.name}"

    def problems(self, system: Any) -> Iterator[Problem]:
        yield from super().problems(system)
        asked = tuple(path.domain for path in self.paths)
        if asked != self.of.tables:
            what = f"`{self.of.name}` ties {' to '.join(self.of.tables)}, and is asked about {' and '.join(asked)}"
            yield Problem("unlike-ends", what, self.where, "no such pair is ever tied", "give rows of its tables")


@dataclass(frozen=True)
class Tied(BetweenTwo):
    """Whether a bond stands between two rows: 1 or 0."""

    @property
    def names(self) -> tuple[str, ...]:
        return (f"{self.stem}_tied",)

    @kept
    def aggregates(self) -> tuple[Aggregate, ...]:
        return times_of(self.of)

    def compute(self, view: View) -> Sequence[Values]:
        return (np.where(np.isnan(_days(self, view)), 0.0, 1.0),)


@dataclass(frozen=True)
class Tenure(BetweenTwo):
    """For how many days a bond has stood between two rows; `default` where it does not."""

    default: float = field(kw_only=True, default=-1.0)

    @property
    def names(self) -> tuple[str, ...]:
        return (f"{self.stem}_tenure_d",)

    @kept
    def aggregates(self) -> tuple[Aggregate, ...]:
        return times_of(self.of)

    def compute(self, view: View) -> Sequence[Values]:
        return (_days(self, view),)


def _days(feature: BetweenTwo, view: View) -> Values:
    """Since when the bond of a feature has stood, in days; NaN where it does not."""
    first, second = (view.path(path) for path in feature.paths)
    made, undone = made_and_undone(feature.of, view.state, first, second, view.at)
    return np.where((made != NEVER) & (made > undone), (view.at - made) / DAY_US, np.nan)


@dataclass(frozen=True)
class Mutual(BetweenTwo):
    """How many rows two rows have both been tied to, among the last k of each; later endings are not looked at.

    Args:
        k: how many of each are compared.
    """

    k: int = field(kw_only=True, default=50)

    @property
    def names(self) -> tuple[str, ...]:
        return (f"{self.stem}_mutual",)

    @kept
    def aggregates(self) -> tuple[Aggregate, ...]:
        return recents_of(self.of, self.k)

    def compute(self, view: View) -> Sequence[Values]:
        mine, theirs = (self._lists(view, view.path(path)) for path in self.paths)
        size, shared = max(len(mine), len(theirs)), max(_TOGETHER // max(mine.shape[1] * theirs.shape[1], 1), 1)
        found = np.empty(size)
        for start in range(0, size, shared):
            part = slice(start, start + shared)
            one, two = (lists if len(lists) == 1 else lists[part] for lists in (mine, theirs))
            found[part] = ((one[:, :, None] == two[:, None, :]) & (one[:, :, None] >= 0)).any(axis=2).sum(axis=1)
        return (found,)

    def _lists(self, view: View, rows: Ints) -> Ints:
        """Whom each row was last tied to, each once, int64 [n, k or 2k]; -1 pads."""
        size = max(len(rows), len(view.at))
        keys = np.broadcast_to(rows, size).copy()
        lists = np.sort(np.concatenate([view.state.recent(a, (keys,), view.at)[0] for a in self.aggregates()], axis=1))
        lists[:, 1:][lists[:, 1:] == lists[:, :-1]] = -1
        return lists

    def problems(self, system: Any) -> Iterator[Problem]:
        yield from super().problems(system)
        if len(set(self.of.tables)) > 1:
            what = f"`{self.of.name}` ties {' to '.join(self.of.tables)}: two rows of one table have nobody in common"
            yield Problem("unlike-ends", what, self.where, fix="use a bond within one table")


@meaning.register
def _(feature: Tied, place: int) -> str:
    return f"1 where `{feature.of.name}` stands between {things(feature.paths)}"


@meaning.register
def _(feature: Tenure, place: int) -> str:
    return f"days for which `{feature.of.name}` has stood between {things(feature.paths)}"


@meaning.register
def _(feature: Mutual, place: int) -> str:
    tied = f"`{feature.of.name}` has tied to both {things(feature.paths)}"
    return f"number of those that {tied}, among the last {feature.k} of each"
