"""Served rows computed again from history: what the service read must be what training reads for the same moment."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import polars as pl

from winnow.core.errors import NotFound
from winnow.core.system import System
from winnow.core.time import iso
from winnow.data.history import History
from winnow.features.batch import Floats
from winnow.features.plan import Plan
from winnow.features.state import State
from winnow.monitoring.checks import differing
from winnow.serving.effects import served_events
from winnow.training.dataset import moments_of, state_of
from winnow.training.served import AsServed, as_served
from winnow.training.stores import Stores

SAMPLE = 1_000
SCHEMA: dict[str, Any] = {
    "feature": pl.String, "rows": pl.Int64, "different": pl.Int64, "share": pl.Float64, "request": pl.String,
    "user": pl.String, "item": pl.String, "release": pl.String, "at": pl.String, "served": pl.Float64,
    "recomputed": pl.Float64,
}  # fmt: skip
_CONTEXT_KNOWN = "_context_known"


@dataclass(frozen=True, eq=False)
class Replayed:
    """The same rows twice.

    Args:
        names: the F numeric features.
        rows: the impressions that were served by us, n of them.
        served: float32 [n, F] as logged.
        again: float32 [n, F] from history as of the same moments; both are NaN where nothing was logged.
    """

    names: tuple[str, ...]
    rows: pl.DataFrame
    served: Floats
    again: Floats


def replay(system: System, state: State, rows: pl.DataFrame, served: AsServed) -> Replayed:
    """Computes what was served again.

    Args:
        system: the declaration.
        state: what was known at any moment.
        rows: impressions.
        served: what the serving log says about them.
    """
    plan, of_served = Plan.of(system.features, system.labels), rows[served.rows.tolist()]
    again = plan.compute(replace(moments_of(system, of_served), at=served.as_of), state).numeric
    logged = served.features(plan.numeric_names)
    # A release that did not have a feature logged nothing for it; that is no difference.
    return Replayed(plan.numeric_names, of_served, logged, np.where(np.isnan(logged), np.nan, again))


def skew(
    stores: Stores, system: System, *, sample: int = SAMPLE, since: int | None = None, seed: int = 0
) -> pl.DataFrame:
    """Recomputes a sample of served rows and tells, per feature, how many differ, with the first example.

    Every row is computed by the declaration of the release that served it, to the bit. Features that read the request
    are compared where the impression has come back, for only that tells the request's fields. What sources made of an
    item is known while a list is made only, and left out.

    Args:
        stores: the project.
        system: the declaration, for rows of releases that carry none.
        sample: how many served rows, chosen at random.
        since: only rows served from this moment on, microseconds UTC.
        seed: of the choice.

    Returns:
        One row per feature, the worst first: `feature, rows, different, share` and of the earliest row that differs
        `request, user, item, release, at, served, recomputed` (null when none does).
    """
    stores.history.sync(stores.log)
    chosen = _sampled(system, stores.history, sample=sample, since=since, seed=seed)
    state = state_of(stores, system.features)
    parts = [_told(stores, part, system, state) for part in chosen.partition_by("release", maintain_order=True)]
    found = [record for part in parts for record in part]
    return _joined(pl.DataFrame(found, schema=SCHEMA))


def _sampled(system: System, history: History, *, sample: int, since: int | None, seed: int) -> pl.DataFrame:
    """Served rows as if they were impressions: with what the impressions that came back say about the request."""
    shown, keys = system.labels.of, ["recommendation_id", system.labels.item_role]
    try:
        served = history.events(served_events(system, ()).name).collect()
    except NotFound:
        return pl.DataFrame(schema={"release": pl.String})
    served = served.filter(pl.col("as_of") >= since) if since is not None else served
    served = served.unique(keys, keep="first", maintain_order=True)
    served = served.sample(min(sample, len(served)), seed=seed).sort("seq")
    context = [name for name, kind in shown.fields.items() if kind.storage != "text"]
    seen = history.events(shown.name).select(*keys, *context).collect().unique(keys, keep="first")
    seen = seen.with_columns(pl.lit(True).alias(_CONTEXT_KNOWN))
    rows = served.select(*keys[:1], *shown.refs, "release", "seq", "as_of").join(seen, on=keys, how="left")
    empty = {"number": float("nan"), "categories": []}
    fill = [pl.col(c).fill_null(pl.lit(empty.get(shown.fields[c].storage, -1), seen.schema[c])) for c in context]
    return rows.sort("seq").with_columns(*fill, pl.col(_CONTEXT_KNOWN).fill_null(False), at=pl.col("as_of"))


def _told(stores: Stores, rows: pl.DataFrame, system: System, state: State) -> Iterator[dict[str, Any]]:
    """One record per feature about rows that one release served."""
    declared = _declaration(stores, system, str(rows["release"][0]))
    both = replay(declared, state, rows, as_served(declared, stores.history, rows))
    asks = {n for f in declared.features if f.fields for n in f.names}
    gone = {n for f in declared.features if f.of_list for n in f.names}  # history cannot tell them
    unknown = ~both.rows[_CONTEXT_KNOWN].to_numpy()
    differ, compared = differing(both.served, both.again), ~np.isnan(both.served)
    for place, name in enumerate(both.names):
        if name in gone:
            continue
        usable = compared[:, place] & ~(unknown & (name in asks))
        wrong = np.flatnonzero(differ[:, place] & usable)
        told = {"feature": name, "rows": int(usable.sum()), "different": len(wrong)}
        yield told | (_example(stores, declared, both, row=int(wrong[0]), place=place) if len(wrong) else {})


def _example(stores: Stores, system: System, both: Replayed, *, row: int, place: int) -> dict[str, Any]:
    labels, ids, found = system.labels, stores.log.ids, both.rows.row(row, named=True)
    return {
        "request": found["recommendation_id"],
        "user": ids.ids(labels.user.name, [found[labels.user_role]])[0],
        "item": ids.ids(labels.item.name, [found[labels.item_role]])[0],
        "release": found["release"],
        "at": iso(found["as_of"]),
        "served": float(both.served[row, place]),
        "recomputed": float(both.again[row, place]),
    }


def _declaration(stores: Stores, system: System, release: str) -> System:
    try:
        return stores.registry.open(system.name, release, hashes=False).system() or system
    except NotFound:
        return system


def _joined(found: pl.DataFrame) -> pl.DataFrame:
    """The records of several releases as one per feature."""
    examples = [c for c in SCHEMA if c not in ("feature", "rows", "different", "share")]
    grouped = found.group_by("feature", maintain_order=True).agg(
        pl.col("rows", "different").sum(), *(pl.col(c).drop_nulls().first() for c in examples)
    )
    share = (pl.col("different") / pl.max_horizontal("rows", 1)).alias("share")
    return grouped.with_columns(share).select(*SCHEMA).sort("different", descending=True, maintain_order=True)
