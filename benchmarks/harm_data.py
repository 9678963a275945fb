"""Data sets of harmful content, from the folder of `WINNOW_DATA`: loaded, never shown."""

import csv
import html
import io
import json
import os
import re
import sys
import tarfile
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

DATA = Path(os.environ.get("WINNOW_DATA", Path(__file__).resolve().parents[2] / "shared" / "data"))
CLASSES = ("hate", "offensive", "neither")
LANGUAGES = ("en", "fr", "ar")
TASKS = {
    "directness": ("direct", "indirect"),
    "hostility": ("normal", "offensive", "abusive", "hateful", "disrespectful", "fearful"),
    "target": ("origin", "gender", "sexual_orientation", "religion", "disability", "other"),
    "group": (
        "other", "individual", "women", "special_needs", "left_wing_people", "african_descent", "indian/hindu", "arabs",
        "refugees", "immigrants", "muslims", "gay", "asians", "hispanics", "jews", "christian",
    ),
    "sentiment": ("anger", "confusion", "disgust", "fear", "indifference", "sadness", "shock"),
}  # fmt: skip
ONE_OF = ("directness", "target", "group")  # tasks with exactly one answer; the others may have several
_COLUMNS = {"hostility": "sentiment", "sentiment": "annotator_sentiment"}
HARM = ("harmful", "very_harmful", "individual", "organization", "community", "society")

Labels = dict[str, NDArray[np.float32]]


class Posts(NamedTuple):
    """Texts with labels, and what else the data set tells."""

    texts: list[str]
    labels: Labels
    more: dict[str, Any]


def folder(name: str) -> Path:
    """Where a data set is; the benchmark ends with the reason when it is not there."""
    found = DATA / name
    if not found.exists():
        sys.exit(f"the data set `{name}` is not at hand: set WINNOW_DATA to the folder that holds it")
    return found


def davidson() -> Posts:
    """Short posts of three classes; `votes` has the share of annotators for each class, `class` the majority."""
    csv.field_size_limit(10**9)
    with (folder("davidson_hate") / "labeled_data.csv").open(encoding="utf8") as file:
        rows = list(csv.DictReader(file))
    majority = np.array([int(r["class"]) for r in rows])
    counts = np.array([[float(r[k]) for k in ("hate_speech", "offensive_language", "neither")] for r in rows])
    shares = counts / counts.sum(axis=1, keepdims=True)
    labels = {name: (majority == i).astype(np.float32) for i, name in enumerate(CLASSES)}
    votes = {name: shares[:, i].astype(np.float32) for i, name in enumerate(CLASSES)}
    return Posts([html.unescape(html.unescape(r["tweet"])) for r in rows], labels, {"votes": votes, "class": majority})


def mlma() -> Posts:
    """Posts in three languages with five tasks; heads are `task:answer`."""
    rows = list(_mlma_rows())
    labels: Labels = {}
    for task, answers in TASKS.items():
        given = [set(_answers(row[_COLUMNS.get(task, task)], task)) for row in rows]
        labels |= {f"{task}:{a}": np.array([a in g for g in given], np.float32) for a in answers}
    language = np.array([LANGUAGES.index(row["language"]) for row in rows])
    return Posts([row["tweet"] for row in rows], labels, {"language": language})


def _answers(value: str, task: str) -> list[str]:
    return [value] if task in ONE_OF else value.split("_")


def _mlma_rows() -> Iterator[dict[str, str]]:
    with zipfile.ZipFile(folder("mlma_hate") / "hate_speech_mlma.zip") as archive:
        for language in LANGUAGES:
            file = archive.open(f"hate_speech_mlma/{language}_dataset.csv")
            for row in csv.DictReader(io.TextIOWrapper(file, "utf8")):
                yield row | {"language": language}


def harmeme(part: str) -> Posts:
    """Memes of `train` or `val`; what a harmful one targets is unknown for the others. `images` are JPEG bytes."""
    lines = (folder("harmeme") / f"{part}.jsonl").read_text().splitlines()
    rows = [json.loads(line) for line in lines]
    harmful = np.array([r["labels"][0] != "not harmful" for r in rows])
    labels: Labels = {"harmful": harmful.astype(np.float32)}
    labels["very_harmful"] = np.array([r["labels"][0] == "very harmful" for r in rows], np.float32)
    for target in HARM[2:]:
        labels[target] = np.where(harmful, [target in r["labels"] for r in rows], np.nan).astype(np.float32)
    return Posts([r["text"] for r in rows], labels, {"images": _images([Path(r["image"]).stem for r in rows])})


def _images(stems: list[str]) -> list[bytes]:
    with tarfile.open(folder("harmeme") / "harmeme-trainval-224.tar") as archive:
        members = {Path(m.name).stem: m for m in archive.getmembers() if m.name.endswith(".jpg")}
        return [archive.extractfile(members[stem]).read() if stem in members else b"" for stem in stems]  # type: ignore[union-attr]


def toxic_spans(part: str) -> tuple[list[str], list[set[int]]]:
    """Posts of `train`, `trial` or `test`, and for each the places of its harmful characters."""
    csv.field_size_limit(10**9)
    with (folder("toxic_spans") / f"tsd_{part}.csv").open(encoding="utf8", newline="") as file:
        rows = list(csv.DictReader(file))
    return [r["text"] for r in rows], [set(map(int, re.findall(r"\d+", r["spans"]))) for r in rows]
