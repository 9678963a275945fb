"""Time of one text on one core, and short texts a second on two: normalised, encoded in 8 bits, judged."""

import json
import multiprocessing
import os
import subprocess
import sys
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
SHORT, LONG = 4 * BATCH, 12 * BATCH  # rows of files


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


WINNOW = (sys.executable, "-m", "winnow.cli")
POLICY = """name = "all"
[harms.hate]
reason = "This hates."
rules = [{ action = "remove", at = 0.5 }]
[harms.offensive]
reason = "This offends."
rules = [{ action = "demote", at = 0.8 }]
"""


def moderate() -> dict[str, Any]:
    """`winnow moderate` over a file, on two cores: a project with the 8-bit encoder and a trained model. The rate is
    that of the rows of the long file beyond those of the short one, so that the start does not count."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        (folder / "model").mkdir()
        texts = trained(folder)
        subprocess.run([*WINNOW, "init", str(folder / "project")], check=True, capture_output=True)
        (folder / "model").rename(folder / "project" / "model")
        (folder / "project" / "moderation.toml").write_text(
            '[judge]\nmodel = "model"\nencoder = "minilm"\ndeadline_s = 60.0\n'
        )
        (folder / "policy.toml").write_text(POLICY)
        spent = {n: _moderated(folder, texts[:n]) for n in (BATCH, SHORT, LONG)}
    rows, (clock, worked) = LONG - SHORT, np.subtract(spent[LONG], spent[SHORT])
    return {"ours": round(rows / clock), "a core that has no neighbours": round(rows / worked), "target": 1_000,
            "unit": "texts a second, two cores, `winnow moderate`", "start": round(spent[BATCH][0], 1)}  # fmt: skip


def _moderated(folder: Path, texts: list[str]) -> tuple[float, float]:
    """Seconds by the clock, and seconds that cores worked."""
    file = folder / "posts.jsonl"
    file.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
    cores = ",".join(map(str, sorted(os.sched_getaffinity(0))[:2]))
    command = ["taskset", "-c", cores, *WINNOW, "moderate", str(file), "--json"]
    command += ["--policy", str(folder / "policy.toml"), "--project", str(folder / "project")]
    before, start = os.times(), time.perf_counter()
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    if json.loads(done.stdout)["rows"] != len(texts):
        raise SystemExit("`winnow moderate` lost rows")
    after = os.times()
    worked = after.children_user + after.children_system - before.children_user - before.children_system
    return time.perf_counter() - start, worked


def _rate(folder: str, core: int, texts: list[str]) -> tuple[float, float]:
    """Texts a second by the clock, and a second that the core really worked for it: neighbours slow the first."""
    os.sched_setaffinity(0, [core])
    judge = opened(Path(folder))
    judge(texts[:BATCH])
    start, worked = time.perf_counter(), time.process_time()
    for i in range(0, len(texts), BATCH):
        judge(texts[i : i + BATCH])
    return len(texts) / (time.perf_counter() - start), len(texts) / (time.process_time() - worked)
