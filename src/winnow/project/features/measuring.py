"""What features are like on real impressions: coverage, default share, quantiles, and the time they cost."""

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from winnow.core.system import System
from winnow.core.time import iso, now_us
from winnow.features.batch import FeatureBatch
from winnow.features.declare import Feature
from winnow.features.plan import Plan
from winnow.features.state import NEVER, State
from winnow.features.view import Moments, View
from winnow.training.dataset import moments_of, state_of

if TYPE_CHECKING:
    from winnow.project import Project

SAMPLE = 1_000
QUANTILES = (0.0, 0.05, 0.25, 0.5, 0.75, 0.95, 1.0)
_REPEATS = 5
Facts = dict[str, Any]


def measured(
    project: "Project", system: System, features: Sequence[Feature], *, sample: int = SAMPLE, seed: int = 0,
    progress: Any = None,
) -> dict[str, Facts]:  # fmt: skip
    """Facts about the columns of features, over random impressions as of their own moments.

    Args:
        project: with the history.
        system: whose impressions.
        features: which features.
        sample: how many impressions.
        seed: of the choice.
        progress: called with (what, done, total).

    Returns:
        Column → `rows`; `coverage`, the share of rows where the value was more than the default; `default_share`, the
        share with the value that a key without any past has (null where there is none: the hour); `quantiles` of
        numbers; `us_per_1k`, microseconds that 1,000 rows cost in memory, from history.
    """
    project.history.sync(project.log)
    rows = project.history.events(system.labels.of.name).collect()
    rows = rows.sample(min(sample, len(rows)), seed=seed).sort("seq")
    roles = Plan.of(system.features, system.labels).roles
    state = state_of(project, features)
    moments, found = moments_of(system, rows), dict[str, Facts]()
    for done, feature in enumerate(features):
        if progress is not None:
            progress("features of sampled impressions", done, len(features))
        found |= _facts(feature, moments, state=state, roles=roles)
    if progress is not None:
        progress("features of sampled impressions", len(features), len(features))
    return found


def keep(project: "Project", system: System, facts: Mapping[str, Facts]) -> None:
    """Remembers a measurement for the next list."""
    path = project.folder / "measured" / f"{system.name}.json"
    path.parent.mkdir(exist_ok=True)
    told = {"declaration": system.hash, "at": iso(now_us()), "columns": facts}
    beside = path.with_suffix(".new")
    beside.write_text(json.dumps(told, indent=1, allow_nan=False))
    beside.replace(path)


def kept(project: "Project", system: System) -> dict[str, Facts]:
    """The last measurement of the columns of a system; empty when there was none."""
    path = project.folder / "measured" / f"{system.name}.json"
    return dict(json.loads(path.read_text())["columns"]) if path.exists() else {}


def _facts(feature: Feature, moments: Moments, *, state: State, roles: Mapping[str, str]) -> dict[str, Facts]:
    plan, blank = (Plan((f,), roles) for f in (feature, replace(feature, default=float("nan"))))
    if not moments.size or not len(moments.at):
        return {name: {"rows": 0} for name in feature.names}
    batch = plan.compute(moments, state, training=True)  # sorts what it needs; the timed runs below find it sorted
    raw = blank.compute(moments, state, training=True)
    empty = plan.compute(_nobody(moments), state, training=True)
    cost = _cost(plan, moments, state) / len(batch) * 1000
    keyed = _keyed(feature, moments, state, roles)
    depends = bool(feature.paths or feature.fields)
    return {
        name: {
            "rows": len(batch),
            "coverage": float((_there(raw, name) & keyed).mean()),
            "default_share": float(_same(batch, empty, name).mean()) if depends else None,
            "quantiles": _quantiles(batch, name),
            "us_per_1k": round(cost / len(feature.names), 1),
        }
        for name in feature.names
    }


def _nobody(moments: Moments) -> Moments:
    """The same question about no row at all, in no context: what a key without any past gets."""
    return Moments(moments.at[-1:], {role: np.array([-1], np.int64) for role in moments.refs})


def _keyed(feature: Feature, moments: Moments, state: State, roles: Mapping[str, str]) -> NDArray[np.bool_]:
    """Rows of which every key of the feature is known, bool [n]."""
    view, known = View(moments, state, roles), np.ones(moments.size, bool)
    for path in feature.paths:
        known &= _known(view.path(path))
    return known


def _known(values: NDArray[Any]) -> NDArray[np.bool_]:
    if values.dtype.kind == "f":
        return np.asarray(~np.isnan(values), np.bool_)
    there = np.asarray((values >= 0) | ((values != NEVER) & (values != -1)), np.bool_)
    return np.asarray(there.any(axis=tuple(range(1, there.ndim))), np.bool_)


def _column(batch: FeatureBatch, name: str) -> NDArray[Any]:
    """A column as it is compared: numbers [n], category rows [n or n, m]; of a sequence how many it holds."""
    if name in batch.numeric_names:
        return batch.column(name)
    if name in batch.sequences:
        held = batch.sequences[name]
        return np.broadcast_to(((held.rows >= 0) | (held.age_s > 0)).sum(axis=1), len(batch))
    return batch.training_only[name] if name in batch.training_only else batch.categorical[name]


def _there(batch: FeatureBatch, name: str) -> NDArray[np.bool_]:
    values = _column(batch, name)
    return np.asarray(values > 0, np.bool_) if name in batch.sequences else _known(values)


def _same(batch: FeatureBatch, empty: FeatureBatch, name: str) -> NDArray[np.bool_]:
    values, nothing = _column(batch, name), _column(empty, name)
    same = (values == nothing) | (~_known(values) & ~_known(nothing) if values.ndim == 1 else False)
    return np.asarray(same.all(axis=tuple(range(1, same.ndim))), np.bool_)


def _quantiles(batch: FeatureBatch, name: str) -> dict[str, float] | None:
    """Quantiles of numbers, and of the lengths of sequences."""
    values = _column(batch, name)
    if name in batch.categorical:
        return None
    known = values[~np.isnan(values)] if values.dtype.kind == "f" else values
    return {f"{q:g}": float(np.quantile(known, q)) for q in QUANTILES} if len(known) else None


def _cost(plan: Plan, moments: Moments, state: State) -> float:
    """Microseconds that the moments take: the fastest of a few runs, so that neighbours count least."""
    spent = []
    for _ in range(_REPEATS):
        start = time.perf_counter()
        plan.compute(moments, state, training=True)
        spent.append(time.perf_counter() - start)
    return min(spent) * 1e6
