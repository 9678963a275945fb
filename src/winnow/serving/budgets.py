"""Budgets as a rule of policy: an ad is shown only while its campaign runs, has money left, and is on pace."""

import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path as FilePath
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from winnow.core.candidates import Candidates, Doubles, Ints, Mask
from winnow.core.errors import Problem, Unavailable
from winnow.core.time import MICROS, now_us
from winnow.data.schema import Path
from winnow.market.ledger import FILE, Ledger, Standing
from winnow.market.money import Micros
from winnow.market.pacing import Mode, shaded, takes_part
from winnow.serving.kit import Kit
from winnow.serving.policy import Rule
from winnow.serving.query import Query

T = TypeVar("T", np.int64, np.float64)
CHARGER = "charger"  # the follower of the event log that charges clicks
_LOOK_S = 0.5  # between two looks at the ledger
_SILENT_US = 60 * MICROS  # a charger that has said nothing for so long is taken to be dead
_HOUR_US = 3600 * MICROS
_GOLDEN, _MIX = np.uint64(0x9E3779B97F4A7C15), (np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB))


@dataclass(frozen=True)
class Funded(Rule):
    """Never shows an ad whose campaign does not run now, or has spent its budget; holds it back to spend it evenly.

    What campaigns may spend comes from the ledger, which the charger fills from the columns named here. When the ledger
    cannot be read, or the charger has not been heard of for a minute, no ad is shown. Items without a campaign pass.

    Args:
        payer: the campaign that pays for an item.
        currency: a category column of campaigns: an ISO 4217 code.
        daily: a number column: the budget of a day; missing for none.
        lifetime: a number column: the budget in all; missing for none.
        starts: a time column; missing for any time.
        ends: a time column; missing for never.
        unit: micros in one of the budget columns' units; they are in hundredths of the currency as a rule.
        pacing: `throttle` (a campaign takes part by chance), `shade` (it bids less) or None.
    """

    payer: Path
    currency: Path = field(kw_only=True)
    daily: Path = field(kw_only=True)
    lifetime: Path | None = field(kw_only=True, default=None)
    starts: Path | None = field(kw_only=True, default=None)
    ends: Path | None = field(kw_only=True, default=None)
    unit: int = field(kw_only=True, default=10_000)
    pacing: Mode | None = field(kw_only=True, default="throttle")

    def problems(self, system: Any) -> Iterator[Problem]:
        table = self.payer.kind.table
        columns = {"currency": "category", "daily": "number", "lifetime": "number", "starts": "time", "ends": "time"}
        for name, storage in columns.items():
            path: Path | None = getattr(self, name)
            if path is not None and (path.kind.storage != storage or table is None or path.table.name != table.name):
                what, fix = (
                    f"`{path}` cannot be the {name} of `{self.payer}`",
                    f"use a {storage} column of the campaign",
                )
                yield Problem("bad-column", what, self.where, fix=fix)

    def admit(self, candidates: Candidates, query: Query, kit: Kit) -> Mask:
        payers: Ints = kit.view(query, candidates.rows).path(self.payer)
        funds = purses(kit).of(payers, now_us())
        # In the background nobody asks: who is throttled for one request is there for the next.
        coins = chances(query.recommendation_id, payers) if query.recommendation_id else np.zeros(len(payers))
        paced = takes_part(funds.participation, coins) if self.pacing == "throttle" else funds.participation > 0
        return (payers < 0) | (funds.able & paced)


@dataclass(frozen=True, eq=False)
class Funds:
    """How the campaigns of N ads stand.

    Args:
        able: whether it runs and has money left, bool [N].
        participation: 0 to 1, float64 [N].
    """

    able: Mask
    participation: Doubles


class Purses:
    """What campaigns may spend, by row, as the ledger said a moment ago.

    Args:
        path: of the ledger.
    """

    def __init__(self, path: FilePath) -> None:
        self._ledger = Ledger(path)
        self._version, self._hour, self._looked, self._heard = -1, -1, 0.0, 0
        self._left = self._starts = self._ends = np.zeros(0, np.int64)
        self._participation = np.zeros(0)
        self._turn = threading.Lock()

    def of(self, campaigns: Ints, at: int) -> Funds:
        """How some campaigns stand; unknown ones have nothing.

        Args:
            campaigns: rows, int64 [N].
            at: the present, microseconds UTC.

        Raises:
            Unavailable: `charger-silent`, and what the ledger raises.
        """
        self._renew(at)
        if at - self._heard > _SILENT_US:
            why = "clicks would not be charged, and budgets not be kept"
            raise Unavailable(Problem("charger-silent", "nobody charges clicks now", FILE, why, "look at the ingester"))
        known = (campaigns >= 0) & (campaigns < len(self._left))
        rows = np.where(known, campaigns, 0)
        if not len(self._left):
            return Funds(known, np.zeros(len(rows)))
        runs = (self._starts[rows] <= at) & (at < self._ends[rows])
        return Funds(known & runs & (self._left[rows] > 0), self._participation[rows] * known)

    def _renew(self, at: int) -> None:
        if time.monotonic() - self._looked < _LOOK_S or not self._turn.acquire(blocking=not self._looked):
            return
        try:
            anew = at // _HOUR_US != self._hour  # a day may have begun: every sum of it is new
            self._heard = self._ledger.heard(CHARGER)
            self._take(self._ledger.standing(at, after=-1 if anew else self._version))
            self._hour, self._looked = at // _HOUR_US, time.monotonic()
        finally:
            self._turn.release()

    def _take(self, now: Standing) -> None:
        size = max(len(self._left), int(now.rows.max(initial=-1)) + 1)
        there = now.rows >= 0

        def renewed(column: NDArray[T], new: NDArray[T]) -> NDArray[T]:
            grown = np.append(column, np.zeros(size - len(column), column.dtype))
            grown[now.rows[there]] = new[there]
            return grown

        self._starts, self._ends = renewed(self._starts, now.starts_at), renewed(self._ends, now.ends_at)
        self._participation = renewed(self._participation, now.participation)
        self._left, self._version = renewed(self._left, now.left), now.version  # the last that readers look at


def purses(kit: Kit) -> Purses:
    """The purses of the kit's project, one for a process.

    Raises:
        LookupError: the kit belongs to no project.
    """
    if kit.folder is None:
        raise LookupError("there is no project, and so no ledger")
    path = kit.folder.resolve() / FILE
    with _OPENING:
        if path not in _OPEN:
            _OPEN[path] = Purses(path)
        return _OPEN[path]


_OPEN: dict[FilePath, Purses] = {}
_OPENING = threading.Lock()


def shading(bids: Micros, payers: Ints, query: Query, kit: Kit) -> Micros:
    """Bids as pacing lets them be, micros, int64 [N]."""
    if not any(isinstance(rule, Funded) and rule.pacing == "shade" for rule in kit.system.pipeline.policy):
        return bids
    return shaded(bids, purses(kit).of(payers, now_us()).participation)


def chances(seed: str, rows: Ints) -> Doubles:
    """A uniform number per row, the same for the same seed and row, float64 [N]: the finaliser of SplitMix64.

    Source: Steele, Lea and Flood, "Fast splittable pseudorandom number generators", OOPSLA 2014.
    """
    start = np.frombuffer(seed.encode().ljust(8, b"\0")[-8:], np.uint64)[0]
    with np.errstate(over="ignore"):
        mixed = (rows.astype(np.uint64) + np.uint64(1)) * _GOLDEN + start
        for shift, factor in zip((30, 27), _MIX, strict=True):
            mixed = (mixed ^ (mixed >> np.uint64(shift))) * factor
        mixed ^= mixed >> np.uint64(31)
    return np.asarray((mixed >> np.uint64(11)) / float(1 << 53))
