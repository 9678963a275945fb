"""What features are worth to a release: the share of the loss that its trees take off by splitting on each."""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from winnow.models.artefact import META, Artefact
from winnow.models.base import load_scorer
from winnow.models.boosting import BoostingScorer, GradientBoosting

if TYPE_CHECKING:
    from winnow.project import Project
    from winnow.releases.release import Release


def release_of(project: "Project", system: str) -> "Release | None":
    """The release that serves, else the newest; None before the first."""
    ids = [project.registry.pointers(system).champion, *(r.id for r in project.registry.releases(system)[:1])]
    chosen = next(filter(None, ids), None)
    return project.registry.open(system, chosen, hashes=False) if chosen else None


def gains(project: "Project", system: str) -> dict[str, float]:
    """Column → share of the gain of all splits, averaged over the heads; the shares add up to 1.

    They are read from the gradient boosted trees of the release that serves, else the newest: from the first such
    model of its ranking ladder, or of a blend. Empty without a release, or when it has no trees. A column that the
    trees cannot read (a sequence, a category of many values) has no share.
    """
    release = release_of(project, system)
    folder = trees_of(release.folder) if release else None
    return of_trees(folder) if folder else {}


def trees_of(release: Path) -> Path | None:
    """The folder of a release's first gradient boosted trees."""
    folders = sorted((p.parent for p in (release / "ranking").rglob(META)), key=lambda p: (len(p.parts), p))
    return next((f for f in folders if Artefact.open(f).meta["model"] == GradientBoosting.__name__), None)


def of_trees(folder: Path) -> dict[str, float]:
    """As `gains`, of one fitted model."""
    scorer = load_scorer(folder, threads=1)
    assert isinstance(scorer, BoostingScorer)
    names = [*scorer.columns.numeric, *scorer.columns.categorical]
    shares = [b.feature_importance("gain") for b in scorer.boosters]
    whole = np.mean([s / s.sum() for s in shares if s.sum() > 0] or [np.zeros(len(names))], axis=0)
    return dict(zip(names, map(float, whole), strict=True))
