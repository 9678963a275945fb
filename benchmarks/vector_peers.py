"""Filtered search with hnswlib and usearch, run by `vectors.py` in an environment that has them."""

import json
import sys
import time
from collections.abc import Callable
from importlib.util import find_spec
from typing import Any

import numpy as np

K, BREADTH, LINKS, BUILD_BREADTH, MOST = 10, 128, 32, 80, 2_000
ASKED = 20  # a filter function is called for every visited item: it is slow


def main(path: str, cases: str) -> None:
    """Prints one JSON line for each engine and case."""
    given = np.load(path)
    items = given["items"]
    engines = [make(items) for module, make in (("hnswlib", hnswlib), ("usearch", usearch)) if find_spec(module)]
    for case in range(int(cases)):
        mask, queries, exact = (given[f"{part}{case}"] for part in ("mask", "queries", "exact"))
        for name, find in (pair for engine in engines for pair in engine):
            print(json.dumps({"engine": name, "case": case, **asked(find, mask, queries[:ASKED], exact)}))


def asked(find: Callable[..., Any], mask: Any, queries: Any, exact: Any) -> dict[str, float]:
    """Recall and the median time of one query in microseconds."""
    hits, spent = [], []
    for query, best in zip(queries, exact, strict=False):
        start = time.perf_counter()
        found = find(query, mask)
        spent.append((time.perf_counter() - start) * 1e6)
        hits.append(np.isin(best, found).mean())
    return {
        "recall": round(float(np.mean(hits)), 4),
        "us": round(np.median(spent)),
        "p95_us": round(np.percentile(spent, 95)),
    }


def hnswlib(items: Any) -> list[tuple[str, Callable[..., Any]]]:
    """With its filter function."""
    import hnswlib as library

    index = library.Index("ip", items.shape[1])
    index.init_index(len(items), M=LINKS, ef_construction=BUILD_BREADTH)
    index.add_items(items, num_threads=2)
    index.set_ef(BREADTH)
    index.set_num_threads(1)

    def find(query: Any, mask: Any) -> Any:
        try:
            allow = None if mask.all() else lambda i: bool(mask[i])
            return index.knn_query(query, K, filter=allow)[0][0]
        except RuntimeError:  # fewer than K were found
            return np.zeros(0, np.int64)

    return [("hnswlib with a filter", find)]


def usearch(items: Any) -> list[tuple[str, Callable[..., Any]]]:
    """It has no filter in Python: more are fetched and filtered afterwards."""
    from usearch.index import Index

    index = Index(
        ndim=items.shape[1],
        metric="ip",
        dtype="i8",
        connectivity=LINKS,
        expansion_add=BUILD_BREADTH,
        expansion_search=BREADTH,
    )
    index.add(np.arange(len(items)), items, threads=2)

    def find(query: Any, mask: Any) -> Any:
        keys = index.search(query, int(min(2 * K / max(mask.mean(), 1e-9), MOST)), threads=1).keys
        return keys[mask[keys]][:K]

    return [("usearch, filtered afterwards", find)]


if __name__ == "__main__":
    main(*sys.argv[1:])
