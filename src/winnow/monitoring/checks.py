"""The monitors that a system declares; each compares what it is given and returns one finding per subject."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from winnow.core.declare import Declared
from winnow.core.errors import InputError, Problem
from winnow.evaluation import metrics
from winnow.monitoring import drift


@dataclass(frozen=True)
class Finding:
    """What a monitor saw of one feature or head.

    Args:
        monitor: `Skew`, `Drift` or `Calibration`.
        subject: name of the feature or head.
        measure: `share_different`, `psi`, `ks`, `ece` or `ratio`.
        value: what was measured; NaN when there was nothing to measure.
        limit: above it the finding is not ok.
        ok: whether the value is within the limit; True when nothing could be measured.
        n: rows behind it.
        what: in words.
    """

    monitor: str
    subject: str
    measure: str
    value: float
    limit: float
    ok: bool
    n: int
    what: str


@dataclass(frozen=True)
class Monitor(Declared):
    """Base of the monitors."""

    def _finding(self, subject: str, measure: str, value: float, *, limit: float, n: int, what: str) -> Finding:
        ok = not value > limit
        return Finding(type(self).__name__, subject, measure, value, limit, ok, n, what)


@dataclass(frozen=True, kw_only=True)
class Skew(Monitor):
    """Features as served must be the features that training computes for the same moment.

    Args:
        at_most: share of rows in which a feature may differ.
    """

    at_most: float = 0.0

    def problems(self, system: Any = None) -> Iterator[Problem]:
        if not 0 <= self.at_most < 1:
            yield Problem("bad-limit", f"Skew(at_most={self.at_most})", self.where, fix="give a share from 0 to 1")

    def check(self, names: Sequence[str], served: NDArray[np.float32], replayed: NDArray[np.float32]) -> list[Finding]:
        """Compares the same rows from the serving log and from history, to the bit.

        Args:
            names: the F features.
            served: float32 [N, F] as logged with the impressions.
            replayed: float32 [N, F] as of the same moments; NaN equals NaN.

        Raises:
            InputError: `lengths-differ`.
        """
        if served.shape != replayed.shape or served.shape[1:] != (len(names),):
            what = f"served {served.shape}, replayed {replayed.shape}, {len(names)} names"
            raise InputError(Problem("lengths-differ", what, fix="compare the same rows and features"))
        differ = differing(served, replayed)
        return _worst_first(self._of(name, differ[:, f]) for f, name in enumerate(names))

    def _of(self, name: str, differ: NDArray[np.bool_]) -> Finding:
        share = float(differ.mean()) if len(differ) else float("nan")
        at = np.flatnonzero(differ)
        what = f"{len(at)} of {len(differ)} rows differ" + (f", the first is row {at[0]}" if len(at) else "")
        return self._finding(name, "share_different", share, limit=self.at_most, n=len(differ), what=what)


@dataclass(frozen=True, kw_only=True)
class Drift(Monitor):
    """Inputs and predictions should keep the distribution they had in training.

    Args:
        psi: largest population stability index; small samples get the room that chance alone needs.
        ks: largest Kolmogorov–Smirnov distance of a number, None to leave it unlimited.
    """

    psi: float = 0.2
    ks: float | None = None

    def problems(self, system: Any = None) -> Iterator[Problem]:
        if self.psi <= 0 or (self.ks is not None and not 0 < self.ks <= 1):
            yield Problem("bad-limit", f"Drift(psi={self.psi}, ks={self.ks})", self.where, fix="psi > 0, 0 < ks ≤ 1")

    def check(self, reference: Mapping[str, NDArray[Any]], current: Mapping[str, NDArray[Any]]) -> list[Finding]:
        """Compares samples of features by name; those that only one side has are left out.

        Args:
            reference: name → sample from training: floats [n] with NaN missing, or int category rows [n].
            current: name → sample of now, of the same kind.
        """
        shared = [name for name in reference if name in current]
        return _worst_first(f for name in shared for f in self._of(name, reference[name], current[name]))

    def _of(self, name: str, before: NDArray[Any], now: NDArray[Any]) -> Iterator[Finding]:
        n, numbers = len(now), np.issubdtype(before.dtype, np.floating)
        bins = drift.BINS if numbers else max(len(np.unique(before)), 2)
        value = drift.psi(before, now) if numbers else drift.psi_categories(before, now)
        room = max(self.psi, drift.psi_noise(len(before), n, bins=bins))
        yield self._finding(name, "psi", value, limit=room, n=n, what=f"PSI {value:.3f} against training")
        if numbers and self.ks is not None:
            gap = drift.ks(before, now)
            yield self._finding(name, "ks", gap, limit=self.ks, n=n, what=f"KS distance {gap:.3f} against training")


@dataclass(frozen=True, kw_only=True)
class Calibration(Monitor):
    """Predicted chances must come true.

    Args:
        ece: largest expected calibration error of a head of 0 and 1.
        ratio: how far predicted over observed may lie from 1, for every head.
        rows: below this many known labels nothing is said.
    """

    ece: float = 0.05
    ratio: float = 0.2
    rows: int = 500

    def problems(self, system: Any = None) -> Iterator[Problem]:
        if not 0 < self.ece < 1 or self.ratio <= 0:
            what = f"Calibration(ece={self.ece}, ratio={self.ratio})"
            yield Problem("bad-limit", what, self.where, fix="give an ece from 0 to 1 and a positive ratio")

    def check(
        self, labels: Mapping[str, NDArray[np.floating]], predictions: Mapping[str, NDArray[np.floating]]
    ) -> list[Finding]:
        """Compares predictions with what happened.

        Args:
            labels: head → float [N]; NaN where not yet known.
            predictions: head → float [N] as served.
        """
        shared = [head for head in labels if head in predictions]
        return _worst_first(f for head in shared for f in self._of(head, labels[head], predictions[head]))

    def _of(self, head: str, y: NDArray[np.floating], p: NDArray[np.floating]) -> Iterator[Finding]:
        n = int((~np.isnan(y)).sum())
        if n < self.rows:
            yield self._finding(head, "ratio", float("nan"), limit=self.ratio, n=n, what=f"only {n} labels are known")
            return
        ratio = metrics.calibration(y, p)
        what = f"predicted over observed is {ratio:.3f}"
        yield self._finding(head, "ratio", abs(ratio - 1), limit=self.ratio, n=n, what=what)
        if metrics.is_binary(y):
            ece = metrics.ece(y, p)
            what = f"predicted and observed rates lie {ece:.4f} apart"
            yield self._finding(head, "ece", ece, limit=self.ece, n=n, what=what)


def differing(served: NDArray[np.float32], replayed: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Where two matrices of features differ, to the bit; NaN equals NaN. bool [N, F]."""
    return np.asarray((served != replayed) & ~(np.isnan(served) & np.isnan(replayed)), np.bool_)


def _worst_first(findings: Iterator[Finding]) -> list[Finding]:
    return sorted(findings, key=lambda f: (f.ok, 0.0 if math.isnan(f.value) else -f.value))
