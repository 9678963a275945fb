"""Time of one text on one core, and short texts a second on two: normalised, encoded in 8 bits, judged."""

import multiprocessing
import os
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from benchmarks import harm_data
from benchmarks.harm import THREADS, encoded

from winnow.encoders.minilm import MiniLM
from winnow.media.normalise import normalise_all
from winnow.models.base import Run
from winnow.models.content import Content, Labelled, load_content_scorer
from winnow.models.content_fusion import EarlyFusion

TAUGHT, ASKED, BATCH = 6_000, 600, 512


def trained(folder: Path) -> list[str]:
    """A model of three classes; the texts that it has not seen."""
    posts = harm_data.davidson()
    part = np.arange(len(posts.texts))
    rows = Labelled(encoded(posts.texts[: TAUGHT + 1_000]), {h: v[: TAUGHT + 1_000] for h, v in posts.labels.items()})
    model = EarlyFusion(groups=(harm_data.CLASSES,), folds=2, epochs=3)
    model.fit(
        rows.take(part[:TAUGHT]), rows.take(part[TAUGHT : TAUGHT + 1_000]), Run(folder / "model", threads=THREADS)
    )
    MiniLM(precision="int8").open(folder / "encoder")
    return posts.texts[TAUGHT + 1_000 :]


def opened(folder: Path) -> Any:
    """Texts → probabilities."""
    scorer, encode = load_content_scorer(folder / "model"), MiniLM(precision="int8").open(folder / "encoder")
    return lambda texts: scorer.score(Content.of(texts, encode))


def latency() -> dict[str, Any]:
    """One text at a time on one core."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        (folder / "model").mkdir()
        texts = trained(folder)[:ASKED]
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:1])
        judge, spent = opened(folder), []
        for text in (*texts[:20], *texts):
            start = time.perf_counter()
            judge([text])
            spent.append((time.perf_counter() - start) * 1e3)
    p50, p99 = np.percentile(spent[20:], [50, 99])
    return {"ours": round(float(p99), 2), "p50": round(float(p50), 2), "unit": "ms a text, p99, one core", "target": 30}


def throughput() -> dict[str, Any]:
    """Batches on two cores, one process each; and the normaliser alone."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        (folder / "model").mkdir()
        texts = trained(folder)
        cores = sorted(os.sched_getaffinity(0))[:2]
        context = multiprocessing.get_context("spawn")
        with context.Pool(len(cores)) as pool:
            work = [(str(folder), core, texts[i : i + 6_000]) for i, core in zip((0, 6_000), cores, strict=False)]
            rates = pool.starmap(_rate, work)
        start = time.perf_counter()
        normalise_all(texts)
        alone = len(texts) / (time.perf_counter() - start)
    clock, working = (round(sum(rate)) for rate in zip(*rates, strict=True))
    return {"ours": clock, "without neighbours": working, "unit": "texts a second, two cores", "target": 1_000,
            "characters": round(float(np.mean([len(t) for t in texts]))), "normaliser": round(alone)}  # fmt: skip


def _rate(folder: str, core: int, texts: list[str]) -> tuple[float, float]:
    """Texts a second by the clock, and a second that the core really worked for it: neighbours slow the first."""
    os.sched_setaffinity(0, [core])
    judge = opened(Path(folder))
    judge(texts[:BATCH])
    start, worked = time.perf_counter(), time.process_time()
    for i in range(0, len(texts), BATCH):
        judge(texts[i : i + BATCH])
    return len(texts) / (time.perf_counter() - start), len(texts) / (time.process_time() - worked)
