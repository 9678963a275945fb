"""Rankers that fuse the lists of several sources: by place, and by calibrated score.

Both read the features that say what sources made of a candidate (`rank_of`, `score_of`), and so work in any system with
several sources; a model that reads other features as well goes above them in the ladder.

N rows, S sources, H heads.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from winnow.core.errors import InputError, Problem, did_you_mean
from winnow.features.batch import FeatureBatch, Floats
from winnow.features.proposed import proposed_name
from winnow.models.artefact import Artefact
from winnow.models.base import Ranker, Run, Scorer, chosen_heads
from winnow.models.examples import Examples
from winnow.models.segments import sigmoid

Values = NDArray[np.float64]
_STEPS, _RIDGE = 50, 1e-3
_FEW = 20  # labels of the rarer kind below which scores are only put in order, not calibrated


@dataclass(frozen=True)
class Fusion(Ranker):
    """A ranker of what sources said.

    Args:
        of: names of the sources.
        heads: what it stands for; empty for the first head of the examples.
    """

    of: tuple[str, ...]
    heads: tuple[str, ...] = field(default=(), kw_only=True)

    def reads(self) -> tuple[str, ...]:
        """The features that it cannot do without."""
        raise NotImplementedError

    def problems(self, system: Any) -> Iterator[Problem]:
        known = [n for f in system.features if f.type == "numeric" for n in f.names]
        for name in self.reads():
            if name not in known:
                source, _, what = name.rpartition("_")
                fix = f"add {what}_of(...) of it to the features" if source else did_you_mean(name, known)
                yield Problem("unknown-feature", f"no numeric feature `{name}`", self.where, "nothing to fuse", fix)

    def _columns(self, train: Examples) -> None:
        """Refuses examples without the features.

        Raises:
            InputError: `unknown-feature`.
        """
        for name in self.reads():
            if name not in train.features.numeric_names:
                raise InputError(Problem("unknown-feature", f"no numeric feature `{name}`", self.where))


@dataclass(frozen=True)
class ReciprocalRank(Fusion):
    """Reciprocal rank fusion: sum over sources of 1 / (k + place), where the place counts from 1.

    It needs no training and no comparable scores. Values are scaled so that first in every list is 1.

    Args:
        k: the larger, the less the first places differ from the next ones.

    Source:
        Cormack, Clarke and Büttcher, "Reciprocal rank fusion outperforms Condorcet and individual rank learning
        methods", SIGIR 2009.
    """

    k: float = field(default=60.0, kw_only=True)

    def reads(self) -> tuple[str, ...]:
        return tuple(proposed_name(source, "rank") for source in self.of)

    def fit(self, train: Examples, valid: Examples, run: Run) -> None:
        self._columns(train)
        types = chosen_heads(self.heads or tuple(train.labels)[:1], train, run)
        Artefact.write(
            run.folder, model="ReciprocalRank", files=[], heads=list(types), reads=list(self.reads()), k=self.k
        )

    @classmethod
    def open(cls, artefact: Artefact, threads: int) -> Scorer:
        return ReciprocalScorer(tuple(artefact.fact("heads")), artefact.fact("reads"), float(artefact.fact("k")))


@dataclass(frozen=True)
class ReciprocalScorer:
    """A fusion by place."""

    heads: tuple[str, ...]
    reads: list[str]
    k: float

    def score(self, batch: FeatureBatch) -> Floats:
        """The same for every head, float32 [N, H], 0 to 1."""
        places = _read(batch, self.reads)
        parts = np.where(places > 0, (1 + self.k) / (self.k + places), 0.0)
        return np.repeat(parts.mean(axis=1)[:, None], len(self.heads), axis=1).astype(np.float32)


@dataclass(frozen=True)
class CalibratedScores(Fusion):
    """Fusion of scores that mean different things: each becomes evidence in log-odds, and evidence adds up.

    A logistic regression on the scores (in their own spread) and on which sources proposed the item at all, fitted on
    what came of earlier lists. Without enough outcomes the scores count alike, each by its own spread.

    Source:
        Platt, "Probabilistic outputs for support vector machines", 1999, for one score; several share one regression.
    """

    def reads(self) -> tuple[str, ...]:
        return tuple(proposed_name(source, what) for source in self.of for what in ("score", "rank"))

    def fit(self, train: Examples, valid: Examples, run: Run) -> None:
        self._columns(train)
        types = chosen_heads(self.heads or tuple(train.labels)[:1], train, run)
        spread = _spread(_read(train.features, self.reads()))
        inputs = _inputs(train.features, self.reads(), *spread)
        weights = [_fitted(inputs, train.labels[head], train.weight).tolist() for head in types]
        facts = {"heads": list(types), "reads": list(self.reads()), "spread": [s.tolist() for s in spread]}
        Artefact.write(run.folder, model="CalibratedScores", files=[], weights=weights, **facts)

    @classmethod
    def open(cls, artefact: Artefact, threads: int) -> Scorer:
        mean, scale = (np.array(s) for s in artefact.fact("spread"))
        weights = np.array(artefact.fact("weights"))
        return CalibratedScorer(tuple(artefact.fact("heads")), artefact.fact("reads"), mean, scale, weights)


@dataclass(frozen=True, eq=False)
class CalibratedScorer:
    """A fitted fusion by score: means and scales [S], weights [H, 1 + 2 S]."""

    heads: tuple[str, ...]
    reads: list[str]
    mean: Values
    scale: Values
    weights: Values

    def score(self, batch: FeatureBatch) -> Floats:
        """Probabilities, float32 [N, H]."""
        inputs = _inputs(batch, self.reads, self.mean, self.scale)
        return sigmoid(inputs @ self.weights.T).astype(np.float32)


def _read(batch: FeatureBatch, names: list[str] | tuple[str, ...]) -> Values:
    """Numeric features by name, float64 [N, n]; 0 for one that the batch lacks."""
    known, zero = set(batch.numeric_names), np.zeros(len(batch), np.float32)
    columns = [batch.column(name) if name in known else zero for name in names]
    return np.stack(columns, axis=1).astype(np.float64)


def _spread(read: Values) -> tuple[Values, Values]:
    """Mean and standard deviation of each source's scores where it proposed, [S] each."""
    scores, there = read[:, ::2], read[:, 1::2] > 0
    count = np.maximum(there.sum(axis=0), 1)
    mean = np.where(there, scores, 0).sum(axis=0) / count
    scale = np.sqrt((np.where(there, scores - mean, 0) ** 2).sum(axis=0) / count)
    return mean, np.where(scale > 0, scale, 1.0)


def _inputs(batch: FeatureBatch, names: list[str] | tuple[str, ...], mean: Values, scale: Values) -> Values:
    """1, scores in their own spread (0 where not proposed), and who proposed: float64 [N, 1 + 2 S]."""
    read = _read(batch, names)
    there = read[:, 1::2] > 0
    scores = np.where(there, (read[:, ::2] - mean) / scale, 0.0)
    return np.hstack([np.ones((len(read), 1)), scores, there.astype(np.float64)])


def _fitted(inputs: Values, labels: Floats, weight: Floats) -> Values:
    """Weights of a logistic regression by Newton's method, float64 [1 + 2 S]."""
    known = ~np.isnan(labels)
    x, y, w = inputs[known], np.clip(labels[known].astype(np.float64), 0, 1), weight[known].astype(np.float64)
    sources = (inputs.shape[1] - 1) // 2
    start = np.concatenate([[-2.0], np.ones(sources), np.ones(sources)])
    if min(y.sum(), (1 - y).sum()) < _FEW:
        return start
    beta = np.zeros_like(start)
    ridge = _RIDGE * len(y) * np.r_[0.0, np.ones(2 * sources)]
    for _ in range(_STEPS):
        p = sigmoid(x @ beta)
        slope = x.T @ (w * (y - p)) - ridge * beta
        curve = (x * (w * p * (1 - p))[:, None]).T @ x + np.diag(ridge + 1e-9)
        step = np.linalg.solve(curve, slope)
        beta += step
        if np.abs(step).max() < 1e-8:
            break
    return beta
