"""Scores every rung of a trained ladder on the held-out part, rankers on impressions and retrievers on the corpus."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from winnow.core.system import System
from winnow.evaluation import rankers, retrievers, slices
from winnow.evaluation.lists import Relevant
from winnow.evaluation.rankers import HeldOut, Rung
from winnow.evaluation.report import Record
from winnow.evaluation.retrievers import Queries, Retrieved
from winnow.models.base import Retriever, load_query_encoder, load_scorer
from winnow.models.calibration import Calibration
from winnow.models.content import load_content_scorer
from winnow.models.examples import Examples
from winnow.models.item_retrieval import ItemRetriever
from winnow.models.picture_retrieval import PictureRetriever
from winnow.retrieval.index import padded, scan
from winnow.training import between, likeness, replaying
from winnow.training.dataset import Dataset
from winnow.training.fit import names, user_side, wanted

Fitted = tuple[str, str, Path]  # rung, model, folder
FOUND = 100  # places of a retrieved list that count


def evaluate(system: System, data: Dataset, folder: Path, *, threads: int) -> list[Record]:
    """Every rung on the test part, with intervals and slices.

    Args:
        system: the declaration.
        data: the dataset that the models were trained on.
        folder: with `ranking/` and `retrieval/`.
        threads: CPU threads.
    """
    found = _retrievers(system, data, folder, threads) if system.retrieval else []
    return found + _rankers(system, data, folder, threads)


def _rankers(system: System, data: Dataset, folder: Path, threads: int) -> list[Record]:
    if system.ranking is None:
        return []
    rungs = [predict(rung, folder / "ranking" / name, data, threads=threads) for rung, name, _ in names(system.ranking)]
    records = rankers.evaluate(rungs, held_out(data))
    if not data.test.shown.all():
        places = zip(rungs, names(system.ranking), strict=True)
        fitted = [(rung.name, rung.model, folder / "ranking" / name) for rung, (_, name, _) in places]
        records += replaying.rankers(system, data, fitted, threads=threads)
    return records


def predict(rung: str, folder: Path, data: Dataset, *, threads: int) -> Rung:
    """Calibrated predictions of one fitted ranker on the test part."""
    model = folder.name.removeprefix(f"{rung}-")
    if "test" in data.posts:
        judge = load_content_scorer(folder, threads=threads)
        return Rung(rung, model, judge.heads, judge.score(data.posts["test"].content))
    scorer, calibration = load_scorer(folder, threads=threads), Calibration.open(folder)
    raw = scorer.score(data.test.features)
    predicted = calibration.apply(raw, scorer.heads, data.test.features) if calibration else raw
    return Rung(rung, model, scorer.heads, predicted)


def held_out(data: Dataset) -> HeldOut:
    """The test part, with its slices: its impressions, or where there are none its choices and their alternatives."""
    test, train = data.test, data.train
    left_out = ~test.shown & test.shown.any()
    parts = slices.standard(test.user, test.item, trained_users=train.user, trained_items=train.item)
    labels = {head: np.where(left_out, np.nan, y.astype(np.float64)) for head, y in test.labels.items()}
    return HeldOut(labels, test.user, data.base_rates(), parts, test.weight)


def _retrievers(system: System, data: Dataset, folder: Path, threads: int) -> list[Record]:
    """Those that look at pictures by likeness, those that answer items with items by what was chosen in the end, those
    that read features by what people wanted."""
    asked, looking, items, reading = wanted(data.test), list[Fitted](), list[Fitted](), list[tuple[Fitted, Retriever]]()
    for rung, name, model in names(system.retrieval):
        one = (rung, name.removeprefix(f"{rung}-"), folder / "retrieval" / name)
        if isinstance(model, PictureRetriever | ItemRetriever):
            (looking if isinstance(model, PictureRetriever) else items).append(one)
        else:
            reading.append((one, model))
    records = []
    if looking and data.album is not None:
        questions = likeness.questions(system, data.album, asked)
        records += likeness.evaluate(looking, questions, data.album, threads=threads)
    if items:
        records += between.evaluate(items, between.questions(system, data.journeys, asked))
    if reading and data.lives is not None:
        fitted = [one for one, _ in reading]
        records += replaying.retrievers(system, data, fitted, user_side(system, data, asked), threads=threads)
    elif reading:
        lists = [_listed(one, user_side(system, data, asked, model=model), threads) for one, model in reading]
        records += retrievers.evaluate(lists, _queries(data, asked), recall_k=FOUND)
    return records


def _listed(fitted: Fitted, rows: Examples, threads: int) -> Retrieved:
    rung, model, place = fitted
    return Retrieved(rung, model, found(place, rows, threads=threads))


def _queries(data: Dataset, rows: Examples) -> Queries:
    """One query per wanted impression: which item it was, asked as of its moment."""
    train = data.train
    corpus = int(max(data.catalogue.rows.max(initial=-1), rows.item.max(initial=-1))) + 1
    seen = np.bincount(train.item, minlength=corpus)
    return Queries(
        Relevant.pairs(np.arange(len(rows)), rows.item, len(rows)),
        rows.user,
        {"new user": ~np.isin(rows.user, train.user)},
        {"new item": seen == 0},
    )


def found(folder: Path, rows: Examples, *, threads: int) -> NDArray[np.int64]:
    """The first places over the whole corpus by exact search, int64 [Q, FOUND]."""
    encode = load_query_encoder(folder, threads=threads)
    vectors, items = np.load(folder / "item_vectors.npy"), np.load(folder / "item_rows.npy")
    lists = [np.empty((0, FOUND), np.int64)]
    for start in range(0, len(rows), 4096):
        places, scores = scan(vectors, encode(rows.features.take(slice(start, start + 4096))), min(FOUND, len(items)))
        lists.append(padded(items[places], scores, FOUND).rows)
    return np.concatenate(lists)
