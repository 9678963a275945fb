"""The stored kinds of index, and the choice between them.

`Exact` finds everything and is fast enough below 50,000 items. `HNSW`, `IVF` and `PQ` hold quantised copies in
structures that look at a small part, and judge what they find by the exact vectors. `IVF` builds much faster and takes
filters better, `HNSW` needs no clusters in the data, `PQ` takes the least memory.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import faiss
import numpy as np

from winnow.core.errors import Problem, Unavailable, unknown
from winnow.retrieval.checks import check_encoder, check_items
from winnow.retrieval.index import FORMAT, Ints, Stored, Vectors
from winnow.retrieval.kept import Kept
from winnow.retrieval.lists import IVF, LISTED, PQ
from winnow.retrieval.quantised import FILE, HNSW, Quantised

SCAN_BELOW = 50_000
HNSW_BELOW = 300_000
LEAST = 256
"""Fewer items than this are not quantised: every kind is `Exact`."""

_lib: Any = faiss  # its type stubs miss half of what it has


class Exact(Stored):
    """Compares each query with every vector."""

    def _near(self, queries: Vectors, k: int, kept: Kept) -> tuple[Ints, Vectors]:
        return self._scan(queries, k, kept)


KINDS: dict[str, type[Stored]] = {kind.__name__: kind for kind in (Exact, HNSW, IVF, PQ)}


def build(
    vectors: Vectors, rows: Ints, encoder: str, *, kind: str = "auto", threads: int = 1, memory: int | None = None
) -> Stored:
    """An index over vectors.

    Args:
        vectors: float32 [I, D].
        rows: distinct row numbers, int64 [I].
        encoder: version of the encoder that made the vectors.
        kind: `Exact`, `HNSW`, `IVF`, `PQ`, or `auto` to choose by size and memory.
        threads: for the build; with one, equal input gives an equal index.
        memory: bytes that `auto` may let searches keep in memory; None sets no limit.

    Raises:
        NotFound: `unknown-index-kind`.
        InputError: `vector-shape`, `vector-not-finite`.
    """
    check_items(vectors, rows)
    name = kind if kind != "auto" else suited(*vectors.shape, memory=memory)
    if name not in KINDS:
        raise unknown("index-kind", kind, [*KINDS, "auto"])
    made = KINDS[name] if len(rows) >= LEAST else Exact
    order = np.argsort(rows, kind="stable")  # neighbours in a filter are then neighbours in memory
    if (order[1:] < order[:-1]).any():
        vectors, rows = vectors[order], rows[order]
    with _threads(threads):
        return made(np.ascontiguousarray(vectors), rows.astype(np.int64, copy=False), encoder)


def suited(items: int, dimensions: int, *, memory: int | None = None) -> str:
    """The kind for so many items, in at most so many bytes.

    >>> suited(1_000_000, 64), suited(1_000_000, 64, memory=50_000_000)
    ('IVF', 'PQ')
    """
    first = "Exact" if items < SCAN_BELOW else "HNSW" if items < HNSW_BELOW else "IVF"
    wished = [first, *(kind for kind in ("IVF", "PQ") if kind != first)]
    fits = (kind for kind in wished if memory is None or resident(kind, items, dimensions) <= memory)
    return next(fits, "PQ")


def resident(kind: str, items: int, dimensions: int) -> int:
    """Bytes that searches without a filter touch in the end, about: what should fit into memory.

    The exact vectors of the quantised kinds are not counted: they stay on disk but for the few items that a search
    judges again.
    """
    links = 2 * HNSW.links * 4 + 16
    each = {"Exact": 4 * dimensions, "HNSW": dimensions + links, "IVF": dimensions + 12, "PQ": dimensions // 2 + 12}
    return items * each[kind]


def open_index(folder: Path, *, encoder: str) -> Stored:
    """An index from the folder that `save` wrote; vectors and lists stay on disk and are shared between processes.

    Raises:
        Conflict: `encoder-differs` when the index was made by another version than `encoder`.
        Unavailable: `index-unreadable`.
    """
    try:
        facts = json.loads((folder / "index.json").read_text())
        if facts["format"] != FORMAT:
            raise ValueError(f"its format is {facts['format']}, not {FORMAT}")
        check_encoder(encoder, facts["encoder"])
        vectors, rows = np.load(folder / "vectors.npy", mmap_mode="r"), np.load(folder / "rows.npy")
        if not len(vectors) == len(rows) == facts["items"]:
            raise ValueError(f"{len(vectors)} vectors and {len(rows)} rows where {facts['items']} were saved")
        kind = KINDS[facts["kind"]]
        quantised = _quantised(kind, folder, facts) if issubclass(kind, Quantised) else {}
        index = kind(vectors, rows, encoder, **quantised)
        index.made_at = (folder / "index.json").stat().st_mtime_ns // 1_000
        return index
    except (OSError, ValueError, KeyError, TypeError, RuntimeError) as error:
        fix = "build it again with `winnow train`, or `winnow rollback` to another release"
        problem = Problem("index-unreadable", f"the index cannot be read: {error}", str(folder), fix=fix)
        raise Unavailable(problem) from error


def _quantised(kind: type[Quantised], folder: Path, facts: dict[str, Any]) -> dict[str, Any]:
    """What else a quantised kind is made of."""
    # Codes, lists and links are mapped. The flag for lists on disk would map them too, but starts 32 threads a search.
    ready = _lib.read_index(str(folder / FILE), _lib.IO_FLAG_MMAP_IFC)
    lists = {"listed": np.load(folder / LISTED, mmap_mode="r")} if issubclass(kind, IVF) else {}
    return {"ready": ready, "breadth": int(facts["breadth"]), **lists}


@contextmanager
def _threads(count: int) -> Iterator[None]:
    before = _lib.omp_get_max_threads()
    _lib.omp_set_num_threads(count)
    try:
        yield
    finally:
        _lib.omp_set_num_threads(before)
