"""The matrix that early fusion reads: what is known of a post, modality by modality, on one scale."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from winnow.core.errors import InputError, Problem
from winnow.features.batch import Floats
from winnow.media.normalise import Normal
from winnow.models.artefact import Artefact
from winnow.models.content import Content

FILE = "inputs.npz"
ANSWERS = {"sentences": "sentence answers", "pictures": "picture answers"}  # modality → what it says by itself
MODALITIES = ("sentences", "ngrams", "pictures", "facts", "shape", *ANSWERS.values())
_WIDE = 512  # vectors of more columns reach the trunk by what they say alone
_CLIP = 6.0  # standard deviations: what lies further out than training saw says no more
_SHAPES = 6

Values = NDArray[np.floating]


@dataclass(frozen=True)
class Inputs:
    """How each modality is scaled; a modality without columns was never seen.

    Args:
        mean, scale: modality → float32 [D].
    """

    mean: Mapping[str, Floats]
    scale: Mapping[str, Floats]

    @classmethod
    def fit(cls, parts: Mapping[str, Values]) -> Self:
        """Mean and spread of what is known in training."""
        narrow = {name: part if part.shape[1] <= _WIDE else part[:, :0] for name, part in parts.items()}
        known = {name: part[~np.isnan(part).all(axis=1)] for name, part in narrow.items()}
        filled = {name: part if len(part) else np.zeros((1, part.shape[1])) for name, part in known.items()}
        mean = {name: np.nanmean(part, axis=0).astype(np.float32) for name, part in filled.items()}
        spread = {name: np.nanstd(part, axis=0) for name, part in filled.items()}
        return cls(mean, {name: np.where(s > 1e-6, s, 1.0).astype(np.float32) for name, s in spread.items()})

    @property
    def widths(self) -> dict[str, int]:
        """Columns of each modality in the matrix: its own, and one that says whether it is known."""
        return {name: len(self.mean[name]) + 1 for name in MODALITIES if name in self.mean and len(self.mean[name])}

    def matrix(self, parts: Mapping[str, Values]) -> Floats:
        """float32 [N, sum of widths]; 0 where unknown.

        Raises:
            InputError: `lengths-differ` when a modality has another width than in training.
        """
        return np.concatenate([self._scaled(name, parts[name]) for name in self.widths], axis=1)

    def _scaled(self, name: str, part: Values) -> Floats:
        width = len(self.mean[name])
        if not part.shape[1]:
            return np.zeros((len(part), width + 1), np.float32)
        if part.shape[1] != width:
            what, fix = f"`{name}` has {part.shape[1]} columns instead of {width}", "encode as for training"
            raise InputError(Problem("lengths-differ", what, fix=fix))
        scaled = np.clip((part - self.mean[name]) / self.scale[name], -_CLIP, _CLIP)
        there = ~np.isnan(part).all(axis=1, keepdims=True)
        return np.concatenate([np.nan_to_num(scaled), there], axis=1).astype(np.float32)

    def save(self, folder: Path) -> None:
        """Write `inputs.npz`."""
        arrays: dict[str, Any] = {
            f"{kind}|{name}": values for kind in ("mean", "scale") for name, values in getattr(self, kind).items()
        }
        np.savez(folder / FILE, **arrays)

    @classmethod
    def open(cls, artefact: Artefact) -> Self:
        """What `save` wrote."""
        arrays = artefact.arrays(FILE)
        known = [n for n in MODALITIES if f"mean|{n}" in arrays]
        return cls(*({n: arrays[f"{kind}|{n}"] for n in known} for kind in ("mean", "scale")))


def modalities(content: Content, ngrams: Values, answers: Mapping[str, Values]) -> dict[str, Values]:
    """What is known of posts by modality, each [N, its width], NaN where unknown.

    Args:
        content: N posts.
        ngrams: logits.
        answers: modality → what its vectors say by themselves, [N, H].
    """
    return {
        "sentences": content.sentences, "ngrams": ngrams, "pictures": content.pictures, "facts": content.facts,
        "shape": shapes(content.texts, content.normal), **{ANSWERS[name]: said for name, said in answers.items()},
    }  # fmt: skip


def shapes(texts: Sequence[str], normal: Sequence[Normal]) -> Floats:
    """How texts are written, float32 [N, 6]: length, words, shares of capitals and of what was undone, ! and @."""
    rows = [_shape(text, each) for text, each in zip(texts, normal, strict=True)]
    return np.array(rows, np.float32).reshape(-1, _SHAPES)


def _shape(text: str, normal: Normal) -> tuple[float, ...]:
    capitals = sum(map(str.isupper, text[:1_000])) / max(len(text[:1_000]), 1)
    undone = 1 - len(normal.text) / max(len(text), 1)
    signs = (np.log1p(text.count(sign)) for sign in "!@")
    return np.log1p(len(text)), np.log1p(text.count(" ")), capitals, undone, *signs
