"""Judges retrievers of pictures: does a picture find its like, over the full corpus?

Q queries, C pictures to be found, N pictures in all, D numbers in a vector.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from winnow.core.system import System
from winnow.evaluation.bootstrap import Resamples, difference, interval
from winnow.evaluation.report import Record, record
from winnow.evaluation.retrievers import STAGE
from winnow.models.examples import Examples
from winnow.models.picture_retrieval import load_picture_encoder
from winnow.models.retrieval import VECTORS, write_items
from winnow.training.album import Album

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Vectors = NDArray[np.float32]
Values = dict[tuple[str, str], Floats]  # head and metric → value of each query

FIRST, DEEP = 10, 100  # places that precision and NDCG, and recall, look at
MOST_QUERIES = 2_000
LIKED = "liked"
_ALBUM = "album.txt"  # which pictures the vectors are of
_SCORES = 1 << 24  # in memory at once


@dataclass(frozen=True, eq=False)
class Question:
    """What is asked, and what should be found: pictures of the same group, or else those paired with it.

    Args:
        head: what makes an answer right: the relevance column, or `liked` for what people chose.
        queries: positions in the album, ascending, int64 [Q].
        corpus: positions in the album that may be found, ascending, int64 [C].
        groups: of all pictures, int64 [N]; None where pairs say what is right.
        pairs: positions of a query and of what is right for it, within the corpus, int64 [P, 2].
    """

    head: str
    queries: Ints
    corpus: Ints
    groups: Ints | None = None
    pairs: Ints = field(default_factory=lambda: np.empty((0, 2), np.int64))

    def hits(self, span: slice) -> NDArray[np.bool_]:
        """Which of the corpus are right for some of the queries, bool [q, C]; never the query itself."""
        queries = self.queries[span]
        if self.groups is not None:
            found = self.groups[queries][:, None] == self.groups[self.corpus]
        else:
            found = np.zeros((len(queries), len(self.corpus)), bool)
            query, answer = self.pairs[np.isin(self.pairs[:, 0], queries)].T
            found[np.searchsorted(queries, query), np.searchsorted(self.corpus, answer)] = True
        return np.asarray(found & (queries[:, None] != self.corpus))


def questions(system: System, album: Album, asked: Examples) -> list[Question]:
    """By the declared relevance: held-out pictures against all others. By what people chose: against the whole album.

    Args:
        system: the declaration.
        album: all pictures.
        asked: impressions of the test part that led to something good.
    """
    found = []
    if system.relevance is not None:
        queries = _some(np.flatnonzero(album.mask("test") & (album.groups >= 0)))
        found.append(Question(system.relevance.columns[-1], queries, np.flatnonzero(~album.mask("test")), album.groups))
    pairs = album.positions(np.stack([asked.user, asked.item], axis=1))
    found.append(Question(LIKED, _some(np.unique(pairs[:, 0])), np.arange(len(album)), pairs=pairs))
    return [q for q in found if len(q.queries) and len(q.corpus)]


def _some(queries: Ints) -> Ints:
    """At most `MOST_QUERIES` of them, the same every time."""
    drawn = np.random.default_rng(0).permutation(len(queries))[:MOST_QUERIES]
    return np.sort(queries[drawn])


def embed(folder: Path, album: Album, *, threads: int) -> None:
    """Encodes the whole album into `item_vectors.npy` and `item_rows.npy` of a fitted retriever's folder."""
    encoder = load_picture_encoder(folder, threads=threads)
    write_items(folder, album.rows, encoder.encode(album.pixels(encoder.side)))
    (folder / _ALBUM).write_text(album.name)


def vectors_of(folder: Path, album: Album, *, threads: int) -> Vectors:
    """The vectors of an album by a fitted retriever, float32 [N, D]."""
    if (folder / _ALBUM).exists() and (folder / _ALBUM).read_text() == album.name:
        stored: Vectors = np.load(folder / VECTORS, mmap_mode="r")
        return stored
    encoder = load_picture_encoder(folder, threads=threads)
    return encoder.encode(album.pixels(encoder.side))


def evaluate(
    rungs: Sequence[tuple[str, str, Path]], asked: Sequence[Question], album: Album, *, threads: int
) -> list[Record]:
    """precision@10, mAP, recall@100 and NDCG@10 of every rung, with 95 % intervals by resampling queries.

    Args:
        rungs: rung, name of the model and folder.
        asked: from `questions`.
        album: all pictures.
        threads: CPU threads.
    """
    return [
        r
        for rung, name, folder in rungs
        for r in _records(rung, name, asked, vectors_of(folder, album, threads=threads))
    ]


def _records(rung: str, model: str, asked: Sequence[Question], vectors: Vectors) -> Iterator[Record]:
    for question in asked:
        drawn = Resamples.of(question.queries)
        for metric, values in measured(question, vectors).items():
            yield record(
                STAGE, rung, model, head=question.head, slice="all", metric=metric,
                interval=interval(drawn.means(values)), n=int((~np.isnan(values)).sum()),
            )  # fmt: skip


def compare(new: Path, old: Path, asked: Sequence[Question], album: Album, *, threads: int) -> list[Record]:
    """Paired differences new − old of every metric on the same queries."""
    after, before = (vectors_of(folder, album, threads=threads) for folder in (new, old))
    found = []
    for question in asked:
        drawn = Resamples.of(question.queries)
        theirs = measured(question, before)
        for metric, values in measured(question, after).items():
            apart = difference(drawn.means(values), drawn.means(theirs[metric]))
            found.append(record(STAGE, "", new.name, head=question.head, slice="all", metric=metric,
                                interval=apart, n=len(values)))  # fmt: skip
    return found


def measured(question: Question, vectors: Vectors) -> dict[str, Floats]:
    """Metric → value of each query, float64 [Q]; NaN where nothing is right."""
    corpus = np.ascontiguousarray(vectors[question.corpus])
    parts = []
    step = max(1, _SCORES // len(corpus))
    for start in range(0, len(question.queries), step):
        span = slice(start, start + step)
        scores = vectors[question.queries[span]] @ corpus.T
        scores[question.queries[span][:, None] == question.corpus] = -np.inf  # nothing is an answer to itself
        order = np.argsort(-scores, axis=1, kind="stable")
        parts.append(_metrics(np.take_along_axis(question.hits(span), order, axis=1)))
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def _metrics(hits: NDArray[np.bool_]) -> dict[str, Floats]:
    """The metrics of whole lists whose places are right or wrong, best first, bool [q, C]."""
    right = hits.sum(axis=1)
    known = np.where(right > 0, right, np.nan)
    precision = np.cumsum(hits, axis=1) / np.arange(1, hits.shape[1] + 1)
    first = hits[:, :FIRST]
    discount = 1 / np.log2(np.arange(2, FIRST + 2))
    ideal = np.cumsum(discount)[np.clip(right, 1, FIRST) - 1]
    return {
        f"precision@{FIRST}": np.where(right > 0, first.sum(axis=1) / FIRST, np.nan),
        "map": (precision * hits).sum(axis=1) / known,
        f"recall@{DEEP}": hits[:, :DEEP].sum(axis=1) / known,
        f"ndcg@{FIRST}": np.where(right > 0, first @ discount[: first.shape[1]] / ideal, np.nan),
    }
