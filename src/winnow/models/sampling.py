"""Training on all positives and a share of the negatives, with predictions put back to what they were."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from winnow.core.errors import InputError, Problem
from winnow.features.batch import FeatureBatch, Floats
from winnow.models.artefact import META, Artefact
from winnow.models.base import Ranker, Run, Scorer, chosen_heads, load_scorer
from winnow.models.examples import Examples

_PART = "model"
_SALT = 7  # apart from the draws of the model itself


@dataclass(frozen=True)
class Sampled(Ranker):
    """A ranker trained on every row where `of` happened and on a share of the others; predictions are exact again.

    Of 1,000 impressions with 3 clicks the other 997 say much the same: a tenth of them teaches nearly as much in a
    tenth of the time. A model of the rows that were kept predicts p where the truth is q = p / (p + (1 - p) / w), with
    w the share of the negatives kept. The other heads must not happen where `of` did not; then each of them was raised
    by 1 / (q + w (1 - q)), and is lowered by as much.

    Args:
        model: the ranker.
        negatives: the share of the rows without `of` that is kept, above 0 and at most 1.
        of: the binary head by which rows are chosen; empty for the first.

    Source: He et al., Practical lessons from predicting clicks on ads at Facebook, ADKDD 2014.
    """

    model: Ranker
    negatives: float = field(default=0.1, kw_only=True)
    of: str = field(default="", kw_only=True)

    def fit(self, train: Examples, valid: Examples, run: Run) -> None:
        if not 0 < self.negatives <= 1:
            what, fix = f"negatives={self.negatives}", "give a share above 0 and at most 1"
            raise InputError(Problem("bad-share", what, self.where, fix=fix))
        types = chosen_heads(self.heads or self.model.heads, train, run)
        of = self.of or next(iter(types))
        _check(train, tuple(types), of, binary=types.get(of) == "binary")
        chosen = [
            e.take(kept(e.labels[of], self.negatives, seed=[run.seed, _SALT, i])) for i, e in enumerate((train, valid))
        ]
        model, part = replace(self.model, heads=tuple(types)), run.part(_PART)
        model.fit(
            chosen[0], chosen[1], Run(part.folder, part.seed, part.threads, part.progress, part.checkpoint_every, types)
        )
        facts = {"heads": list(types), "types": list(types.values()), "of": of, "negatives": self.negatives}
        Artefact.write(run.folder, model="Sampled", files=[f"{_PART}/{META}"], **facts)

    @classmethod
    def open(cls, artefact: Artefact, threads: int) -> Scorer:
        model = load_scorer(artefact.folder / _PART, threads=threads)
        return SampledScorer(model, artefact.fact("types"), artefact.fact("of"), artefact.fact("negatives"))


@dataclass(frozen=True)
class SampledScorer:
    """A fitted ranker whose predictions are put back.

    Args:
        model: fitted on the rows that were kept.
        types: `binary` or `regression` per head.
        of: the head by which rows were chosen.
        negatives: share of the others that was kept.
    """

    model: Scorer
    types: Sequence[str]
    of: str
    negatives: float

    @property
    def heads(self) -> tuple[str, ...]:
        """What it predicts, in column order."""
        return self.model.heads

    def score(self, batch: FeatureBatch) -> Floats:
        """Predictions, float32 [N, H]."""
        raw = self.model.score(batch).astype(np.float64)
        place = self.heads.index(self.of)
        q = restored(raw[:, place], self.negatives)
        out = raw * (q + self.negatives * (1 - q))[:, None]
        out[:, place] = q
        return out.astype(np.float32)


def restored(p: NDArray[np.float64], share: float) -> NDArray[np.float64]:
    """Probabilities among all rows from those among all positives and a share w of the negatives.

    q = p / (p + (1 - p) / w), computed as p w / (p w + 1 - p)

    >>> restored(np.array([0.5]), 0.1).round(4).tolist()
    [0.0909]
    """
    return p * share / (p * share + 1 - p)


def kept(labels: Floats, share: float, *, seed: Sequence[int]) -> NDArray[np.int64]:
    """Rows to learn from, rising: all positives and a share of the negatives; rows of unknown outcome are left out."""
    drawn = np.random.default_rng(list(seed)).random(len(labels)) < share
    return np.flatnonzero((labels > 0) | ((labels == 0) & drawn))


def _check(train: Examples, heads: tuple[str, ...], of: str, *, binary: bool) -> None:
    """Whether predictions can be put back exactly.

    Raises:
        InputError: `unknown-head`, `sampling-not-exact`.
    """
    if of not in heads:
        what, fix = f"rows are to be chosen by `{of}`, which is not learned", f"one of {', '.join(heads)}"
        raise InputError(Problem("unknown-head", what, fix=fix))
    none = train.labels[of] == 0
    wrong = [h for h in heads if bool((np.nan_to_num(train.labels[h][none]) != 0).any())]
    if wrong or not binary:
        what = f"`{wrong[0]}` happens without `{of}`" if wrong else f"`{of}` is not a yes or no"
        why = "its predictions could not be put back to what they were before rows were left out"
        fix = "choose rows by a head that every other implies, or learn that head apart"
        raise InputError(Problem("sampling-not-exact", what, why=why, fix=fix))
