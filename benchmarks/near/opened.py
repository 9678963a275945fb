"""What it costs a process to open an index and to search it: `python -m benchmarks.near.opened PATH QUERIES`."""

import json
import sys
import time
from pathlib import Path
from typing import Any

import faiss
import numpy as np

from winnow.retrieval.kinds import open_index

_lib: Any = faiss


def main(path: str, queries: str) -> None:
    """Prints milliseconds to open, and megabytes of its own and of mapped files after the searches."""
    asked, before = np.load(queries), _resident()
    start = time.perf_counter()
    index = _opened(Path(path))
    spent = time.perf_counter() - start
    for query in asked:
        index(query[None])
    own, mapped = (round(now - then, 1) for now, then in zip(_resident(), before, strict=True))
    print(json.dumps({"open_ms": round(1000 * spent, 1), "own_mb": own, "mapped_mb": mapped}))


def _opened(path: Path) -> Any:
    if path.is_dir():
        ours = open_index(path, encoder="v1")
        return lambda query: ours.search(query, 10, encoder="v1")
    index = _lib.read_index(str(path))
    return lambda query: index.search(query, 10)


def _resident() -> tuple[float, float]:
    """Megabytes that this process alone holds, and those of files that it has mapped and touched."""
    lines = dict(line.split(":") for line in Path("/proc/self/status").read_text().splitlines())
    own, mapped = (int(lines[name].split()[0]) / 1000 for name in ("RssAnon", "RssFile"))
    return own, mapped


if __name__ == "__main__":
    main(*sys.argv[1:])
