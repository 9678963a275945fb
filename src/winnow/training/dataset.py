"""Turns the log into what models learn from: labelled impressions with their features as of their own moment."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from winnow.core.system import System
from winnow.core.time import to_us
from winnow.data import labels as joiner
from winnow.data.declare import event_types
from winnow.data.history import History
from winnow.features.batch import FeatureBatch
from winnow.features.history import HistoryState
from winnow.features.plan import Plan
from winnow.features.view import Moments
from winnow.models.examples import Catalogue, Examples
from winnow.training.period import Periods

Columns = Mapping[str, NDArray[Any]]


@dataclass(frozen=True)
class Dataset:
    """Labelled impressions in three parts, and the catalogue.

    Args:
        plan: the features, compiled.
        periods: where the parts begin and end.
        train, valid, test: impressions with final labels, sorted by time.
        catalogue: every item known when training ends, with its item-side features.
        state: what was known at any moment.
    """

    plan: Plan
    periods: Periods
    train: Examples
    valid: Examples
    test: Examples
    catalogue: Catalogue
    state: HistoryState

    def base_rates(self) -> dict[str, float]:
        """Head → mean label of the training part."""
        return {head: float(np.nanmean(y)) if len(y) else float("nan") for head, y in self.train.labels.items()}


def build(system: System, history: History, *, as_of: int, periods: Periods | None = None) -> Dataset:
    """The dataset of a system as of a moment.

    Args:
        system: the declaration.
        history: in step with the log.
        as_of: labels younger than their window at this moment are provisional and left out, microseconds UTC.
        periods: where to cut; by the rule of `Periods.of` when left out.

    Raises:
        InputError: `too-few-impressions`.
    """
    rows = _labelled(system, history, as_of)
    at = rows["at"].to_numpy()
    periods = periods or Periods.of(at)
    gap = to_us(system.labels.within if system.retrain.embargo is None else system.retrain.embargo)
    state, plan = HistoryState(HistorySource(history)), Plan.of(system.features, system.labels)
    parts = [
        _examples(system, rows.filter(pl.Series(mask)), plan=plan, state=state)
        for mask in periods.masks(at, embargo=gap)
    ]
    return Dataset(plan, periods, *parts, _catalogue(system, plan, state=state, at=periods.valid), state)


def _labelled(system: System, history: History, as_of: int) -> pl.DataFrame:
    """Impressions with final labels, in time order."""
    feedback = {e.name: history.events(e.name).collect() for e in event_types(list(system.labels.heads.values()))}
    impressions = history.events(system.labels.of.name).collect()
    rows = joiner.join(system.labels, impressions, feedback, as_of=as_of)
    return rows.filter(pl.col("state") == "final").sort("at", "seq")


def _examples(system: System, rows: pl.DataFrame, *, plan: Plan, state: HistoryState) -> Examples:
    labels = system.labels
    moments = moments_of(system, rows)
    return Examples(
        plan.compute(moments, state, training=True),
        {head: rows[head].to_numpy().astype(np.float32) for head in labels.heads},
        np.ones(len(rows), np.float32),
        moments.at,
        moments.refs[labels.user_role],
        moments.refs[labels.item_role],
    )


def moments_of(system: System, rows: pl.DataFrame) -> Moments:
    """Who, what, when and in which context impressions were shown."""
    shown = system.labels.of
    refs = {role: rows[role].to_numpy().astype(np.int64) for role in shown.refs}
    context = {name: rows[name].to_numpy() for name, kind in shown.fields.items() if kind.storage != "text"}
    return Moments(rows["at"].to_numpy().astype(np.int64), refs, context)


def _catalogue(system: System, plan: Plan, *, state: HistoryState, at: int) -> Catalogue:
    """Items known at a moment, with what tables say about them."""
    role = system.labels.item_role
    rows = state.alive(system.labels.item, at)
    features = catalogue_features(plan, role, rows, state=state, at=at)
    return Catalogue(rows, features)


def catalogue_features(plan: Plan, role: str, rows: NDArray[np.int64], *, state: Any, at: int) -> FeatureBatch:
    """The item-side features of items: table columns only, so that they hold until the row changes."""
    moments = Moments(np.array([at], np.int64), {role: rows})
    return plan.side(role, static=True).compute(moments, state)


class HistorySource:
    """The Delta history as the arrays that `HistoryState` reads."""

    def __init__(self, history: History):
        self._history = history

    def events(self, name: str) -> Columns:
        return _arrays(self._history.events(name).collect())

    def rows(self, table: str) -> Columns:
        return _arrays(self._history.rows(table).collect())


def _arrays(frame: pl.DataFrame) -> Columns:
    """Columns as arrays; lists of categories as [n, m]."""
    return {c: _array(frame[c]) for c in frame.columns if frame[c].dtype != pl.String}


def _array(column: pl.Series) -> NDArray[Any]:
    if isinstance(column.dtype, pl.List | pl.Array):
        return column.list.to_array(int(column.list.len().max() or 1)).to_numpy()  # type: ignore[arg-type]
    return column.to_numpy()
