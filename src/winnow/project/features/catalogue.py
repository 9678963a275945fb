"""The list of a system's features: one row per column."""

from typing import TYPE_CHECKING, Any

import polars as pl

from winnow.core.system import System
from winnow.core.time import short
from winnow.features.declare import Feature
from winnow.features.meaning import sentence, windows
from winnow.project.features import importance, measuring

if TYPE_CHECKING:
    from winnow.project import Project

SCHEMA: dict[str, Any] = {
    "name": pl.String, "kind": pl.String, "key": pl.String, "window": pl.String, "default": pl.Float64,
    "ttl": pl.String, "owner": pl.String, "coverage": pl.Float64, "default_share": pl.Float64, "us_per_1k": pl.Float64,
    "importance": pl.Float64, "systems": pl.List(pl.String), "releases": pl.List(pl.String), "meaning": pl.String,
}  # fmt: skip


def listed(project: "Project", system: str) -> pl.DataFrame:
    """One row per feature column of a system.

    Args:
        project: whose system.
        system: its name.

    Returns:
        The columns of `SCHEMA`. `coverage`, `default_share` and `us_per_1k` are those of the last measurement, null
        before the first. `importance` is the share of the gain in the trees of the release that serves.

    Raises:
        NotFound: `unknown-system`.
    """
    found = project.system(system)
    measured = measuring.kept(project, found)
    gains = importance.gains(project, system)
    users = uses(project, found)
    rows = [
        facts(feature, name)
        | {k: measured.get(name, {}).get(k) for k in ("coverage", "default_share", "us_per_1k")}
        | {"importance": gains.get(name) if gains else None, **users[name]}
        for feature in found.features
        for name in feature.names
    ]
    return pl.DataFrame(rows, schema=SCHEMA)


def facts(feature: Feature, name: str) -> dict[str, Any]:
    """What the declaration says about one column."""
    spans = windows(feature, name)
    return {
        "name": name,
        "kind": type(feature).__name__.lower(),
        "key": " × ".join(map(str, dict.fromkeys(feature.paths))) or ("request" if feature.type != "sequence" else ""),
        "window": ", ".join(short(w) for w in spans),
        "default": feature.default if feature.type == "numeric" else None,
        "ttl": short(feature.ttl) if feature.ttl is not None else None,
        "owner": feature.owner,
        "meaning": sentence(feature, name),
    }


def uses(project: "Project", system: System) -> dict[str, dict[str, list[str]]]:
    """Which systems declare each column of a system as it does, and which of their releases read it, newest first."""
    declared = {n: f.to_data() for f in system.features for n in f.names}
    found: dict[str, dict[str, list[str]]] = {n: {"systems": [], "releases": []} for n in declared}
    for other in project.systems.values():
        for name in {n for f in other.features for n in f.names if declared.get(n) == f.to_data()}:
            found[name]["systems"].append(other.name)
        for release in _releases(project, other.name):
            for name in {n for f in release.manifest.plan.get("features", ()) for n in f["names"]} & set(declared):
                found[name]["releases"].append(release.id)
    return found


def _releases(project: "Project", system: str) -> list[Any]:
    return list(project.registry.releases(system))
