"""The stored kinds of index, and the choice between them.

`Exact` finds everything and is fast enough below 50,000 items. `HNSW` and `IVF` hold quantised copies in structures
that look at a small part; `IVF` builds much faster and takes filters better, `HNSW` needs no training.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar

import faiss
import numpy as np

from winnow.core.errors import Problem, Unavailable, unknown
from winnow.retrieval.index import Ints, Mask, Stored, Vectors, check_encoder, check_items, scan, scan_masked

SCAN_BELOW = 50_000
HNSW_BELOW = 300_000

_lib: Any = faiss  # its type stubs miss half of what it has
_FILE = "index.faiss"
_SCORE_ALL = 0.15  # above this share, scoring everything is cheaper than gathering what is kept
_LINKS = 32
_BUILD_BREADTH = 80
_BREADTH = 128
_PROBES = 32
_SAMPLE = 64  # training vectors per list
_ROUNDS = 10


def build(vectors: Vectors, rows: Ints, encoder: str, *, kind: str = "auto", threads: int = 1) -> Stored:
    """An index over vectors.

    Args:
        vectors: float32 [I, D].
        rows: distinct row numbers, int64 [I].
        encoder: version of the encoder that made the vectors.
        kind: `Exact`, `HNSW`, `IVF`, or `auto` to choose by size.
        threads: for the build; with one, equal input gives an equal index.

    Raises:
        NotFound: `unknown-index-kind`.
        InputError: `vector-shape`, `vector-not-finite`.
    """
    name = kind if kind != "auto" else _suited(len(rows))
    if name not in KINDS:
        raise unknown("index-kind", kind, [*KINDS, "auto"])
    check_items(vectors, rows)
    with _threads(threads):
        return KINDS[name](np.ascontiguousarray(vectors), rows.astype(np.int64, copy=False), encoder)


def open_index(folder: Path, *, encoder: str) -> Stored:
    """An index from the folder that `save` wrote; vectors and lists stay on disk and are shared between processes.

    Raises:
        Conflict: `encoder-differs` when the index was made by another version than `encoder`.
        Unavailable: `index-unreadable`.
    """
    try:
        facts = json.loads((folder / "index.json").read_text())
        check_encoder(encoder, facts["encoder"])
        vectors, rows = np.load(folder / "vectors.npy", mmap_mode="r"), np.load(folder / "rows.npy")
        kind = KINDS[facts["kind"]]
        if not len(vectors) == len(rows) == facts["items"]:
            raise ValueError(f"{len(vectors)} vectors and {len(rows)} rows where {facts['items']} were saved")
        if not issubclass(kind, Faiss):
            return kind(vectors, rows, encoder)
        return kind(vectors, rows, encoder, ready=_lib.read_index(str(folder / _FILE), _lib.IO_FLAG_MMAP_IFC))
    except (OSError, ValueError, KeyError, TypeError, RuntimeError) as error:
        fix = "build it again with `winnow train`, or `winnow rollback` to another release"
        problem = Problem("index-unreadable", f"the index cannot be read: {error}", str(folder), fix=fix)
        raise Unavailable(problem) from error


def _suited(items: int) -> str:
    return "Exact" if items < SCAN_BELOW else "HNSW" if items < HNSW_BELOW else "IVF"


class Exact(Stored):
    """Compares each query with every vector."""

    def _near(self, queries: Vectors, k: int, kept: Mask | None, *, share: float) -> tuple[Ints, Vectors]:
        if kept is not None and share > _SCORE_ALL:
            return scan_masked(self.vectors, queries, k, kept)
        return scan(self.vectors, queries, k, None if kept is None else np.flatnonzero(kept))


class Faiss(Stored):
    """An index of the faiss library beside the vectors."""

    quantised: ClassVar[bool] = True

    def __init__(self, vectors: Vectors, rows: Ints, encoder: str, *, ready: Any = None):
        super().__init__(vectors, rows, encoder)
        self._index = self._built() if ready is None else ready

    def _built(self) -> Any:
        raise NotImplementedError

    def _parameters(self, k: int, share: float) -> Any:
        raise NotImplementedError

    def _near(self, queries: Vectors, k: int, kept: Mask | None, *, share: float) -> tuple[Ints, Vectors]:
        parameters = self._parameters(k, share)
        if kept is not None:
            # faiss keeps a pointer: the bits must live until the search is over.
            bits = np.packbits(kept, bitorder="little")
            parameters.sel = _lib.IDSelectorBitmap(bits)
        scores, positions = self._index.search(queries, k, params=parameters)
        return positions, scores

    def save(self, folder: Path) -> None:
        """Writes the index into a new folder."""
        super().save(folder)
        _lib.write_index(self._index, str(folder / _FILE))


class HNSW(Faiss):
    """A navigable graph over 8-bit vectors.

    Source: Malkov and Yashunin, Efficient and robust approximate nearest neighbor search using hierarchical navigable
    small world graphs, IEEE TPAMI 42 (2020).
    """

    def _built(self) -> Any:
        eight_bits = _lib.ScalarQuantizer.QT_8bit
        index = _lib.IndexHNSWSQ(self.dimensions, eight_bits, _LINKS, _lib.METRIC_INNER_PRODUCT)
        index.hnsw.efConstruction = _BUILD_BREADTH
        index.train(self.vectors)
        index.add(self.vectors)
        return index

    def _parameters(self, k: int, share: float) -> Any:
        return _lib.SearchParametersHNSW(efSearch=int(max(_BREADTH, k) / share))


class IVF(Faiss):
    """8-bit vectors in lists around cluster centres; a query looks into the nearest lists.

    Source: Jégou, Douze and Schmid, Product quantization for nearest neighbor search, IEEE TPAMI 33 (2011).
    """

    def _built(self) -> Any:
        lists = max(1, min(int(4 * len(self) ** 0.5), len(self) // 39))
        centres = _lib.IndexFlatIP(self.dimensions)
        eight_bits = _lib.ScalarQuantizer.QT_8bit
        index = _lib.IndexIVFScalarQuantizer(centres, self.dimensions, lists, eight_bits, _lib.METRIC_INNER_PRODUCT)
        index.cp.niter = _ROUNDS
        sample = np.random.default_rng(0).permutation(len(self))[: lists * _SAMPLE]
        index.train(self.vectors[np.sort(sample)])
        index.add(self.vectors)
        return index

    def _parameters(self, k: int, share: float) -> Any:
        # A long list needs as many lists as hold it twice over.
        needed = 2 * k * self._index.nlist / len(self)
        return _lib.SearchParametersIVF(nprobe=min(self._index.nlist, int(max(_PROBES, needed) / share)))


KINDS: dict[str, type[Stored]] = {kind.__name__: kind for kind in (Exact, HNSW, IVF)}


@contextmanager
def _threads(count: int) -> Iterator[None]:
    before = _lib.omp_get_max_threads()
    _lib.omp_set_num_threads(count)
    try:
        yield
    finally:
        _lib.omp_set_num_threads(before)
