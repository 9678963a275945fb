"""L1: character and word n-grams with logistic regression."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from winnow.encoders.base import Encode
from winnow.features.batch import Floats
from winnow.media.ngrams import Grams, ngrams
from winnow.media.normalise import Normal
from winnow.models.artefact import Artefact
from winnow.models.base import Run
from winnow.models.content import Content, ContentModel, ContentScorer, Labelled, Span
from winnow.models.content_linear import Linear, class_weights, fitted, weight_shift
from winnow.models.content_spans import word_spans

FILE = "ngrams.npz"
Values = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class NGrams(ContentModel):
    """Words, pairs of words and runs of characters, weighed by how rare they are; one weight each for every head.

    Args:
        runs: lengths of the runs of characters.
        bits: of the hash.
        least: posts in which something must occur to count.
        reg: L2 penalty.
        balance: how much rare classes count for more, 0 to 1.

    Source: Davidson et al., "Automated hate speech detection and the problem of offensive language", ICWSM 2017.
    """

    runs: tuple[int, ...] = (2, 3, 4, 5)
    bits: int = 20
    least: int = 2
    reg: float = 0.3
    balance: float = 0.3

    def learn(self, train: Labelled, valid: Labelled, run: Run) -> tuple[list[str], dict[str, Any]]:
        heads = self.chosen(train)
        columns = Columns.fit(train.content, self)
        linear = self.weights(columns.matrix(train.content), train, heads, run)
        np.savez(
            run.folder / FILE, ids=columns.ids, rarity=columns.rarity,
            weights=linear.weights.astype(np.float32), bias=linear.bias,
        )  # fmt: skip
        return [FILE], {"runs": list(self.runs), "bits": self.bits}

    def weights(self, x: Any, train: Labelled, heads: tuple[str, ...], run: Run) -> Linear:
        """One column of weights per head, float64 [K, H]; rows without a label of a head teach it nothing."""
        labels = np.stack([train.labels[head] for head in heads], axis=1).astype(np.float64)
        whole = Linear(np.zeros((x.shape[1], len(heads))), np.zeros(len(heads)))
        blocks = self.blocks(heads)
        for done, block in enumerate(map(list, blocks)):
            run.progress(f"n-grams for {heads[block[0]]}", done / len(blocks))
            known = ~np.isnan(labels[:, block]).any(axis=1)
            if not known.any():
                continue
            y = labels[known][:, block]
            part = fitted(x[known], y, weight=class_weights(y, self.balance), reg=self.reg)
            whole.weights[:, block], whole.bias[block] = part.weights, part.bias - weight_shift(y, self.balance)
        return whole

    @classmethod
    def open(cls, artefact: Artefact, threads: int, encode: Encode | None = None) -> ContentScorer:
        return NGramsScorer.open(artefact)


@dataclass(frozen=True)
class Columns:
    """What counts, and how much.

    Args:
        ids: hashed places that count, rising, int32 [K].
        rarity: log of one over the share of posts that have it, float32 [K].
        runs, bits: as n-grams were hashed.
    """

    ids: NDArray[np.int32]
    rarity: Floats
    runs: tuple[int, ...]
    bits: int

    @classmethod
    def fit(cls, content: Content, model: NGrams) -> Self:
        """What occurs in enough posts."""
        return cls.of_texts(_texts(content.normal), model)

    @classmethod
    def of_texts(cls, texts: Sequence[str], model: NGrams) -> Self:
        """What occurs in enough normalised texts."""
        grams = ngrams(texts, bits=model.bits, runs=model.runs)
        posts = np.repeat(np.arange(len(texts)), np.diff(grams.indptr))
        pairs = np.unique(posts * (4 << model.bits) + grams.ids) % (4 << model.bits)
        ids, counts = np.unique(pairs, return_counts=True)
        kept = counts >= model.least
        rarity = np.log((1 + len(texts)) / (1 + counts[kept])) + 1
        return cls(ids[kept].astype(np.int32), rarity.astype(np.float32), model.runs, model.bits)

    def grams(self, texts: Sequence[str]) -> tuple[Grams, NDArray[np.int64]]:
        """All n-grams, and the column of each, -1 where it does not count."""
        grams = ngrams(texts, bits=self.bits, runs=self.runs)
        if not len(self.ids):
            return grams, np.full(len(grams.ids), -1)
        at = np.minimum(np.searchsorted(self.ids, grams.ids), len(self.ids) - 1)
        return grams, np.where(self.ids[at] == grams.ids, at, -1)

    def matrix(self, content: Content) -> Any:
        """scipy CSR float64 [N, K]: 1 + log of the count, times rarity; length 1 for words and for runs apart."""
        return self.valued(*self.grams(_texts(content.normal)))

    def valued(self, grams: Grams, at: NDArray[np.int64]) -> Any:
        """As `matrix`, of n-grams that are at hand."""
        from scipy.sparse import csr_array

        rows = np.repeat(np.arange(len(grams.indptr) - 1), np.diff(grams.indptr))[at >= 0]
        shape = (len(grams.indptr) - 1, len(self.ids))
        x = csr_array((np.ones(len(rows)), (rows, at[at >= 0])), shape=shape)  # duplicates are summed
        x.data = (1 + np.log(x.data)) * self.rarity[x.indices]
        row, channel = np.repeat(np.arange(shape[0]), np.diff(x.indptr)), self.ids[x.indices] >> self.bits
        squares = np.bincount(row * 2 + channel, x.data**2, minlength=2 * shape[0])
        x.data /= np.sqrt(squares)[row * 2 + channel]
        return x


def _texts(normal: Sequence[Normal]) -> list[str]:
    return [each.text for each in normal]


@dataclass(frozen=True)
class NGramsScorer:
    """A fitted model.

    Args:
        heads: what it predicts.
        blocks: columns of which exactly one is true, or one alone.
        columns: what it reads.
        linear: weights float32 [K, H] and bias.
    """

    heads: tuple[str, ...]
    blocks: list[tuple[int, ...]]
    columns: Columns
    linear: Linear

    @classmethod
    def open(cls, artefact: Artefact) -> Self:
        heads = tuple(artefact.fact("heads"))
        groups = tuple(tuple(g) for g in artefact.fact("groups"))
        arrays = artefact.arrays(FILE)
        columns = Columns(arrays["ids"], arrays["rarity"], tuple(artefact.fact("runs")), artefact.fact("bits"))
        blocks = ContentModel(groups=groups).blocks(heads)
        return cls(heads, blocks, columns, Linear(arrays["weights"], arrays["bias"]))

    def logits(self, content: Content) -> Values:
        """Log-odds of heads alone, logits of the softmax of heads in groups, float64 [N, H]."""
        logits: Values = self.columns.matrix(content) @ self.linear.weights + self.linear.bias
        return logits

    def score(self, content: Content) -> Floats:
        """Probabilities, float32 [N, H]."""
        return probabilities(self.logits(content), self.blocks)

    def spans(self, content: Content, *, least: float = 0.5) -> list[list[Span]]:
        """The words whose n-grams speak for a head: their weights, spread over the characters."""
        return self.spoken(content, self.score(content) >= least)

    def spoken(self, content: Content, wanted: NDArray[np.bool_]) -> list[list[Span]]:
        """As `spans`, for the wanted heads of each post, bool [N, H]."""
        grams, at = self.columns.grams(_texts(content.normal))
        x, against = self.columns.valued(grams, at), self._contrast
        out: list[list[Span]] = []
        for row, normal in enumerate(content.normal):
            part = slice(grams.indptr[row], grams.indptr[row + 1])
            columns, values = self._row(x, row)
            places = np.minimum(np.searchsorted(columns, at[part]), len(columns) - 1)
            shares = np.where(at[part] >= 0, values[places], 0.0) if len(columns) else np.zeros(len(at[part]))
            counts = np.bincount(at[part] + 1, minlength=1)[at[part] + 1]
            heads = {self.heads[c]: shares / counts * against[at[part], c] for c in np.flatnonzero(wanted[row])}
            out.append(word_spans(normal, heads, grams.starts[part], grams.stops[part]))
        return out

    @staticmethod
    def _row(x: Any, row: int) -> tuple[NDArray[np.int32], Values]:
        part = slice(x.indptr[row], x.indptr[row + 1])
        return x.indices[part], x.data[part]  # ascending columns

    @cached_property
    def _contrast(self) -> Floats:
        """Weights against the mean of the other heads of a group, float32 [K, H]."""
        out = self.linear.weights.astype(np.float32)
        for block in (list(b) for b in self.blocks if len(b) > 1):
            own = self.linear.weights[:, block]
            out[:, block] = own - (own.sum(axis=1, keepdims=True) - own) / (len(block) - 1)
        return out


def probabilities(logits: Values, blocks: Sequence[tuple[int, ...]]) -> Floats:
    """Softmax within groups, sigmoid elsewhere, float32 [N, H]."""
    out = 1 / (1 + np.exp(-np.clip(logits, -40, 40)))
    for block in (list(b) for b in blocks if len(b) > 1):
        powers = np.exp(logits[:, block] - logits[:, block].max(axis=1, keepdims=True))
        out[:, block] = powers / powers.sum(axis=1, keepdims=True)
    return out.astype(np.float32)
