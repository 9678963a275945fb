"""Time of one rank request in process: 100,000 videos, 500 candidates judged by the L2 blend, on one core."""

import os

os.environ |= {"OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE", "OPENBLAS_NUM_THREADS": "1"}  # as workers have it

import json
import re
import shutil
import tempfile
import time
from pathlib import Path

import numpy as np
from benchmarks import shop

from winnow.project import Project
from winnow.serving.runtime import Runtime

SIZES = shop.Sizes(users=3_000, videos=100_000, authors=5_000, tags=60, impressions=150_000)
REQUESTS, WARM = 300, 30
TARGET_MS = 25.0


def main(folder: str = "", requests: str = str(REQUESTS)) -> None:
    """Builds the project (or takes one that an earlier run left in `folder`) and times requests.

    Args:
        folder: kept for the next run when given.
        requests: how many are timed.
    """
    place = Path(folder) if folder else Path(tempfile.mkdtemp(prefix="winnow-")) / "shop"
    project = Project(place) if (place / "systems").is_dir() else shop.made(place, _system(), sizes=SIZES)
    cores = sorted(os.sched_getaffinity(0))[:1]
    runtime = Runtime.open(project)
    os.sched_setaffinity(0, cores)
    for thread in Path("/proc/self/task").iterdir():
        os.sched_setaffinity(int(thread.name), cores)
    try:
        print(json.dumps(measured(runtime, project, int(requests))))
    finally:
        runtime.close()
        if not folder:
            shutil.rmtree(place.parent)


def _system() -> str:
    """The system in the box with a ladder that trains within a minute: speed does not depend on the weights."""
    text = (Path(shop.__file__).parents[1] / "src/winnow/systems/video_recommendation.py").read_text()
    formula, half_life = 'w.Formula("video_click_rate_ever")', "w.Popularity(half_life=days(2))"
    ranking = f"L0={formula}, L1={formula}, L2=w.Blend((w.MultiTask(epochs=1, history_epochs=0), w.GradientBoosting()))"
    retrieval = f"L0={half_life}, L1={half_life}, L2=w.TwoTower(epochs=1)"
    text = re.sub(r"ranking = w\.Ladder\(.*\)", f"ranking = w.Ladder({ranking})", text)
    return re.sub(r"retrieval = w\.Ladder\(.*\)", f"retrieval = w.Ladder({retrieval})", text)


def measured(runtime: Runtime, project: Project, requests: int) -> dict[str, object]:
    """Percentiles of the time of requests by different people, and of each stage."""
    name = next(iter(project.systems))
    users = np.random.default_rng(1).integers(0, SIZES.users, requests + WARM)
    spent, worked, stages, judged = [], [], dict[str, list[float]](), []
    for user in users:
        start, cpu = time.perf_counter(), time.process_time()
        runtime.rank(name, {"user": f"u{user}"})
        spent.append((time.perf_counter() - start) * 1000)
        worked.append((time.process_time() - cpu) * 1000)
    for user in users[:50]:
        told = runtime.explain(name, {"user": f"u{user}"})["explanation"]["stages"]
        for stage in told:
            stages.setdefault(f"{stage['kind']} {stage['name']}", []).append(stage["ms"])
        judged.append(next(s["in"] for s in told if s["kind"] == "scorer"))
    p50, p95, p99 = np.percentile(spent[WARM:], [50, 95, 99])
    return {
        "name": "rank_latency",
        "ours": round(p50, 2),
        "peer": TARGET_MS,
        "ratio": round(p50 / TARGET_MS, 3),
        "unit": "ms",
        "p95": round(p95, 2),
        "p99": round(p99, 2),
        "cpu_ms": round(float(np.median(worked[WARM:])), 2),
        "requests": requests,
        "cores": 1,
        "videos": SIZES.videos,
        "candidates": float(np.median(judged)),
        "scorer": runtime.desk(name).kit.bundle.rungs[0].name,
        "stages_ms": {stage: round(float(np.median(ms)), 3) for stage, ms in stages.items()},
    }
