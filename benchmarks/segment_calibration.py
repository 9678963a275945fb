"""Predicted over observed by surface and advertiser on the last day of a stream in which advertisers drift.

One network learns from the first days and stays as it is. Calibrations of it are compared on the last day: the global
curve of the day before training ended; curve and segments fitted once, a day before; curve and segments fitted every
hour on the 24 (or 12) hours before that hour. Large segments (surfaces, advertisers and both together) are those with
at least 3,600 conversions on the last day: chance alone moves their ratio by at most 1.7 % (one standard deviation,
three of which are the target). The ratio to the true chances is shown too. Conversions count as known at once: what
delays do to them is the subject of `delayed_feedback`.
"""

import json
import os
import platform
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from winnow.core.time import MICROS
from winnow.models.base import Run, load_scorer
from winnow.models.calibration import Calibration
from winnow.models.delayed import StreamDCN
from winnow.models.examples import Examples
from winnow.models.segments import Segmented, ratios
from winnow.simulation.delays import HEAD, Size, Stream

DAYS, TRAINED = 8, 6
DAY, HOUR = 86_400 * MICROS, 3_600 * MICROS
BY = ("surface", "advertiser")
LARGE = 3_600
OVERALL, SEGMENT = 0.02, 0.05
Floats = NDArray[np.float32]


def main(rows_a_day: str = "500000", seeds: str = "2", drift: str = "0.4") -> None:
    """Fits, calibrates and judges.

    Args:
        rows_a_day: clicks.
        seeds: how many streams.
        drift: standard deviation of what the log-odds of an advertiser move by over the stream.
    """
    began = time.perf_counter()
    runs = [on_stream(int(rows_a_day), seed, float(drift)) for seed in range(int(seeds))]
    found = {way: {k: [r[way][k] for r in runs] for k in runs[0][way]} for way in runs[0]}
    hourly = found["segments hourly"]
    passed = {
        "overall": max(abs(x - 1) for x in hourly["overall"]) <= OVERALL,
        "segments": max(hourly["worst_observed"]) <= SEGMENT,
        "segments_against_truth": max(hourly["worst_true"]) <= SEGMENT,
    }
    print(json.dumps({
        "name": "segment_calibration", "ours": max(hourly["worst_observed"]),
        "peer": max(found["global"]["worst_observed"]), "peer_name": "global curve",
        "unit": "worst |predicted / observed - 1| of a large segment on the last day", "target": SEGMENT,
        "passed": passed, "ways": found, "large": LARGE, "seconds": round(time.perf_counter() - began),
        "machine": platform.machine(), "load": os.getloadavg()[0],
    }))  # fmt: skip


def on_stream(rows_a_day: int, seed: int, drift: float) -> dict[str, dict[str, float]]:
    """Way → ratios on the last day."""
    stream = Stream.make(Size(rows=rows_a_day * DAYS, days=DAYS), seed=seed, drift=drift)
    rows = replace(stream.rows, labels={HEAD: stream.eventual()})
    raw = predicted(rows, seed)
    last = rows.at >= (DAYS - 1) * DAY

    def window(until: int, length: int = DAY) -> Callable[[str | Segmented], Calibration]:
        part = (rows.at >= until - length) & (rows.at < until)
        few = rows.take(part)
        return lambda how: Calibration.fit(
            how, raw[part], few.labels, types={HEAD: "binary"}, features=few.features  # type: ignore[arg-type]
        )  # fmt: skip

    segmented, asked = Segmented(BY), rows.take(last)
    ways: dict[str, Floats] = {
        "none": raw[last],
        "global": window(TRAINED * DAY)("isotonic").apply(raw[last], (HEAD,)),
        "segments daily": window((DAYS - 1) * DAY)(segmented).apply(raw[last], (HEAD,), asked.features),
        "segments hourly": hourly(window, raw, rows, segmented),
        "segments hourly, of 12 hours": hourly(lambda until: window(until, DAY // 2), raw, rows, segmented),
    }
    return {way: told(p[:, 0], asked, stream.chance[last]) for way, p in ways.items()}


def predicted(rows: Examples, seed: int) -> Floats:
    """Scores of a network that has seen a tenth of the rows of the first days."""
    seen = rows.take((rows.at < TRAINED * DAY) & (np.random.default_rng(seed).random(len(rows)) < 0.1))
    model = StreamDCN(embedding_size=4, hidden=(32,), crosses=1, rank=8, epochs=2, batch_size=1024, learning_rate=2e-3)
    with tempfile.TemporaryDirectory() as folder:
        model.fit(seen, seen.take(slice(None, None, 20)), Run(Path(folder), seed, 1, checkpoint_every=10**9))
        return load_scorer(Path(folder)).score(rows.features)


def hourly(window: Any, raw: Floats, rows: Examples, how: Segmented) -> Floats:
    """The last day, each hour by the calibration fitted when it began."""
    parts = []
    for hour in range(24):
        begin = (DAYS - 1) * DAY + hour * HOUR
        part = (rows.at >= begin) & (rows.at < begin + HOUR)
        parts.append(window(begin)(how).apply(raw[part], (HEAD,), rows.take(part).features))
    return np.concatenate(parts)


def told(p: Floats, rows: Examples, chance: NDArray[np.float64]) -> dict[str, float]:
    """Ratios overall and of the worst large segment, to what was observed and to what was to be expected."""
    y = rows.labels[HEAD]
    kinds = (BY[:1], BY[1:], BY)
    seen = {(by, r.segment): r for by in kinds for r in ratios(y, p, rows.features, by) if r.observed >= LARGE}
    expected = chance.astype(np.float32)
    true = {(by, r.segment): r for by in kinds for r in ratios(expected, p, rows.features, by)}
    return {
        "overall": round(float(p.sum() / y.sum()), 4), "large": len(seen),
        "worst_observed": round(max(abs(r.value - 1) for r in seen.values()), 4),
        "worst_true": round(max(abs(true[s].value - 1) for s in seen), 4),
    }  # fmt: skip
