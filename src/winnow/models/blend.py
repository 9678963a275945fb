"""Several rankers as one: their log-odds added with weights that fit the validation part."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from winnow.features.batch import FeatureBatch, Floats
from winnow.models.artefact import META, Artefact
from winnow.models.base import HeadType, Ranker, Run, Scorer, chosen_heads, load_scorer
from winnow.models.examples import Examples

Doubles = NDArray[np.float64]
_WEIGHTS = "weights.npz"
_PULL = 1e-3  # how strongly weights are held at the plain mean, per row


@dataclass(frozen=True)
class Blend(Ranker):
    """The weighted sum of its members' predictions: log-odds for binary heads, log1p for amounts.

    A network that reads the history and trees that read the counts err differently; the blend is better than either
    where the validation part says so. Weights and a constant per head are fitted there by (logistic) regression, held
    near the plain mean when there is little to learn them from.

    Args:
        members: rankers, fitted one after the other on the same rows.

    Source: Wolpert, Stacked generalization, Neural Networks 1992.
    """

    members: tuple[Ranker, ...]

    def fit(self, train: Examples, valid: Examples, run: Run) -> None:
        types, share, raw = chosen_heads(self.heads, train, run), 1 / len(self.members), []
        for place, member in enumerate(self.members):
            part = run.part(part_name(place, member), place * share, (place + 1) * share)
            if not (part.folder / META).exists():  # a run that was killed goes on with what is finished
                member.fit(train, valid, part)
            scorer = load_scorer(part.folder, threads=run.threads)
            raw.append(np.column_stack([scorer.score(valid.features)[:, scorer.heads.index(h)] for h in types]))
        weights = [
            _fitted(np.column_stack([_spread(m[:, i], kind) for m in raw]), valid.labels[head], kind)
            for i, (head, kind) in enumerate(types.items())
        ]
        np.savez(run.folder / _WEIGHTS, weights=np.array(weights))
        names = [part_name(place, member) for place, member in enumerate(self.members)]
        files = [_WEIGHTS, *(f"{name}/{META}" for name in names)]
        facts = {"heads": list(types), "types": list(types.values()), "members": names}
        Artefact.write(run.folder, model="Blend", files=files, **facts)

    @classmethod
    def open(cls, artefact: Artefact, threads: int) -> Scorer:
        members = [load_scorer(artefact.folder / name, threads=threads) for name in artefact.fact("members")]
        weights = artefact.arrays(_WEIGHTS)["weights"]
        return BlendScorer(tuple(artefact.fact("heads")), artefact.fact("types"), members, weights)


@dataclass(frozen=True, eq=False)
class BlendScorer:
    """A fitted blend.

    Args:
        heads: what it predicts.
        types: `binary` or `regression` per head.
        members: the fitted rankers; each predicts every head.
        weights: per head one weight per member and a constant, float64 [H, M + 1].
    """

    heads: tuple[str, ...]
    types: Sequence[HeadType]
    members: Sequence[Scorer]
    weights: Doubles

    def score(self, batch: FeatureBatch) -> Floats:
        """Predictions, float32 [N, H]."""
        raw = [(m.heads, m.score(batch)) for m in self.members]
        columns = [
            _gathered(np.column_stack([_spread(p[:, h.index(head)], kind) for h, p in raw]) @ w[:-1] + w[-1], kind)
            for head, kind, w in zip(self.heads, self.types, self.weights, strict=True)
        ]
        return np.column_stack(columns).astype(np.float32)


def part_name(place: int, member: Ranker) -> str:
    """The folder of a member inside the blend's."""
    return f"{place}-{type(member).__name__}"


def _spread(p: Floats, kind: HeadType) -> Doubles:
    """Predictions on the scale on which they add up."""
    if kind == "regression":
        return np.log1p(np.maximum(p, 0).astype(np.float64))
    clipped = np.clip(p.astype(np.float64), 1e-6, 1 - 1e-6)
    return np.log(clipped / (1 - clipped))


def _gathered(z: Doubles, kind: HeadType) -> Doubles:
    """Back from that scale."""
    return np.maximum(np.expm1(z), 0) if kind == "regression" else 1 / (1 + np.exp(-z))


def _fitted(x: Doubles, label: Floats, kind: HeadType) -> Doubles:
    """Weights and constant of one head, float64 [M + 1], by Newton steps of penalised (logistic) regression."""
    known = ~np.isnan(label)
    members = x.shape[1]
    start = np.append(np.full(members, 1 / members), 0.0)
    design = np.column_stack([x[known], np.ones(known.sum())])
    y = (
        label[known].astype(np.float64)
        if kind == "binary"
        else np.log1p(np.maximum(label[known], 0).astype(np.float64))
    )
    pull, w = _PULL * max(len(y), 1) + 1e-9, start.copy()
    for _ in range(25):
        p = 1 / (1 + np.exp(-(design @ w))) if kind == "binary" else design @ w
        curve = p * (1 - p) if kind == "binary" else np.ones(len(y))
        step = np.linalg.solve(
            (design * curve[:, None]).T @ design + pull * np.eye(len(w)), design.T @ (y - p) - pull * (w - start)
        )
        w += step
        if np.abs(step).max() < 1e-9:
            break
    return w
