"""What one column should look like, from what it looked like in the training period."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import msgspec
import numpy as np
from numpy.typing import NDArray

from winnow.data.expectations.declare import ColumnExpectation
from winnow.data.expectations.sample import Sample, bins, down, listed, room, up
from winnow.data.schema import LARGEST, Kind

Names = Callable[[NDArray[np.int64]], list[str]]  # row numbers → ids
Learned = tuple[ColumnExpectation, dict[str, str]]  # the expectation; key → what was observed

FEW = 50  # so many different values can be a closed list
TOP = 20  # of an open list, so many are named
ENOUGH = 100  # values below which no range, list or histogram is learned
SURE = 1000  # rows without a missing value after which one counts as a break
PSI = 0.1
FAR = 100  # times the largest number seen: no usual growth, but a wrong unit or a broken counter
UNHEARD = 1e-9  # a chance so small that what has it is a fault rather than a rare value
TAIL = 30  # numbers on one side of zero below which nothing is said about how far that side reaches
LONG_AGO = timedelta(days=3653)  # before the first moment seen: a clock or a unit that is wrong
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def learn(sample: Sample, kind: Kind, names: Names) -> Learned:
    """The expectation of a column.

    Args:
        sample: its values in the training period.
        kind: as declared; of personal data no value is written down.
        names: gives the ids of row numbers.
    """
    missing, told = _missing(sample)
    if len(sample.known) < ENOUGH or kind.privacy == "personal":
        return ColumnExpectation(kind=kind.storage, missing=missing), {"missing": told}
    found, notes = _OF[kind.storage](sample, names) if kind.storage in _OF else ({}, {})
    expectation = msgspec.convert({"kind": kind.storage, "missing": missing, **found}, ColumnExpectation)
    return expectation, {"missing": told, **notes}


def _missing(sample: Sample) -> tuple[float, str]:
    share = sample.missing_share
    if share == 0 and sample.rows >= SURE:
        return 0.0, "never seen missing"
    return with_room(share, sample.rows), f"observed {share:.2%}"


def with_room(share: float, rows: int) -> float:
    """A limit for a share seen in some rows: what chance may have hidden, half of the smaller side, and one point.

    >>> with_room(0.02, 10_000), with_room(0.9, 10_000), with_room(0.0, 100)
    (0.048, 0.97, 0.16)
    """
    likely = min(1.0, share + room(share, rows))
    return min(1.0, up(likely + min(likely, 1 - likely) / 2 + 0.01))


Found = tuple[dict[str, object], dict[str, str]]


def _numbers(sample: Sample, names: Names) -> Found:
    known = sample.known
    low, high = float(known.min()), float(known.max())
    slack = (high - low) / 2
    found: dict[str, object] = {
        # Amounts that were never negative stay so: the slack does not reach across zero.
        "at_least": 0.0 if low >= 0 and low < slack else down(low - slack), "at_most": up(high + slack),
    }  # fmt: skip
    for key, side in (("never_above", known), ("never_below", -known)):
        if (far := _far(side)) < LARGEST:
            found[key] = up(far) if key == "never_above" else down(-far)
    edges = np.unique(np.quantile(known, np.arange(1, 10) / 10, method="inverted_cdf"))
    edges = edges[edges < high]
    if len(edges):
        found |= {"edges": edges.tolist(), **_histogram(bins(known, edges.tolist()))}
    p50, p99 = np.quantile(known, (0.5, 0.99))
    seen = f"observed {low:.6g} to {high:.6g}, median {p50:.4g}, 99 of 100 below {p99:.4g}"
    told = f"at least {FAR} times the farthest observed: refused"
    return found, {"at_most": seen, "never_above": told, "never_below": told}


def _far(known: NDArray[np.float64]) -> float:
    """How far above zero a number can come: `FAR` times the largest, or as far as the tail that was seen reaches.

    Beyond the largest of n numbers lies one in n; a tail of index ξ reaches x times as far with a chance of x^(-1/ξ) of
    that. ξ is Hill's mean of the logarithms of the 2√n largest over the next one, and three standard errors more.
    Infinite where few numbers are above zero. Source: Hill, A simple general approach to inference about the tail of a
    distribution, Annals of Statistics 3 (1975); Weissman, JASA 73 (1978).
    """
    above = np.sort(known[known > 0])
    if len(above) < TAIL:
        return np.inf
    k = 2 * math.isqrt(len(above))
    index = float(np.log(above[-k:] / above[-k - 1]).mean()) * (1 + 3 / math.sqrt(k))
    return float(above[-1]) * max(FAR, math.exp(min(index * math.log(1 / (UNHEARD * len(known))), 700)))


def _histogram(counts: NDArray[np.int64]) -> dict[str, object]:
    shares = counts / max(counts.sum(), 1)
    return {"shares": [round(float(s), 4) for s in shares], "psi": PSI}


def _moments(sample: Sample, names: Names) -> Found:
    low, high = (_EPOCH + timedelta(microseconds=int(v)) for v in (sample.known.min(), sample.known.max()))
    seen = {"never_below": f"ten years before the first observed ({low:%Y-%m-%d}; last {high:%Y-%m-%d}): refused"}
    return {"never_below": long_before(low)}, seen


def long_before(first: datetime) -> datetime:
    """A moment before which nothing can be, when the first seen is this one."""
    return max(first - LONG_AGO, datetime(1900, 1, 1, tzinfo=UTC)).replace(hour=0, minute=0, second=0, microsecond=0)


def _categories(sample: Sample, names: Names) -> Found:
    counts = np.bincount(sample.known)
    order = np.argsort(-counts, kind="stable")
    distinct, once, total = int((counts > 0).sum()), int((counts == 1).sum()), len(sample.known)
    # The share of values that were seen once estimates the chance that the next value is a new one (Good, 1953).
    closed = distinct <= FEW and total >= SURE and once <= total / 1000
    chosen = order[: distinct if closed else TOP]
    in_list = listed(sample.known, chosen)
    covered = 1 - in_list[-1] / total
    if covered < 0.1:
        return {}, {"kind": f"{distinct:,} different values, none frequent"}
    limit = 0.0 if closed else with_room(1 - covered, total)
    shares = [round(float(s), 4) for s in in_list[:-1] / total]
    found = {"values": names(chosen), "others": limit, "shares": shares, "psi": PSI}
    seen = f"{distinct:,} different values" + ("" if closed else f"; the {len(chosen)} most frequent are listed")
    told = "a closed list" if closed else f"observed {1 - covered:.1%}"
    return found, {"values": seen, "others": told}


def _flags(sample: Sample, names: Names) -> Found:
    return _histogram(np.bincount(sample.known, minlength=2)), {"shares": "of false, of true"}


_OF: Mapping[str, Callable[[Sample, Names], Found]] = {
    "number": _numbers, "time": _moments, "category": _categories, "categories": _categories, "flag": _flags,
}  # fmt: skip


@dataclass(frozen=True)
class Rate:
    """Events in the whole hours and days of a period.

    Args:
        hours: count of each hour, int64.
        days: count of each day (UTC), int64.
    """

    hours: NDArray[np.int64]
    days: NDArray[np.int64]

    @classmethod
    def of(cls, at: NDArray[np.int64], start: int, until: int) -> "Rate":
        """Counts of moments; hours and days that the period cuts are left out."""
        return cls(*(_whole(at, start, until, size=s * 1_000_000) for s in (3600, 86_400)))


def _whole(at: NDArray[np.int64], start: int, until: int, *, size: int) -> NDArray[np.int64]:
    first, last = -(-start // size), until // size
    if last <= first:
        return np.zeros(0, np.int64)
    place = at // size - first
    return np.bincount(place[(place >= 0) & (place < last - first)], minlength=last - first)


def usual(counts: NDArray[np.int64], least: int) -> tuple[float, float] | None:
    """Fewest and most of what is usual: half and twice what was seen, with the room that chance needs.

    Args:
        counts: of equal stretches of time.
        least: how many stretches are needed to tell.
    """
    if len(counts) < least:
        return None
    low, high = (float(q) for q in np.quantile(counts, (0.01, 0.99)))
    fewest = max(0.0, low / 2 - 3 * np.sqrt(low))
    return float(down(float(fewest))), float(up(2 * high + 3 * np.sqrt(high) + 3))
