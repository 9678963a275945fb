"""How much a click model loses with age: minutes, an hour, a day; on KuaiRand, click by click on 30 April.

One network is fitted on what happened before 29 April and goes on learning, minute by minute, through 29 and 30 April.
Every impression of 30 April is predicted by that network as it stood just before the minute began, an hour earlier and
a day earlier, and never before it is learned from. How fast it learns, and how many old rows again, was chosen on 29
April. Features are as of each impression in all of them: what ages is the model alone. `ids` is a network that reads
ids only, to which counts do not carry what is new. Clicks count as known at once, as the log has them. Intervals: 95 %,
by resampling users, of the mean over seeds.
"""

import json
import os
import platform
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from winnow.continual.replay import Replay, joined
from winnow.core.time import MICROS, now_us, parse_time
from winnow.data.split import TimeSplit
from winnow.evaluation import metrics
from winnow.evaluation.bootstrap import Resamples, difference, interval
from winnow.models.base import Run
from winnow.models.delayed import StreamDCN
from winnow.models.examples import Examples
from winnow.models.networks.online import Learner
from winnow.project import Project
from winnow.training import dataset

SYSTEM, HEAD = "video_recommendation", "click"
BEGIN, JUDGED, END = (parse_time(f"2022-{day}T00:00:00+08:00") for day in ("04-29", "04-30", "05-01"))
MINUTE = 60 * MICROS
BLOCK = 10 * MINUTE
AGES = {"1 minute": 0, "1 hour": 60 * MINUTE, "1 day": 24 * 60 * MINUTE}
REPLAYED = 0.5  # old rows learned again beside each new one
MODEL = StreamDCN(heads=(HEAD,), least=5, step=0.1)

Scores = NDArray[np.float64]


def main(project: str = "", seeds: str = "3") -> None:
    """Makes the rows, runs the networks through two days and compares their ages.

    Args:
        project: a project of `video_recommendation` that holds KuaiRand; made from the data set when left out.
        seeds: how many networks of each kind.
    """
    began = time.perf_counter()
    rows = loaded(project)
    made = time.perf_counter() - began
    kinds = {"features": rows, "ids": ids_only(rows)}
    found = {name: curve(part, int(seeds)) for name, part in kinds.items()}
    ours, day = (found["features"]["ages"][age]["ne"]["value"] for age in ("1 minute", "1 day"))
    print(json.dumps({
        "name": "freshness_curve", "ours": ours, "peer": day, "ratio": round(ours / day, 4), "peer_name": "a day old",
        "unit": "normalised entropy of clicks of 30 April", "kinds": found, "seeds": int(seeds),
        "dataset_s": round(made, 1),
        "seconds": round(time.perf_counter() - began), "machine": platform.machine(), "load": os.getloadavg()[0],
    }))  # fmt: skip


def loaded(folder: str) -> Examples:
    """Every impression with its features as of its own moment, in time order; sequences left out."""
    if not folder:
        with tempfile.TemporaryDirectory() as made:
            project = Project.init(Path(made) / "kuairand", SYSTEM)
            data = Path(os.environ.get("WINNOW_DATA", "../shared/data")) / "kuairand"
            project.import_data("kuairand", data)
            return rows_of(project)
    return rows_of(Project(folder))


def rows_of(project: Project) -> Examples:
    """The rows of a project up to 30 April."""
    with project:
        project.history.sync(project.log)
        split = TimeSplit(train_until=BEGIN, valid_until=JUDGED, test_until=END, embargo=timedelta(0))
        data = dataset.build(project, project.system(SYSTEM), as_of=now_us(), split=split)
    rows = joined([replace(p, labels={HEAD: p.labels[HEAD]}) for p in (data.train, data.valid, data.test)])
    return replace(rows, features=replace(rows.features, training_only={}))


def ids_only(rows: Examples) -> Examples:
    """The rows without numbers: counts, rates and ages go."""
    empty = np.zeros((len(rows), 1), np.float32)
    return replace(rows, features=replace(rows.features, numeric=empty, numeric_names=("nothing",)))


def curve(rows: Examples, seeds: int) -> dict[str, Any]:
    """Metrics by age, their differences from the freshest, and NE by hour of the day."""
    runs = [aged(rows, seed) for seed in range(seeds)]
    judged, seen = rows.take(rows.at >= JUDGED), rows.labels[HEAD][rows.at < BEGIN]
    base, y = float(seen.mean()), judged.labels[HEAD].astype(np.float64)
    drawn = Resamples.of(judged.user)
    values = {(age, metric): drawn.run({"m": _mean(metric, y, [r["scores"][age] for r in runs], base)})["m"]
              for age in AGES for metric in ("auc", "ne", "calibration")}  # fmt: skip
    freshest = next(iter(AGES))
    return {
        "rows": len(judged), "users": len(np.unique(judged.user)), "learned_before": len(seen),
        "ages": {age: {m: _told(interval(values[age, m])) for m in ("auc", "ne", "calibration")} for age in AGES},
        "against_freshest": {
            age: {m: _told(difference(values[age, m], values[freshest, m])) for m in ("auc", "ne")}
            for age in list(AGES)[1:]
        },
        "ne_by_hour": by_hour(judged, y, runs, base),
        "update_ms": {"mean": round(1000 * float(np.mean([r["update_s"] for r in runs])), 2),
                      "worst": round(1000 * float(np.max([r["worst_s"] for r in runs])), 1)},
        "fit_s": round(float(np.mean([r["fit_s"] for r in runs])), 1),
    }  # fmt: skip


def aged(rows: Examples, seed: int) -> dict[str, Any]:
    """Predictions for the judged rows by age of the model, and what learning took."""
    start = time.perf_counter()
    learner, kept = fitted(rows.take(rows.at < BEGIN), seed), Replay(20_000, seed)
    kept.add(rows.take(rows.at < BEGIN))
    fit_s, shelf, took = time.perf_counter() - start, dict[int, Learner](), list[float]()
    scores: dict[str, list[Scores]] = {age: [] for age in AGES}
    for moment, part in by_minute(rows):
        if moment % BLOCK == 0:
            shelf[moment] = learner.copied()
        if moment >= JUDGED and len(part):
            for age, back in AGES.items():
                model = learner if not back else shelf[moment // BLOCK * BLOCK - back]
                scores[age].append(model.score(part.features)[:, 0].astype(np.float64))
        began = time.perf_counter()
        if len(part):
            learner.learn(part, kept.draw(int(REPLAYED * len(part))))
            kept.add(part)
        took.append(time.perf_counter() - began)
    whole = {age: np.concatenate(parts) for age, parts in scores.items()}
    return {"scores": whole, "fit_s": fit_s, "update_s": float(np.mean(took)), "worst_s": max(took)}


def fitted(rows: Examples, seed: int) -> Learner:
    """The network as it stands when the stream begins; the last day before tunes it."""
    last = rows.at >= rows.at.max() - 24 * 60 * MINUTE
    with tempfile.TemporaryDirectory() as folder:
        MODEL.fit(rows.take(~last), rows.take(last), Run(Path(folder), seed, 1, checkpoint_every=10**9))
        learner = Learner.open(Path(folder), MODEL, seed=seed)
    learner.learn(rows.take(last), None)
    return learner


def by_minute(rows: Examples) -> Iterator[tuple[int, Examples]]:
    """Each minute of the two days with its rows."""
    bounds = np.arange(BEGIN, END + 1, MINUTE)
    places = np.searchsorted(rows.at, bounds)
    for moment, low, high in zip(bounds[:-1].tolist(), places[:-1].tolist(), places[1:].tolist(), strict=True):
        yield moment, rows.take(slice(low, high))


def by_hour(judged: Examples, y: Scores, runs: list[dict[str, Any]], base: float) -> dict[str, list[float]]:
    """NE of each hour of the day by age, mean over seeds."""
    hour = (judged.at - JUDGED) // (60 * MINUTE)
    return {
        age: [round(float(np.mean([_entropy(y[hour == h], r["scores"][age][hour == h], base) for r in runs])), 4)
              for h in range(24)]
        for age in AGES
    }  # fmt: skip


def _mean(metric: str, y: Scores, runs: list[Scores], base: float) -> metrics.Statistic:
    """The mean over seeds of a metric as a function of row weights."""
    of: Mapping[str, Any] = {
        "auc": metrics.auc_of, "ne": lambda y, p: metrics.normalised_entropy_of(y, p, base),
        "calibration": metrics.calibration_of,
    }  # fmt: skip
    statistics = [of[metric](y, p) for p in runs]
    return lambda w: float(np.mean([s(w) for s in statistics]))


def _entropy(y: Scores, p: Scores, base: float) -> float:
    return metrics.normalised_entropy(y, p, base) if len(y) else float("nan")


def _told(found: tuple[float, float, float]) -> dict[str, float]:
    return dict(zip(("value", "low", "high"), (round(x, 5) for x in found), strict=True))
