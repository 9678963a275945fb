"""Examples a second of the FTRL model beside Vowpal Wabbit, one thread, on the same hashed rows.

Rows are a made-up click log with many ids (`clicks/world.py`): eight features, their crosses and the constant, hashed
by Winnow to places that both learn from; so both have the same collisions. Neither time contains the hashing or the
reading of text: Vowpal Wabbit runs from its cache of parsed rows, with its own driver. Times are of the processor, all
threads of a process together, so that other work on the machine counts less. The log loss is progressive: each row is
predicted before it is learned. Vowpal Wabbit lives in an environment of its own, given as an argument, or made below
the cache folder on the first run.
"""

import os

os.environ |= {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}

import json
import statistics
import subprocess
import sys
import tempfile
import time
import venv
from pathlib import Path
from typing import Any

import numpy as np
from benchmarks.clicks.world import clicks

from winnow.features.batch import Floats, Ints
from winnow.models.ftrl_kernel import Proximal, Rates, loss
from winnow.models.ftrl_places import Places

BITS, RUNS, BATCH, OTHERS = 22, 3, 256, (16, 64, 1_024)
RATES = Rates(alpha=0.1, beta=1.0, l1=1e-3, l2=1e-2)
CROSSES = (
    ("user", "category"), ("user", "hour"), ("user", "site"), ("user", "campaign"), ("user", "ad"), ("ad", "site"),
    ("ad", "hour"), ("ad", "device"), ("site", "category"), ("site", "hour"), ("campaign", "place"), ("device", "hour"),
)  # fmt: skip
PEER = Path(__file__).parent / "peers" / "vowpal_side.py"
CACHE = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "winnow-benchmarks" / "vowpal"


def main(rows: str = "500000", python: str = "") -> None:
    """Measures both, theirs between ours.

    Args:
        rows: how many are learned.
        python: of an environment with `vowpalwabbit`.
    """
    log = clicks(int(rows))
    examples = log.examples()
    at = Places.fit(examples.features, CROSSES, buckets=2, bits=BITS).read(examples.features)
    with tempfile.TemporaryDirectory(prefix="winnow-") as folder:
        path = Path(folder) / "rows.vw"
        _write(path, at, log.click)
        before = [_ours(at, log.click) for _ in range(RUNS)]
        theirs = _theirs(python or _environment(), path, len(at))
        after = [_ours(at, log.click) for _ in range(RUNS)]
    others = {size: _ours(at, log.click, batch=size) for size in OTHERS}
    told = {size: {"examples_per_s": round(len(at) / s), "log_loss": round(x, 5)} for size, (s, x) in others.items()}
    print(json.dumps(_result(before + after, theirs, at, log.chance) | {"ours_by_batch": told}))


def _result(ours: list[tuple[float, float]], theirs: dict[str, Any], at: Ints, chance: np.ndarray) -> dict[str, Any]:
    pace = len(at) / statistics.median(seconds for seconds, _ in ours)
    peer = len(at) / statistics.median(theirs["ftrl"]["seconds"][1:])
    told = {n: {"examples_per_s": round(len(at) / statistics.median(t["seconds"][1:])), "log_loss": t["log_loss"],
                "from_text_per_s": round(len(at) / t["seconds"][0])} for n, t in theirs.items()}  # fmt: skip
    best = float(-(chance * np.log(chance) + (1 - chance) * np.log1p(-chance)).mean())
    losses = {"ours": ours[0][1], **{n: t["log_loss"] for n, t in told.items()}, "the truth": best}
    return {
        "name": "online_learning", "ours": round(pace), "peer": round(peer), "ratio": round(pace / peer, 2),
        "unit": "examples/s", "log_loss": {n: round(x, 5) for n, x in losses.items()}, "peers": told, "rows": len(at),
        "places_a_row": at.shape[1], "bits": BITS, "batch": BATCH, "load": round(os.getloadavg()[0], 1),
    }  # fmt: skip


def _ours(at: Ints, click: Floats, *, batch: int = BATCH) -> tuple[float, float]:
    """Seconds of the processor and progressive log loss."""
    state, weight = Proximal.empty(1 << BITS, RATES), np.ones(len(at), np.float32)
    start = time.process_time()
    predicted = state.run(at, click, weight, batch_size=batch)
    return time.process_time() - start, loss(click, predicted, binary=True)


def _write(path: Path, at: Ints, click: Floats) -> None:
    """Rows as Vowpal Wabbit reads them: whole numbers stand for themselves."""
    with path.open("w") as file:
        for places, label in zip(at.tolist(), click.tolist(), strict=True):
            file.write(f"{'1' if label else '-1'} | {' '.join(map(str, places))}\n")


def _theirs(python: str, path: Path, rows: int) -> dict[str, Any]:
    rates = [str(r) for r in (RATES.alpha, RATES.beta, RATES.l1, RATES.l2)]
    command = [python, str(PEER), str(path), str(BITS), str(rows), str(RUNS), *rates]
    told = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    lines = [json.loads(line) for line in told.splitlines() if line.startswith("{")]
    return {line["learner"]: line for line in lines}


def _environment() -> str:
    """The Python of an environment with Vowpal Wabbit, made on the first run."""
    python = CACHE / "bin" / "python"
    if not python.exists():
        venv.create(CACHE, with_pip=True)
        subprocess.run([str(python), "-m", "pip", "install", "-q", "vowpalwabbit"], check=True, stdout=sys.stderr)
    return str(python)
