"""Click prediction on Frappe: our models beside FuxiCTR's DCN-v2, one thread, the same rows, columns and batch size.

Rows: the three published parts, less the validation rows that stand in the training file too, with two apps drawn for
each use that this person never used in that context (fixed seed). Columns: person, app and seven columns of context.
FuxiCTR takes the settings that the BARS benchmark publishes as the best of its search on this data; ours were chosen
on the validation rows. Both stop by the validation rows; what is told is the test part, with intervals by a bootstrap
over people of the difference to ours. Times are of the processor for one pass over the training rows, the median of all
passes, so that other work on the machine counts less. What is compared are passes alone, without validation, ours and
theirs by turns (`pace`); in `models` ours contain the validation after each pass.
FuxiCTR lives in an environment of its own, given as an argument or made below the cache folder on the first run.
"""

import os

os.environ |= {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}

import json
import platform
import statistics
import subprocess
import sys
import tempfile
import time
import venv
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from benchmarks.clicks.rows import FIELDS, frappe_parts

from winnow.evaluation.bootstrap import Resamples, difference
from winnow.evaluation.metrics import auc, auc_of, log_loss, log_loss_of
from winnow.features.batch import Floats
from winnow.models.artefact import Artefact
from winnow.models.base import Ranker, Run
from winnow.models.boosting import GradientBoosting
from winnow.models.dcn import DCN
from winnow.models.deepfm import DeepFM
from winnow.models.examples import Examples
from winnow.models.fm import FM
from winnow.models.ftrl import Ftrl
from winnow.models.trees_linear import TreesAndLinear
from winnow.models.vocabulary import Vocabulary

BATCH, SEED, PART, TURNS = 4_096, 1, "test", 3
DATA = Path(os.environ.get("WINNOW_DATA", Path(__file__).resolve().parents[2] / "shared" / "data")) / "frappe"
PEER = Path(__file__).parent / "peers" / "fuxictr_side.py"
CACHE = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "winnow-benchmarks" / "fuxictr"
NEEDS = ["torch==2.13.0", "numpy", "pandas", "PyYAML", "scikit-learn", "h5py", "tqdm", "pyarrow", "polars", "ray[data]"]
TREES = GradientBoosting(epochs=300, learning_rate=0.1, leaves=63, least=20, most_categories=5_000)
MODELS: dict[str, Ranker] = {
    "dcn": DCN(
        least=1, batch_size=BATCH, epochs=15, embedding_size=16, embedding_rate=0.3, embedding_reg=1e-4, reg=1.0,
        input_dropout=0.0, dropout=0.4, hidden=(256, 128), norm=True,
    ),
    "deepfm": DeepFM(
        least=1, batch_size=BATCH, epochs=8, embedding_size=32, embedding_rate=0.3, reg=1.0, input_dropout=0.2,
        dropout=0.3, norm=True,
    ),
    "fm": FM(
        least=1, batch_size=BATCH, epochs=8, embedding_size=64, embedding_rate=0.3, learning_rate=5e-3,
        input_dropout=0.4,
    ),
    "ftrl": Ftrl(learning_rate=0.3, reg=3.0, epochs=2),
    "trees": TREES,
    "trees_linear": TreesAndLinear(TREES, Ftrl(learning_rate=0.3, reg=3.0, epochs=2)),
}  # fmt: skip


def main(python: str = "", *names: str) -> None:
    """Trains everything and prints one JSON object.

    Args:
        python: of an environment with `fuxictr`; `-` to leave it out.
        names: of our models; all when left out.
    """
    parts = frappe_parts(DATA)
    ours = {name: _fitted(MODELS[name], parts) for name in names or MODELS}
    if python == "-":
        print(json.dumps(_told(ours, None, parts[PART])))
        return
    python = python or _environment()
    theirs, passes = _theirs(python, parts), pace(python, parts)
    told = _told(ours, theirs, parts[PART])
    print(json.dumps(told | passes))


def pace(python: str, parts: dict[str, Examples]) -> dict[str, Any]:
    """Seconds of a pass without validation: our DCN and theirs by turns."""
    few = parts | {name: parts[name].take(slice(0, 64)) for name in ("validation", PART)}
    ours, theirs = list[float](), list[float]()
    for _ in range(TURNS):
        ours.append(_fitted(replace(MODELS["dcn"], epochs=5), few)["epoch_s"])
        theirs.append(_theirs(python, few, epochs=3)["epoch_s"])
    a, b = statistics.median(ours), statistics.median(theirs)
    return {"ours": round(a, 2), "peer": round(b, 2), "ratio": round(b / a, 2), "pace": {"ours": ours, "peer": theirs}}


def _told(ours: dict[str, Any], theirs: dict[str, Any] | None, test: Examples) -> dict[str, Any]:
    labels = test.labels["click"]
    models = ours | ({"fuxictr_dcn": theirs} if theirs else {})
    times = {name: {what: m[what] for what in ("epoch_s", "epochs", "fit_s")} for name, m in models.items()}
    told = {name: {"auc": round(auc(labels, m["p"]), 5), "log_loss": round(log_loss(labels, m["p"]), 5), **times[name]}
            for name, m in models.items()}  # fmt: skip
    first = next(iter(ours.values()))["p"]
    return {
        "name": "frappe", "unit": "s of the processor per epoch", "models": told,
        "ours_less_peer": theirs and _less(first, theirs["p"], test), "batch": BATCH, "machine": platform.machine(),
        "load": round(os.getloadavg()[0], 1),
    }  # fmt: skip


def _less(ours: Floats, theirs: Floats, test: Examples) -> dict[str, list[float]]:
    """AUC and log loss of ours less theirs, with 95 % intervals."""
    labels, people = test.labels["click"], np.unique(test.features.categorical["user"], return_inverse=True)[1]
    both = {f"{n} {which}": of(labels, p) for which, p in (("ours", ours), ("theirs", theirs))
            for n, of in (("auc", auc_of), ("log_loss", log_loss_of))}  # fmt: skip
    found = Resamples.of(people, seed=0).run(both)
    out = {n: difference(found[f"{n} ours"], found[f"{n} theirs"]) for n in ("auc", "log_loss")}
    return {n: [round(x, 5) for x in (i.value, i.low, i.high)] for n, i in out.items()}


def _fitted(model: Ranker, parts: dict[str, Examples]) -> dict[str, Any]:
    """Predictions for the test rows and the seconds of an epoch."""
    marks = [time.process_time()]

    def told(what: str, share: float) -> None:
        if "validation loss" in what:
            marks.append(time.process_time())

    with tempfile.TemporaryDirectory(prefix="winnow-") as folder:
        run = Run(Path(folder), seed=SEED, threads=1, progress=told, checkpoint_every=10**9)
        model.fit(parts["train"], parts["validation"], run)
        whole = time.process_time() - marks[0]
        p = type(model).open(Artefact.open(Path(folder)), 1).score(parts[PART].features)[:, 0]
    spent = np.diff(marks)[1:]  # the first holds what comes before training
    epoch = round(float(np.median(spent)), 2) if len(spent) else None
    return {"p": p, "epoch_s": epoch, "epochs": len(spent) and len(marks) - 1, "fit_s": round(whole, 1)}


def _theirs(python: str, parts: dict[str, Examples], **settings: Any) -> dict[str, Any]:
    with tempfile.TemporaryDirectory(prefix="winnow-") as folder:
        place = Path(folder)
        own = {f: Vocabulary.fit(parts["train"].features.categorical[f]) for f in FIELDS}
        for part, rows in parts.items():
            codes = {f: own[f].apply(rows.features.categorical[f]) for f in FIELDS}
            np.savez(place / f"{part}.npz", **codes, label=rows.labels["click"].astype(np.int64))
        sizes = {f: len(v) for f, v in own.items()}
        asked = {"threads": 1, "seed": SEED, "batch_size": BATCH, "sizes": sizes, "settings": settings}
        (place / "settings.json").write_text(json.dumps(asked))
        told = subprocess.run([python, str(PEER), folder], check=True, capture_output=True, text=True).stdout
        seconds = json.loads(told.splitlines()[-1])["seconds"]
        with np.load(place / "fuxictr.npz") as stored:
            p = np.clip(stored[PART], 1e-7, 1 - 1e-7)
    epoch = round(statistics.median(seconds), 2)
    return {"p": p, "epoch_s": epoch, "epochs": len(seconds), "fit_s": round(sum(seconds), 1)}


def _environment() -> str:
    """The Python of an environment with FuxiCTR, made on the first run."""
    python = CACHE / "bin" / "python"
    if not python.exists():
        venv.create(CACHE, with_pip=True)
        for packages in (NEEDS[:1], NEEDS, ["--no-deps", "fuxictr"]):
            subprocess.run([str(python), "-m", "pip", "install", "-q", *packages], check=True, stdout=sys.stderr)
    return str(python)
