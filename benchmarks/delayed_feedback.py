"""Conversions that come late, learned in four ways on streams whose truth is known: bias and log-loss.

Of the conversions, 70 % come after the window that the naive way waits. All ways see the same log as it stands at one
moment and predict the clicks that follow; `eventual` learns from the outcomes that nobody knows in time, and shows what
is left to win. Bias is mean prediction over mean true chance, less 1; loss is the expected log-loss under the true
chances, less that of the truth itself. Intervals: 95 % by Student's t over the seeds.
"""

import json
import os
import platform
import tempfile
import time
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import t as student

from winnow.core.time import MICROS
from winnow.models.base import Run, load_scorer
from winnow.models.delayed import METHODS, Delay, Method, StreamDCN
from winnow.models.examples import Examples
from winnow.simulation.delays import HEAD, Law, Size, Stream

LATE, TARGET = 0.7, 0.01
TRAIN_DAYS = 30.0
LONGEST = timedelta(days=12)
DAY_US = 86_400 * MICROS
LAWS: tuple[Law, ...] = ("exponential", "lognormal")
WAYS = (*METHODS, "eventual")


def main(seeds: str = "8", rows: str = "1000000") -> None:
    """Runs every way on every stream.

    Args:
        seeds: how many streams of each law.
        rows: clicks in each.
    """
    began = time.perf_counter()
    found: dict[str, Any] = {}
    for law in LAWS:
        results = [on_stream(law, seed, int(rows)) for seed in range(int(seeds))]
        found[law] = {way: {m: summary([r[way][m] for r in results]) for m in results[0][way]} for way in WAYS}
    best = min(METHODS, key=lambda way: abs(found["exponential"][way]["bias"]["mean"]))
    biases = {way: found["exponential"][way]["bias"]["mean"] for way in METHODS}
    print(json.dumps({
        "name": "delayed_feedback", "best": best, "ours": abs(biases[best]), "target": TARGET,
        "passed": abs(biases[best]) <= TARGET, "unit": "bias of the mean prediction, exponential delays",
        "late": LATE, "streams": found, "seeds": int(seeds), "rows": int(rows),
        "seconds": round(time.perf_counter() - began), "machine": platform.machine(), "load": os.getloadavg()[0],
    }))  # fmt: skip


def on_stream(law: Law, seed: int, rows: int) -> dict[str, dict[str, float]]:
    """Way → bias, excess log-loss and seconds on one stream."""
    stream = Stream.make(Size(rows=rows), seed=seed, law=law)
    moment = int(TRAIN_DAYS * DAY_US)
    window = timedelta(seconds=stream.window_s(LATE))
    test = stream.rows.at >= moment
    asked, chance = stream.rows.features.take(test), stream.chance[test]
    out = {}
    for way in WAYS:
        start = time.perf_counter()
        method: Method = "naive" if way == "eventual" else way
        known = stream.as_of(moment) if way != "eventual" else told(stream, moment)
        delay = Delay(head=HEAD, method=method, window=window, longest=LONGEST)
        p = fitted(known, delay, seed).score(asked)[:, 0].astype(np.float64)
        seconds = time.perf_counter() - start
        out[way] = {"bias": float(p.mean() / chance.mean() - 1), "loss": excess(chance, p), "seconds": seconds}
    return out


def told(stream: Stream, moment: int) -> Examples:
    """The rows before a moment with what became of them in the end."""
    rows, (early,) = stream.as_of(moment), (stream.rows.at < moment,)
    only = {"conversion_after_s": np.where(stream.eventual()[early] > 0, 0, np.nan).astype(np.float32)}
    only["waited_s"] = np.full(len(rows), np.inf, np.float32)
    return replace(rows, features=replace(rows.features, training_only=only))


def fitted(known: Examples, delay: Delay, seed: int) -> Any:
    """A model of what was known; the last days tune, for those ways that can use them, and teach all the same."""
    model = StreamDCN(
        delay=delay, embedding_size=4, hidden=(32,), crosses=1, rank=8, input_dropout=0.0, dropout=0.0, reg=0.0,
        epochs=3, batch_size=1024, learning_rate=2e-3,
    )  # fmt: skip
    few = np.random.default_rng(seed).random(len(known)) < 0.1
    with tempfile.TemporaryDirectory() as folder:
        model.fit(known.take(~few), known.take(few), Run(Path(folder), seed, 1, checkpoint_every=10**9))
        return load_scorer(Path(folder))


def excess(chance: NDArray[np.float64], p: NDArray[np.float64]) -> float:
    """Expected log-loss of predictions under the true chances, less that of the chances: nats a row."""
    p = np.clip(p, 1e-7, 1 - 1e-7)
    return float(np.mean(chance * np.log(chance / p) + (1 - chance) * np.log((1 - chance) / (1 - p))))


def summary(values: list[float]) -> dict[str, float]:
    """Mean with its 95 % interval over seeds."""
    mean, n = float(np.mean(values)), len(values)
    half = float(student.ppf(0.975, n - 1) * np.std(values, ddof=1) / np.sqrt(n)) if n > 1 else float("nan")
    return {"mean": round(mean, 6), "low": round(mean - half, 6), "high": round(mean + half, 6)}
