"""The loop's three moves: train a candidate, let the gate judge it against the champion, go back."""

from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

from winnow.continual import gate
from winnow.continual.derive import PARENT
from winnow.continual.gate import Verdict
from winnow.continual.poison import HOUR, OddHour, odd_hours
from winnow.core.declare import canonical, plain
from winnow.core.errors import Conflict, Problem
from winnow.core.system import System
from winnow.core.time import now_us
from winnow.evaluation import rankers
from winnow.evaluation.report import Record, pick
from winnow.releases.release import Release
from winnow.training import between, dataset, judge, likeness, proposed
from winnow.training import train as training
from winnow.training.album import sides
from winnow.training.dataset import Dataset
from winnow.training.fit import Progress, silent, wanted
from winnow.training.stores import Stores


@dataclass(frozen=True)
class Outcome:
    """A candidate and what the gate says about it."""

    records: list[Record]
    verdict: Verdict

    def to_data(self) -> dict[str, Any]:
        """JSON data."""
        return {"release": self.verdict.candidate, "verdict": plain(self.verdict), "evaluation": self.records}


def train(
    stores: Stores, system: System, *, source: str, seed: int = 0, threads: int = 2, promote: bool = False,
    progress: Progress = silent,
) -> Outcome:  # fmt: skip
    """Train a candidate and judge it; the first release of a system serves at once.

    Args:
        stores: the project.
        system: the declaration.
        source: text of its file.
        seed: of every random choice.
        threads: CPU threads.
        promote: let it serve if the gate passes.
        progress: called with (what, done, total).
    """
    trained = training.train(stores, system, source=source, seed=seed, threads=threads, progress=progress)
    verdict = compare(stores, system, trained.release, data=trained.data, threads=threads)
    return Outcome(trained.records, act_on(stores, system, verdict, promote))


def promote(stores: Stores, system: System, release: str | None = None, *, force: bool = False) -> Verdict:
    """Let a release serve if the gate passes, or whatever it says with `force`; the newest when none is named.

    Raises:
        NotFound: `unknown-release`, `no-release`.
    """
    candidate = stores.registry.open(system.name, release or stores.registry.newest(system.name))
    verdict = compare(stores, declared(candidate), candidate)
    return _act(stores, system, verdict) if verdict.passed or force else verdict


def compare(
    stores: Stores, system: System, candidate: Release, *, data: Dataset | None = None, threads: int = 2
) -> Verdict:
    """Candidate against champion on the newest held-out window: the test part of the candidate.

    Each is scored with its own features, on the same impressions.
    """
    champion = stores.registry.pointers(system.name).champion
    if champion is None or champion == candidate.id:
        return gate.first(candidate.id)
    data = data or _held_out(stores, system, candidate)
    old = stores.registry.open(system.name, champion)
    compared = _rankings if system.ranking is not None else _found
    differences = pick(compared(stores, candidate, old, data=data, threads=threads), slice="all")
    since, as_of = old.manifest.window.to_us, candidate.manifest.created_at
    found = odd_labels(stores, system, since=since, as_of=as_of) if system.pipeline.ranks else []
    odd = [f"odd labels: {hour.text()}" for hour in found]
    return gate.decide(candidate.id, champion, differences, system.retrain.promote_if, doubts=odd)


def odd_labels(stores: Stores, system: System, *, since: int, as_of: int) -> list[OddHour]:
    """Hours from a moment on whose final labels stand out among all hours of the log, microseconds UTC.

    What the champion has learned is past mending by the gate; what it has not, neither teaches nor judges a candidate.
    """
    rows = dataset.labelled(system, stores.history, as_of)
    rows = rows.filter(rows["state"] == "final")
    labels = {head: rows[head].to_numpy() for head in system.labels.heads}
    return [odd for odd in odd_hours(rows["at"].to_numpy(), labels) if odd.at + HOUR > since]


def _rankings(stores: Stores, candidate: Release, old: Release, *, data: Dataset, threads: int) -> list[Record]:
    """What orders the lists, on the same impressions."""
    if not _serves(old, "ranking"):
        return []
    theirs = data if _same_plan(old, candidate) else _held_out(stores, declared(old), candidate)
    pair = [_serving_rung(r, d, threads) for r, d in ((candidate, data), (old, theirs))]
    return rankers.compare(pair[0], pair[1], judge.held_out(data))


def _found(stores: Stores, candidate: Release, old: Release, *, data: Dataset, threads: int) -> list[Record]:
    """What finds, where nothing else orders: items by items on the same questions, or pictures."""
    new, before = (r.folder / "retrieval" / str(_serves(r, "retrieval")) for r in (candidate, old))
    if not (between.answers(new) and between.answers(before)):
        return _likeness(stores, candidate, old, data=data, threads=threads)
    asked = between.questions(declared(candidate), data.journeys, wanted(data.test))
    return between.compare(new, before, asked)


def _likeness(stores: Stores, candidate: Release, old: Release, *, data: Dataset, threads: int) -> list[Record]:
    """What finds pictures, where nothing else orders them, on the same queries."""
    names = [_serves(release, "retrieval") for release in (candidate, old)]
    if data.album is None or not all(names) or not sides(declared(old)):
        return []
    new, before = (r.folder / "retrieval" / str(n) for r, n in zip((candidate, old), names, strict=True))
    asked = likeness.questions(declared(candidate), data.album, wanted(data.test))
    return likeness.compare(new, before, asked, data.album, threads=threads)


def _serves(release: Release, ladder: str) -> str | None:
    """Name of the model of a ladder that serves."""
    return release.manifest.models["serving"].get(ladder)  # type: ignore[no-any-return]


def declared(release: Release) -> System:
    """The system that a release carries."""
    system = release.system()
    if system is None:
        fix = "train again: releases made by `winnow train` carry their system file"
        raise Conflict(Problem("no-declaration", f"release {release.id} carries no system file", fix=fix))
    return system


def _held_out(stores: Stores, system: System, candidate: Release) -> Dataset:
    stores.history.sync(stores.log)
    split = training.split_of(candidate)
    if PARENT in candidate.manifest.models:  # cut within hours; only its test part is looked at
        split = replace(split, embargo=timedelta(0))
    data = dataset.build(stores, system, as_of=candidate.manifest.created_at, split=split)
    proposed.fill(stores, system, data, candidate.folder)
    return data


def _same_plan(one: Release, other: Release) -> bool:
    return canonical(one.manifest.plan) == canonical(other.manifest.plan)


def _serving_rung(release: Release, data: Dataset, threads: int) -> rankers.Rung:
    name = str(release.manifest.models["serving"]["ranking"])
    rung, _, _ = name.partition("-")
    return judge.predict(rung, release.folder / "ranking" / name, data, threads=threads)


def act_on(stores: Stores, system: System, verdict: Verdict, promote: bool) -> Verdict:
    """Lets a candidate serve if the gate passed it and it is wished, or nothing serves yet."""
    wished = promote or verdict.champion is None
    return _act(stores, system, verdict) if verdict.passed and wished else verdict


def _act(stores: Stores, system: System, verdict: Verdict) -> Verdict:
    """Move the pointer, unless somebody else moved it since the verdict."""
    stores.registry.promote(
        system.name, verdict.candidate, at=now_us(), who="gate", why=verdict.why, expected=verdict.champion
    )
    return verdict.serving()
