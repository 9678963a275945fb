"""How well texts are found by words, by meaning and by both, against judgements of people and against known items.

`cranfield`: 1,400 abstracts and 225 questions with graded judgements; grades 1 to 4 count as given, those coded 5 in
the corrected file (-1 in the original) are of no interest and count as 0. Words: BM25 over title and text. Meaning: the
cosine of MiniLM vectors of title and text, nothing trained. Fused by reciprocal rank, by calibrated scores and by trees
that read both scores and places, how alike the words are, and lengths. What is fitted is fitted on four fifths of the
questions and asked the last fifth, five times, so that no question is ever asked of a model that learned from it.

`ted_talks`: a talk is to be found again by what somebody remembers of it: two of its tags, or its speaker and a tag.
Neither is taken from the title; where all words of a title would be in the query, the talk is left out. Tags and
speakers are words of the index, the talks' titles and descriptions too; the vectors read titles and descriptions only.

The peer is bm25s in an environment of its own (`--peer PYTHON`), over the same texts in the same run.
"""

import argparse
import ast
import csv
import json
import os
import re
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from winnow.data.chunk import Chunk
from winnow.data.text import text_hashes
from winnow.encoders.encodings import Encodings
from winnow.encoders.minilm import MiniLM
from winnow.encoders.words import HashedWords
from winnow.evaluation.bootstrap import Resamples, difference, interval
from winnow.evaluation.lists import Relevant, average_precision_at_k, mrr_at_k, recall_at_k
from winnow.features.batch import FeatureBatch
from winnow.features.proposed import ranks
from winnow.models.base import Ranker, Run, load_scorer
from winnow.models.boosting import GradientBoosting
from winnow.models.examples import Examples
from winnow.models.fusion import CalibratedScores, ReciprocalRank
from winnow.retrieval.lexical import Layout, LexicalIndex, Words
from winnow.retrieval.lexical_text import parse
from winnow.retrieval.lexical_writer import LexicalWriter

DATA = Path(os.environ.get("WINNOW_DATA", Path(__file__).resolve().parents[2] / "shared" / "data"))
DEPTH, FOLDS, NO_INTEREST = 1_000, 5, 5
SOURCES = ("Lexical", "Nearest")
Floats, Ints = NDArray[np.float64], NDArray[np.int64]


@dataclass(frozen=True)
class Asked:
    """What is asked of which texts.

    Args:
        columns: column of the documents → their texts.
        weights: column → how much a word in it counts.
        dense: what the vectors read of each document.
        queries: texts.
        grades: of each query: document → grade.
    """

    columns: Mapping[str, list[str]]
    weights: Mapping[str, float]
    dense: list[str]
    queries: list[str]
    grades: list[dict[int, int]]


def main(*arguments: str) -> None:
    """Ranks every query by every way, prints a table and one line of JSON."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks text_fusion")
    parser.add_argument("--data", choices=("cranfield", "ted_talks"), default="cranfield")
    parser.add_argument("--folder", default="", help="keeps vectors for the next run")
    parser.add_argument("--peer", default="", help="a Python with bm25s and PyStemmer")
    options = parser.parse_args(arguments)
    asked = cranfield(DATA / "cranfield") if options.data == "cranfield" else talks(DATA / "ted_talks")
    with tempfile.TemporaryDirectory() as folder:
        lists, times = ranked(asked, Path(options.folder or folder) / "vectors", Path(folder))
        if options.peer:
            lists = {"bm25s (peer)": peer(asked, options.peer, Path(folder))} | lists
    metrics = judged if options.data == "cranfield" else known_items
    values = {name: metrics(found, asked) for name, found in lists.items()}
    _print(options.data, values, asked, times)


def cranfield(folder: Path) -> Asked:
    """Abstracts, questions and graded judgements; questions are numbered by their place in the file."""
    documents = re.split(r"^\.I +\d+\s*$", (folder / "cran.all.1400").read_text(), flags=re.MULTILINE)[1:]
    parts = [re.split(r"^\.[TABW]\s*$", d, flags=re.MULTILINE) for d in documents]
    titles, bodies = ([" ".join(p[i].split()) if len(p) > i else "" for p in parts] for i in (1, 4))
    asked = re.split(r"^\.I +\d+\s*$", (folder / "cran.qry").read_text(), flags=re.MULTILINE)[1:]
    queries = [" ".join(q.replace(".W", "").split()) for q in asked]
    grades: list[dict[int, int]] = [{} for _ in queries]
    for line in (folder / "QRelsCorrectedforTRECeval").read_text().splitlines():
        query, _, document, grade = line.split()[:4]
        grades[int(query) - 1][int(document) - 1] = 0 if int(grade) == NO_INTEREST else int(grade)
    # The abstracts begin with their title, which is a column of its own here.
    bodies = [b.removeprefix(t).strip() for b, t in zip(bodies, titles, strict=True)]
    dense = [f"{t} {b}".strip() for t, b in zip(titles, bodies, strict=True)]
    return Asked({"title": titles, "text": bodies}, {"title": 2.0, "text": 1.0}, dense, queries, grades)


def talks(folder: Path, queries: int = 600) -> Asked:
    """Talks, and what somebody remembers of one: two tags of it, or its speaker's last name and a tag, by turns."""
    with (folder / "ted_main.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    tags = [[t for t in ast.literal_eval(row["tags"]) if not t.lower().startswith("ted")] for row in rows]
    rng, made, grades = np.random.default_rng(0), list[str](), list[dict[int, int]]()
    for place in rng.permutation(len(rows)).tolist():
        if len(tags[place]) < 2 or len(made) == queries:
            continue
        one, two = (tags[place][i] for i in rng.choice(len(tags[place]), 2, replace=False))
        text = f"{one} {two}" if len(made) % 2 else f"{rows[place]['speaker'].split()[-1]} {one}"
        if set(rows[place]["title"].lower().split()) <= set(text.lower().split()):
            continue
        made.append(text)
        grades.append({place: 1})
    columns = {name: [row[name] for row in rows] for name in ("title", "description")}
    columns |= {"speaker": [row["speaker"] for row in rows], "tags": [" ".join(t) for t in tags]}
    dense = [f"{row['title']}. {row['description']}" for row in rows]
    return Asked(columns, {"title": 3.0, "tags": 2.0, "speaker": 2.0, "description": 1.0}, dense, made, grades)


def ranked(asked: Asked, vectors: Path, folder: Path) -> tuple[dict[str, Ints], dict[str, float]]:
    """Way → the documents of each query, best first, int64 [Q, DEPTH], -1 beyond the last; and what took how long."""
    start = time.perf_counter()
    words = indexed(asked, folder / "words")
    built = time.perf_counter() - start
    lexical, took = np.full((len(asked.queries), len(asked.dense)), np.nan), []
    for place, query in enumerate(asked.queries):
        start = time.perf_counter()
        rows, scores = words.search(parse(query), DEPTH)
        took.append((time.perf_counter() - start) * 1000)
        lexical[place, rows] = scores
    dense, spelt = likeness(asked, vectors, MiniLM()), likeness(asked, vectors, HashedWords(size=1024))
    floor = -np.sort(-dense, axis=1)[:, min(DEPTH, dense.shape[1]) - 1 :][:, :1]
    dense = np.where(dense >= floor, dense, np.nan)
    lists = {"words (BM25)": _best(lexical), "meaning (MiniLM)": _best(dense)}
    batch = features(asked, lexical, dense, spelt)
    fused: dict[str, Ranker] = {
        "reciprocal rank": ReciprocalRank(SOURCES), "calibrated scores": CalibratedScores(SOURCES),
        "trees": GradientBoosting(epochs=400, learning_rate=0.04, leaves=8, least=20),
    }  # fmt: skip
    for name, model in fused.items():
        lists[name] = _best(scored(model, batch, asked, folder / name.replace(" ", "-")))
    times = {
        "index s": built,
        "search ms median": float(np.median(took)),
        "search ms p99": float(np.percentile(took, 99)),
    }
    return lists, times


def indexed(asked: Asked, folder: Path) -> Words:
    """The documents in an index of words."""
    layout = Layout("document", tuple(asked.weights.items()))
    size = len(asked.dense)
    rows = {"row": np.arange(size), "seq": np.arange(size), "deleted": np.zeros(size, np.int64)}
    writer = LexicalWriter(folder, layout)
    writer.take([Chunk("row", "document", {**rows, **{n: list(t) for n, t in asked.columns.items()}})], seq=size)
    writer.close()
    return LexicalIndex(folder, layout).words


def likeness(asked: Asked, folder: Path, encoder: Any) -> Floats:
    """Cosines of queries with documents, float64 [Q, C]."""
    encodings = Encodings(folder)
    sides = []
    for texts in (asked.queries, asked.dense):
        encodings.ensure(encoder, texts)
        sides.append(encodings.vectors(encoder, text_hashes(texts)).astype(np.float64))
    return np.asarray(np.nan_to_num(sides[0]) @ np.nan_to_num(sides[1]).T)


def features(asked: Asked, lexical: Floats, dense: Floats, spelt: Floats) -> FeatureBatch:
    """What rankers read of every query with every document, Q x C rows."""
    size = lexical.shape
    columns = {
        "lexical_score": lexical, "lexical_rank": np.stack([ranks(row) for row in lexical]),
        "nearest_score": dense, "nearest_rank": np.stack([ranks(row) for row in dense]), "words_alike": spelt,
        "query_words": np.broadcast_to([[len(q.split())] for q in asked.queries], size),
        "document_words": np.broadcast_to([len(d.split()) for d in asked.dense], size),
        "lexical_share": lexical / np.nanmax(lexical, axis=1, keepdims=True),
        "nearest_share": dense / np.nanmax(dense, axis=1, keepdims=True),
    }  # fmt: skip
    values = np.stack([np.nan_to_num(c).ravel().astype(np.float32) for c in columns.values()], axis=1)
    return FeatureBatch(values, tuple(columns))


def scored(model: Ranker, batch: FeatureBatch, asked: Asked, folder: Path) -> Floats:
    """What a model makes of every query, fitted on other queries: float64 [Q, C]; NaN where nobody proposed."""
    queries, documents = len(asked.queries), len(asked.dense)
    grade = np.zeros((queries, documents))
    for query, judged_ in enumerate(asked.grades):
        for document, value in judged_.items():
            grade[query, document] = value
    query_of = np.repeat(np.arange(queries), documents)
    proposed = (batch.column("lexical_rank") > 0) | (batch.column("nearest_rank") > 0)
    fold = np.random.default_rng(0).permutation(queries) % FOLDS
    out = np.full(queries * documents, np.nan)
    for held in range(FOLDS):
        fitted = np.flatnonzero(proposed & (fold[query_of] != held))
        stop = fold[query_of[fitted]] == (held + 1) % FOLDS
        parts = [_examples(batch, (grade.ravel() > 0), query_of, rows) for rows in (fitted[~stop], fitted[stop])]
        place = folder / str(held)
        place.mkdir(parents=True)
        model.fit(parts[0], parts[1], Run(place, threads=1))
        rows = np.flatnonzero(proposed & (fold[query_of] == held))
        out[rows] = load_scorer(place).score(batch.take(rows))[:, 0]
    return out.reshape(queries, documents)


def _examples(batch: FeatureBatch, right: NDArray[np.bool_], query_of: Ints, rows: Ints) -> Examples:
    ones = np.ones(len(rows), np.float32)
    labels = {"right": right[rows].astype(np.float32)}
    return Examples(batch.take(rows), labels, ones, np.zeros(len(rows), np.int64), query_of[rows], rows)


def peer(asked: Asked, python: str, folder: Path) -> Ints:
    """The lists of bm25s over all columns as one text."""
    documents = [" ".join(parts) for parts in zip(*asked.columns.values(), strict=True)]
    (folder / "in.json").write_text(json.dumps({"documents": documents, "queries": asked.queries, "k": DEPTH}))
    side = Path(__file__).parent / "peers" / "bm25s_side.py"
    subprocess.run([python, str(side), str(folder / "in.json"), str(folder / "out.json")], check=True)
    found = json.loads((folder / "out.json").read_text())["lists"]
    lists = np.full((len(found), DEPTH), -1)
    for place, rows in enumerate(found):
        lists[place, : len(rows)] = rows[:DEPTH]
    return lists


def judged(lists: Ints, asked: Asked) -> dict[str, Floats]:
    """nDCG@10 with the grades as gains, and average precision over the whole list."""
    relevant = Relevant.of([[d for d, g in grades.items() if g > 0] for grades in asked.grades])
    discount = 1 / np.log2(np.arange(2, 12))
    ndcg = []
    for rows, grades in zip(lists, asked.grades, strict=True):
        gains = np.array([grades.get(int(row), 0) for row in rows[:10]])
        best = np.sort(list(grades.values()))[::-1][:10]
        ndcg.append(float(gains @ discount[: len(gains)] / (best @ discount[: len(best)])))
    return {"ndcg@10": np.array(ndcg), "map": average_precision_at_k(lists, relevant, DEPTH).astype(np.float64)}


def known_items(lists: Ints, asked: Asked) -> dict[str, Floats]:
    """Of the one talk that is looked for: the reciprocal of its place, and whether it is among the first ten."""
    relevant = Relevant.of([list(grades) for grades in asked.grades])
    found: dict[str, Callable[[Ints, Relevant, int], Any]] = {"mrr": mrr_at_k, "recall@10": recall_at_k}
    return {n: measure(lists, relevant, DEPTH if n == "mrr" else 10).astype(np.float64) for n, measure in found.items()}


def _best(scores: Floats) -> Ints:
    """The first DEPTH places of each row, -1 where there is no score."""
    order = np.argsort(-np.nan_to_num(scores, nan=-np.inf), axis=1, kind="stable")[:, :DEPTH]
    known = ~np.isnan(np.take_along_axis(scores, order, axis=1))
    return np.asarray(np.where(known, order, -1))


def _print(data: str, values: Mapping[str, Mapping[str, Floats]], asked: Asked, times: Mapping[str, float]) -> None:
    drawn = Resamples.of(np.arange(len(asked.queries)))
    metrics: Sequence[str] = list(next(iter(values.values())))
    single = max(("words (BM25)", "meaning (MiniLM)"), key=lambda name: values[name][metrics[0]].mean())
    table = Table("way", *(f"{m} [95 %]" for m in metrics), *(f"{m} minus {single}" for m in metrics), title=data)
    record: dict[str, Any] = {"name": "text_fusion", "data": data, "queries": len(asked.queries), "times": dict(times)}
    for name, found in values.items():
        cells = []
        for metric in metrics:
            mine = interval(drawn.means(found[metric]))
            record.setdefault(name, {})[metric] = [round(v, 4) for v in mine]
            cells.append("{:.3f} [{:.3f}, {:.3f}]".format(*mine))
        for metric in metrics:
            apart = difference(drawn.means(found[metric]), drawn.means(values[single][metric]))
            record[name][f"{metric} minus {single}"] = [round(v, 4) for v in apart]
            cells.append("{:+.3f} [{:+.3f}, {:+.3f}]".format(*apart))
        table.add_row(name, *cells)
    Console(width=180).print(table)
    best = max(
        v[metrics[0]].mean() for n, v in values.items() if n not in ("words (BM25)", "meaning (MiniLM)", "bm25s (peer)")
    )
    ours, theirs = float(best), float(values[single][metrics[0]].mean())
    print(json.dumps(record | {"ours": round(ours, 4), "peer": round(theirs, 4), "ratio": round(ours / theirs, 4),
                               "unit": metrics[0]}))  # fmt: skip
