"""Memes: text alone, picture alone, and both in one model, on the validation part, which no model has seen."""

import io
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from benchmarks import harm_data
from benchmarks.harm import THREADS, Floats, best_threshold, encoded, f1_of, folds, judged, rounded, shown

from winnow.encoders.colours import ColourGrid
from winnow.evaluation.bootstrap import Resamples, difference, interval
from winnow.evaluation.metrics import auc_of, ece, pr_auc_of
from winnow.models.base import Run
from winnow.models.content import Content, Labelled
from winnow.models.content_fusion import EarlyFusion
from winnow.models.content_ngrams import NGrams
from winnow.models.picture_contrastive import ContrastivePictures
from winnow.models.picture_retrieval import Pictures, load_picture_encoder

SIDE = 64
LEARNT = ContrastivePictures(side=SIDE, widths=(24, 48, 96), epochs=8, mirrored=False)


def measured() -> dict[str, Any]:
    """Fusion against each modality alone; and the same over five folds of the training part, where rows are many."""
    train, test = harm_data.harmeme("train"), harm_data.harmeme("val")
    texts, images = train.texts + test.texts, train.more["images"] + test.more["images"]
    labels = {h: np.concatenate([train.labels[h], test.labels[h]]) for h in harm_data.HARM}
    last = np.arange(len(texts)) >= len(train.texts)
    pictures = np.concatenate([ColourGrid().open(Path())(images), learnt(images, ~last)], axis=1)
    whole = encoded(texts, pictures=pictures)
    views = {
        "text": Content(texts, whole.sentences),
        "picture": Content([""] * len(texts), pictures=pictures),
        "fused": whole,
    }
    inner = folds(labels["harmful"].astype(np.int64), 8, seed=1)
    held_out = _scores(views, labels, last, inner)
    figures = {"validation part": _figures(held_out, labels["harmful"][last])}
    fold = np.where(last, -1, folds(labels["harmful"].astype(np.int64), 5))
    crossed = {name: np.zeros((len(texts), 2), np.float32) for name in views}
    for k in range(5):
        for name, (p, answer) in _scores(views, labels, fold == k, inner).items():
            crossed[name][fold == k] = np.stack([p, answer], axis=1)
    among = {name: (both[~last, 0], both[~last, 1]) for name, both in crossed.items()}
    figures["five folds"] = _figures(among, labels["harmful"][~last])
    return {**figures, "ours": figures["validation part"]["fused pr_auc"][0], "unit": "PR-AUC of harmful",
            "peer": figures["validation part"]["text pr_auc"][0]}  # fmt: skip


def learnt(images: list[bytes], train: np.ndarray) -> Floats:
    """Vectors by a network that learnt from the training pictures alone, float32 [N, D]."""
    from PIL import Image

    pixels = np.stack([np.asarray(Image.open(io.BytesIO(i)).convert("RGB").resize((SIDE, SIDE))) for i in images])
    with tempfile.TemporaryDirectory() as folder:
        LEARNT.fit(_pictures(pixels[train]), _pictures(pixels[:0]), Run(Path(folder), threads=THREADS))
        return load_picture_encoder(Path(folder), threads=THREADS).encode(pixels)


def _pictures(pixels: np.ndarray) -> Pictures:
    """Pictures of which nothing more is known."""
    n = len(pixels)
    return Pictures(np.arange(n), pixels, np.full(n, -1), np.zeros((0, 2), np.int64))


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


def _figures(scores: dict[str, tuple[Floats, Floats]], truth: Floats) -> dict[str, list[float]]:
    statistics = {}
    for name, (p, answer) in scores.items():
        statistics |= {f"{name} pr_auc": pr_auc_of(truth, p), f"{name} auc": auc_of(truth, p)}
        statistics[f"{name} macro F1"] = f1_of(truth.astype(np.int64), answer.astype(np.int64), [0, 1])
    drawn = Resamples.of(np.arange(len(truth)), resamples=1_000).run(statistics)
    found = {name: interval(values) for name, values in drawn.items()}
    for metric in ("pr_auc", "auc", "macro F1"):
        for single in ("text", "picture"):
            name = f"fused - {single} {metric}"
            found[name] = difference(drawn[f"fused {metric}"], drawn[f"{single} {metric}"])
    shown(f"memes, {len(truth)} rows", [{"figure": n, "value": v} for n, v in found.items()])
    worst = {f"{name} ece": [round(ece(truth, p), 4)] for name, (p, _) in scores.items()}
    return {n: rounded(v) for n, v in found.items()} | worst
