"""BM25 by bm25s in an environment of its own: reads documents and queries as JSON, writes lists and times as JSON.

`python bm25s_side.py IN OUT`; needs `bm25s` and `PyStemmer`. Lucene's variant with its English stop words and the
Snowball stemmer, k1 1.2 and b 0.75.
"""

import json
import sys
import time
from pathlib import Path

import bm25s
import Stemmer


def main(source: str, target: str) -> None:
    """Indexes, then asks every query."""
    asked = json.loads(Path(source).read_text())
    stemmer, start = Stemmer.Stemmer("english"), time.perf_counter()
    words = bm25s.tokenize(asked["documents"], stopwords="en", stemmer=stemmer, show_progress=False)
    index = bm25s.BM25(method="lucene", k1=1.2, b=0.75)
    index.index(words, show_progress=False)
    built, lists, took = time.perf_counter() - start, [], []
    for query in asked["queries"]:
        start = time.perf_counter()
        found = bm25s.tokenize([query], stopwords="en", stemmer=stemmer, show_progress=False)
        rows, scores = index.retrieve(found, k=min(asked["k"], len(asked["documents"])), show_progress=False)
        took.append((time.perf_counter() - start) * 1000)
        lists.append([int(r) for r, s in zip(rows[0], scores[0], strict=True) if s > 0])
    reply = {"lists": lists, "ms": took, "build_s": built, "version": bm25s.__version__}
    Path(target).write_text(json.dumps(reply))


if __name__ == "__main__":
    main(*sys.argv[1:])
