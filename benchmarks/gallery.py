"""Visual search as a whole, with 60,000 pictures: taken in, learned from, served by the real supervisor, asked by HTTP.

The pictures of CIFAR-10, as files in folders, go through `Project.import_data`. What serves them is the lowest rung, or
with `--epochs` a small network; how well they find is measured by `visual`. Two workers and an ingester serve them.
Searches carry a file and come one after another; a new picture counts as found, and a deleted one as gone, from the
first of ten answers in a row, each on a connection of its own, that agree.
"""

import argparse
import json
import re
import tarfile
import tempfile
import time
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from typing import Any

import httpx
import numpy as np
from benchmarks.service import Service
from benchmarks.visual import ARCHIVES, DATA, where

from winnow.project import Project
from winnow.simulation import shapes

NAME = "visual_search"
ROUTE = f"/v1/systems/{NAME}"
LOOKS, LEARNED = "w.Looks()", "w.ContrastivePictures(side=32, widths=(32, 64, 128), epochs={epochs})"
ALL, WORKERS, CHANGES, AGREE, WARM = 60_000, 2, 20, 10, 50
TARGET_S, TARGET_RECALL, PATIENCE_S = 1.0, 0.95, 180.0


def main(*arguments: str) -> None:
    """Makes the project unless `--folder` holds it, serves it, measures, and prints one line of JSON."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks gallery")
    parser.add_argument("--folder", default="", help="keeps the project for the next run")
    parser.add_argument("--pictures", type=int, default=ALL)
    parser.add_argument("--searches", type=int, default=1_000)
    parser.add_argument("--epochs", type=int, default=0, help="of a small network; without it, hashes and colours")
    parser.add_argument("--threads", type=int, default=2, help="of the training")
    chosen = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as temporary:
        place = Path(chosen.folder or temporary)
        made = prepared(place, chosen.pictures, epochs=chosen.epochs, threads=chosen.threads)
        files = sorted((place / "pictures" / "test").rglob("*.jpg"))
        asked = np.random.default_rng(0).permutation(len(files))[: chosen.searches]
        with Service(place / "shop", workers=WORKERS) as service:
            service.wait(seconds=PATIENCE_S)
            found = measured(service, [files[i] for i in asked], place / "pictures")
    worst = max(found["seen_s"]["max"], found["gone_s"]["max"])
    result = {"ours": worst, "target": TARGET_S, "unit": "s until a change shows", "target_recall": TARGET_RECALL}
    print(json.dumps({"name": "gallery", **result, **made, **found, "workers": WORKERS, **where()}))


def prepared(place: Path, pictures: int, *, epochs: int, threads: int) -> dict[str, Any]:
    """The trained project, and what making it took; each step is noted, so that a later run goes on from there."""
    imported = _once(place / "imported.json", lambda: _imported(place, pictures))
    trained = _once(place / "trained.json", lambda: _trained(place, epochs, threads))
    return imported | trained


def _once(noted: Path, work: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    if not noted.exists():
        noted.write_text(json.dumps(work()))
    found: dict[str, Any] = json.loads(noted.read_text())
    return found


def _imported(place: Path, pictures: int) -> dict[str, Any]:
    with tarfile.open(DATA / ARCHIVES["cifar10"]) as archive:
        members = [m for m in archive.getmembers() if m.isfile()][:: ALL // pictures]
        archive.extractall(place / "pictures", members, filter="data")
    with Project.init(place / "shop", NAME) as project:
        began = time.monotonic()
        taken = project.import_data("pictures", place / "pictures", progress=False).total
        spent = time.monotonic() - began
    rate = round(taken.accepted / spent)
    return {"pictures": taken.accepted, "refused": taken.refused, "import_s": round(spent, 1), "pictures_per_s": rate}


def _trained(place: Path, epochs: int, threads: int) -> dict[str, Any]:
    top = LEARNED.format(epochs=epochs) if epochs else LOOKS
    (file,) = Project(place / "shop").system_files
    ladder = f"retrieval = w.Ladder(L0={LOOKS}, L1={LOOKS}, L2={top})"
    file.write_text(re.sub(r"retrieval = w\.Ladder\(.*\)", ladder, file.read_text()))
    with Project(place / "shop") as project:
        began = time.monotonic()
        project.train(NAME, threads=threads)
        return {"encoder": top, "train_s": round(time.monotonic() - began, 1)}


def measured(service: Service, files: list[Path], root: Path) -> dict[str, Any]:
    """Everything that is asked of the running service."""
    ids = [file.relative_to(root).with_suffix("").as_posix() for file in files]
    for file in files[:WARM]:
        service.client.post(f"{ROUTE}/search", content=file.read_bytes()).raise_for_status()
    upload = [_timed(service, content=file.read_bytes()) for file in files]
    by_id = [_timed(service, json={"id": key}) for key in ids]
    itself = sum(key in items for key, items in zip(ids, (items for _, items in upload), strict=True))
    changes = [_change(service, seed) for seed in range(CHANGES)]
    memory = _memory(service)
    return {
        "searches": len(files), "upload_ms": _spread([ms for ms, _ in upload]), "id_ms": _spread([m for m, _ in by_id]),
        "found_itself": round(itself / len(files), 4),
        "seen_s": _most([seen for seen, _ in changes]), "gone_s": _most([gone for _, gone in changes]),
        "memory_mb": memory, "index": _index(service), "errors": _errors(service),
    }  # fmt: skip


def _timed(service: Service, **sent: Any) -> tuple[float, list[str]]:
    """Milliseconds of one search as the client sees it, and the ids that came."""
    began = time.perf_counter()
    reply = service.client.post(f"{ROUTE}/search", **sent)
    spent = 1000 * (time.perf_counter() - began)
    reply.raise_for_status()
    return spent, [item["id"] for item in reply.json()["items"]]


def _change(service: Service, seed: int) -> tuple[float, float]:
    """Seconds until a new picture is found by all workers, and until it is gone again after its row was deleted."""
    kind = list(shapes.KINDS)[seed % len(shapes.KINDS)]
    data, key = shapes.encoded(shapes.picture(kind, 70_000 + seed), "JPEG"), f"new-{seed}"
    service.client.put(f"{ROUTE}/pictures", params={"id": key}, content=data).raise_for_status()
    seen = _until(lambda: key in _fresh(service, data))
    service.client.put("/v1/tables/image", json=[{"image_id": key, "deleted": True}]).raise_for_status()
    return seen, _until(lambda: key not in _fresh(service, data))


def _fresh(service: Service, data: bytes) -> list[str]:
    """The ids found on a connection of its own, which any worker may take."""
    headers = {"X-API-Key": service.key, "connection": "close"}
    reply = httpx.post(f"{service.url}{ROUTE}/search?size=100", content=data, headers=headers, timeout=30)
    return [item["id"] for item in reply.raise_for_status().json()["items"]]


def _until(holds: Callable[[], bool]) -> float:
    """Seconds until something holds, and goes on holding."""
    began = first = time.monotonic()
    agreed = 0
    while agreed < AGREE:
        asked = time.monotonic()
        if asked - began > PATIENCE_S:
            raise TimeoutError("the change never shows")
        now = holds()
        first, agreed = (time.monotonic() if agreed == 0 else first, agreed + 1) if now else (first, 0)
    return first - began


def _memory(service: Service) -> dict[str, Any]:
    """Megabytes of every process: its own, and with its share of what several map."""
    found: dict[str, Any] = {}
    for pid, what in _processes(service.process.pid):
        text = Path(f"/proc/{pid}/smaps_rollup").read_text()
        kb = {name: int(value) for name, value in re.findall(r"^(\w+):\s+(\d+) kB", text, re.MULTILINE)}
        own = kb["Private_Clean"] + kb["Private_Dirty"]
        name = next(f"{what} {i}" for i in count(1) if f"{what} {i}" not in found)
        found[name] = {"own": round(own / 1024), "shared_out": round(kb["Pss"] / 1024), "rss": round(kb["Rss"] / 1024)}
    return found


def _processes(root: int) -> Iterator[tuple[int, str]]:
    """The supervisor and all below it, with what each is."""
    command = Path(f"/proc/{root}/cmdline").read_text().split("\0")
    words = {"winnow.http.worker": "worker", "winnow.http.ingester": "ingester", "winnow.http": "supervisor"}
    yield root, next((words[word] for word in command if word in words), "decoder")
    for task in Path(f"/proc/{root}/task").iterdir():
        for child in (task / "children").read_text().split():
            yield from _processes(int(child))


def _index(service: Service) -> dict[str, float]:
    """What the probe says at first, and after it has had the index look wider where it found too little."""
    began, found, first = time.monotonic(), dict[str, str](), 0.0
    while time.monotonic() - began < PATIENCE_S and float(found.get("recall", 0)) < TARGET_RECALL:
        text = service.client.get("/metrics").text
        found = dict(re.findall(r"^winnow_index_(recall|items)\{.*?\} (\S+)$", text, re.MULTILINE))
        first = first or float(found.get("recall", 0))
        time.sleep(1)
        service.client.post(f"{ROUTE}/search", json={"id": "test/cat/0000"})
    return {"first_recall": first} | {name: float(value) for name, value in found.items()}


def _errors(service: Service) -> int:
    """Answers of 500 and more, and searches of which a part was late or failed."""
    text = service.client.get("/metrics").text
    bad = re.findall(r'^winnow_http_requests_total\{.*status="5\d\d"\} (\S+)$', text, re.MULTILINE)
    late = re.findall(r"^winnow_degraded_total\{.*?\} (\S+)$", text, re.MULTILINE)
    return int(sum(map(float, bad + late)))


def _spread(values: list[float]) -> dict[str, float]:
    found = np.percentile(values, [50, 95, 99, 100])
    return {name: round(float(v), 2) for name, v in zip(("p50", "p95", "p99", "max"), found, strict=True)}


def _most(values: list[float]) -> dict[str, float]:
    return {"median": round(float(np.median(values)), 3), "max": round(max(values), 3)}
