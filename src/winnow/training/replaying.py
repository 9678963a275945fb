"""Judges rungs by replay: each held-out choice against everything that was alive at its moment.

Q choices, P pairs of a choice and an item alive then.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from winnow.core.system import System
from winnow.core.time import to_us
from winnow.evaluation import replay
from winnow.evaluation.replay import Asked, Scored
from winnow.evaluation.report import Record
from winnow.features.batch import FeatureBatch, Floats
from winnow.features.state import KNOWN_AT
from winnow.features.view import Moments
from winnow.models.base import load_item_encoder, load_query_encoder, load_scorer
from winnow.models.examples import Examples
from winnow.training.dataset import Dataset

Ints = NDArray[np.int64]
MOST_PAIRS = 2_000_000  # scored at most; of more choices as many are taken as fit
_AT_ONCE = 65_536  # pairs whose features are in memory at once
Fitted = tuple[str, str, Path]  # rung, model, folder


@dataclass(frozen=True, eq=False)
class Replay:
    """Choices as rows of the test part, and their pairs.

    Args:
        rows: the rows that were chosen, Q of them.
        asked: what could be chosen.
    """

    rows: Examples
    asked: Asked

    @property
    def at(self) -> Ints:
        """The moment of each pair, int64 [P]."""
        return self.rows.at[self.asked.query]


def replayed(system: System, data: Dataset, rows: Examples) -> Replay:
    """What could be chosen at each of some rows: what was alive and the user had not chosen before.

    Right is what the user chose from that moment on within the label window; of impressions what was shown.

    Args:
        system: the declaration.
        data: with `lives`.
        rows: rows with a good outcome.
    """
    assert data.lives is not None
    rows = rows.take(data.lives.holds(rows.item, rows.at))
    query, item = _pairs(data, rows)
    rows, query, item = _fitting(rows, query, item)
    relevant = item == rows.item[query]
    if data.chosen is not None:
        user, at = rows.user[query], rows.at[query]
        kept = relevant | ~data.chosen.until(user, item, at)
        query, item, relevant, user, at = (a[kept] for a in (query, item, relevant, user, at))
        relevant |= data.chosen.until(user, item, at + to_us(system.labels.within))
    slices = {"new user": ~np.isin(rows.user, data.train.user), "new item": ~np.isin(rows.item, data.train.item)}
    return Replay(rows, Asked(query, item, relevant, rows.user, {n: m for n, m in slices.items() if m.any()}))


def _pairs(data: Dataset, rows: Examples) -> tuple[Ints, Ints]:
    """Row and item of everything alive at the moment of each row, by row and item."""
    assert data.lives is not None
    query, item = [np.empty(0, np.int64)], [np.empty(0, np.int64)]
    for places, near in data.lives.parts(rows.at):
        line, column = np.nonzero(near.mask(rows.at[places]))
        query.append(places[line])
        item.append(near.row[column])
    one, two = np.concatenate(query), np.concatenate(item)
    order = np.lexsort((two, one))
    return one[order], two[order]


def _fitting(rows: Examples, query: Ints, item: Ints) -> tuple[Examples, Ints, Ints]:
    """As many rows, drawn at random, as have no more than `MOST_PAIRS` pairs together."""
    sizes = np.bincount(query, minlength=len(rows))
    drawn = np.random.default_rng(0).permutation(len(rows))
    kept = np.sort(drawn[np.cumsum(sizes[drawn]) <= MOST_PAIRS])
    place = np.full(len(rows), -1)
    place[kept] = np.arange(len(kept))
    inside = place[query] >= 0
    return rows.take(kept), place[query[inside]], item[inside]


def rankers(system: System, data: Dataset, rungs: list[Fitted], *, threads: int) -> list[Record]:
    """Metrics of ranking rungs over the choices of the test part.

    A rung's value of a pair is its prediction of the head that counts choices.

    Args:
        system: with `labels.against`.
        data: what the rungs were trained on.
        rungs: the fitted models.
        threads: CPU threads.
    """
    head = next(name for name, h in system.labels.heads.items() if h.events.name == system.labels.against.of.name)
    test = data.test
    found = replayed(system, data, test.take(~test.shown & (test.labels[head] > 0)))
    scorers = [(rung, name, load_scorer(folder, threads=threads)) for rung, name, folder in rungs]
    able = [(rung, name, scorer) for rung, name, scorer in scorers if head in scorer.heads]

    def score(batch: FeatureBatch) -> Floats:
        return np.stack([s.score(batch)[:, s.heads.index(head)] for _, _, s in able], axis=1)

    if not able or not len(found.rows):
        return []
    columns = over(system, data, found, score)
    scored = [Scored(rung, name, columns[:, i], head) for i, (rung, name, _) in enumerate(able)]
    return replay.evaluate(scored, found.asked, stage="ranking")


def over(system: System, data: Dataset, found: Replay, score: Callable[[FeatureBatch], Floats]) -> Floats:
    """What a function of features gives every pair, with features as of the moment of its choice: float32 [P, ...]."""
    labels, parts = system.labels, []
    for start in range(0, len(found.asked.item), _AT_ONCE):
        some = slice(start, start + _AT_ONCE)
        refs = {labels.user_role: found.rows.user[found.asked.query[some]], labels.item_role: found.asked.item[some]}
        parts.append(score(data.plan.compute(Moments(found.at[some], refs), data.state)))
    return np.concatenate(parts)


def retrievers(system: System, data: Dataset, rungs: list[Fitted], rows: Examples, *, threads: int) -> list[Record]:
    """Metrics of retrieval rungs over what was alive at the moment of each row.

    Args:
        system: the declaration.
        data: what the rungs were trained on.
        rungs: the fitted models.
        rows: rows of the test part with a good outcome, with the features of the user and the request.
        threads: CPU threads.
    """
    found = replayed(system, data, rows)
    if not len(found.rows):
        return []
    scored = [
        Scored(rung, name, products(system, data, found, folder, threads=threads)) for rung, name, folder in rungs
    ]
    return replay.evaluate(scored, found.asked, stage="retrieval")


def products(system: System, data: Dataset, found: Replay, folder: Path, *, threads: int) -> Floats:
    """The inner product of each pair, float32 [P]: of the user as of the moment, and the item as the table had it then.

    Args:
        system: the declaration.
        data: what the model was trained on.
        found: the pairs, of rows with the features of the user and the request.
        folder: of the fitted retriever.
        threads: CPU threads.
    """
    users = load_query_encoder(folder, threads=threads)(found.rows.features)
    encode, role, item = load_item_encoder(folder, threads=threads), system.labels.item_role, system.labels.item
    known = data.state.column(item, KNOWN_AT, found.asked.item, found.at)
    versions, place = np.unique(np.stack([found.asked.item, known], axis=1), axis=0, return_inverse=True)
    # A version is encoded as of the moment after it became known: what the index does with changed rows.
    rows, at = np.ascontiguousarray(versions.T)
    vectors = encode(data.plan.side(role, static=True).compute(Moments(at + 1, {role: rows}), data.state), rows)
    return np.asarray(np.einsum("pd,pd->p", users[found.asked.query], vectors[place.ravel()]))
