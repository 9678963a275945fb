"""Memes: text alone, picture alone, and both in one model, on the validation part, which no model has seen."""

import io
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from benchmarks import harm_data
from benchmarks.harm import THREADS, Floats, best_threshold, encoded, f1_of, folds, judged, rounded, shown

from winnow.evaluation.bootstrap import Resamples, difference, interval
from winnow.evaluation.metrics import auc_of, ece, pr_auc_of
from winnow.models.base import Run
from winnow.models.content import Content, Labelled
from winnow.models.content_fusion import EarlyFusion
from winnow.models.content_ngrams import NGrams
from winnow.models.content_pictures import PicturePatterns, load_picture_patterns

REPEATS = 3
Said = dict[str, tuple[Floats, Floats]]


def measured() -> dict[str, Any]:
    """Fusion against each modality alone; and the same over five folds of the training part, three times, where rows
    are many. Differences are paired: the same rows are drawn for both."""
    train, test = harm_data.harmeme("train"), harm_data.harmeme("val")
    texts, images = train.texts + test.texts, train.more["images"] + test.more["images"]
    labels = {h: np.concatenate([train.labels[h], test.labels[h]]) for h in harm_data.HARM}
    last = np.arange(len(texts)) >= len(train.texts)
    whole = encoded(texts, pictures=learnt(images, ~last))
    views = {
        "text": Content(texts, whole.sentences),
        "picture": Content([""] * len(texts), pictures=whole.pictures),
        "fused": whole,
    }
    classes = labels["harmful"].astype(np.int64)
    held_out = _scores(views, labels, last, folds(classes, 8, seed=1))
    figures = {"validation part": _figures([held_out], labels["harmful"][last])}
    crossed = [_crossed(views, labels, ~last, seed) for seed in range(REPEATS)]
    figures["five folds"] = _figures(crossed, labels["harmful"][~last])
    return {**figures, "ours": figures["validation part"]["fused pr_auc"][0], "unit": "PR-AUC of harmful",
            "peer": figures["validation part"]["text pr_auc"][0]}  # fmt: skip


def learnt(images: list[bytes], train: np.ndarray) -> Floats:
    """Vectors by patterns learnt from the training pictures alone, float32 [N, D]."""
    from PIL import Image

    model = PicturePatterns()
    square = (model.side, model.side)
    pixels = np.stack([np.asarray(Image.open(io.BytesIO(i)).convert("RGB").resize(square)) for i in images])
    with tempfile.TemporaryDirectory() as folder:
        model.fit(pixels[train], Run(Path(folder), threads=THREADS))
        return load_picture_patterns(Path(folder)).encode(pixels)


def _crossed(views: dict[str, Content], labels: Any, among: Any, seed: int) -> Said:
    """Every row judged by models that have not seen it."""
    classes = labels["harmful"].astype(np.int64)
    fold, inner = np.where(among, folds(classes, 5, seed=10 + seed), -1), folds(classes, 8, seed=20 + seed)
    rows = {name: content.take(among) for name, content in views.items()}
    known = {head: values[among] for head, values in labels.items()}
    out = {name: np.zeros((int(among.sum()), 2), np.float32) for name in views}
    for k in range(5):
        for name, two in _scores(rows, known, fold[among] == k, inner[among]).items():
            out[name][fold[among] == k] = np.stack(two, axis=1)
    print(f"folds, {seed + 1} of {REPEATS}", file=sys.stderr, flush=True)
    return {name: (both[:, 0], both[:, 1]) for name, both in out.items()}


def _scores(views: dict[str, Content], labels: Any, test: Any, inner: Any) -> dict[str, tuple[Floats, Floats]]:
    """For each view the probability of harm of the test rows, and the answer at the best threshold."""
    out = {}
    for name, content in views.items():
        rows = Labelled(content, labels)
        valid = ~test & (inner == 0)
        model = EarlyFusion(ngrams=NGrams(balance=0.5), hidden=64, members=3, epochs=30, left_out=0.2, dropout=0.5)
        tuned, p = judged(model, rows.take(~test & ~valid), rows.take(valid), content.take(test))
        threshold = best_threshold(tuned[:, 0], rows.labels["harmful"][valid])
        out[name] = (p[:, 0], (p[:, 0] >= threshold).astype(np.float32))
    return out


def _figures(rounds: Sequence[Said], truth: Floats) -> dict[str, list[float]]:
    """Means over the rounds, and intervals of them over the rows."""
    values = {}
    resamples = Resamples.of(np.arange(len(truth)), resamples=500)
    for said in rounds:
        statistics = {}
        for name, (p, answer) in said.items():
            statistics |= {f"{name} pr_auc": pr_auc_of(truth, p), f"{name} auc": auc_of(truth, p)}
            statistics[f"{name} macro F1"] = f1_of(truth.astype(np.int64), answer.astype(np.int64), [0, 1])
        for name, drawn in resamples.run(statistics).items():
            values[name] = values.get(name, 0) + drawn / len(rounds)
    found = {name: interval(drawn) for name, drawn in values.items()}
    for metric in ("pr_auc", "auc", "macro F1"):
        for single in ("text", "picture"):
            found[f"fused - {single} {metric}"] = difference(values[f"fused {metric}"], values[f"{single} {metric}"])
    shown(f"memes, {len(truth)} rows, {len(rounds)} times", [{"figure": n, "value": v} for n, v in found.items()])
    worst = {f"{name} ece": [round(ece(truth, p), 4)] for name, (p, _) in rounds[0].items()}
    return {n: rounded(v) for n, v in found.items()} | worst
