"""Training in minutes: the champion's network goes on, learning what is new beside a sample of what is old."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np

from winnow.continual import gate, run
from winnow.continual.derive import derived
from winnow.continual.gate import Verdict
from winnow.continual.recent import Recent, between, newest
from winnow.core.errors import Conflict, Problem
from winnow.core.system import System
from winnow.core.time import now_us, to_us
from winnow.evaluation import rankers
from winnow.evaluation.rankers import HeldOut
from winnow.evaluation.report import Record, pick
from winnow.models.base import load_scorer
from winnow.models.calibration import FILE, Calibration
from winnow.models.examples import Examples
from winnow.models.segments import FILE as SEGMENTS
from winnow.releases.release import Release
from winnow.training.fit import names
from winnow.training.stores import Stores

JUDGED = 0.3


class Going(Protocol):
    """A fitted network that takes new rows, as `models.networks.online.Learner` does."""

    def learn(self, rows: Examples, replay: Examples | None = None, *, passes: int = 1) -> float: ...
    def write(self, folder: Path) -> object: ...


@runtime_checkable
class Resumable(Protocol):
    """A model whose fitted files can go on learning: `StreamDCN` is one."""

    def resume(self, folder: Path, *, seed: int = 0) -> Going: ...


@dataclass(frozen=True)
class Options:
    """How the champion goes on.

    Args:
        last: how far back new rows go at most.
        old: how far before them old rows are drawn from.
        replayed: old rows learned again beside each new one.
        golden: most old rows, others than those, on which forgetting is measured.
        passes: over the new and the replayed rows.
        forget: metric → how much worse it may be on the golden rows.
    """

    last: timedelta = timedelta(days=1)
    old: timedelta = timedelta(days=7)
    replayed: float = 1.0
    golden: int = 5_000
    passes: int = 1
    forget: Mapping[str, float] = field(default_factory=lambda: {"auc": 0.02})


def update(
    stores: Stores, system: System, *, options: Options | None = None, seed: int = 0, promote: bool = False,
    as_of: int | None = None,
) -> Verdict:  # fmt: skip
    """Makes a release in which the serving network has learned what came since; the gate judges it on newer rows still.

    Everything but that network is the champion's. Its next update begins where this one ended.

    Args:
        stores: the project.
        system: the declaration; the one that the champion carries counts.
        options: how.
        seed: of the choice of old rows and of the order of rows.
        promote: let it serve if the gate passes.
        as_of: labels that are not final at this moment are left out, microseconds UTC; now when left out.

    Raises:
        InputError: `too-few-rows`.
        Conflict: `not-online` when the model that serves is no `StreamDCN`.
    """
    options, moment = options or Options(), as_of or now_us()
    stores.history.sync(stores.log)
    champion = stores.registry.open(system.name)
    own = run.declared(champion)
    name, model = _network(own, champion)
    recent = newest(stores, own, champion, last=options.last, judged=JUDGED, as_of=moment)
    replay, golden = _old(stores, own, recent, options=options, seed=seed, as_of=moment)
    release = _release(stores, champion, (name, model), recent=recent, replay=replay, passes=options.passes, seed=seed)
    verdict = run.compare(stores, own, release, data=recent.data)
    if len(golden):
        lost = differences(release.folder / "ranking" / name, champion.folder / "ranking" / name, golden)
        verdict = gate.doubted(verdict, gate.forgotten(lost, options.forget))
    return run.act_on(stores, system, verdict, promote)


def differences(new: Path, old: Path, rows: Examples) -> list[Record]:
    """Metrics of one fitted ranker less those of another, on the same rows."""
    rungs = []
    for folder in (new, old):
        scorer, calibration = load_scorer(folder), Calibration.open(folder)
        raw = scorer.score(rows.features)
        p = calibration.apply(raw, scorer.heads, rows.features) if calibration else raw
        rungs.append(rankers.Rung("golden", folder.name, scorer.heads, p))
    labels = {head: y.astype(np.float64) for head, y in rows.labels.items()}
    rates = {head: float(np.nanmean(y)) for head, y in labels.items()}
    return pick(rankers.compare(rungs[0], rungs[1], HeldOut(labels, rows.user, rates)), slice="all")


def _network(system: System, champion: Release) -> tuple[str, Resumable]:
    """Name and declaration of the model that serves."""
    serving = str(champion.manifest.models["serving"].get("ranking"))
    for _, name, model in names(system.ranking):
        if name == serving and isinstance(model, Resumable):
            return name, model
    what = f"`{serving}` of release {champion.id} does not go on learning"
    raise Conflict(Problem("not-online", what, fix="let a StreamDCN serve, or run `winnow train`"))


def _old(
    stores: Stores, system: System, recent: Recent, *, options: Options, seed: int, as_of: int
) -> tuple[Examples, Examples]:
    """Old rows to learn again, and others to see what has been forgotten."""
    begin, new = recent.split["train_from"] - to_us(options.old), np.unique(recent.data.train.at)
    if not ((recent.at >= begin) & (recent.at < new[0])).any():
        nothing = recent.data.train.take(slice(0, 0))
        return nothing, nothing
    rows = between(stores, system, (begin, int(new[0]), int(new[1]) + 1), as_of=as_of).train
    order = np.random.default_rng([seed, 17]).permutation(len(rows))
    count = min(int(options.replayed * len(recent.data.train)), len(rows) // 2)
    return rows.take(np.sort(order[:count])), rows.take(np.sort(order[count : count + options.golden]))


def _release(
    stores: Stores, champion: Release, network: tuple[str, Resumable], *, recent: Recent, replay: Examples,
    passes: int, seed: int,
) -> Release:  # fmt: skip
    name, model = network
    place = f"ranking/{name}"
    learner = model.resume(champion.folder / place, seed=seed)
    learner.learn(recent.data.train, replay, passes=passes)
    own = [f for f in champion.manifest.files if f.startswith(f"{place}/")]
    gone = tuple(f for f in own if not f.endswith((FILE, SEGMENTS)))
    window = champion.manifest.window
    reached = replace(window, to_us=recent.learned, to_seq=stores.history.seq())

    def write(folder: Path) -> None:
        learner.write(folder / place)

    return derived(stores.registry, champion, write, without=gone, models={"split": recent.split}, window=reached)
