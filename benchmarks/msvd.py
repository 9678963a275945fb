"""Videos found by text on MSVD: 50 videos that have frame features, cross-validated over videos; and its raw clips.

In each of five folds the ten videos of the fold and their captions are unseen. What is learned: principal components of
frames, and the projections of `TextVideo`; all choices are made by the mean reciprocal rank within parts of the
training videos alone. Each test caption asks twice: among the ten videos of its fold, none of which was learned from,
and among all 50, of which 40 were. The captions of the other 1,450 videos are not used: they have no frames here.

The moment: the frames of two test videos are put one behind the other, and a caption of one has to find its half.

Of the raw clips: seconds of CPU for a minute of video by key frames, by evenly spread frames and by shots, against
PyAV in this process, without limits, which decodes everything.
"""

import argparse
import json
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from benchmarks.visual import DATA, where
from numpy.typing import NDArray

from winnow.data.schema import Table, text, video
from winnow.encoders.minilm import MiniLM
from winnow.encoders.video import Frames
from winnow.encoders.words import HashedWords
from winnow.evaluation.bootstrap import Resamples, interval
from winnow.features.embedding import Embed
from winnow.media.video import WAYS, VideoDecoder
from winnow.models.base import Run
from winnow.models.text_video import TextVideo

FOLDER = DATA / "msvd"
FOLDS, INNER, KEPT, CUT = 5, 3, 64, (1, 5, 10)
PENALTIES = (0.1, 0.3, 1.0, 3.0, 10.0, 30.0)
_query = Table("query", key="query_id", columns={"text": text})
_clip = Table("clip", key="clip_id", columns={"file": video})
BASE = TextVideo(
    Embed(_query.text, encoder=MiniLM(precision="fp32"), size=384), Embed(_clip.file, encoder=Frames()),
    embedding_size=64, batch_size=128, learning_rate=3e-3, reg=0.1, dropout=0.2,
)  # fmt: skip
CHOICES = [{"epochs": epochs} for epochs in (8, 16, 32)]
Matrix = NDArray[np.float32]
Ints = NDArray[np.int64]
Scores = Callable[[Ints, Ints], Matrix]


@dataclass(frozen=True, eq=False)
class Data:
    """Captions and videos.

    Args:
        text: vectors of captions, [N, 384].
        words: hashed words of captions, [N, W].
        video: place of each caption's video, [N].
        frames: every fourth of 80, of length 1, [I, 20, 4096].
    """

    text: Matrix
    words: Matrix
    video: Ints
    frames: Matrix


def main(*arguments: str) -> None:
    """Cross-validates, times the raw clips, and prints one line of JSON."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks msvd")
    parser.add_argument("--seeds", type=int, default=2, help="how often videos are dealt into folds")
    parser.add_argument("--only", choices=("all", "clips", "search"), default="all")
    chosen = parser.parse_args(arguments)
    result: dict[str, Any] = {}
    if chosen.only != "search":
        result["clips"] = decoding()
    if chosen.only != "clips":
        result |= searching(load(), chosen.seeds)
    ours = result.get("rungs", {}).get("TextVideo mean", {}).get("fold r@1", [None])[0]
    peer = result.get("rungs", {}).get("ridge", {}).get("fold r@1", [None])[0]
    print(
        json.dumps({"name": "msvd", "ours": ours, "peer": peer, "unit": "r@1 of 10 unseen videos"} | result | where())
    )


def load() -> Data:
    """What is in the folder; captions are encoded here."""
    names = (FOLDER / "dev50_ids.txt").read_text().split()
    told = {
        entry["id"].removesuffix(".avi"): entry["caption"]
        for entry in json.loads((FOLDER / "dev50_captions.json").read_text())
    }
    texts = [caption for name in names for caption in told[name]]
    owner = np.repeat(np.arange(len(names)), [len(told[name]) for name in names])
    frames = []
    for name in names:
        with np.load(FOLDER / "dev50" / f"{name}.npz") as stored:
            frames.append(stored[stored.files[0]][::4].astype(np.float32))
    stacked = np.stack(frames)
    stacked /= np.maximum(np.linalg.norm(stacked, axis=2, keepdims=True), 1e-9)
    with tempfile.TemporaryDirectory() as place:
        vectors = MiniLM(precision="fp32").open(Path(place))(texts)
        words = HashedWords(size=1024).open(Path(place))(texts)
    return Data(vectors, words, owner, stacked)


def searching(data: Data, seeds: int) -> dict[str, Any]:
    """Every rung over all folds, with intervals by video."""
    found: dict[str, list[tuple[Ints, Ints, Ints]]] = {}
    moments: dict[str, list[NDArray[np.float64]]] = {}
    chosen: list[Any] = []
    for seed in range(seeds):
        dealt = np.random.default_rng(seed).permutation(len(data.frames))
        for fold in range(FOLDS):
            test = np.sort(dealt[fold::FOLDS])
            train = np.setdiff1d(dealt, test)
            for name, (scores, choice) in rungs(data, train, seed).items():
                asked = np.flatnonzero(np.isin(data.video, test))
                among = [ranks(scores(asked, of), data.video[asked], of) for of in (test, np.arange(len(data.frames)))]
                found.setdefault(name, []).append((data.video[asked], among[0], among[1]))
                chosen.append([name, seed, fold, choice])
                print(name, seed, fold, choice, round(float((1 / among[0]).mean()), 3), flush=True)
                if "TextVideo" in name:
                    moments.setdefault(name, []).append(scores.halves(asked, test))  # type: ignore[attr-defined]
    rows = {name: measured(parts) for name, parts in found.items()}
    for name, values in moments.items():
        rows[name]["moment in the right half"] = rounded(
            np.concatenate(values), np.concatenate([p[0] for p in found[name]])
        )
    return {"rungs": rows | {"chance": chance()}, "chosen": chosen, "captions": len(data.text), "seeds": seeds}


def rungs(data: Data, train: Ints, seed: int) -> Iterator[Any] | dict[str, Any]:
    """Name → scores of captions with videos, and what was chosen, of every rung learned from some videos."""
    folds = [np.sort(np.random.default_rng(seed + 7).permutation(train)[i::INNER]) for i in range(INNER)]
    made: dict[str, tuple[Callable[..., Scores], Sequence[Any]]] = {"ridge": (ridge, PENALTIES)}
    for pool in ("mean", "attention"):
        made[f"TextVideo {pool}"] = (learner(replace(BASE, pool=pool), seed), CHOICES)
    hard = replace(BASE, hard=3)
    made["TextVideo mean, hard negatives"] = (learner(hard, seed, hard=True), CHOICES)
    start = replace(BASE, embedding_size=384)
    warm = [{"ridge": r, "epochs": e, "learning_rate": lr} for r in (3.0, 10.0) for e, lr in ((1, 1e-6), (4, 1e-4))]
    made["TextVideo mean, from ridge"] = (learner(start, seed), warm)
    result = {}
    for name, (make, options) in made.items():
        values = [np.mean([inner(data, make, option, part, train) for part in folds]) for option in options]
        best = options[int(np.argmax(values))]
        result[name] = (make(data, train, best), best)
    return result


def inner(data: Data, make: Callable[..., Scores], option: Any, held: Ints, train: Ints) -> float:
    """The mean reciprocal rank within held-out training videos."""
    scores = make(data, np.setdiff1d(train, held), option)
    asked = np.flatnonzero(np.isin(data.video, held))
    return float((1 / ranks(scores(asked, held), data.video[asked], held)).mean())


def ranks(scores: Matrix, right: Ints, of: Ints) -> Ints:
    """The place of the right video among some, from 1; the worst place among equals."""
    own = scores[np.arange(len(right)), np.searchsorted(of, right)]
    return (scores >= own[:, None]).sum(axis=1)


def ridge(data: Data, train: Ints, penalty: float) -> Scores:
    """Videos mapped linearly to the mean of their captions' vectors; captions found by cosine."""
    pooled = data.frames.mean(axis=1).astype(np.float64)
    target = np.stack([data.text[data.video == i].mean(axis=0) for i in train])
    centre, middle = pooled[train].mean(axis=0), target.mean(axis=0)
    x, y = pooled[train] - centre, target - middle
    gram = x @ x.T
    weights = np.linalg.solve(gram + penalty * np.trace(gram) / len(gram) * np.eye(len(gram)), y)

    def scores(asked: Ints, of: Ints) -> Matrix:
        made = (pooled[of] - centre) @ x.T @ weights
        texts = data.text[asked] - middle
        return np.asarray(unit(texts) @ unit(made).T, np.float32)

    return scores


class Learned:
    """`TextVideo` learned from some videos; frames reduced to the principal components of those."""

    def __init__(self, declared: TextVideo, data: Data, train: Ints, *, seed: int, hard: bool):
        import torch

        from winnow.models.networks import text_video as networks
        from winnow.models.networks.loop import seeded

        self._frames = reduced(data, tuple(train.tolist()))
        self._data, self._torch = data, torch
        known = np.flatnonzero(np.isin(data.video, train))
        where_ = np.searchsorted(train, data.video[known])
        near = networks.alike(data.words[known], where_, declared.hard) if hard else np.empty((len(known), 0), np.int64)
        captions = networks.Captions(
            data.text[known], where_, np.arange(len(known)), near, np.ones(len(known), np.float32)
        )
        none = networks.Captions(
            *(array[:0] for array in (captions.text, captions.video, captions.owner, near, captions.weight))
        )
        items = {"frames": self._frames[train], "rest": np.zeros((len(train), 1), np.float32)}
        with tempfile.TemporaryDirectory() as place:
            run = Run(Path(place), seed=seed, threads=1)
            with seeded(run):
                self._both = networks.learned(declared, captions, none, items=items, run=run, key="msvd").eval()

    def __call__(self, asked: Ints, of: Ints) -> Matrix:
        return self._texts(asked) @ self._videos(self._frames[of]).T

    def halves(self, asked: Ints, test: Ints) -> NDArray[np.float64]:
        """Of each caption, how often its best frame lies in its own video when another follows or goes before."""
        own = self._data.video[asked]
        texts = self._texts(asked)
        flat = self._videos(self._frames.reshape(-1, 1, self._frames.shape[2])).reshape(*self._frames.shape[:2], -1)
        best = np.einsum("nd,ifd->nif", texts, flat).max(axis=2)
        others = np.array([[best[i, own[i]] > best[i, o] for o in test if o != own[i]] for i in range(len(asked))])
        return np.asarray(others.mean(axis=1), np.float64)

    def _texts(self, asked: Ints) -> Matrix:
        with self._torch.no_grad():
            return np.asarray(self._both.text({"text": self._torch.from_numpy(self._data.text[asked])}).numpy())

    def _videos(self, frames: Matrix) -> Matrix:
        rest = self._torch.zeros(len(frames), 1)
        with self._torch.no_grad():
            return np.asarray(self._both.video({"frames": self._torch.from_numpy(frames), "rest": rest}).numpy())


@cache
def reduced(data: Data, train: tuple[int, ...]) -> Matrix:
    """All frames, as principal components of those of some videos, [I, F, KEPT]."""
    from winnow.models.networks.text_video import principal

    mean, axes = principal(data.frames[list(train)].reshape(-1, data.frames.shape[2]), KEPT)
    return np.asarray((data.frames - mean) @ axes, np.float32)


def learner(declared: TextVideo, seed: int, *, hard: bool = False) -> Callable[..., Scores]:
    """Makes `Learned` with some options changed."""
    return lambda data, train, option: Learned(replace(declared, **option), data, train, seed=seed, hard=hard)


def measured(parts: list[tuple[Ints, Ints, Ints]]) -> dict[str, Any]:
    """R@k, median rank and MRR among the fold and among all, with intervals by video."""
    owner = np.concatenate([part[0] for part in parts])
    found: dict[str, Any] = {}
    for place, name in ((1, "fold"), (2, "all")):
        rank = np.concatenate([part[place] for part in parts])
        found |= {f"{name} r@{k}": rounded((rank <= k).astype(float), owner) for k in CUT}
        found[f"{name} mrr"] = rounded(1 / rank, owner)
        found[f"{name} median rank"] = float(np.median(rank))
    return found


def chance() -> dict[str, float]:
    """What a list in any order gives."""
    sizes = {"fold": 10, "all": 50}
    found = {f"{name} r@{k}": min(1.0, k / n) for name, n in sizes.items() for k in CUT}
    found |= {f"{name} mrr": float((1 / np.arange(1, n + 1)).mean()) for name, n in sizes.items()}
    return {name: round(value, 4) for name, value in found.items()} | {"moment in the right half": 0.5}


def rounded(values: NDArray[np.float64], owner: Ints) -> list[float]:
    """A mean and its 95 % interval by resampling videos."""
    return [round(v, 4) for v in interval(Resamples.of(owner).means(values))]


def unit(x: NDArray[Any]) -> NDArray[Any]:
    """Rows of length 1."""
    return np.asarray(x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-9))


# The raw clips


def decoding() -> dict[str, Any]:
    """Seconds for a minute of video, medians over five turns of all clips, ours and the peer's in turns."""
    clips = [file.read_bytes() for file in sorted((FOLDER / "raw_clips").glob("*.avi"))]
    spent: dict[str, list[float]] = {way: [] for way in (*WAYS, "peer: everything", "peer: key frames")}
    frames: dict[str, int] = {}
    with VideoDecoder(most_frames=64, largest=256) as decoder:
        minutes = sum(decoder.probe(data).seconds for data in clips) / 60
        for _ in range(5):
            for way in WAYS:
                began = time.perf_counter()
                frames[way] = sum(len(decoder.decode(data, way=way, largest=256).frames) for data in clips)
                spent[way].append(time.perf_counter() - began)
            for name, keys in (("peer: everything", False), ("peer: key frames", True)):
                began = time.perf_counter()
                frames[name] = sum(everything(data, keys=keys) for data in clips)
                spent[name].append(time.perf_counter() - began)
    per = {way: round(float(np.median(values)) / minutes, 3) for way, values in spent.items()}
    return {"clips": len(clips), "minutes": round(minutes, 2), "s_per_minute": per, "frames": frames}


def everything(data: bytes, *, keys: bool) -> int:
    """All frames, or the key frames, by PyAV in this process, scaled as ours are; how many there are."""
    import io

    import av

    with av.open(io.BytesIO(data)) as container:
        stream = container.streams.video[0]
        stream.codec_context.thread_count = 1
        stream.codec_context.skip_frame = "NONKEY" if keys else "DEFAULT"
        scale = min(1.0, 256 / max(stream.width, stream.height))
        size = round(stream.width * scale), round(stream.height * scale)
        return sum(len(frame.reformat(*size, "rgb24").to_ndarray()) > 0 for frame in container.decode(stream))
