"""Outcomes that come late: how a network learns a head whose feedback may still be on its way.

A row shown a minute ago without a conversion is no negative yet. Four ways to deal with that, for one head:

- `naive`: wait for `window`, then believe what is there; what comes later is lost, so predictions are too low;
- `weighted`: every row counts as a negative at once and again as a positive when its conversion comes; weights of the
  two kinds of rows undo what that does to the distribution (fake negatives, weighted);
- `calibrated`: the same rows without weights; the network learns b = p / (1 + p), and serves p = b / (1 - b);
- `survival`: conversion and waiting time are learned together; a row without a conversion so far counts by how long it
  has waited (delayed feedback model).

Source: Chapelle, KDD 2014; Ktena et al., RecSys 2019.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from winnow.core.declare import Declared
from winnow.core.errors import InputError, Problem
from winnow.core.time import MICROS, days, hours, to_us
from winnow.features.batch import Floats
from winnow.models.artefact import Artefact
from winnow.models.base import Run, Scorer
from winnow.models.dcn import DCN
from winnow.models.examples import Examples
from winnow.models.network_scorer import NetworkScorer

if TYPE_CHECKING:
    from winnow.models.networks.online import Learner

Method = Literal["naive", "weighted", "calibrated", "survival"]
METHODS: tuple[Method, ...] = ("naive", "weighted", "calibrated", "survival")
WAITED = "waited_s"


@dataclass(frozen=True, kw_only=True)
class Delay(Declared):
    """Feedback of one head comes late.

    Args:
        head: of 0 and 1.
        method: see the module.
        window: how long `naive` waits; the unit in which `survival` measures time.
        longest: after which hardly any conversion comes. `weighted` and `calibrated` learn from what came in, rows and
            conversions alike, once the log has run for so long: before that, the conversions of rows older than the
            log are missing.
    """

    head: str
    method: Method = "calibrated"
    window: timedelta = field(default_factory=lambda: hours(24))
    longest: timedelta = field(default_factory=lambda: days(14))

    def problems(self, system: Any = None) -> Iterator[Problem]:
        if self.method not in METHODS:
            yield Problem("unknown-delay", f"delay by `{self.method}`", self.where, fix=f"one of {', '.join(METHODS)}")
        if self.window <= timedelta(0) or self.longest < self.window:
            what = f"window {self.window}, longest {self.longest}"
            yield Problem("bad-delay", what, self.where, fix="give 0 < window <= longest")


@dataclass(frozen=True)
class StreamDCN(DCN):
    """DCN-v2 for a stream: it learns heads whose feedback comes late, and goes on learning from where it stands.

    Its artefact keeps the weights and, per categorical feature, a table of ids that grows and forgets
    (`winnow.models.idtable`), so that `networks.online.Learner` can take new rows in minutes. With a delay the examples
    say of every row how long it has waited (`waited_s`) and when its conversion came (`<head>_after_s`, NaN for not
    yet), among what is known in training only; other heads learn as ever.

    Args:
        delay: the head whose feedback comes late, and how it is learned; None when none does.
        expire: ids that have not come for so long lose their embedding to others.
        step: learning rate while it goes on, as a share of `learning_rate`.
    """

    delay: Delay | None = None
    expire: timedelta = field(default_factory=lambda: days(30))
    step: float = 0.3

    def problems(self, system: Any = None) -> Iterator[Problem]:
        yield from self.delay.problems() if self.delay else ()
        if self.hashed is not None:
            why = "its ids have places of their own, which are given to others when they grow cold"
            yield Problem("stream-hashed", "StreamDCN has no shared ids", self.where, why, "leave `hashed` out")
        if self.expire <= timedelta(0) or not 0 < self.step <= 1:
            what = f"expire {self.expire}, step {self.step}"
            yield Problem("bad-stream", what, self.where, fix="give expire > 0 and 0 < step <= 1")

    def fit(self, train: Examples, valid: Examples, run: Run) -> None:
        from winnow.models.networks.online import fit

        fit(self, train, valid, run)

    @classmethod
    def open(cls, artefact: Artefact, threads: int) -> Scorer:
        return NetworkScorer.open(artefact, threads)

    def resume(self, folder: Path, *, seed: int = 0) -> "Learner":
        """Where a fitted model stands, to go on from; see `networks.online.Learner.open`."""
        from winnow.models.networks.online import Learner

        return Learner.open(folder, self, seed=seed)


def after_name(head: str) -> str:
    """Where the examples keep how long the conversion took."""
    return f"{head}_after_s"


def prepared(rows: Examples, delay: Delay | None) -> Examples:
    """The rows as a method learns from them. A label that is unknown (censored) stays so, whatever the method.

    Args:
        rows: with `waited_s` and `<head>_after_s`, float32 [N], seconds.
        delay: how; None leaves them as they are.

    Raises:
        InputError: `no-delays` when the rows do not say when conversions came; what `Delay.problems` finds.
    """
    if delay is None:
        return rows
    if found := list(delay.problems()):
        raise InputError(*found)
    after, waited = _delays(rows, delay.head)
    if delay.method == "naive":
        return _labelled(rows, delay.head, _believed(rows.labels[delay.head], after, waited, delay.window))
    if delay.method == "survival":
        return rows
    return _arrivals(rows, delay, after)


def _delays(rows: Examples, head: str) -> tuple[Floats, Floats]:
    known = rows.features.training_only
    if missing := [name for name in (after_name(head), WAITED) if name not in known]:
        why = "without it a row that is still waiting would pass for a negative"
        raise InputError(Problem("no-delays", f"the rows carry no `{missing[0]}`", head, why, "build them with delays"))
    return known[after_name(head)], known[WAITED]


def _believed(labels: Floats, after: Floats, waited: Floats, window: timedelta) -> Floats:
    """1 for a conversion within the window, 0 without one, NaN while the window has not passed."""
    limit = window.total_seconds()
    label = np.where(after <= limit, 1.0, 0.0)  # NaN compares as False
    return np.where((waited < limit) | np.isnan(labels), np.nan, label).astype(np.float32)


def _arrivals(rows: Examples, delay: Delay, after: Floats) -> Examples:
    """Every row as a negative when it was shown, and once more as a positive when its conversion came, in the order in
    which they came in; other heads are learned from the first of the two."""
    known = ~np.isnan(rows.labels[delay.head])
    late = np.flatnonzero(known & ~np.isnan(after))
    first, again = rows.at, rows.at[late] + (after[late].astype(np.float64) * MICROS).astype(np.int64)
    came = np.concatenate([first, again])
    start = first.min(initial=np.iinfo(np.int64).max) + to_us(delay.longest)
    label = np.concatenate([np.where(known, 0.0, np.nan), np.ones(len(late))]).astype(np.float32)
    order = np.argsort(came, kind="stable")
    order = order[came[order] >= start]
    source, second = np.concatenate([np.arange(len(rows)), late])[order], order >= len(rows)
    out = _labelled(rows.take(source), delay.head, label[order])
    others = {h: np.where(second, np.nan, y).astype(np.float32) for h, y in out.labels.items() if h != delay.head}
    return replace(out, labels=out.labels | others)


def _labelled(rows: Examples, head: str, label: Floats) -> Examples:
    return replace(rows, labels=rows.labels | {head: label})


def as_known(
    rows: Examples, head: str, after_s: NDArray[np.float64], *, as_of: int, data_until: int | None = None
) -> Examples:
    """The rows as they stood at a moment: what had come by then, and how long each had waited.

    Args:
        rows: in time order.
        head: whose feedback comes late.
        after_s: seconds from row to conversion, float64 [N]; NaN for never.
        as_of: the moment, microseconds UTC; later rows are left out.
        data_until: where the log ended; nobody waited beyond it.
    """
    shown = rows.at < as_of
    rows, after = rows.take(shown), after_s[shown]
    waited = (min(as_of, data_until if data_until is not None else as_of) - rows.at) / MICROS
    seen = after < waited  # NaN compares as False
    known = {after_name(head): np.where(seen, after, np.nan), WAITED: np.maximum(waited, 0)}
    only = rows.features.training_only | {name: a.astype(np.float32) for name, a in known.items()}
    rows = replace(rows, features=replace(rows.features, training_only=only))
    return _labelled(rows, head, seen.astype(np.float32))
