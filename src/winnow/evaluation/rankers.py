"""Evaluates the ranking rungs of a ladder on one held-out set, and compares two of them."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from winnow.core.errors import InputError, Problem, unknown
from winnow.evaluation.bootstrap import RESAMPLES, Resamples, difference, interval
from winnow.evaluation.metrics import BINARY, NUMBER, Metric, Statistic, is_binary
from winnow.evaluation.report import Record, record
from winnow.evaluation.slices import EVERYTHING

STAGE = "ranking"


@dataclass(frozen=True)
class Rung:
    """What one model predicts for the N held-out rows.

    Args:
        name: `L0`, `L1`, `L2`.
        model: name of the model.
        heads: the H heads that it predicts, in column order; they may be some of the labelled ones.
        predictions: calibrated predictions, float32 [N, H].
    """

    name: str
    model: str
    heads: tuple[str, ...]
    predictions: NDArray[np.float32]

    def of(self, head: str) -> NDArray[np.float64]:
        """The predictions of one head, float64 [N]."""
        if head not in self.heads:
            raise unknown("head", head, self.heads, where=f"{self.name} {self.model}")
        return self.predictions[:, self.heads.index(head)].astype(np.float64)


@dataclass(frozen=True)
class HeldOut:
    """What the rungs are judged on.

    Args:
        labels: head → float [N]; NaN where unknown or censored.
        users: user row numbers, int64 [N]: the units that are resampled.
        base_rates: head → share of positives in the training period (needed for heads of 0 and 1).
        slices: name → bool [N], as from `slices.standard`.
        weight: float [N]; all 1 when left out.
    """

    labels: Mapping[str, NDArray[np.floating]]
    users: NDArray[np.int64]
    base_rates: Mapping[str, float]
    slices: Mapping[str, NDArray[np.bool_]] = field(default_factory=dict)
    weight: NDArray[np.floating] | None = None

    def __len__(self) -> int:
        return len(self.users)


def evaluate(rungs: Sequence[Rung], held_out: HeldOut, *, resamples: int = RESAMPLES, seed: int = 0) -> list[Record]:
    """Every metric of every head and slice for every rung, with 95 % intervals by resampling users.

    Heads whose known labels are all 0 or 1 get AUC, NE, ECE, PR-AUC, log loss and calibration; others MAE, RMSE and
    calibration.

    Raises:
        InputError: `lengths-differ`, `no-base-rate`, `prediction-not-finite`.
    """
    _check(rungs, held_out)
    drawn = Resamples.of(held_out.users, held_out.weight, resamples=resamples, seed=seed)
    return [r for rung in rungs for head in rung.heads if head in held_out.labels
            for r in _head(rung, head, held_out=held_out, drawn=drawn)]  # fmt: skip


def compare(new: Rung, old: Rung, held_out: HeldOut, *, resamples: int = RESAMPLES, seed: int = 0) -> list[Record]:
    """Paired differences new − old of every metric of the heads that both predict.

    The records carry the name and model of `new`; an interval that excludes 0 is a difference that resampling users
    does not explain. `report.direction` tells which sign is better.
    """
    _check([new, old], held_out)
    drawn = Resamples.of(held_out.users, held_out.weight, resamples=resamples, seed=seed)
    return [r for head in new.heads if head in held_out.labels and head in old.heads
            for r in _pair(new, old, head, held_out=held_out, drawn=drawn)]  # fmt: skip


def _head(rung: Rung, head: str, *, held_out: HeldOut, drawn: Resamples) -> Iterator[Record]:
    for name, rows in _parts(held_out, head):
        values = drawn.take(rows).run(_statistics(rung, head, held_out=held_out, rows=rows))
        for metric, series in values.items():
            yield record(
                STAGE, rung.name, rung.model, head=head, slice=name, metric=metric,
                interval=interval(series), n=len(rows),
            )  # fmt: skip


def _pair(new: Rung, old: Rung, head: str, *, held_out: HeldOut, drawn: Resamples) -> Iterator[Record]:
    for name, rows in _parts(held_out, head):
        part = drawn.take(rows)
        after = part.run(_statistics(new, head, held_out=held_out, rows=rows))
        before = part.run(_statistics(old, head, held_out=held_out, rows=rows))
        for metric in after:
            yield record(
                STAGE, new.name, new.model, head=head, slice=name, metric=metric,
                interval=difference(after[metric], before[metric]), n=len(rows),
            )  # fmt: skip


def _parts(held_out: HeldOut, head: str) -> Iterator[tuple[str, NDArray[np.int64]]]:
    """Each slice with the positions of its rows whose label is known."""
    known = ~np.isnan(held_out.labels[head])
    yield EVERYTHING, np.flatnonzero(known)
    for name, mask in held_out.slices.items():
        yield name, np.flatnonzero(known & mask)


def _statistics(rung: Rung, head: str, *, held_out: HeldOut, rows: NDArray[np.int64]) -> dict[str, Statistic]:
    y, p = held_out.labels[head].astype(np.float64), rung.of(head)
    base = held_out.base_rates.get(head, float("nan"))
    return {m.name: m.of(y[rows], p[rows], base) for m in _metrics(held_out, head)}


def _metrics(held_out: HeldOut, head: str) -> tuple[Metric, ...]:
    return BINARY if is_binary(held_out.labels[head]) else NUMBER


def _check(rungs: Sequence[Rung], held_out: HeldOut) -> None:
    problems = [
        Problem("lengths-differ", f"{rung.name} {rung.model}: predictions {rung.predictions.shape}, expected {shape}",
                fix="predict every held-out row and every head once")
        for rung in rungs if rung.predictions.shape != (shape := (len(held_out), len(rung.heads)))
    ]  # fmt: skip
    problems += [
        Problem("no-base-rate", f"head `{head}` has no base rate", why="normalised entropy is relative to it",
                fix="pass the share of positives of the training period")
        for head in held_out.labels if is_binary(held_out.labels[head]) and head not in held_out.base_rates
    ]  # fmt: skip
    if problems:
        raise InputError(*problems)
