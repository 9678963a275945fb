"""Harmful characters of posts: the task's F1 of each post, on its test file."""

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from benchmarks import harm_data
from benchmarks.harm import rounded, shown

from winnow.evaluation.bootstrap import mean_interval
from winnow.media.normalise import normalise_all
from winnow.models.base import Run
from winnow.models.content_tagger import Marked, SpanTagger, load_span_tagger, marked_words, span_f1, words_of

PUBLISHED = 0.7083  # the best of the task


def measured() -> dict[str, Any]:
    """A list of words that were marked more often than not, and the tagger."""
    train, trial, test = (Marked(*harm_data.toxic_spans(part)) for part in ("train", "trial", "test"))
    with tempfile.TemporaryDirectory() as folder:
        SpanTagger().fit(train, trial, Run(Path(folder)))
        tagger = load_span_tagger(Path(folder))
        found = {"L0 word list": listed(train, test), "tagger": tagger.places(test.texts)}
    scores = {n: [span_f1(f, m) for f, m in zip(places, test.places, strict=True)] for n, places in found.items()}
    figures = {n: mean_interval(values, np.arange(len(values))) for n, values in scores.items()}
    shown("harmful spans", [{"model": n, "F1 of characters": v} for n, v in figures.items()])
    return {"figures": {n: rounded(v) for n, v in figures.items()}, "ours": round(figures["tagger"].value, 4),
            "peer": PUBLISHED, "ratio": round(figures["tagger"].value / PUBLISHED, 3),
            "unit": "mean F1 of harmful characters", "peer_name": "best of SemEval-2021 task 5"}  # fmt: skip


def listed(train: Marked, test: Marked) -> list[set[int]]:
    """Places of words that were marked in more than half of at least three occurrences."""
    words = words_of(normalise_all(train.texts))
    kinds, at = np.unique(np.array(words.words, dtype=object), return_inverse=True)
    times, marked = np.bincount(at), np.bincount(at, marked_words(words, train.places))
    harmful = set(kinds[(times >= 3) & (marked > times / 2)])
    seen = words_of(normalise_all(test.texts))
    out: list[set[int]] = [set() for _ in test.texts]
    for post, word, span in zip(seen.post.tolist(), seen.words, seen.spans, strict=True):
        if word in harmful:
            out[post].update(range(*span))
    return out
