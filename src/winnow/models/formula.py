"""L0: a feature as the prediction, such as the as-of click rate."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from winnow.core.errors import InputError, Problem, did_you_mean
from winnow.features.batch import FeatureBatch, Floats
from winnow.models.artefact import Artefact
from winnow.models.base import Ranker, Run, Scorer, chosen_heads
from winnow.models.examples import Examples


@dataclass(frozen=True)
class Formula(Ranker):
    """Predicts with one numeric feature: probability heads as it is, clipped to (0, 1); amounts scaled to their mean.

    A feature x that goes beyond 1, such as a count, predicts probabilities by x / (1 + x), which keeps its order.

    Args:
        feature: name of a numeric feature.
        heads: what it stands for; empty for the first head of the examples.
    """

    feature: str
    heads: tuple[str, ...] = field(default=(), kw_only=True)

    def problems(self, system: Any) -> Iterator[Problem]:
        known = [n for f in system.features if f.type == "numeric" for n in f.names]
        if self.feature not in known:
            what, why = f"no numeric feature `{self.feature}`", "training would fail after everything before it"
            yield Problem("unknown-feature", what, self.where, why, did_you_mean(self.feature, known))

    def fit(self, train: Examples, valid: Examples, run: Run) -> None:
        names = train.features.numeric_names
        if self.feature not in names:
            what = f"no numeric feature `{self.feature}`"
            raise InputError(Problem("unknown-feature", what, self.where, fix=did_you_mean(self.feature, names)))
        types = chosen_heads(self.heads or tuple(train.labels)[:1], train, run)
        feature = train.features.column(self.feature)
        scales = [1.0 if t == "binary" else _scale(feature, train.labels[h]) for h, t in types.items()]
        facts = {"heads": list(types), "types": list(types.values()), "feature": self.feature, "scales": scales}
        facts["beyond"] = bool(np.max(feature, initial=0.0) > 1)
        Artefact.write(run.folder, model="Formula", files=[], fallback=float(np.mean(feature)), **facts)

    @classmethod
    def open(cls, artefact: Artefact, threads: int) -> Scorer:
        facts = [artefact.fact(name) for name in ("feature", "types", "scales", "fallback")]
        facts.append(bool(artefact.meta.get("beyond", False)))
        return FormulaScorer(tuple(artefact.fact("heads")), *facts)


@dataclass(frozen=True)
class FormulaScorer:
    """A fitted formula."""

    heads: tuple[str, ...]
    feature: str
    types: list[str]
    scales: list[float]
    fallback: float
    beyond: bool = False

    def score(self, batch: FeatureBatch) -> Floats:
        """The feature for every head, float32 [N, H]."""
        known = self.feature in batch.numeric_names
        value = batch.column(self.feature) if known else np.full(len(batch), self.fallback, np.float32)
        chance = value / (1 + np.maximum(value, 0)) if self.beyond else value
        columns = [
            np.clip(chance, 1e-6, 1 - 1e-6) if t == "binary" else value * np.float32(s)
            for t, s in zip(self.types, self.scales, strict=True)
        ]
        return np.stack(columns, axis=1).astype(np.float32)


def _scale(feature: Floats, label: Floats) -> float:
    """By what the feature is multiplied so that its mean is that of the label."""
    known = ~np.isnan(label)
    total = float(feature[known].sum())
    return float(label[known].sum()) / total if total > 0 else 1.0
