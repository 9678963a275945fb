"""Calibration on its own cadence: the champion's networks and trees stay, what turns scores into chances is new."""

from datetime import timedelta
from pathlib import Path

from winnow.continual import run
from winnow.continual.derive import derived
from winnow.continual.gate import Verdict
from winnow.continual.recent import Recent, newest
from winnow.core.errors import Conflict, Problem
from winnow.core.system import System
from winnow.core.time import now_us
from winnow.models.base import load_scorer
from winnow.models.calibration import FILE, Calibration
from winnow.models.segments import FILE as SEGMENTS
from winnow.releases.release import Release
from winnow.training.stores import Stores

JUDGED = 0.3


def calibrate(
    stores: Stores, system: System, *, last: timedelta = timedelta(days=1), promote: bool = False,
    as_of: int | None = None, threads: int = 1,
) -> Verdict:  # fmt: skip
    """Fits the calibration of the model that serves again, on the newest rows; the gate judges it on newer ones still.

    Args:
        stores: the project.
        system: the declaration; the one that the champion carries counts.
        last: how far back the rows go.
        promote: let it serve if the gate passes.
        as_of: labels that are not final at this moment are left out, microseconds UTC; now when left out.
        threads: CPU threads.

    Raises:
        InputError: `too-few-rows`.
        Conflict: `no-calibration` for a system that ranks with no model or declares no calibration.
    """
    stores.history.sync(stores.log)
    champion = stores.registry.open(system.name)
    own = run.declared(champion)
    if own.ranking is None or own.ranking.calibrate is None:
        what = f"`{system.name}` declares no calibration"
        raise Conflict(Problem("no-calibration", what, fix="declare `Ladder(calibrate=...)` and train"))
    recent = newest(stores, own, champion, last=last, judged=JUDGED, as_of=as_of or now_us())
    name = str(champion.manifest.models["serving"]["ranking"])
    made = fitted(own, champion.folder / "ranking" / name, recent, threads=threads)
    release = _release(stores, champion, made, name=name, recent=recent)
    return run.act_on(stores, system, run.compare(stores, own, release, data=recent.data, threads=threads), promote)


def fitted(system: System, folder: Path, recent: Recent, *, threads: int = 1) -> Calibration:
    """The declared calibration of a fitted ranker, learned from recent rows."""
    rows, scorer, types = recent.data.train, load_scorer(folder, threads=threads), system.labels.types()
    heads = {head: types[head] for head in scorer.heads}
    method = system.ranking.calibrate if system.ranking else None
    raw = scorer.score(rows.features)
    return Calibration.fit(method, raw, rows.labels, types=heads, features=rows.features)  # type: ignore[arg-type]


def _release(stores: Stores, champion: Release, made: Calibration, *, name: str, recent: Recent) -> Release:
    place = f"ranking/{name}"
    return derived(
        stores.registry, champion, lambda folder: made.save(folder / place),
        without=(f"{place}/{FILE}", f"{place}/{SEGMENTS}"), models={"split": recent.split},
    )  # fmt: skip
