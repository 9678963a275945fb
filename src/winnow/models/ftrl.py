"""L1: logistic regression on hashed crosses, learned as the rows come."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from winnow.features.batch import FeatureBatch, Floats
from winnow.models.artefact import META, Artefact, corrupt
from winnow.models.base import HeadType, Ranker, Run, Scorer, chosen_heads
from winnow.models.examples import Examples
from winnow.models.ftrl_kernel import Proximal, Rates, answer, loss
from winnow.models.ftrl_places import Cross, Places, parts

_WEIGHTS = "weights.npz"
_AT_ONCE = 32_768  # rows whose places are held at a time


@dataclass(frozen=True)
class Ftrl(Ranker):
    """One weight for each feature value and each cross, in 2^bits places, by FTRL-proximal.

    It learns each row once in the order of time, so it can go on with new rows where an earlier fit stopped (see
    `learn_on`); this is the model of continual learning, and the base line of click prediction. Amounts are learned
    as log(1 + amount).

    Args:
        crosses: features that are also read together, such as `(("user", "ad"), ("ad", "hour"))`; None for every
            pair of categorical features.
        bits: there are 2^bits places; what falls into the same one shares a weight.
        buckets: most buckets of a number.
        learning_rate: of a place; it falls with what the place has learned.
        beta: steadies the rate of a place that was seen little.
        l1: sets weights with little evidence to 0 exactly.
        reg: L2 penalty.
        epochs: passes over the rows; 1 is what keeps learning honest.
        batch_size: rows a step.

    Source: McMahan et al., KDD 2013; Chapelle, Manavoglu and Rosales, TIST 2014 (hashed crosses).
    """

    crosses: tuple[Cross, ...] | None = None
    bits: int = 20
    buckets: int = 32
    learning_rate: float = 0.1
    beta: float = 1.0
    l1: float = 1e-3
    reg: float = 1e-2
    epochs: int = 1
    batch_size: int = 256

    def fit(self, train: Examples, valid: Examples, run: Run) -> None:
        types = chosen_heads(self.heads, train, run)
        read = Places.fit(train.features, self.crosses, buckets=self.buckets, bits=self.bits)
        heads = {h: Proximal.empty(len(read), self.rates, binary=kind == "binary") for h, kind in types.items()}
        seen = learn(heads, read, train, run=run, epochs=self.epochs, batch_size=self.batch_size)
        write(run.folder, read, heads, losses=seen)

    def learn_on(self, earlier: Path, fresh: Examples, run: Run) -> None:
        """Go on where an earlier fit stopped: its weights, its buckets and its places.

        The first predictions for each fresh row are made before it is learned; their loss is the artefact's fact
        `losses`, a fair measure of how old the earlier model has become.

        Args:
            earlier: folder of an artefact of this model.
            fresh: rows that it has not seen, in time order.
            run: where the new artefact goes.

        Raises:
            InputError: `no-examples`, `unknown-head`, `model-corrupt`.
        """
        artefact = Artefact.open(earlier)
        names = tuple(artefact.fact("heads"))
        chosen_heads(names, fresh, run)
        read = Places.of(artefact.fact("places"))
        heads = _opened(artefact, len(read), self.rates)
        seen = learn(heads, read, fresh, run=run, epochs=self.epochs, batch_size=self.batch_size)
        write(run.folder, read, heads, losses=seen)

    @property
    def rates(self) -> Rates:
        """How fast its weights move."""
        return Rates(self.learning_rate, self.beta, self.l1, self.reg)

    @classmethod
    def open(cls, artefact: Artefact, threads: int) -> Scorer:
        read, rates = Places.of(artefact.fact("places")), Rates(*artefact.fact("rates"))
        heads = {h: state.weights() for h, state in _opened(artefact, len(read), rates).items()}
        kinds = dict(zip(artefact.fact("heads"), artefact.fact("types"), strict=True))
        return LinearScorer(tuple(heads), read, heads, kinds)


@dataclass(frozen=True)
class LinearScorer:
    """Fitted weights.

    Args:
        heads: what it predicts.
        read: how it reads a batch.
        weights: head → float32 [P + 1].
        kinds: head → `binary` or `regression`.
    """

    heads: tuple[str, ...]
    read: Places
    weights: Mapping[str, Floats]
    kinds: Mapping[str, HeadType]

    def score(self, batch: FeatureBatch) -> Floats:
        """Predictions, float32 [N, H]."""
        out = np.zeros((len(batch), len(self.heads)), np.float32)
        for part, piece in parts(batch, _AT_ONCE):
            at = self.read.read(piece)
            for column, head in enumerate(self.heads):
                out[part, column] = predicted(self.weights[head][at].sum(1), self.kinds[head])
        return out


def predicted(score: Floats, kind: HeadType) -> Floats:
    """Probabilities, or amounts from log(1 + amount)."""
    p = answer(score, binary=kind == "binary")
    return p if kind == "binary" else np.expm1(np.clip(p, 0, 15))


def learn(
    heads: Mapping[str, Proximal], read: Places, train: Examples, *, run: Run, epochs: int, batch_size: int
) -> dict[str, float]:
    """Learn rows in their order; returns each head's loss on rows before they were learned for the first time."""
    first = {h: np.zeros(len(train), np.float32) for h in heads}
    for epoch in range(epochs):
        for part, piece in parts(train.features, _AT_ONCE):
            at = read.read(piece)
            for head, state in heads.items():
                y = target(train.labels[head][part], binary=state.binary)
                told = state.run(at, y, train.weight[part], batch_size=batch_size)
                if epoch == 0:
                    first[head][part] = told
            run.progress("linear model", (epoch + part.stop / len(train)) / epochs)
    labels = {h: target(train.labels[h], binary=state.binary) for h, state in heads.items()}
    return {h: loss(labels[h], first[h], binary=state.binary) for h, state in heads.items()}


def target(labels: Floats, *, binary: bool) -> Floats:
    """What a head is fitted to: labels, or log(1 + amount)."""
    return labels.astype(np.float32) if binary else np.log1p(np.maximum(labels, 0)).astype(np.float32)


def write(folder: Path, read: Places, heads: Mapping[str, Proximal], *, losses: Mapping[str, float]) -> None:
    """The artefact: what was learned of every place that was ever met, enough to go on learning."""
    arrays = {f"{head}|{part}": a for head, state in heads.items() for part, a in _met(state).items()}
    np.savez(folder / _WEIGHTS, **arrays)  # type: ignore[arg-type]
    rates = next(iter(heads.values())).rates
    types: list[HeadType] = ["binary" if state.binary else "regression" for state in heads.values()]
    Artefact.write(
        folder, model="Ftrl", files=[_WEIGHTS], heads=list(heads), types=types, places=read.to_data(),
        rates=[rates.alpha, rates.beta, rates.l1, rates.l2], losses=dict(losses),
    )  # fmt: skip


def _met(state: Proximal) -> dict[str, np.ndarray]:
    met = np.flatnonzero(state.n)
    return {"place": met.astype(np.uint32), "z": state.z[met], "n": state.n[met]}


def _opened(artefact: Artefact, size: int, rates: Rates) -> dict[str, Proximal]:
    """What each head of an artefact has learned."""
    stored, out = artefact.arrays(_WEIGHTS), {}
    for head, kind in zip(artefact.fact("heads"), artefact.fact("types"), strict=True):
        state = Proximal.empty(size, rates, binary=kind == "binary")
        places, z, n = (stored[f"{head}|{part}"] for part in ("place", "z", "n"))
        if len(places) and int(places.max()) >= size:
            raise corrupt(artefact.folder / META, "it names places beyond its size")
        state.z[places], state.n[places] = z, n
        out[head] = state
    return out
