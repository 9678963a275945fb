"""One run of training: from the log to a registered release, resumable after a kill at any moment."""

from dataclasses import dataclass
from functools import partial
from pathlib import Path

from winnow.core.system import System
from winnow.core.time import now_us
from winnow.data.split import TimeSplit
from winnow.evaluation import report
from winnow.evaluation.report import Record
from winnow.releases import release as releases
from winnow.releases.release import Release
from winnow.training import dataset, judge, proposed
from winnow.training.assemble import assemble
from winnow.training.dataset import Dataset
from winnow.training.fit import Progress, fit_ladders, silent
from winnow.training.job import opened
from winnow.training.stores import Stores


@dataclass(frozen=True)
class Trained:
    """What a run left.

    Args:
        release: registered, serving nothing yet.
        records: its evaluation on the test part.
        data: what it learned from.
    """

    release: Release
    records: list[Record]
    data: Dataset


def train(
    stores: Stores, system: System, *, source: str, seed: int = 0, threads: int = 2, progress: Progress = silent
) -> Trained:
    """Train both ladders, evaluate every rung and register a release.

    Args:
        stores: the project.
        system: the declaration.
        source: text of its file.
        seed: of every random choice.
        threads: CPU threads.
        progress: called with (what, done, total).

    Raises:
        InputError: `too-few-rows`, and what models raise.
    """
    releases.sweep(stores.registry.root)
    stores.history.sync(stores.log)
    seq = stores.history.seq()
    facts = {"declaration": system.hash, "seq": seq, "seed": seed}
    with opened(stores.folder / "jobs" / system.name, facts, now=now_us()) as job:
        progress("features as of every impression", 0, None)
        data = dataset.build(stores, system, as_of=job.as_of)
        progress("features as of every impression", 1, 1)
        asked_again = partial(proposed.fill, stores, system, data, job.folder, threads=threads)
        fit_ladders(system, data, job, seed=seed, threads=threads, progress=progress, retrieved=asked_again)
        progress("evaluation on the test part", 0, None)
        records = judge.evaluate(system, data, job.folder, threads=threads)
        progress("evaluation on the test part", 1, 1)
        release = assemble(stores, system, data, job=job, records=records, seq=seq, source=source)
        stores.registry.register(release, at=now_us())
        report.save(records, evaluation_file(stores, release))
        job.finish()
    return Trained(release, records, data)


def evaluation_file(stores: Stores, release: Release) -> Path:
    """Where the newest evaluation of a release is kept, beside it."""
    return stores.folder / "evaluations" / release.manifest.system / f"{release.id}.json"


def evaluate(stores: Stores, system: System, release: Release, *, threads: int = 2) -> list[Record]:
    """Score every rung of a release again on the part that was held out from it, and save that beside it.

    Args:
        stores: the project.
        system: the declaration that the release carries.
        release: from the registry.
        threads: CPU threads.
    """
    stores.history.sync(stores.log)
    facts = release.manifest
    data = dataset.build(stores, system, as_of=facts.created_at, split=split_of(release))
    proposed.fill(stores, system, data, release.folder, threads=threads)
    records = judge.evaluate(system, data, release.folder, threads=threads)
    report.save(records, evaluation_file(stores, release))
    return records


def split_of(release: Release) -> TimeSplit:
    """Where the log was cut for a release."""
    return TimeSplit(**release.manifest.models["split"])
