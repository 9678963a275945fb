"""Indexes as faiss builds and searches them when it is left alone: quantised scores only, its own filter."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import faiss
import numpy as np
from benchmarks.near.worlds import K, Vectors
from numpy.typing import NDArray

from winnow.retrieval.quantised import HNSW

Find = Callable[[Vectors, NDArray[np.bool_] | None], NDArray[np.int64]]
FACTORY = {"Exact": "Flat", "HNSW": f"HNSW{HNSW.links}_SQ8", "IVF": "IVF{lists},SQ8", "PQ": "IVF{lists},PQ{parts}"}

_lib: Any = faiss


def build(kind: str, items: Vectors, path: Path) -> None:
    """An index of the same kind and size as ours, in a file."""
    lists, parts = int(4 * len(items) ** 0.5), items.shape[1] // 2
    name = FACTORY[kind].format(lists=lists, parts=parts)
    index = _lib.index_factory(items.shape[1], name, _lib.METRIC_INNER_PRODUCT)
    if kind == "HNSW":
        index.hnsw.efConstruction = HNSW.build_breadth
    index.train(items)
    index.add(items)
    _lib.write_index(index, str(path))


def engines(path: Path, kind: str, breadth: int) -> Iterator[tuple[str, Find]]:
    """Searches as wide as ours; lists also with nprobe divided by the permitted share."""
    index = _lib.read_index(str(path))

    def as_wide(query: Vectors, mask: NDArray[np.bool_] | None) -> NDArray[np.int64]:
        return _found(index, query, mask, _parameters(kind, breadth, index))

    def wider(query: Vectors, mask: NDArray[np.bool_] | None) -> NDArray[np.int64]:
        share = 1 if mask is None else max(mask.mean(), 1e-9)
        return _found(index, query, mask, _parameters(kind, int(breadth / share), index))

    yield f"faiss {kind}", as_wide
    if kind in ("IVF", "PQ"):
        yield f"faiss {kind}, nprobe / share", wider


def _parameters(kind: str, breadth: int, index: Any) -> Any:
    if kind == "Exact":
        return _lib.SearchParameters()
    if kind == "HNSW":
        return _lib.SearchParametersHNSW(efSearch=breadth)
    return _lib.SearchParametersIVF(nprobe=min(index.nlist, breadth))


def _found(index: Any, query: Vectors, mask: NDArray[np.bool_] | None, parameters: Any) -> NDArray[np.int64]:
    if mask is not None:
        bits = np.packbits(mask, bitorder="little")  # read until the search is over
        parameters.sel = _lib.IDSelectorBitmap(bits)
    found: NDArray[np.int64] = index.search(query, K, params=parameters)[1]
    return found
