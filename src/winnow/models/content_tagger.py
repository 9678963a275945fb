"""Which words of a post are harmful: one decision per word, from the word, its pieces and its neighbours."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from winnow.core.declare import Declared
from winnow.core.errors import InputError, Problem
from winnow.media.ngrams import ngrams
from winnow.media.normalise import Normal, normalise_all
from winnow.models.artefact import Artefact
from winnow.models.base import Run, guarded
from winnow.models.content_linear import class_weights, fitted
from winnow.models.content_ngrams import Columns, NGrams

FILE = "tagger.npz"
_WORD = re.compile(r"[^\W_]+(?:['’][^\W_]+)?|[^\w\s]+")
_OFFSETS = (-2, -1, 1, 2)
_PAIR_BITS = 20
_THRESHOLDS = np.linspace(0.1, 0.9, 33)

Ints = NDArray[np.int64]
Values = NDArray[np.float64]
Places = set[int]


class Marked(NamedTuple):
    """Posts and the places of their harmful characters.

    Args:
        texts: as people wrote them.
        places: of each, the characters that were marked.
    """

    texts: Sequence[str]
    places: Sequence[Places]


class Words(NamedTuple):
    """The words of many posts, one after another.

    Args:
        post: which post each is of, int64 [W].
        words: normalised.
        spans: where each is in its original.
    """

    post: Ints
    words: list[str]
    spans: list[tuple[int, int]]


def words_of(normal: Sequence[Normal]) -> Words:
    """Words and runs of signs of normalised posts."""
    found = [(post, match) for post, each in enumerate(normal) for match in _WORD.finditer(each.text)]
    spans = [normal[post].span(*match.span()) for post, match in found]
    return Words(np.array([post for post, _ in found], np.int64), [match[0] for _, match in found], spans)


def span_f1(found: Places, marked: Places) -> float:
    """F1 of characters; 1 when both are empty.

    Source: Pavlopoulos et al., "SemEval-2021 task 5: toxic spans detection", 2021.

    >>> span_f1({1, 2, 3, 4}, {3, 4})
    0.6666666666666666
    """
    if not marked or not found:
        return float(not marked and not found)
    return 2 * len(found & marked) / (len(found) + len(marked))


@dataclass(frozen=True, kw_only=True)
class SpanTagger(Declared):
    """Logistic regression over each word, its runs of characters, two neighbours on each side and pairs with them.

    Args:
        runs: lengths of the runs of characters.
        least: times that something must occur to count.
        longest: words of a marked run that teach; of longer ones it is not known which words are meant.
        reg: L2 penalty.
        balance: how much the rarer class counts for more, 0 to 1.
        threshold: probability from which a word is marked; None for that of the best mean `span_f1` on the validation
            part, which is right only where that part was marked in the same way as what is to come.
    """

    runs: tuple[int, ...] = (3, 4, 5)
    least: int = 3
    longest: int = 4
    reg: float = 3.0
    balance: float = 0.2
    threshold: float | None = 0.5

    def fit(self, train: Marked, valid: Marked, run: Run) -> None:
        """Learn from `train`, leave an artefact in `run.folder`.

        Raises:
            InputError: `no-examples`.
        """
        words = words_of(normalise_all(train.texts))
        if not words.words:
            raise InputError(Problem("no-examples", "there are no words to learn from", fix="mark some posts first"))
        reader = Reader.fit(words, self)
        marked = marked_words(words, train.places)
        taught = np.flatnonzero(run_lengths(marked, words.post) <= self.longest)
        y = marked[taught][:, None]
        linear = fitted(reader.matrix(words)[taught], y, weight=class_weights(y, self.balance), reg=self.reg)
        tagger = Tagger(reader, linear.weights[:, 0].astype(np.float32), float(linear.bias[0]), 0.5)
        np.savez(
            run.folder / FILE, ids=reader.columns.ids, rarity=reader.columns.rarity, near=reader.near,
            pairs=reader.pairs, weights=tagger.weights, bias=tagger.bias,
        )  # fmt: skip
        facts = {
            "runs": list(self.runs),
            "bits": reader.columns.bits,
            "threshold": self.threshold or tagger.best_threshold(valid),
        }
        Artefact.write(run.folder, model="SpanTagger", files=[FILE], **facts)


@dataclass(frozen=True)
class Reader:
    """Words as sparse rows.

    Args:
        columns: of the word and its runs of characters.
        near: ids of words that count as neighbours, rising, int32 [K].
        pairs: ids of pairs of neighbours that count, rising, int64 [P].
    """

    columns: Columns
    near: NDArray[np.int32]
    pairs: Ints

    @classmethod
    def fit(cls, words: Words, tagger: SpanTagger) -> Self:
        model = NGrams(runs=tagger.runs, least=tagger.least, bits=_PAIR_BITS)
        columns = Columns.of_texts(words.words, model)
        ids = word_ids(words.words)
        near, counts = np.unique(ids, return_counts=True)
        pairs, often = np.unique(_pairs(ids, words.post), return_counts=True)
        return cls(
            columns, near[counts >= tagger.least].astype(np.int32), pairs[(often >= tagger.least) & (pairs >= 0)]
        )

    def matrix(self, words: Words) -> Any:
        """scipy CSR float64 [W, K]."""
        from scipy.sparse import csr_array, hstack

        distinct, at = np.unique(np.array(words.words, dtype=object), return_inverse=True)
        own = self.columns.valued(*self.columns.grams(list(distinct)))[at]
        ids = word_ids(words.words)
        parts = [_one_hot(_moved(ids, words.post, by), self.near) for by in _OFFSETS]
        pair = _pairs(ids, words.post)
        parts += [_one_hot(pair, self.pairs), _one_hot(np.append(pair[1:], -1), self.pairs)]
        return csr_array(hstack([own, *parts], format="csr"))


def word_ids(words: Sequence[str]) -> Ints:
    """The hashed place of each word, int64 [W]; -1 for signs that have none."""
    distinct, at = np.unique(np.array(words, dtype=object), return_inverse=True)
    grams = ngrams(list(distinct), bits=_PAIR_BITS, runs=(), pairs=False)
    first = np.append(grams.ids, -1)[np.minimum(grams.indptr[:-1], len(grams.ids))].astype(np.int64)
    return np.where(np.diff(grams.indptr) > 0, first, -1)[at]


def _moved(ids: Ints, post: Ints, by: int) -> Ints:
    """The id of the word so many places away in the same post; -1 where there is none."""
    at = np.arange(len(ids)) + by
    inside = (at >= 0) & (at < len(ids))
    at = np.clip(at, 0, max(len(ids) - 1, 0))
    return np.where(inside & (post[at] == post), ids[at], -1)


def _pairs(ids: Ints, post: Ints) -> Ints:
    """Each word together with the one before."""
    before = _moved(ids, post, -1)
    return np.where((before >= 0) & (ids >= 0), (before << (_PAIR_BITS + 1)) | np.maximum(ids, 0), -1)


def _one_hot(ids: Ints, known: NDArray[Any]) -> Any:
    from scipy.sparse import csr_array

    at = np.minimum(np.searchsorted(known, ids), max(len(known) - 1, 0))
    hit = np.flatnonzero(known[at] == ids) if len(known) else np.zeros(0, np.int64)
    return csr_array((np.ones(len(hit)), (hit, at[hit])), shape=(len(ids), len(known)))


def marked_words(words: Words, places: Sequence[Places]) -> Values:
    """1 for words of which half the characters or more were marked, float64 [W]."""
    shares = [
        len(places[post].intersection(range(*span))) / max(span[1] - span[0], 1)
        for post, span in zip(words.post.tolist(), words.spans, strict=True)
    ]
    return (np.array(shares) >= 0.5).astype(np.float64)


def run_lengths(marked: Values, post: Ints) -> Ints:
    """For each word, how many marked words in a row it is among, int64 [W]; 0 for words that are not marked."""
    if not len(marked):
        return np.zeros(0, np.int64)
    change = np.append(True, (marked[1:] != marked[:-1]) | (post[1:] != post[:-1]))
    run = np.cumsum(change) - 1
    return np.where(marked > 0, np.bincount(run)[run], 0)


@dataclass(frozen=True)
class Tagger:
    """A fitted tagger."""

    reader: Reader
    weights: NDArray[np.float32]
    bias: float
    threshold: float

    def spans(self, texts: Sequence[str]) -> list[list[tuple[int, int, float]]]:
        """For each text the harmful runs of words: start, end, log-odds above the threshold of the heaviest word."""
        words, odds = self._judged(texts)
        out: list[list[tuple[int, int, float]]] = [[] for _ in texts]
        chosen = np.flatnonzero(odds > 0)
        for i, word in enumerate(chosen):
            post, (start, end) = int(words.post[word]), words.spans[word]
            if i and chosen[i - 1] == word - 1 and words.post[word - 1] == post:
                begun, _, weight = out[post].pop()
                out[post].append((begun, end, max(weight, float(odds[word]))))
            else:
                out[post].append((start, end, float(odds[word])))
        return out

    def places(self, texts: Sequence[str]) -> list[Places]:
        """For each text the places of its harmful characters."""
        return [{place for start, end, _ in row for place in range(start, end)} for row in self.spans(texts)]

    def _judged(self, texts: Sequence[str]) -> tuple[Words, Values]:
        words = words_of(normalise_all(texts))
        if not words.words:
            return words, np.zeros(0)
        odds = self.reader.matrix(words) @ self.weights.astype(np.float64) + self.bias
        return words, odds - np.log(self.threshold / (1 - self.threshold))

    def best_threshold(self, valid: Marked) -> float:
        """The threshold with the best mean F1 on marked posts; as it is without any."""
        tried = [type(self)(self.reader, self.weights, self.bias, float(t)) for t in _THRESHOLDS] if valid.texts else []
        scores = [np.mean([span_f1(f, m) for f, m in zip(each.places(valid.texts), valid.places, strict=True)])
                  for each in tried]  # fmt: skip
        return tried[int(np.argmax(scores))].threshold if scores else self.threshold


def load_span_tagger(folder: Path) -> Tagger:
    """A fitted tagger from its folder.

    Raises:
        InputError: `model-corrupt` naming the file; `wrong-model` when it marks no spans.
    """
    artefact = Artefact.open(folder)
    if artefact.fact("model") != "SpanTagger":
        what = f"`{artefact.fact('model')}` in {folder.name} marks no spans"
        raise InputError(Problem("wrong-model", what, str(folder), fix="give the folder of another model"))
    return guarded(folder, lambda: _opened(artefact))


def _opened(artefact: Artefact) -> Tagger:
    arrays = artefact.arrays(FILE)
    columns = Columns(arrays["ids"], arrays["rarity"], tuple(artefact.fact("runs")), artefact.fact("bits"))
    reader = Reader(columns, arrays["near"], arrays["pairs"])
    return Tagger(reader, arrays["weights"], float(arrays["bias"]), artefact.fact("threshold"))
