"""Models that judge content, on data they never learnt from: `python -m benchmarks harm --data NAME`.

NAME is one of davidson, mlma, harmeme, spans, attacks, latency, throughput, moderate. Prints tables and, as its last
line, one JSON object. Nothing that people wrote is ever printed.
"""

import json
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from benchmarks import harm_data
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from winnow.encoders.minilm import MiniLM
from winnow.evaluation.bootstrap import Interval, Resamples, difference, interval
from winnow.evaluation.metrics import Statistic, ece, pr_auc_of
from winnow.models.base import Run
from winnow.models.content import Content, ContentModel, Labelled, load_content_scorer
from winnow.models.content_fusion import EarlyFusion
from winnow.models.content_ngrams import NGrams
from winnow.models.content_words import WordList

Ints = NDArray[np.int64]
Floats = NDArray[np.float32]
Mask = NDArray[np.bool_]
THREADS = 1


def main(*arguments: str) -> None:
    """Runs one part."""
    name = arguments[-1] if arguments else ""
    if name not in PARTS:
        sys.exit(f"usage: python -m benchmarks harm --data {'|'.join(PARTS)}")
    print(json.dumps({"name": f"harm {name}", **PARTS[name]()}))


def encoded(texts: Sequence[str], **more: Any) -> Content:
    """Posts with sentence vectors by the 8-bit encoder, which is kept between runs."""
    folder = Path(tempfile.gettempdir()) / "winnow-harm-minilm"
    return Content.of(texts, MiniLM(precision="int8").open(folder), **more)


def folds(classes: Ints, count: int, seed: int = 0) -> Ints:
    """A fold for each row, classes spread evenly, int64 [N]."""
    rng, out = np.random.default_rng(seed), np.zeros(len(classes), np.int64)
    for value in np.unique(classes):
        at = rng.permutation(np.flatnonzero(classes == value))
        out[at] = np.arange(len(at)) % count
    return out


def judged(model: ContentModel, train: Labelled, valid: Labelled, *others: Content) -> list[Floats]:
    """Probabilities of the validation part and of others by a model fitted anew."""
    with tempfile.TemporaryDirectory() as folder:
        model.fit(train, valid, Run(Path(folder), threads=THREADS))
        scorer = load_content_scorer(Path(folder), threads=THREADS)
        return [scorer.score(content) for content in (valid.content, *others)]


def f1_of(truth: Ints, chosen: Ints, classes: Sequence[int], share: bool = False) -> Statistic:
    """Mean F1 over classes, or with `share` weighted by how frequent they are, as a function of row weights."""

    def value(w: NDArray[np.float64]) -> float:
        scores, sizes = [], []
        for c in classes:
            true, positive = truth == c, chosen == c
            size, found = w @ true, w @ positive
            scores.append(2 * (w @ (true & positive)) / (size + found) if size + found else 0.0)
            sizes.append(size)
        return float(np.average(scores, weights=sizes if share else None))

    return value


def biases(p: Floats, truth: Ints, classes: Sequence[int]) -> NDArray[np.float64]:
    """What each class's probability is multiplied by before the largest wins: best weighted F1, plus a fifth of the
    mean F1, on the validation part."""
    best, chosen = -1.0, np.ones(p.shape[1])
    w = np.ones(len(truth))
    for first in np.exp(np.linspace(-0.4, 1.2, 17)):
        for last in np.exp(np.linspace(-0.4, 0.8, 9)):
            factors = np.array([first, 1.0, last])
            answer = (p * factors).argmax(axis=1)
            value = f1_of(truth, answer, classes, share=True)(w) + 0.2 * f1_of(truth, answer, classes)(w)
            best, chosen = (value, factors) if value > best else (best, chosen)
    return chosen


def ece_by_chance(p: Floats, draws: int = 20) -> float:
    """The ECE that a model without any fault would have on so few rows: labels are drawn from its own probabilities."""
    rng = np.random.default_rng(0)
    return float(np.mean([ece((rng.random(len(p)) < p).astype(np.float64), p) for _ in range(draws)]))


def shown(title: str, rows: Sequence[dict[str, Any]]) -> None:
    """Rows as a table on the error stream."""
    table = Table(*rows[0], title=title)
    for row in rows:
        table.add_row(*(_cell(value) for value in row.values()))
    Console(stderr=True, width=150).print(table)


def _cell(value: Any) -> str:
    if isinstance(value, Interval):
        return f"{value.value:.3f} [{value.low:.3f}, {value.high:.3f}]"
    return f"{value:.3f}" if isinstance(value, float) else str(value)


def rounded(found: Interval) -> list[float]:
    """Value, low, high."""
    return [round(float(v), 4) for v in found]


LADDER: dict[str, ContentModel] = {"L0": WordList(), "L1": NGrams(), "L2": EarlyFusion()}


def davidson() -> dict[str, Any]:
    """Five folds: every post is judged by models that have not seen it; a tenth of the rest tunes and calibrates."""
    posts = harm_data.davidson()
    truth, classes = posts.more["class"], range(3)
    content = encoded(posts.texts)
    hard, votes = Labelled(content, posts.labels), Labelled(content, posts.more["votes"])
    fold, inner = folds(truth, 5), folds(truth, 10, seed=1)
    p = {rung: np.zeros((len(truth), 3), np.float32) for rung in LADDER}
    answer = {rung: np.zeros(len(truth), np.int64) for rung in LADDER}
    for k in range(5):
        test = fold == k
        valid = ~test & (inner == k)
        for rung, declared in LADDER.items():
            model = replace(declared, groups=() if rung == "L0" else (harm_data.CLASSES,))
            taught = hard if rung == "L0" else votes
            tuned, p[rung][test] = judged(model, taught.take(~test & ~valid), hard.take(valid), content.take(test))
            answer[rung][test] = (p[rung][test] * biases(tuned, truth[valid], classes)).argmax(axis=1)
            print(f"fold {k + 1} of 5, {rung}", file=sys.stderr, flush=True)
    return _davidson_figures(truth, p, answer, posts.labels)


def _davidson_figures(truth: Ints, p: dict[str, Floats], answer: dict[str, Ints], labels: Any) -> dict[str, Any]:
    statistics = {}
    for rung in p:
        statistics |= {f"{rung} pr_auc {h}": pr_auc_of(labels[h], p[rung][:, i]) for i, h in enumerate(labels)}
        statistics[f"{rung} weighted F1"] = f1_of(truth, answer[rung], range(3), share=True)
        statistics[f"{rung} F1 hate"] = f1_of(truth, answer[rung], [0])
    drawn = Resamples.of(np.arange(len(truth))).run(statistics)
    found = {name: interval(values) for name, values in drawn.items()}
    names = [n.removeprefix("L0 ") for n in found if n.startswith("L0 ")]
    shown("davidson, 5 folds", [{"metric": n, **{rung: found[f"{rung} {n}"] for rung in p}} for n in names])
    worst = {rung: max(round(ece(labels[h], p[rung][:, i]), 4) for i, h in enumerate(labels)) for rung in p}
    gains = {n: rounded(difference(drawn[f"L2 {n}"], drawn[f"L1 {n}"])) for n in names}
    return {"figures": {n: rounded(v) for n, v in found.items()}, "L2 - L1": gains, "worst ece": worst,
            "ours": round(found["L2 weighted F1"].value, 4), "unit": "weighted F1", "target": 0.9}  # fmt: skip


MANY_TASKS = EarlyFusion(ngrams=NGrams(runs=(2, 3, 4), least=3), folds=3, epochs=20)


def mlma() -> dict[str, Any]:
    """All five tasks in one model, against one model for each task: 80 / 10 / 10 by chance within languages, and three
    folds, an eighth of the others tuning and calibrating, where rows are many enough to measure calibration."""
    posts = harm_data.mlma()
    language = posts.more["language"]
    rows = Labelled(encoded(posts.texts, facts=np.eye(3, dtype=np.float32)[language]), posts.labels)
    part, fold = folds(language, 10), folds(language, 3, seed=2)
    split = _mlma_figures("a tenth", [_mlma_judged(rows, part > 1, part == 0, part == 1)], rows, language)
    said = []
    for k in range(3):
        valid = (fold != k) & (folds(language, 8, seed=3 + k) == 0)
        said.append(_mlma_judged(rows, (fold != k) & ~valid, valid, fold == k))
        print(f"fold {k + 1} of 3", file=sys.stderr, flush=True)
    crossed = _mlma_figures("three folds", said, rows, language)
    mean = crossed["mean"]
    return {"a tenth": split, "three folds": crossed, "ours": mean["multi"][0], "peer": mean["single"][0],
            "ratio": round(mean["multi"][0] / mean["single"][0], 3), "unit": "macro-F1, mean over tasks"}  # fmt: skip


class _Said(NamedTuple):
    """What models of both kinds say of the rows of a test part, by task, and what they answer."""

    test: Mask
    p: dict[str, dict[str, Floats]]
    answers: dict[str, dict[str, Mask]]


def _mlma_judged(rows: Labelled, train: Mask, valid: Mask, test: Mask) -> _Said:
    groups = {t: tuple(f"{t}:{a}" for a in answers) for t, answers in harm_data.TASKS.items()}
    parts = (rows.take(train), rows.take(valid), rows.content.take(test))
    heads = tuple(h for g in groups.values() for h in g)
    many = replace(MANY_TASKS, heads=heads, groups=tuple(groups[t] for t in harm_data.ONE_OF))
    found = judged(many, *parts)
    tuned: dict[str, dict[str, list[Floats]]] = {"multi": {}, "single": {}}
    for task, own in groups.items():
        tuned["multi"][task] = [p[:, [heads.index(h) for h in own]] for p in found]
        model = replace(MANY_TASKS, heads=own, groups=(own,) if task in harm_data.ONE_OF else ())
        tuned["single"][task] = judged(model, *parts)
    answers = {k: {t: _answered(*two, groups[t], parts[1], t in harm_data.ONE_OF) for t, two in of.items()}
               for k, of in tuned.items()}  # fmt: skip
    return _Said(test, {k: {t: two[1] for t, two in of.items()} for k, of in tuned.items()}, answers)


def _mlma_figures(title: str, said: Sequence[_Said], rows: Labelled, language: Ints) -> dict[str, Any]:
    at = np.concatenate([np.flatnonzero(part.test) for part in said])
    language, drawn, worst, chance = language[at], {}, {}, {}
    resamples = Resamples.of(np.arange(len(at)))
    for task, answers in harm_data.TASKS.items():
        truth = np.stack([rows.labels[f"{task}:{a}"][at] for a in answers], axis=1) > 0.5
        for code, name in [(-1, "all"), *enumerate(harm_data.LANGUAGES)]:
            chosen = language == code if code >= 0 else np.ones(len(language), np.bool_)
            there = truth[chosen].any(axis=0)
            for k in ("multi", "single"):
                answered = np.concatenate([part.answers[k][task] for part in said])[chosen][:, there]
                statistic = {"f1": _macro_of(truth[chosen][:, there], answered)}
                drawn[f"{task} {name} {k}"] = resamples.take(chosen).run(statistic)["f1"]
        p = np.concatenate([part.p["multi"][task] for part in said])
        common = np.flatnonzero(truth.sum(axis=0) >= 20)
        chance[task] = max(round(ece_by_chance(p[:, i]), 4) for i in common)
        worst[task] = max(round(ece(truth[:, i], p[:, i]), 4) for i in common)
    return _mlma_shown(title, drawn) | {"worst ece": worst, "by chance": chance}


def _mlma_shown(title: str, drawn: dict[str, NDArray[np.float64]]) -> dict[str, Any]:
    for k in ("multi", "single"):
        drawn[f"mean of tasks {k}"] = np.mean([drawn[f"{t} all {k}"] for t in harm_data.TASKS], axis=0)
    names = [n.removesuffix(" multi") for n in drawn if n.endswith(" multi")]
    gains = {n: difference(drawn[f"{n} multi"], drawn[f"{n} single"]) for n in names}
    found = {n: interval(v) for n, v in drawn.items()}
    table = [{"task": n, "multi": found[f"{n} multi"], "single": found[f"{n} single"], "gain": gains[n]} for n in names]
    shown(f"mlma, macro-F1, {title}", table)
    return {"figures": {n: rounded(v) for n, v in found.items()}, "gain": {n: rounded(v) for n, v in gains.items()},
            "mean": {k: rounded(found[f"mean of tasks {k}"]) for k in ("multi", "single")}}  # fmt: skip


def _answered(tuned: Floats, p: Floats, heads: Sequence[str], valid: Labelled, one_of: bool) -> NDArray[np.bool_]:
    """What a task's model answers, bool [N, H]: the likeliest, or each head above its best threshold."""
    if one_of:
        return np.eye(len(heads), dtype=np.bool_)[p.argmax(axis=1)]
    columns = [p[:, i] >= best_threshold(tuned[:, i], valid.labels[h]) for i, h in enumerate(heads)]
    return np.stack(columns, axis=1)


def best_threshold(p: Floats, labels: Floats) -> float:
    """The threshold of the best F1 on these rows."""
    order = np.argsort(-p)
    found = np.cumsum(labels[order])
    scores = 2 * found / (np.arange(1, len(p) + 1) + labels.sum())
    return float(p[order][int(scores.argmax())])


def _macro_of(truth: NDArray[np.bool_], chosen: NDArray[np.bool_]) -> Statistic:
    def value(w: NDArray[np.float64]) -> float:
        both, total = w @ (truth & chosen), w @ truth + w @ chosen
        return float(np.mean(2 * both / np.maximum(total, 1e-9)))

    return value


def harmeme() -> dict[str, Any]:
    from benchmarks.harm_memes import measured

    return measured()


def spans() -> dict[str, Any]:
    from benchmarks.harm_spans import measured

    return measured()


def attacks() -> dict[str, Any]:
    from benchmarks.harm_attacks import measured

    return measured()


def latency() -> dict[str, Any]:
    from benchmarks.harm_speed import latency as measured

    return measured()


def throughput() -> dict[str, Any]:
    from benchmarks.harm_speed import throughput as measured

    return measured()


def moderate() -> dict[str, Any]:
    from benchmarks.harm_speed import moderate as measured

    return measured()


PARTS = {f.__name__: f for f in (davidson, mlma, harmeme, spans, attacks, latency, throughput, moderate)}


def timed(work: Any) -> float:
    """Seconds."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start
