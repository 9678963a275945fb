"""L1: boosted trees find the crosses, a linear model weighs them beside the ids."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from winnow.features.batch import FeatureBatch, Floats, Ints
from winnow.models.artefact import META, Artefact
from winnow.models.base import HeadType, Ranker, Run, Scorer, chosen_heads, load_scorer
from winnow.models.boosting import BoostingScorer, GradientBoosting
from winnow.models.examples import Examples
from winnow.models.ftrl import Ftrl, predicted, target
from winnow.models.ftrl_kernel import Proximal
from winnow.models.ftrl_places import Places, parts

_PART, _WEIGHTS = "trees", "weights.npz"
_AT_ONCE = 32_768


@dataclass(frozen=True)
class TreesAndLinear(Ranker):
    """Each tree says in which of its leaves a row ends: one more category, made of crosses of numbers that matter.

    The linear model reads these, all features and the crosses it is told to read. Trees see numbers and small
    categories, the linear model ids: each takes what the other cannot.

    Args:
        trees: the forest; a hundred trees or so are enough.
        linear: the linear model; its `crosses` are of features, None for every pair of categories.

    Source: He et al., Practical lessons from predicting clicks on ads at Facebook, ADKDD 2014.
    """

    trees: GradientBoosting = field(default_factory=lambda: GradientBoosting(epochs=150, learning_rate=0.1, leaves=16))
    linear: Ftrl = field(default_factory=lambda: Ftrl(crosses=(), epochs=2))

    def fit(self, train: Examples, valid: Examples, run: Run) -> None:
        types = chosen_heads(self.heads, train, run)
        part = run.part(_PART, 0.0, 0.7)
        if not (part.folder / META).exists():  # a run that was killed goes on with what is finished
            told = Run(part.folder, part.seed, part.threads, part.progress, part.checkpoint_every, types)
            replace(self.trees, heads=tuple(types)).fit(train, valid, told)
        forest = load_scorer(part.folder, threads=run.threads)
        assert isinstance(forest, BoostingScorer)
        linear = self.linear
        read = Places.fit(train.features, linear.crosses, buckets=linear.buckets, bits=linear.bits)
        reader = Leaves(read, forest, self.trees.leaves)
        weights = {h: self._learn(h, train, reader=reader, binary=t == "binary") for h, t in types.items()}
        np.savez(run.folder / _WEIGHTS, **weights)  # type: ignore[arg-type]
        facts = {
            "heads": list(types),
            "types": list(types.values()),
            "places": read.to_data(),
            "leaves": self.trees.leaves,
        }
        Artefact.write(run.folder, model="TreesAndLinear", files=[_WEIGHTS, f"{_PART}/{META}"], **facts)

    def _learn(self, head: str, train: Examples, *, reader: "Leaves", binary: bool) -> Floats:
        """The weights of one head, float32 [P + 1]."""
        state = Proximal.empty(reader.places(head), self.linear.rates, binary=binary)
        labels = target(train.labels[head], binary=binary)
        for _ in range(self.linear.epochs):
            for part, at in reader.read(train.features, head):
                state.run(at, labels[part], train.weight[part], batch_size=self.linear.batch_size)
        return state.weights()

    @classmethod
    def open(cls, artefact: Artefact, threads: int) -> Scorer:
        forest = load_scorer(artefact.folder / _PART, threads=threads)
        assert isinstance(forest, BoostingScorer)
        kinds = dict(zip(artefact.fact("heads"), artefact.fact("types"), strict=True))
        reader = Leaves(Places.of(artefact.fact("places")), forest, artefact.fact("leaves"))
        return TreesScorer(tuple(kinds), reader, artefact.arrays(_WEIGHTS), kinds)


@dataclass(frozen=True, eq=False)
class Leaves:
    """Places of features, then one for each leaf of each tree, then "nothing".

    Args:
        own: places of the features and their crosses.
        forest: the trees of every head.
        leaves: most leaves of a tree.
    """

    own: Places
    forest: BoostingScorer
    leaves: int

    def places(self, head: str) -> int:
        """How many there are for a head, without "nothing"."""
        return len(self.own) + int(self._booster(head).num_trees()) * self.leaves

    def read(self, batch: FeatureBatch, head: str) -> Iterator[tuple[slice, Ints]]:
        """Pieces of a batch with their places, int64 [B, S + T]."""
        booster, nothing = self._booster(head), self.places(head)
        first = len(self.own) + self.leaves * np.arange(booster.num_trees())
        for part, piece in parts(batch, _AT_ONCE):
            x = self.forest.columns.matrix(piece)
            leaf = np.asarray(booster.predict(x, pred_leaf=True, num_threads=self.forest.threads), np.int64)
            own = self.own.read(piece)
            own[own == len(self.own)] = nothing
            yield part, np.concatenate([own, leaf.reshape(len(piece), -1) + first], axis=1)

    def _booster(self, head: str) -> Any:
        return self.forest.boosters[self.forest.heads.index(head)]


@dataclass(frozen=True, eq=False)
class TreesScorer:
    """A fitted forest with its linear model.

    Args:
        heads: what it predicts.
        reader: batches to places.
        weights: head → float32 [P + 1].
        kinds: head → `binary` or `regression`.
    """

    heads: tuple[str, ...]
    reader: Leaves
    weights: Mapping[str, Floats]
    kinds: Mapping[str, HeadType]

    def score(self, batch: FeatureBatch) -> Floats:
        """Predictions, float32 [N, H]."""
        out = np.zeros((len(batch), len(self.heads)), np.float32)
        for column, head in enumerate(self.heads):
            for part, at in self.reader.read(batch, head):
                out[part, column] = predicted(self.weights[head][at].sum(1), self.kinds[head])
        return out
