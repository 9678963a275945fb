"""Harmful content through the whole engine: `python -m benchmarks harm_service`.

The posts of `davidson` go into the log of a project with what their readers found. The system in the box is trained
and judged on the last 15 %, then serves: one post at a time over HTTP, and a file. The data set has no times and no
authors: posts come in a drawn order over 60 days. Nothing that people wrote is ever printed.
"""

import json
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from benchmarks import harm_data
from benchmarks.service import Service

from winnow.core.time import days, now_us, to_us
from winnow.evaluation.report import pick
from winnow.moderation.parsing import parse_toml
from winnow.project import Project

NAME, SPAN_DAYS = "harmful_content", 60
ALONE, TOGETHER, CLIENTS = 600, 2_000, 8
POLICY = """
name = "community"
[harms.hate]
reason = "This attacks people for who they are."
rules = [{ action = "demote", at = 0.4 }, { action = "remove", at = 0.8 }]
[harms.insult]
reason = "This insults somebody."
rules = [{ action = "demote", at = 0.9 }]
"""


def main(*_: str) -> None:
    """Prints what every stage took and found, and one JSON object as its last line."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        texts = brought(Project.init(folder / "forum", NAME))
        print(json.dumps({"name": "harm service", **trained(folder / "forum"), **served(folder / "forum", texts)}))


def brought(project: Project) -> list[str]:
    """The posts in the log, in a drawn order; returns the texts of the last 15 %."""
    posts = harm_data.davidson()
    order = np.random.default_rng(0).permutation(len(posts.texts))
    at = now_us() - to_us(days(1)) - np.linspace(to_us(days(SPAN_DAYS)), 0, len(order)).astype(np.int64)
    rows = pl.DataFrame({
        "post": [f"p{i}" for i in order],
        "at": pl.from_epoch(pl.Series(at), time_unit="us").dt.replace_time_zone("UTC"),
        "text": [posts.texts[i] for i in order], "hate": posts.labels["hate"][order] == 1,
        "insult": posts.labels["offensive"][order] == 1,
    }).with_columns(author=pl.format("author-of-{}", "post"))  # fmt: skip
    table = rows.select("text", post_id="post", changed_at="at", posted_at="at")
    posted = rows.select("author", "post", "at", event_id=pl.format("posted-{}", "post"))
    review = rows.select("author", "post", "at", "hate", "insult", event_id=pl.format("review-{}", "post"))
    start = time.perf_counter()
    for name, frame in (("post", table), ("posted", posted), ("review", review)):
        receipt = project.intake.frame(name, frame, backfill=True)
        assert receipt.accepted == len(rows), receipt
    print(f"{3 * len(rows):,} rows and events taken in {time.perf_counter() - start:.1f} s")
    return rows["text"].to_list()[-len(rows) * 15 // 100 :]


def trained(folder: Path) -> dict[str, Any]:
    """The ladder, judged on the last 15 %."""
    start = time.perf_counter()
    with Project(folder) as project:
        records = project.train(NAME, promote=True).records
        version = project.moderation.book.put(parse_toml(POLICY), who="benchmark", why="first").version
        project.moderation.activate(version, who="benchmark", why="first", force=True)
    out: dict[str, Any] = {"train_s": round(time.perf_counter() - start, 1)}
    for record in pick(records, slice="all"):
        if record["metric"] in ("pr_auc", "ece") and record["head"] in ("hate", "insult"):
            name = f"{record['rung']} {record['head']} {record['metric']}"
            out[name] = [round(record[k], 3) for k in ("value", "low", "high")]
            print(name, out[name])
    return out


def served(folder: Path, texts: Sequence[str]) -> dict[str, Any]:
    """Posts over HTTP, alone and together, and a file of them."""
    with Service(folder, workers=2) as service:
        for text in texts[:20]:
            decided(service, text)
        spent = np.array([decided(service, text) for text in texts[20 : 20 + ALONE]])
        rate = together(service, texts[-TOGETHER:])
    p50, p99 = np.percentile(spent * 1e3, [50, 99])
    return {"http_p50_ms": round(p50, 1), "http_p99_ms": round(p99, 1), "http_per_s": rate, "file_per_s": filed(folder)}


def decided(service: Service, text: str) -> float:
    """Seconds that one decision took, recorded and on disk."""
    start = time.perf_counter()
    reply = service.client.post("/v1/moderation/decisions", json={"text": text, "author": "sam"})
    assert reply.status_code == 200, reply.status_code
    assert reply.json()["scores"]["hate"] is not None
    return time.perf_counter() - start


def together(service: Service, texts: Sequence[str]) -> float:
    """Decisions a second with some clients at once."""
    start = time.perf_counter()
    threads = [threading.Thread(target=lambda k=k: [decided(service, t) for t in texts[k::CLIENTS]])
               for k in range(CLIENTS)]  # fmt: skip
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return round(len(texts) / (time.perf_counter() - start), 1)


def filed(folder: Path) -> float:
    """Posts a second of `winnow moderate` on a file of all of them, without what starting takes."""
    texts = harm_data.davidson().texts
    spent = []
    for count in (100, 24_100):
        pl.DataFrame({"text": texts[:count]}).write_csv(folder / "posts.csv")
        start = time.perf_counter()
        command = [sys.executable, "-m", "winnow.cli", "moderate", str(folder / "posts.csv"), "--project", str(folder)]
        subprocess.run([*command, "--json"], check=True, capture_output=True)
        spent.append(time.perf_counter() - start)
    return round(24_000 / (spent[1] - spent[0]), 1)
