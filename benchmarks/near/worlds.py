"""Vectors to search, filters over them, and the exact answers."""

import io
import os
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from winnow.retrieval.index import scan

Vectors = NDArray[np.float32]
SHARES = (0.0001, 0.001, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5)
SIZES = {"60k": (60_000, 128), "images": (60_000, 128), "1m": (1_000_000, 64)}
K, ASKED, QUERIES = 10, 1_000, 60
_LATENT, _CENTRES, _HELD_OUT = 24, 400, 2_000
_DATA = Path(os.environ.get("WINNOW_DATA", Path(__file__).resolve().parents[3] / "shared" / "data"))
_IMAGES = _DATA / "cifar10" / "cifar10-jpg.tar.gz"


class Case(NamedTuple):
    """A filter and queries, float32 [Q, D], with the exact answers, int64 [Q, K]; `mask` is None for all items."""

    name: str
    share: float
    mask: NDArray[np.bool_] | None
    queries: Vectors
    exact: NDArray[np.int64]


def world(name: str, folder: Path) -> tuple[Vectors, Vectors]:
    """Items and queries of length 1, float32 [I, D] and [Q, D]; kept in the folder for the next run."""
    path = folder / f"{name}.npz"
    if not path.exists():
        x = pictured() if name == "images" else drawn(*SIZES[name])
        x = (x / np.linalg.norm(x, axis=1, keepdims=True)).astype(np.float32)
        np.savez(path, x=np.random.default_rng(1).permutation(x))
    with np.load(path) as saved:
        x = saved["x"]
    return x[:-_HELD_OUT], x[-_HELD_OUT:]


def drawn(count: int, dimensions: int) -> NDArray[np.float64]:
    """Clusters of unequal size in a space of fewer dimensions, seen through a matrix, with noise."""
    rng = np.random.default_rng(0)
    centres, through = rng.normal(size=(_CENTRES, _LATENT)), rng.normal(size=(_LATENT, dimensions)) / _LATENT**0.5
    popular = 1 / np.arange(1, _CENTRES + 1) ** 0.7
    own = rng.choice(_CENTRES, count + _HELD_OUT, p=popular / popular.sum())
    x = (centres[own] + 0.7 * rng.normal(size=(len(own), _LATENT))) @ through
    return x + 0.15 * rng.normal(size=x.shape)


def pictured() -> NDArray[np.float64]:
    """The principal components of the pixels of the 60,000 images of CIFAR-10, of which some become queries."""
    from PIL import Image

    with tarfile.open(_IMAGES) as archive:
        files = (archive.extractfile(member) for member in archive if member.name.endswith(".jpg"))
        x = np.stack([np.asarray(Image.open(io.BytesIO(f.read())), np.float32).ravel() for f in files if f])
    x -= x.mean(axis=0)
    axes = np.linalg.eigh(x.T @ x)[1][:, ::-1]
    return np.asarray(x @ axes[:, : SIZES["images"][1]], np.float64)


def filters(items: Vectors, queries: Vectors) -> Iterator[Case]:
    """None; then every share: at random, and the region around an item with queries inside and outside of it."""
    rng = np.random.default_rng(7)
    yield case("all", 1.0, None, items, queries[:ASKED])
    for share in SHARES:
        yield case("random", share, rng.random(len(items)) < share, items, queries[:QUERIES])
        centre = items[rng.integers(len(items))]
        near = items @ centre
        mask = near >= np.partition(near, -int(share * len(items)))[-int(share * len(items))]
        order = np.argsort(queries @ centre)
        yield case("region, inside", share, mask, items, queries[order[-QUERIES:]])
        yield case("region, outside", share, mask, items, queries[order[: -len(order) // 2][::16][:QUERIES]])


def case(name: str, share: float, mask: NDArray[np.bool_] | None, items: Vectors, queries: Vectors) -> Case:
    """A case with its exact answers."""
    kept, queries = np.arange(len(items)) if mask is None else np.flatnonzero(mask), np.ascontiguousarray(queries)
    return Case(name, share, mask, queries, kept[scan(items[kept], queries, min(K, len(kept)))[0]])
