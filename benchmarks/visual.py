"""How well pictures are found by encoders that are trained here, rung by rung, and how well by binary codes.

`clothing`: learned from its training part, stopped by its validation part; every test picture asks the training part,
and besides the other test pictures, which were never learned from; pictures of its class are relevant. `cifar10`: one
encoder of 64 bits whose first 48 are a code of their own, learned from the 50,000 training pictures from nothing; the
first 100 test pictures of each class ask the other 59,000 by Hamming distance, and besides the 9,000 among them that
were never learned from. Ties in distance come in together.
"""

import argparse
import io
import json
import os
import platform
import subprocess
import tarfile
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from winnow.encoders.base import normalised
from winnow.evaluation.bootstrap import Resamples, interval
from winnow.evaluation.lists import Relevant, average_precision_at_k, ndcg_at_k, recall_at_k
from winnow.media.decode import Decoder
from winnow.models.base import Run
from winnow.models.picture_contrastive import ContrastivePictures
from winnow.models.picture_looks import Looks
from winnow.models.picture_metric import MetricPictures
from winnow.models.picture_retrieval import PictureEncode, PictureRetriever, Pictures, load_picture_encoder

DATA = Path(os.environ.get("WINNOW_DATA", Path(__file__).resolve().parents[2] / "shared" / "data"))
ARCHIVES = {"clothing": "clothing/clothing-224.tar", "cifar10": "cifar10/cifar10-jpg.tar.gz"}
CLOTHING: dict[str, PictureRetriever] = {
    "L0": Looks(),
    "L1": ContrastivePictures(epochs=40),
    "L2": MetricPictures(epochs=40),
}
CODES = MetricPictures(
    side=32, bits=64, sizes=(48,), contrast=0.0, crop=1.0, shift=1 / 16, turn=0.0, colour=0.0, epochs=8, batch_size=256,
    reg=0.1,
)  # fmt: skip
ASKED, SHOWN, TIMED = 100, (10, 100), 50  # queries of a class, places that recall is given for, pictures encoded alone
PUBLISHED = {48: 0.7345, 64: 0.7466}
Series, Ints, Bits = NDArray[np.float64], NDArray[np.int64], NDArray[np.bool_]


def main(*arguments: str) -> None:
    """Trains what `--folder` does not hold yet, asks every query, prints a table and one line of JSON."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks visual")
    parser.add_argument("--data", choices=sorted(ARCHIVES), default="clothing")
    parser.add_argument("--folder", default="", help="keeps what was trained for the next run")
    parser.add_argument("--threads", type=int, default=2)
    chosen = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as temporary:
        place = Path(chosen.folder or temporary) / chosen.data
        result = {"clothing": clothing, "cifar10": codes}[chosen.data](place, chosen.threads)
    print(json.dumps({"name": "visual", "data": chosen.data, **result, **where()}))


def clothing(place: Path, threads: int) -> dict[str, Any]:
    """Every rung: each test picture asks the training part."""
    parts = loaded("clothing", 64)
    train, valid, test = (parts[name] for name in ("train", "validation", "test"))
    drawn, rungs, series = Resamples.of(np.arange(len(test))), {}, {}
    for name, declared in CLOTHING.items():
        encoder, trained = fitted(declared, place / name, train=train, valid=valid, threads=threads)
        asking, asked = (encoded(encoder, part, threads) for part in (test, train))
        found = ranked(asking @ asked.T, test, train)
        found["map_unseen"] = among(asking @ asking.T, test)
        for size in declared.prefixes[:-1] if isinstance(declared, MetricPictures) else ():
            found[f"map of {size}"] = ranked(normalised(asking[:, :size]) @ normalised(asked[:, :size]).T, test, train)[
                "map"
            ]
        series[name] = drawn.means(found["map"])
        rungs[name] = trained | {m: rounded(drawn.means(v)) for m, v in found.items()} | cost(encoder, test)
    show("clothing", rungs)
    times = rounded(series["L2"] / series["L0"])
    own, base = rungs["L2"]["map"][0], rungs["L0"]["map"][0]
    return {"ours": own, "peer": base, "ratio": times[0], "unit": "mAP, L2 against L0", "target_ratio": 2.0,
            "ratio_interval": times, "queries": len(test), "database": len(train), "rungs": rungs}  # fmt: skip


def codes(place: Path, threads: int) -> dict[str, Any]:
    """mAP of binary codes."""
    parts = loaded("cifar10", 32)
    train, test = parts["train"], parts["test"]
    nothing = Pictures(train.rows[:0], train.pixels[:0], train.groups[:0], train.pairs)
    whole, trained = fitted(CODES, place / "codes", train=train, valid=nothing, threads=threads)
    asked = np.concatenate([np.flatnonzero(test.groups == g)[:ASKED] for g in np.unique(test.groups)])
    unseen = np.setdiff1d(np.arange(len(test)), asked)
    vectors = {name: encoded(whole, part, threads) > 0 for name, part in (("train", train), ("test", test))}
    drawn, found = Resamples.of(np.arange(len(asked))), {}
    for bits in (*CODES.sizes, CODES.bits):
        query, other = vectors["test"][asked, :bits], vectors["test"][unseen, :bits]
        everything = np.concatenate([vectors["train"][:, :bits], other])
        groups = np.concatenate([train.groups, test.groups[unseen]])
        found[str(bits)] = {
            "map": rounded(drawn.means(hamming(query, everything, test.groups[asked], groups))),
            "map_unseen": rounded(drawn.means(hamming(query, other, test.groups[asked], test.groups[unseen]))),
            "published": PUBLISHED[bits],
        }
    show("cifar10", found)
    own = found[str(CODES.bits)]
    return {"ours": own["map"][0], "peer": own["published"], "ratio": round(own["map"][0] / own["published"], 3),
            "unit": "mAP of 64 bits", "peer_name": "DSDH: 5,000 labelled pictures, network pre-trained on ImageNet",
            "queries": len(asked), "database": len(train) + len(unseen), "unseen": len(unseen), "bits": found,
            **trained, **cost(whole, test)}  # fmt: skip


def loaded(name: str, side: int) -> dict[str, Pictures]:
    """The parts of a data set, in the order of their file names; classes are groups."""
    files = sorted(_files(DATA / ARCHIVES[name]))
    classes = sorted({group for _, group, _, _ in files})
    with Decoder() as decoder:
        pixels = [decoder.decode(data, square=side).pixels for *_, data in files]
    parts = {}
    for part in sorted({p for p, *_ in files}):
        at = [i for i, (p, *_) in enumerate(files) if p == part]
        groups = np.array([classes.index(files[i][1]) for i in at], np.int64)
        none = np.zeros((0, 2), np.int64)
        parts[part] = Pictures(np.arange(len(at)), np.stack([pixels[i] for i in at]), groups, none)
    return parts


def _files(archive: Path) -> Iterator[tuple[str, str, str, bytes]]:
    """Part, class, name and bytes of every picture."""
    with tarfile.open(archive) as files:
        for member in files:
            if member.isfile() and member.name.endswith(".jpg"):
                part, group, name = PurePosixPath(member.name).parts[-3:]
                file = files.extractfile(member)
                yield part, group, name, (file or io.BytesIO()).read()


def fitted(
    declared: PictureRetriever, folder: Path, *, train: Pictures, valid: Pictures, threads: int
) -> tuple[PictureEncode, dict[str, Any]]:
    """The encoder, and what fitting took; one that the folder holds already took what it took then."""
    folder.mkdir(parents=True, exist_ok=True)
    noted = folder / "fit.json"
    if not noted.exists():
        began, cpu = time.monotonic(), time.process_time()
        console = Console(stderr=True)
        told = lambda what, share: console.print(f"{share:.3f} {time.process_time() - cpu:.0f} s CPU  {what}")  # noqa: E731
        declared.fit(train, valid, Run(folder, threads=threads, progress=told, checkpoint_every=10**9))
        spent = {"fit_s": round(time.monotonic() - began), "fit_cpu_s": round(time.process_time() - cpu)}
        noted.write_text(json.dumps(spent | {"threads": threads}))
    return load_picture_encoder(folder), json.loads(noted.read_text())


def encoded(encoder: PictureEncode, pictures: Pictures, threads: int) -> NDArray[np.float32]:
    """Vectors of all pictures, several at once."""
    with ThreadPoolExecutor(threads) as pool:
        return np.concatenate(list(pool.map(encoder.encode, np.array_split(pictures.pixels, 4 * threads))))


def ranked(scores: NDArray[np.float32], asking: Pictures, database: Pictures) -> dict[str, Series]:
    """Metrics of each query, [Q], by its scores with the database, [Q, N]."""
    lists = np.argsort(-scores, axis=1, kind="stable")
    query, row = np.nonzero(asking.groups[:, None] == database.groups)
    relevant = Relevant.pairs(query, row, len(asking))
    hits = relevant.hits(lists[:, :10])
    return {
        "precision@10": hits.mean(axis=1),
        "map": average_precision_at_k(lists, relevant, lists.shape[1]),
        **{f"recall@{k}": recall_at_k(lists, relevant, k) for k in SHOWN},
        "ndcg@10": ndcg_at_k(lists, relevant, 10),
    }


def among(scores: NDArray[np.float32], pictures: Pictures) -> Series:
    """Average precision of finding one's class among all others of a set, [Q]."""
    lists = np.argsort(-np.where(np.eye(len(pictures)), -np.inf, scores), axis=1, kind="stable")[:, :-1]
    same = (pictures.groups[:, None] == pictures.groups) & ~np.eye(len(pictures), dtype=bool)
    return average_precision_at_k(lists, Relevant.pairs(*np.nonzero(same), len(pictures)), lists.shape[1])


def hamming(
    query: NDArray[np.bool_], base: NDArray[np.bool_], asked: NDArray[np.int64], groups: NDArray[np.int64]
) -> Series:
    """Average precision of each query by Hamming distance, [Q]: recall gained at a distance counts with the precision
    of everything up to that distance, so that the order of ties does not matter."""
    bits, (q, b) = query.shape[1], (np.where(c, 1.0, -1.0).astype(np.float32) for c in (query, base))
    values = np.empty(len(query))
    for i in range(len(query)):
        distance = np.rint((bits - b @ q[i]) / 2).astype(np.int64)
        hits = np.cumsum(np.bincount(distance[groups == asked[i]], minlength=bits + 1))
        seen = np.cumsum(np.bincount(distance, minlength=bits + 1))
        values[i] = (np.diff(hits, prepend=0) * hits / np.maximum(seen, 1)).sum() / max(hits[-1], 1)
    return values


def cost(encoder: PictureEncode, pictures: Pictures) -> dict[str, Any]:
    """Milliseconds that one picture takes, and the length of a vector."""
    spent = []
    for i in range(min(TIMED, len(pictures))):
        began = time.perf_counter()
        encoder.encode(pictures.pixels[i : i + 1])
        spent.append(1000 * (time.perf_counter() - began))
    return {"encode_ms": round(float(np.median(spent)), 2), "size": encoder.size}


def rounded(values: Series) -> list[float]:
    """A mean and its 95 % interval by resampling queries."""
    return [round(v, 4) for v in interval(values)]


def show(title: str, rows: dict[str, dict[str, Any]]) -> None:
    """One line a rung."""
    names = list(dict.fromkeys(n for row in rows.values() for n in row))
    table = Table("", *names, title=title)
    for name, row in rows.items():
        cells = (row.get(n, "") for n in names)
        table.add_row(name, *("{:.3f} ({:.3f}–{:.3f})".format(*c) if isinstance(c, list) else str(c) for c in cells))
    Console(width=190).print(table)


def where() -> dict[str, Any]:
    """Machine, commit and day of a run."""
    command = ["git", "rev-parse", "--short", "HEAD"]
    commit = subprocess.run(command, check=False, capture_output=True, text=True).stdout.strip()
    machine = f"{platform.machine()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}"
    return {"at": datetime.now(UTC).date().isoformat(), "commit": commit, "machine": machine}
