"""Searching 500,000 titles by words: time of a search, of building the index, its size, and how soon a change is found.

Titles are drawn with the word frequencies of natural text (Zipf, 120,000 words, 3 to 12 words a title), with tags, a
language, a length and a date. Queries are 1 to 5 words of some title; a fifth of them has a slip that is corrected
first, another fifth filters by language, length and date inside the search. What is timed is what serving does with a
text: parsing, correction, search for the best 300, row numbers.
"""

import argparse
import json
import random
import shutil
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from winnow.data.chunk import Chunk
from winnow.retrieval.conditions import Between, Condition, OneOf
from winnow.retrieval.lexical import Layout, LexicalIndex
from winnow.retrieval.lexical_spelling import Speller
from winnow.retrieval.lexical_text import parse
from winnow.retrieval.lexical_writer import LexicalWriter

VOCABULARY, TAGS, LIMIT, AT_ONCE = 120_000, 200, 300, 50_000
LETTERS = "aabcdeeefghiiklmnooprsttuuvwy"
COLUMNS = (("tags", "categories"), ("language", "category"), ("length", "number"), ("published_at", "time"))
LAYOUT = Layout("video", (("title", 3.0), ("tags", 2.0)), COLUMNS, (("tags", "tag"), ("language", "lang")), "language")


def main(*arguments: str) -> None:
    """Builds, asks, changes; prints one line of JSON."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks text_search")
    parser.add_argument("--titles", type=int, default=500_000)
    parser.add_argument("--queries", type=int, default=3_000)
    options = parser.parse_args(arguments)
    folder = Path(tempfile.mkdtemp())
    try:
        print(json.dumps(run(options.titles, options.queries, folder)))
    finally:
        shutil.rmtree(folder)


def run(titles: int, queries: int, folder: Path) -> dict[str, Any]:
    """Everything, as one record."""
    words, rng = vocabulary(), np.random.default_rng(0)
    start, made = time.perf_counter(), list[str]()
    writer = LexicalWriter(folder, LAYOUT, named=lambda column, row: words[row] if column == "tags" else "en")
    drawing = 0.0
    for first in range(0, titles, AT_ONCE):
        began = time.perf_counter()
        chunk = videos(first, min(AT_ONCE, titles - first), words, rng)
        made += chunk.texts("title")[::50]  # type: ignore[arg-type]
        drawing += time.perf_counter() - began
        writer.take([chunk], seq=first + AT_ONCE)
    built = time.perf_counter() - start - drawing
    index = LexicalIndex(folder, LAYOUT)
    spelling = time.perf_counter()
    speller = Speller(index.words.vocabulary())
    spelling = time.perf_counter() - spelling
    took = timed(index, speller, made, queries)
    fresh = [changed(writer, index, titles + i, rng) for i in range(20)]
    writer.close()
    kinds = {name: percentiles([t for kind, t, _ in took if kind == name]) for name in ("plain", "slip", "filter")}
    size = sum(p.stat().st_size for p in folder.iterdir() if p.is_file())
    kept = (folder / "rows.db").stat().st_size
    every = percentiles([t for _, t, _ in took])
    return {
        "name": "text_search", "titles": titles, "queries": queries, "ms": every,
        "processor ms": percentiles([busy for _, _, busy in took]), "ms by kind": kinds,
        "build_s": round(built, 1), "titles_per_s": round(titles / built), "index_mb": round((size - kept) / 2**20, 1),
        "rows_mb": round(kept / 2**20, 1), "words": len(speller), "speller_s": round(spelling, 2),
        "visible_ms": percentiles(fresh), "ours": every["p99"], "peer": 15.0, "ratio": round(every["p99"] / 15, 3),
        "unit": "ms",
    }  # fmt: skip


def vocabulary() -> list[str]:
    """Words that could be, the frequent ones short."""
    rng, found = random.Random(0), dict[str, None]()
    while len(found) < VOCABULARY:
        found.setdefault(
            "".join(rng.choices(LETTERS, k=rng.randint(2 + len(found) // 20_000, 8 + len(found) // 20_000)))
        )
    return list(found)


def videos(first: int, count: int, words: Sequence[str], rng: np.random.Generator) -> Chunk:
    """Rows of a table as the log holds them."""
    weight = 1 / np.arange(1, VOCABULARY + 1)
    lengths = rng.integers(3, 13, count)
    drawn = rng.choice(VOCABULARY, int(lengths.sum()), p=weight / weight.sum())
    ends = np.cumsum(lengths)
    titles = [
        " ".join(words[w] for w in drawn[e - n : e]) for e, n in zip(ends.tolist(), lengths.tolist(), strict=True)
    ]
    columns: dict[str, Any] = {
        "row": np.arange(first, first + count), "seq": np.arange(first, first + count),
        "deleted": np.zeros(count, np.int64), "title": titles, "tags": rng.integers(0, TAGS, (count, 3)),
        "language": rng.integers(0, 5, count), "length": np.round(np.exp(rng.normal(6, 1, count))),
        "published_at": rng.integers(1_600_000_000, 1_760_000_000, count) * 1_000_000,
    }  # fmt: skip
    return Chunk("row", "video", columns)


def timed(index: LexicalIndex, speller: Speller, titles: Sequence[str], queries: int) -> list[tuple[str, float, float]]:
    """Kind, milliseconds and milliseconds of processor of every query, after some to warm up."""
    rng = random.Random(1)
    asked = [_query(rng.choice(titles), rng) for _ in range(queries + 100)]
    took = []
    for kind, text, conditions in asked:
        start, busy = time.perf_counter(), time.thread_time()
        words = index.words
        found = speller.correct(parse(text), words.spread)
        words.search(found.asked, LIMIT, language="en", conditions=conditions)
        took.append((kind, (time.perf_counter() - start) * 1000, (time.thread_time() - busy) * 1000))
    return took[100:]


def _query(title: str, rng: random.Random) -> tuple[str, str, list[Condition]]:
    words = title.split()
    chosen = rng.sample(words, min(len(words), rng.randint(1, 5)))
    kind = rng.choices(("plain", "slip", "filter"), (3, 1, 1))[0]
    if kind == "slip":
        longest = max(range(len(chosen)), key=lambda i: len(chosen[i]))
        at = rng.randrange(max(len(chosen[longest]) - 1, 1))
        chosen[longest] = chosen[longest][:at] + chosen[longest][at + 1 :]
    narrowed: list[Condition] = [
        OneOf("language", np.array([1, 2])), Between("length", 60, 1_200),
        Between("published_at", 1_650_000_000_000_000),
    ]  # fmt: skip
    return kind, " ".join(chosen), narrowed if kind == "filter" else []


def changed(writer: LexicalWriter, index: LexicalIndex, row: int, rng: np.random.Generator) -> float:
    """Milliseconds from a change that the log tells to the moment it is found."""
    start = time.perf_counter()
    one: dict[str, Any] = {
        "row": np.array([row]), "seq": np.array([row]), "deleted": np.array([0]), "title": [f"unheardof{row} title"],
    }  # fmt: skip
    writer.take([Chunk("row", "video", one)], seq=row)
    index.follow()
    rows, _ = index.words.search(parse(f"unheardof{row}"), 1)
    if rows.tolist() != [row]:
        raise RuntimeError("a new title was not found")
    return (time.perf_counter() - start) * 1000


def percentiles(values: Sequence[float]) -> dict[str, float]:
    """Median, 99th and 99.9th percentile."""
    p50, p99, p999 = np.percentile(np.asarray(values, np.float64), [50, 99, 99.9]).tolist()
    return {"p50": round(p50, 3), "p99": round(p99, 3), "p999": round(p999, 3)}
