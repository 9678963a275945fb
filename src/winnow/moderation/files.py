"""Files of posts: read in batches, judged, and written again with what was decided; larger than memory."""

import os
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import polars as pl

from winnow.core.errors import Conflict, InputError, NotFound, Problem, did_you_mean
from winnow.moderation.bench import Bench
from winnow.moderation.policy import Policy
from winnow.moderation.post import LONGEST_TEXT, Post

T = TypeVar("T")
BATCH = 512
FORMATS = (".csv", ".jsonl", ".parquet")
_PREFIX = "decision_"
_FACTS = {"author": "author", "language": "language", "country": "country"}


@dataclass(frozen=True)
class Tally:
    """What became of a file.

    Args:
        rows: how many were decided about.
        actions: action → how many rows.
        harms: harm → how many rows it called for something.
        unreadable: rows whose text is longer than a post may be; they are held.
    """

    rows: int
    actions: Mapping[str, int]
    harms: Mapping[str, int]
    unreadable: int


Decide = Callable[[Sequence[Post]], Sequence[Mapping[str, Any]]]


def considered(bench: Bench, policy: Policy) -> Decide:
    """Decides without recording."""
    return lambda posts: [one.shown for one in bench.consider(posts, policy)]


def moderate(
    source: Path, target: Path, decide: Decide, *, heads: Sequence[str], text: str = "text", id: str = "",
    report: Callable[[int], None] | None = None,
) -> Tally:  # fmt: skip
    """Decides about every row of a file and writes the same rows with the decisions.

    Columns are added: `decision_action`, `decision_harm`, `decision_reason`, `decision_not_evaluated`, and a
    `decision_score_…` for each head.

    Args:
        source: `.csv`, `.jsonl` or `.parquet`.
        target: in any of these formats; written in full or not at all.
        decide: for a batch of posts.
        heads: whose scores are written.
        text: column of the text; `author`, `language` and `country` are read too, where they exist.
        id: column whose values are request ids, for decisions that are recorded.
        report: called with the rows done so far.

    Raises:
        NotFound: `no-such-path`.
        InputError: `unknown-format`, `missing-column`, `unreadable-posts`.
        Conflict: `columns-exist`.
    """
    rows, unreadable = 0, 0
    actions: dict[str, int] = {}
    harms: dict[str, int] = {}
    draft = target.with_name(f"{target.name}.part")
    with _Writer(draft, _format(target)) as writer:

        def decided(frame: pl.DataFrame) -> tuple[pl.DataFrame, list[Mapping[str, Any]], int]:
            _check(frame, source.name, wanted=[text, *([id] if id else [])])
            posts = [_post(row, text, id) for row in frame.iter_rows(named=True)]
            return frame, _decided(decide, posts), posts.count(None)

        for frame, made, lost in _together(decided, _read(source)):
            writer.add(frame.with_columns(_columns(made, heads)))
            for one in made:
                actions[one["action"]] = actions.get(one["action"], 0) + 1
                harms[one["harm"]] = harms.get(one["harm"], 0) + 1
            unreadable += lost
            rows += len(frame)
            if report:
                report(rows)
    draft.replace(target)
    harms.pop("", None)
    return Tally(rows, actions, harms, unreadable)


def _together(work: Callable[[pl.DataFrame], T], frames: Iterator[pl.DataFrame]) -> Iterator[T]:
    """The results in order, as many at work as there are processors: encoders let go of the interpreter."""
    workers = len(os.sched_getaffinity(0))
    with ThreadPoolExecutor(workers, thread_name_prefix="moderate") as pool:
        waiting: deque[Future[T]] = deque()
        for frame in frames:
            waiting.append(pool.submit(work, frame))
            if len(waiting) > workers:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


_HELD = {"action": "hold", "harm": "", "reason": "", "scores": {}, "not_evaluated": ["text too long"]}


def _decided(decide: Decide, posts: Sequence[Post | None]) -> list[Mapping[str, Any]]:
    """The decisions in order; a row that is no post is held."""
    made = iter(decide([post for post in posts if post is not None]))
    return [_HELD if post is None else next(made) for post in posts]


def _post(row: Mapping[str, Any], text: str, id: str) -> Post | None:
    words = "" if row[text] is None else str(row[text])
    if len(words) > LONGEST_TEXT:
        return None
    facts = {field: str(row[name]) for name, field in _FACTS.items() if row.get(name) is not None and name != text}
    return Post(text=words, request=str(row[id]) if id else "", **facts)  # type: ignore[arg-type]


def _columns(made: Sequence[Mapping[str, Any]], heads: Sequence[str]) -> list[pl.Series]:
    words = {name: [one[name] for one in made] for name in ("action", "harm", "reason")}
    words["not_evaluated"] = [" ".join(one["not_evaluated"]) for one in made]
    scores = {f"score_{head}": [one["scores"].get(head) for one in made] for head in heads}
    return [pl.Series(_PREFIX + n, values, pl.String) for n, values in words.items()] + [
        pl.Series(_PREFIX + n, values, pl.Float64) for n, values in scores.items()
    ]


def _check(frame: pl.DataFrame, name: str, *, wanted: Sequence[str]) -> None:
    for column in wanted:
        if column not in frame.columns:
            fix = f"name the column of the texts with --text; {did_you_mean(column, frame.columns)}"
            raise InputError(Problem("missing-column", f"the file has no column `{column}`", name, fix=fix))
    if taken := [c for c in frame.columns if c.startswith(_PREFIX)]:
        what = f"the file has a column `{taken[0]}` already"
        raise Conflict(Problem("columns-exist", what, name, fix="give the file without its decisions"))


# Files


def _format(path: Path) -> str:
    if path.suffix not in FORMATS:
        fix = f"name a file that ends in {', '.join(FORMATS)}"
        raise InputError(Problem("unknown-format", f"`{path.name}` is of no known format", path.name, fix=fix))
    return path.suffix


def _read(path: Path) -> Iterator[pl.DataFrame]:
    """The rows of a file in batches."""
    form = _format(path)
    if not path.is_file():
        raise NotFound(Problem("no-such-path", f"there is no file `{path.name}`", path.name, fix="check the path"))
    return _batches(path, form)


def _batches(path: Path, form: str) -> Iterator[pl.DataFrame]:
    try:
        for part in _scan(path, form).collect_batches(chunk_size=BATCH, maintain_order=True):
            yield from part.iter_slices(BATCH)
    except pl.exceptions.PolarsError as error:
        # The library's message may quote the rows.
        fix = "check that the file is whole and that every row has the columns of the first"
        what = f"the file cannot be read: {type(error).__name__}"
        raise InputError(Problem("unreadable-posts", what, path.name, fix=fix)) from None


def _scan(path: Path, form: str) -> pl.LazyFrame:
    if form == ".csv":
        # All as text: whether a column of numbers stays one must not depend on the first rows.
        return pl.scan_csv(path, infer_schema=False)
    return pl.scan_ndjson(path, infer_schema_length=None) if form == ".jsonl" else pl.scan_parquet(path)


class _Writer:
    """Writes frames of the same columns to one file, one after another; deletes it when that fails."""

    def __init__(self, path: Path, form: str) -> None:
        self._path, self._form = path, form
        self._parquet: Any = None

    def __enter__(self) -> "_Writer":
        self._file = self._path.open("wb")
        self._fresh = True
        return self

    def add(self, frame: pl.DataFrame) -> None:
        if self._form == ".csv":
            frame.write_csv(self._file, include_header=self._fresh)
        elif self._form == ".jsonl":
            frame.write_ndjson(self._file)
        else:
            self._add_parquet(frame)
        self._fresh = False

    def _add_parquet(self, frame: pl.DataFrame) -> None:
        from pyarrow import parquet

        table = frame.to_arrow()
        if self._parquet is None:
            self._parquet = parquet.ParquetWriter(self._file, table.schema)
        self._parquet.write_table(table.cast(self._parquet.schema))

    def __exit__(self, kind: object, *_: object) -> None:
        if self._parquet is not None:
            self._parquet.close()
        self._file.close()
        if kind is not None:
            self._path.unlink()
