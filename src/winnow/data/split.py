"""Splits by time: train on the past, choose on what followed, report on what followed that."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import numpy as np
from numpy.typing import NDArray

from winnow.core.declare import Declared
from winnow.core.errors import InputError, Problem
from winnow.core.time import parse_time, to_us

Moment = int | str | datetime


@dataclass(frozen=True)
class TimeSplit(Declared):
    """Half-open parts: train [train_from, train_until), valid [train_until, valid_until), test up to test_until.

    A row whose label window reaches beyond the end of train (or of valid) is left out of that part: its label is made
    of feedback that the next part is meant to predict. The embargo is that window. Where labels come at once, as in
    logs that carry the outcome with the impression, give a shorter one: `embargo=timedelta(0)` leaves nothing out.

    Args:
        train_until: end of the training part; a moment in any form that `parse_time` reads.
        valid_until: end of the validation part.
        test_until: end of the test part; None for all that follows.
        train_from: begin of the training part; None for all that precedes.
        embargo: None for the label window.
    """

    train_until: Moment = field(kw_only=True)
    valid_until: Moment = field(kw_only=True)
    test_until: Moment | None = field(kw_only=True, default=None)
    train_from: Moment | None = field(kw_only=True, default=None)
    embargo: timedelta | None = field(kw_only=True, default=None)

    def parts(self, at: NDArray[np.int64], *, within: timedelta) -> dict[str, NDArray[np.bool_]]:
        """Masks bool [n] of `train`, `valid` and `test`; no row is in two, and some may be in none.

        Args:
            at: moments of the rows, int64 [n], microseconds UTC.
            within: the label window, the embargo unless another one is declared.

        Raises:
            InputError: `bad-split`, when the boundaries are out of order.
        """
        self._check()
        gap = to_us(within if self.embargo is None else self.embargo)
        first, *ends = self._boundaries()
        train, valid, last = ends
        return {
            "train": (at >= first) & (at < train) & (at + gap <= train),
            "valid": (at >= train) & (at < valid) & (at + gap <= valid),
            "test": (at >= valid) & (at < last),
        }

    def _boundaries(self) -> list[int]:
        limits = np.iinfo(np.int64)
        first = limits.min if self.train_from is None else parse_time(self.train_from)
        last = limits.max if self.test_until is None else parse_time(self.test_until)
        return [int(first), parse_time(self.train_until), parse_time(self.valid_until), int(last)]

    def _check(self) -> None:
        problems = list(self.problems(None))
        if problems:
            raise InputError(*problems)

    def problems(self, system: Any) -> Iterator[Problem]:
        boundaries = self._boundaries()
        if boundaries != sorted(set(boundaries)):
            why = "a part would be empty, or a model would be chosen on what it learned from"
            fix = "give train_from < train_until < valid_until < test_until"
            yield Problem("bad-split", "the boundaries of the split are out of order", self.where, why, fix)
        if self.embargo is not None and self.embargo < timedelta(0):
            yield Problem("bad-split", "the embargo is negative", self.where, fix="give zero or more")


def by_share(at: NDArray[np.int64], *, train: float = 0.7, valid: float = 0.15) -> TimeSplit:
    """The split that gives train and valid about these shares of the rows, for a log without natural boundaries.

    Args:
        at: moments of the rows, int64 [n], microseconds UTC.
        train: share of the training part.
        valid: share of the validation part; the test part is the rest.

    Raises:
        InputError: `too-few-rows`, when the moments do not allow three parts.
    """
    train_until, valid_until = np.quantile(at, [train, train + valid], method="nearest").tolist() if len(at) else (0, 0)
    if not len(at) or not at.min() < train_until < valid_until:
        what = f"{len(at)} rows cannot be split by time into three parts"
        raise InputError(Problem("too-few-rows", what, why="nothing could be held out", fix="collect more events"))
    return TimeSplit(train_until=train_until, valid_until=valid_until)
