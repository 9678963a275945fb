"""Fits every model of a system's two ladders, and calibrates the rankers on the part that tuned them."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from winnow.core.system import Ladder, System
from winnow.core.time import parse_time
from winnow.features.plan import REQUEST, Plan
from winnow.features.view import Moments
from winnow.models.base import Ranker, Retriever, Run, load_scorer
from winnow.models.blend import Blend, part_name
from winnow.models.calibration import Calibration
from winnow.models.content import ContentModel
from winnow.models.examples import Catalogue, Examples
from winnow.models.item_retrieval import ItemRetriever
from winnow.models.picture_retrieval import PictureRetriever
from winnow.models.sessions import nothing
from winnow.training.dataset import Dataset, catalogue_features, positive
from winnow.training.job import Job, copy_files
from winnow.training.likeness import embed

Progress = Callable[[str, float, float | None], None]
Runs = Callable[[Path], Run]


def silent(what: str, done: float, total: float | None) -> None:
    """Progress that nobody watches."""


def names(ladder: Ladder | None) -> Iterator[tuple[str, str, Any]]:
    """Rung, `<rung>-<Model>` and declaration of every model, lowest first; a repeated model gets a number."""
    for rung, models in (ladder.rungs if ladder else {}).items():
        seen: dict[str, int] = {}
        for model in models:
            kind = type(model).__name__
            seen[kind] = seen.get(kind, 0) + 1
            yield rung, f"{rung}-{kind}" + (f"-{seen[kind]}" if seen[kind] > 1 else ""), model


def serving(ladder: Ladder | None) -> str | None:
    """Name of the model that serves."""
    return next((name for rung, name, _ in names(ladder) if ladder and rung == ladder.serve), None)


def fit_ladders(
    system: System, data: Dataset, job: Job, *, seed: int, threads: int, progress: Progress,
    retrieved: Callable[[], None] = lambda: None,
) -> None:  # fmt: skip
    """Fit what is not fitted yet; files go to `job`'s `retrieval/` and `ranking/`.

    Args:
        system: the declaration.
        data: what to learn from.
        job: what is done is not done again.
        seed: of every random choice.
        threads: CPU threads.
        progress: called with (what, done, total).
        retrieved: called between the two ladders: rankers may read what the retrievers find.
    """

    def run(folder: Path) -> Run:
        def told(what: str, share: float) -> None:
            progress(f"{folder.name}: {what}", round(100 * share), 100)

        return Run(folder, seed, threads, told, types=system.labels.types())

    for _, name, model in names(system.retrieval):
        kinds: dict[type, Any] = {PictureRetriever: _looking, ItemRetriever: _between}
        fit = next((of for kind, of in kinds.items() if isinstance(model, kind)), _retriever)
        job.step(f"retrieval/{name}", partial(fit, system, data, model, run=run))
    retrieved()
    rankers = sorted(names(system.ranking), key=lambda named: isinstance(named[2], Blend))  # blends after their members
    for _, name, model in rankers:
        fitted = {m: job.folder / "ranking" / n for _, n, m in rankers if not isinstance(m, Blend)}
        teach = _judge if isinstance(model, ContentModel) else partial(_ranker, fitted=fitted)
        job.step(f"ranking/{name}", partial(teach, system, data, model, run=run))


def _retriever(system: System, data: Dataset, model: Retriever, folder: Path, *, run: Runs) -> None:
    train, valid = (user_side(system, data, wanted(part), model=model) for part in (data.train, data.valid))
    model.fit(train, valid, _catalogue(system, data, model), run(folder))


def _catalogue(system: System, data: Dataset, model: Retriever) -> Catalogue:
    """The items, with the features that a retriever reads."""
    if not model.reads:
        return data.catalogue
    plan, at = Plan.of(model.reads, system.labels), parse_time(data.split.train_until)
    features = catalogue_features(plan, system.labels.item_role, data.catalogue.rows, state=data.state, at=at)
    return replace(data.catalogue, features=features)


def _between(system: System, data: Dataset, model: ItemRetriever, folder: Path, *, run: Runs) -> None:
    """Fits a retriever that answers items with items."""
    train, valid = (data.journeys.get(part, nothing()) for part in ("train", "valid"))
    model.learn(train, valid, data.catalogue, run(folder))


def _looking(system: System, data: Dataset, model: PictureRetriever, folder: Path, *, run: Runs) -> None:
    """Fits a retriever of pictures, and encodes all there are."""
    album = data.album
    assert album is not None  # the dataset of such a ladder has one
    model.fit(album.part("train", model.side), album.part("valid", model.side), run(folder))
    embed(folder, album, threads=run(folder).threads)


def _ranker(
    system: System, data: Dataset, model: Ranker, folder: Path, *, run: Runs, fitted: Mapping[Ranker, Path]
) -> None:
    for place, member in enumerate(model.members if isinstance(model, Blend) else ()):
        if member in fitted and not (part := folder / part_name(place, member)).exists():
            copy_files(fitted[member], part)  # fitted in this ladder: same rows, same seed, same bytes
    model.fit(data.train, data.valid, run(folder))
    if system.ranking is None or system.ranking.calibrate is None:
        return
    scorer, types = load_scorer(folder, threads=run(folder).threads), system.labels.types()
    valid = data.valid.take(data.valid.shown)  # how many alternatives a choice has is made up
    if not len(valid):
        return
    raw = scorer.score(valid.features)
    heads = {head: types[head] for head in scorer.heads}
    Calibration.fit(system.ranking.calibrate, raw, valid.labels, types=heads, features=valid.features).save(folder)


def _judge(system: System, data: Dataset, model: ContentModel, folder: Path, *, run: Runs) -> None:
    """Fits a model of content, which calibrates itself; heads that nobody has labelled yet are left out."""
    known = tuple(h for h in model.heads or system.labels.heads if not np.isnan(data.train.labels[h]).all())
    model = replace(model, heads=known, groups=tuple(g for g in model.groups if set(g) <= set(known)))
    model.fit(data.posts["train"], data.posts["valid"], run(folder))


def wanted(rows: Examples) -> Examples:
    """The impressions that led to something good: what retrieval should have found."""
    return rows.take(positive(rows))


def user_side(system: System, data: Dataset, rows: Examples, *, model: Retriever | None = None) -> Examples:
    """The same rows with the features of the user and the request only: the system's, or those a model brings along."""
    labels = system.labels
    if model is None or not model.reads:
        side = data.plan.side(labels.user_role, REQUEST)
        return replace(rows, features=rows.features.only(side.names))
    side = Plan.of(model.reads, labels).side(labels.user_role, REQUEST)
    return replace(rows, features=side.compute(Moments(rows.at, {labels.user_role: rows.user}), data.state))
