"""Every reaction of a feed on KuaiRand: multi-task networks beside one network for each reaction, and LightGBM.

25 to 28 April 2022 train, 29 April stops the training and calibrates, 30 April judges and is never learned from. All
models read the same as-of features of the same rows; intervals resample people, the same draws for all models. Heads
are calibrated by isotonic regression where 29 April has 1,000 positives, by Platt's where it has 100, and left as they
were trained where it has fewer. A network for one head is the multi-task network with that head alone; the part that
reads histories learns without any head, so it is learned once for all of them.
"""

import os

os.environ |= {"OMP_WAIT_POLICY": "PASSIVE", "OPENBLAS_NUM_THREADS": "1"}  # sums over rows are too small to share out

import argparse
import json
import platform
import shutil
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from winnow.core.settings import Settings
from winnow.core.time import now_us
from winnow.evaluation.bootstrap import Interval, Resamples, difference, interval
from winnow.evaluation.metrics import Statistic, auc_of, ece_of, mae_of, normalised_entropy_of
from winnow.features.batch import FeatureBatch, Floats, Recent
from winnow.models.action_transformer import ActionTransformer
from winnow.models.base import HeadType, Ranker, Run, Scorer, load_scorer
from winnow.models.blend import Blend, part_name
from winnow.models.boosting import GradientBoosting
from winnow.models.calibration import Calibration
from winnow.models.multitask import MultiTask
from winnow.models.ple import PLE
from winnow.project import Project
from winnow.training import dataset
from winnow.training.dataset import Dataset

DATA = Path(os.environ.get("WINNOW_DATA", Path(__file__).resolve().parents[2] / "shared" / "data")) / "kuairand"
DECLARED = Path(__file__).parent / "feeds" / "kuairand.py"
RESULTS = Path(__file__).parent / "results"
TREES, NET, ACTIONS = GradientBoosting(learning_rate=0.1), MultiTask(), ActionTransformer()
MODELS: dict[str, Ranker] = {"trees": TREES, "multi-task": NET, "ple": PLE(), "actions": ACTIONS,
                             "blend": Blend((ACTIONS, TREES))}  # fmt: skip
SINGLE = "single-task"
PAIRS = (("multi-task", SINGLE), ("ple", SINGLE), ("actions", SINGLE), ("actions", "trees"), ("blend", "trees"),
         ("ple", "multi-task"), ("actions", "multi-task"))  # fmt: skip
FEW, MANY = 100, 1_000  # positives of the calibration day below which a head is left alone, from which it is isotonic
CANDIDATES, TIMED, TARGET_MS = 500, 300, 25.0
Series = NDArray[np.float64]


@dataclass(frozen=True)
class Predicted:
    """What a model says about the validation and the test rows, head → float32 [N], and the CPU seconds of its fit."""

    valid: Mapping[str, Floats]
    test: Mapping[str, Floats]
    seconds: float


def main(*arguments: str) -> None:
    """Imports and trains what `--folder` does not hold yet, judges it, prints tables and one line of JSON."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks feed_heads")
    parser.add_argument("--folder", default="", help="keeps the data and what was trained for the next run")
    parser.add_argument("--threads", type=int, default=2)
    chosen = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="winnow-") as temporary:
        place = Path(chosen.folder or temporary)
        data, types = built(place / "project")
        found = {name: predicted(model, place / name, data, types=types, threads=chosen.threads)
                 for name, model in MODELS.items()}  # fmt: skip
        found[SINGLE] = singles(place, data, types, chosen.threads)
        result = {**judged(found, data, types), "latency_ms": latencies(place, data.test.features)}
    result |= {"fit_cpu_s": {n: round(p.seconds, 1) for n, p in found.items()}, "threads": chosen.threads,
               "machine": f"{platform.machine()}, {os.cpu_count()} cores, shared", "load": round(os.getloadavg()[0], 2),
               "at": datetime.now(UTC).date().isoformat()}  # fmt: skip
    (RESULTS / f"feed_heads-{result['at']}.json").write_text(json.dumps(result, indent=1) + "\n")
    print(json.dumps({k: v for k, v in result.items() if k != "heads"}))


def built(folder: Path) -> tuple[Dataset, dict[str, HeadType]]:
    """The labelled impressions with their features; imported when the folder is new."""
    (folder / "systems").mkdir(parents=True, exist_ok=True)
    shutil.copy(DECLARED, folder / "systems" / DECLARED.name)
    Settings.write_default(folder / "winnow.toml")
    empty = not (folder / "truth.db").exists()
    with Project(folder) as project:
        (name,) = project.systems
        system = project.system(name)
        if empty:
            project.import_data("kuairand", DATA, progress=False)
        project.history.sync(project.log)
        return dataset.build(project, system, as_of=now_us()), system.labels.types()


def predicted(model: Ranker, folder: Path, data: Dataset, *, types: Mapping[str, HeadType], threads: int) -> Predicted:
    """A fitted model's calibrated predictions; one that the folder holds is not fitted again."""
    folder.mkdir(parents=True, exist_ok=True)
    noted, said = folder / "seconds.json", folder / "predictions.npz"
    if not noted.exists():
        began = time.process_time()
        _members(model, folder)
        model.fit(data.train, data.valid, Run(folder, threads=threads, types=types))
        noted.write_text(json.dumps(time.process_time() - began))
    scorer = load_scorer(folder, threads=threads)
    if not said.exists():
        np.savez(said, valid=scorer.score(data.valid.features), test=scorer.score(data.test.features))
    with np.load(said) as raw:
        fitted = calibration(raw["valid"], data.valid.labels, {head: types[head] for head in scorer.heads})
        valid, test = (dict(zip(scorer.heads, fitted.apply(raw[p], scorer.heads).T, strict=True))
                       for p in ("valid", "test"))  # fmt: skip
    return Predicted(valid, test, json.loads(noted.read_text()))


def _members(model: Ranker, folder: Path) -> None:
    """What a blend is made of has been fitted already."""
    for place, member in enumerate(model.members if isinstance(model, Blend) else ()):
        source = next(folder.parent / name for name, other in MODELS.items() if other == member)
        shutil.copytree(source, folder / part_name(place, member), dirs_exist_ok=True)


def calibration(raw: Floats, labels: Mapping[str, Floats], types: Mapping[str, HeadType]) -> Calibration:
    """Curves of each head by the method that its number of positives bears."""
    fitted = {m: Calibration.fit(m, raw, labels, types=types).curves for m in ("isotonic", "platt")}
    positives = {head: int((labels[head] > 0).sum()) for head in types}
    return Calibration({h: fitted["isotonic" if positives[h] >= MANY else "platt"][h]
                        for h in types if positives[h] >= FEW and h in fitted["platt"]})  # fmt: skip


def singles(place: Path, data: Dataset, types: Mapping[str, HeadType], threads: int) -> Predicted:
    """One network for each head."""
    found = []
    for head in types:
        folder, history = place / f"{SINGLE}-{head}", Path("history") / "checkpoint.safetensors"
        (folder / "history").mkdir(parents=True, exist_ok=True)
        shutil.copy(place / "multi-task" / history, folder / history)
        found.append(predicted(replace(NET, heads=(head,)), folder, data, types=types, threads=threads))
    valid, test = ({h: p for one in found for h, p in getattr(one, part).items()} for part in ("valid", "test"))
    return Predicted(valid, test, sum(one.seconds for one in found))


def judged(found: Mapping[str, Predicted], data: Dataset, types: Mapping[str, HeadType]) -> dict[str, Any]:
    """Every metric of every head and model on the test day, and how pairs of models differ."""
    drawn, bases = Resamples.of(data.test.user), data.base_rates()
    series: dict[str, dict[str, dict[str, Series]]] = {}
    for name, one in found.items():
        series[name] = {h: drawn.run(dict(_statistics(data.test.labels[h], one.test[h], kind, bases[h])))
                        for h, kind in types.items()}  # fmt: skip
    counts = {h: [int((part.labels[h] > 0).sum()) for part in (data.train, data.valid, data.test)] for h in types}
    common = [h for h, kind in types.items() if kind == "binary" and counts[h][2] >= FEW]
    rare = [h for h, kind in types.items() if kind == "binary" and counts[h][2] < FEW]
    show(series, counts)
    mean = {name: {"common": _mean(heads, common), "rare": _mean(heads, rare)} for name, heads in series.items()}
    ours, peer = (mean[name]["common"][0] for name in ("actions", SINGLE))
    pairs = {
        f"{new} - {old}": {
            "mean_ne_common": told(difference(mean[new]["common"], mean[old]["common"])),
            "mean_ne_rare": told(difference(mean[new]["rare"], mean[old]["rare"])),
            "heads": {h: {m: told(difference(series[new][h][m], series[old][h][m])) for m in series[new][h]}
                      for h in types},
        }
        for new, old in PAIRS
    }  # fmt: skip
    show_pairs(pairs)
    heads = {h: {"positives": counts[h], "models": {n: {m: told(interval(v)) for m, v in s[h].items()}
                                                    for n, s in series.items()}} for h in types}  # fmt: skip
    rows = [len(part) for part in (data.train, data.valid, data.test)]
    return {"name": "feed_heads", "ours": round(float(ours), 4), "peer": round(float(peer), 4),
            "ratio": round(float(ours / peer), 4), "unit": "mean NE of common heads, actions against single-task",
            "rows": rows, "people": len(np.unique(data.test.user)),
            "mean_ne": {n: {k: told(interval(v)) for k, v in m.items()} for n, m in mean.items()},
            "pairs": pairs, "heads": heads}  # fmt: skip


def _statistics(y: Floats, p: Floats, kind: HeadType, base: float) -> Iterator[tuple[str, Statistic]]:
    if kind == "binary":
        yield from (("auc", auc_of(y, p)), ("ne", normalised_entropy_of(y, p, base)), ("ece", ece_of(y, p)))
    else:
        yield "mae", mae_of(y, p)
        yield "mae_log", mae_of(np.log1p(np.maximum(y, 0)), np.log1p(np.maximum(p, 0)))


def _mean(heads: Mapping[str, Mapping[str, Series]], chosen: list[str]) -> Series:
    """Mean NE of some heads, on the rows and each draw."""
    return np.asarray(np.mean([heads[h]["ne"] for h in chosen], axis=0))


def latencies(place: Path, batch: FeatureBatch) -> dict[str, list[float]]:
    """p50 and p95 of scoring the candidates of one request on one core, and the p50 of the CPU time alone, in ms."""
    request = batch.take(slice(0, CANDIDATES))
    longest = {k: int(np.argmax((s.rows >= 0).sum(1))) for k, s in request.sequences.items()}
    at = next(iter(longest.values()))
    one = {k: Recent(s.rows[at : at + 1], s.age_s[at : at + 1], {c: v[at : at + 1] for c, v in s.columns.items()})
           for k, s in request.sequences.items()}  # fmt: skip
    request, cores = replace(request, sequences=one), os.sched_getaffinity(0)
    found = {}
    for name in MODELS:
        scorer = load_scorer(place / name, threads=1)
        os.sched_setaffinity(0, sorted(cores)[-1:])
        spent = np.array([_timed(scorer, request) for _ in range(TIMED)])[TIMED // 10 :] * 1_000
        os.sched_setaffinity(0, cores)
        figures = (*np.percentile(spent[:, 0], [50, 95]), np.median(spent[:, 1]))
        found[name] = [round(float(q), 2) for q in figures]
    return found


def _timed(scorer: Scorer, request: FeatureBatch) -> tuple[float, float]:
    """Seconds of one call by the clock and by the CPU."""
    began, worked = time.perf_counter(), time.thread_time()
    scorer.score(request)
    return time.perf_counter() - began, time.thread_time() - worked


def told(one: Interval) -> list[float]:
    """Value, low and high."""
    return [round(float(x), 4) for x in one]


def show(series: Mapping[str, Mapping[str, Mapping[str, Series]]], counts: Mapping[str, list[int]]) -> None:
    """One line per head and metric, one column per model."""
    table = Table("head", "positives", "metric", *series, title="30 April, ± half the 95 % interval")
    first = next(iter(series.values()))
    for head, metrics in first.items():
        for i, metric in enumerate(metrics):
            cells = [interval(heads[head][metric]) for heads in series.values()]
            shown = [f"{c.value:.4f} ±{(c.high - c.low) / 2:.4f}" for c in cells]
            table.add_row(head if not i else "", " / ".join(map(str, counts[head])) if not i else "", metric, *shown)
    Console(width=190).print(table)


def show_pairs(pairs: Mapping[str, Mapping[str, Any]]) -> None:
    """Paired differences: mean NE, and the heads whose AUC or NE interval excludes 0."""
    table = Table("new - old", "mean NE, common", "mean NE, rare", "heads better", "heads worse", title="differences")
    for name, pair in pairs.items():
        better, worse = list[str](), list[str]()
        for head, metrics in pair["heads"].items():
            for metric in ("auc", "ne", "mae"):
                if metric in metrics and metrics[metric][1] * metrics[metric][2] > 0:
                    good = (metrics[metric][0] > 0) == (metric == "auc")
                    (better if good else worse).append(f"{head} {metric}")
        means = ["{:+.4f} [{:+.4f}, {:+.4f}]".format(*pair[f"mean_ne_{k}"]) for k in ("common", "rare")]
        table.add_row(name, *means, ", ".join(better), ", ".join(worse))
    Console(width=190).print(table)
