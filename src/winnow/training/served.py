"""Impressions of lists that the service itself made: when their features were read, and what they were."""

from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from winnow.core.errors import NotFound
from winnow.core.system import System
from winnow.data.history import History

_SERVED, _FEATURE = "_served", "feature_"


@dataclass(frozen=True, eq=False)
class AsServed:
    """What the serving log says about n impressions.

    Args:
        rows: impressions that were served by us, int64 [m], ascending.
        as_of: the moment up to which events were in their features, int64 [m], microseconds UTC.
        columns: what else was logged for them: `position`, `propensity`, `value`, `head_…`, `feature_…`, floats [m].
    """

    rows: NDArray[np.int64]
    as_of: NDArray[np.int64]
    columns: dict[str, NDArray[np.float64]]

    def features(self, names: tuple[str, ...]) -> NDArray[np.float32]:
        """Features by name as served, float32 [m, F]; NaN for one that the release of the time did not have."""
        missing = np.full(len(self.rows), np.nan)
        columns = [self.columns.get(_FEATURE + name, missing) for name in names]
        return np.column_stack(columns).astype(np.float32) if columns else np.empty((len(self.rows), 0), np.float32)

    def moments(self, at: NDArray[np.int64]) -> NDArray[np.int64]:
        """The moments of features: as served where we served, the impression's own elsewhere; int64 [n]."""
        out = at.copy()
        out[self.rows] = self.as_of
        return out


def as_served(system: System, history: History, impressions: pl.DataFrame) -> AsServed:
    """Pairs impressions with the serving log by reply and item.

    Args:
        system: whose serving log.
        history: in step with the log.
        impressions: with `recommendation_id` and the item's role.
    """
    keys = ["recommendation_id", system.labels.item_role]
    try:
        served = history.events(system.name + _SERVED).collect()
    except NotFound:
        served = pl.DataFrame(schema={k: impressions.schema[k] for k in keys} | {"as_of": pl.Int64})
    numbers = [c for c, kind in served.schema.items() if kind == pl.Float64]
    once = served.select(*keys, "as_of", *numbers).unique(keys, keep="first", maintain_order=True)
    found = impressions.select(keys).with_row_index("row").join(once, on=keys, how="inner").sort("row")
    columns = {c: found[c].to_numpy() for c in numbers}
    return AsServed(found["row"].to_numpy().astype(np.int64), found["as_of"].to_numpy(), columns)
