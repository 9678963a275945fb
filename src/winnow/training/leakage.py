"""Proof that no input of a training set is later than its row: features computed again from what was known by then."""

from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from winnow.core.errors import InputError, Problem
from winnow.core.time import iso
from winnow.features.batch import FeatureBatch
from winnow.features.history import Source
from winnow.features.plan import Plan
from winnow.features.source import Streamed
from winnow.features.state import State
from winnow.features.view import Moments

SAMPLE = 500
Columns = Mapping[str, NDArray[Any]]


class Until:
    """A source without what became known at a moment or later.

    Args:
        source: the whole.
        moment: microseconds UTC.
    """

    def __init__(self, source: Source, moment: int):
        self._source, self._moment = source, moment

    def events(self, name: str) -> Columns:
        return self._cut(self._source.events(name))

    def rows(self, table: str) -> Columns:
        return self._cut(self._source.rows(table))

    def batches(self, name: str, columns: Collection[str], *, rows: int) -> Iterator[Columns]:
        """See `Streamed.batches`."""
        if isinstance(self._source, Streamed):
            yield from map(self._cut, self._source.batches(name, {"known_at", *columns}, rows=rows))
        else:
            yield self.events(name)

    def _cut(self, columns: Columns) -> Columns:
        known = np.asarray(columns["known_at"]) < self._moment
        return {name: np.asarray(values)[known] for name, values in columns.items()}


def refuse_later_inputs(
    plan: Plan, moments: Moments, known_at: NDArray[np.int64], *, whole: State, until: Callable[[int], State]
) -> None:
    """Checks training rows against a history that ends with them.

    Rows just before a moment in the middle get their features twice: from the whole history, and from one that ends at
    that moment. A feature that reads anything later has two values.

    Args:
        plan: the features.
        moments: who, what and when of N training rows.
        known_at: when the log learned of each row, int64 [N]; what was served was served before.
        whole: the whole history.
        until: the history without what became known at a moment or later.

    Raises:
        InputError: `input-after-row`, with the first row of every such feature; `features-after-row`, when rows ask
            for features as of a moment after they became known.
    """
    late = np.flatnonzero(moments.at > known_at)
    if len(late):
        first = iso(int(known_at[late[0]]))
        what = f"{len(late)} rows have features as of after they became known; the first became known at {first}"
        raise InputError(Problem("features-after-row", what, why="a model would learn from what comes after", fix=_FIX))
    if not len(known_at):
        return
    end = int(np.quantile(moments.at, 0.5, method="nearest")) + 1
    rows = np.flatnonzero(moments.at < end)
    rows = rows[np.argsort(moments.at[rows], kind="stable")][-SAMPLE:]
    some = _only(moments, rows)
    one, two = (plan.compute(some, state, training=True) for state in (whole, until(end)))
    if problems := _differences(one, two, some.at):
        raise InputError(*problems)


_FIX = "compute a feature from what `view` gives for its own moment only"


def _only(moments: Moments, rows: NDArray[np.int64]) -> Moments:
    """Some of the rows; what is the same for all stays."""

    def pick(values: NDArray[Any]) -> NDArray[Any]:
        return values if len(values) == 1 else values[rows]

    refs, context = ({k: pick(v) for k, v in part.items()} for part in (moments.refs, moments.context))
    return Moments(moments.at[rows], refs, context)


def _differences(whole: FeatureBatch, cut: FeatureBatch, at: NDArray[np.int64]) -> list[Problem]:
    """A problem per feature that has two values, with the first row that shows it."""
    pairs: dict[str, tuple[NDArray[Any], NDArray[Any]]] = {
        name: (whole.numeric[:, i], cut.numeric[:, i]) for i, name in enumerate(whole.numeric_names)
    }
    pairs |= {name: (values, cut.categorical[name]) for name, values in whole.categorical.items()}
    pairs |= {name: (values.rows, cut.sequences[name].rows) for name, values in whole.sequences.items()}
    return [_later(name, *pair, at) for name, pair in pairs.items() if not np.array_equal(*pair, equal_nan=True)]


def _later(name: str, one: NDArray[Any], two: NDArray[Any], at: NDArray[np.int64]) -> Problem:
    differ = (one != two).reshape(len(one), -1).any(axis=1)
    row = int(differ.argmax())
    what = (
        f"`{name}` of the row at {iso(at[row])} is {two[row]} by what was known then, {one[row]} with what came later"
    )
    why = f"it reads the future in {int(differ.sum())} of {len(one)} rows"
    return Problem("input-after-row", what, why=why, fix=_FIX)
