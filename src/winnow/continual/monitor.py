"""Runs the monitors that a system declares over what has been served and what came of it."""

from collections.abc import Iterable

from winnow.continual.skew import replay
from winnow.core.system import System
from winnow.core.time import now_us
from winnow.features.batch import Floats
from winnow.features.plan import Plan
from winnow.monitoring.checks import Calibration, Drift, Finding, Skew
from winnow.training import dataset
from winnow.training.served import as_served
from winnow.training.stores import Stores

SAMPLE = 20_000  # newest impressions looked at


def check(stores: Stores, system: System) -> list[Finding]:
    """Every finding of every monitor, over the newest impressions that the service made; none where it made none.

    Skew compares features as served with the same features from history, to the bit. Drift compares them with the
    impressions before. Calibration compares the predictions as served with the labels that are final by now.
    """
    stores.history.sync(stores.log)
    rows = dataset.labelled(system, stores.history, now_us()).tail(2 * SAMPLE)
    served = as_served(system, stores.history, rows)
    if not len(served.rows):
        return []
    plan = Plan.of(system.features, system.labels)
    both = replay(system, dataset.state_of(stores, plan.features), rows, served)
    of_served, logged = both.rows, both.served
    final = (of_served["state"] == "final").to_numpy()
    labels = {h: of_served[h].to_numpy()[final] for h in system.labels.heads}
    predicted = {h: served.columns[f"head_{h}"][final] for h in labels if f"head_{h}" in served.columns}
    half = len(logged) // 2
    found: list[Finding] = []
    for monitor in system.monitors:
        if isinstance(monitor, Skew):
            found += monitor.check(both.names, logged, both.again)
        elif isinstance(monitor, Drift) and half:
            found += monitor.check(_columns(both.names, logged[:half]), _columns(both.names, logged[half:]))
        elif isinstance(monitor, Calibration):
            found += monitor.check(labels, predicted)
    return found


def _columns(names: Iterable[str], matrix: Floats) -> dict[str, Floats]:
    return {name: matrix[:, i] for i, name in enumerate(names)}


def bad(findings: Iterable[Finding]) -> list[Finding]:
    """Those beyond their limits."""
    return [f for f in findings if not f.ok]
