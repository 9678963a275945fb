"""What an evaluation says: one flat list of records, saved as JSON and printed with the rungs side by side."""

import json
import math
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TypedDict

from rich.console import Group
from rich.table import Table
from rich.text import Text

from winnow.core.errors import InputError, NotFound, Problem
from winnow.evaluation.bootstrap import Interval
from winnow.evaluation.metrics import BINARY, NUMBER
from winnow.evaluation.slices import EVERYTHING


class Record(TypedDict):
    """One number; `value`, `low` and `high` are None where the metric is not defined.

    Keys: stage (`ranking`, `retrieval`), rung (`L0`, `L1`, `L2`), model, head (empty for retrieval), slice (`all` or a
    name), metric, value, low and high (95 % interval), n (rows or queries behind it).
    """

    stage: str
    rung: str
    model: str
    head: str
    slice: str
    metric: str
    value: float | None
    low: float | None
    high: float | None
    n: int


BETTER: dict[str, str] = dict.fromkeys(("mean_rank",), "lower") | {m.name: m.better for m in (*BINARY, *NUMBER)}


def direction(metric: str) -> str:
    """`higher`, `lower` or `one`; every metric of lists (`recall@100`) is better when higher."""
    return BETTER.get(metric, "higher")


def record(
    stage: str, rung: str, model: str, *, head: str, slice: str, metric: str, interval: Interval, n: int
) -> Record:
    """A record with undefined numbers as None, so that it is plain JSON."""
    value, low, high = (None if math.isnan(x) else x for x in interval)
    return Record(
        stage=stage, rung=rung, model=model, head=head, slice=slice, metric=metric,
        value=value, low=low, high=high, n=n,
    )  # fmt: skip


def save(records: Sequence[Record], path: Path) -> None:
    """Writes the records as a JSON list, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_suffix(".tmp")
    draft.write_text(json.dumps(list(records), indent=1, allow_nan=False))
    os.replace(draft, path)


def load(path: Path) -> list[Record]:
    """The records of a file.

    Raises:
        NotFound: `no-evaluation` when the file does not exist.
        InputError: `evaluation-unreadable` when it is not the JSON that `save` writes.
    """
    if not path.exists():
        raise NotFound(Problem("no-evaluation", f"no evaluation at {path}", fix="run `winnow evaluate` first"))
    try:
        data = json.loads(path.read_text())
        return [Record(**{k: row[k] for k in Record.__annotations__}) for row in data]  # type: ignore[typeddict-item]
    except (ValueError, KeyError, TypeError) as error:
        problem = Problem(
            "evaluation-unreadable", f"{path.name}: {error}", str(path), fix="run `winnow evaluate` again"
        )
        raise InputError(problem) from error


def pick(records: Iterable[Record], **wanted: str) -> list[Record]:
    """The records whose keys have the wanted values, as in `pick(records, head="click", metric="auc")`."""
    return [r for r in records if all(r[k] == v for k, v in wanted.items())]  # type: ignore[literal-required]


HEADLINE = (
    "map", "precision@10", "recall@20", "recall@100", "ndcg@10", "mean_rank", "auc", "ne", "ece", "pr_auc", "mae",
)  # fmt: skip


def tables(records: Sequence[Record], *, slice: str = EVERYTHING, metrics: Sequence[str] = HEADLINE) -> Group:
    """One rich table per stage: one line per head and metric, one column per rung, the best of a line in bold.

    Args:
        records: as returned by `rankers.evaluate` and `retrievers.evaluate`; both together are fine.
        slice: the slice to show.
        metrics: those to show.
    """
    shown = [r for r in pick(records, slice=slice) if r["metric"] in metrics]
    return Group(*(_stage(stage, pick(shown, stage=stage)) for stage in dict.fromkeys(r["stage"] for r in shown)))


def _stage(stage: str, shown: Sequence[Record]) -> Table:
    rungs = list(dict.fromkeys((r["rung"], r["model"]) for r in shown))
    out = Table("head", "metric", title=stage, title_justify="left")
    for rung, model in rungs:
        out.add_column(f"{rung} {model}".strip(), justify="right", no_wrap=True)
    for line in dict.fromkeys((r["head"], r["metric"]) for r in shown):
        cells = {(r["rung"], r["model"]): r for r in shown if (r["head"], r["metric"]) == line}
        best = _best(list(cells.values()))
        out.add_row(*line, *(_cell(cells.get(rung), best) for rung in rungs))
    return out


def by_slice(records: Sequence[Record], *, head: str, metric: str) -> Table:
    """A rich table of one metric: one line per slice, one column per rung."""
    shown = pick(records, head=head, metric=metric)
    rungs = list(dict.fromkeys((r["rung"], r["model"]) for r in shown))
    out = Table(title=f"{head} {metric}".strip())
    out.add_column("slice")
    out.add_column("n", justify="right")
    for rung, model in rungs:
        out.add_column(f"{rung} {model}".strip(), justify="right")
    for name in dict.fromkeys(r["slice"] for r in shown):
        cells = {(r["rung"], r["model"]): r for r in shown if r["slice"] == name}
        best, n = _best(list(cells.values())), max(r["n"] for r in cells.values())
        out.add_row(name, f"{n:,}", *(_cell(cells.get(rung), best) for rung in rungs))
    return out


def _best(line: list[Record]) -> Record | None:
    known = [r for r in line if r["value"] is not None]
    return max(known, key=_goodness) if len(known) > 1 else None


def _goodness(one: Record) -> float:
    value, better = one["value"] or 0.0, direction(one["metric"])
    return value if better == "higher" else -value if better == "lower" else -abs(value - 1)


def _cell(one: Record | None, best: Record | None) -> Text:
    if one is None or one["value"] is None:
        return Text("–", style="dim")
    text = Text(f"{one['value']:.4f}", style="bold" if one is best else "")
    if one["low"] is not None and one["high"] is not None:
        text.append(f" ±{(one['high'] - one['low']) / 2:.4f}", style="dim not bold")
    return text
