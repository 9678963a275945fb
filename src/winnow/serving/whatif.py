"""What if: requests of the log asked again under other weights, and how what people are shown would move.

The log of what was served holds the shown items only, and other weights would show others. So each request is asked
again, of the release and the live state of now, twice: under the live weights and under the others, without chance.
Both sides see the same candidates and predictions; nothing of it is logged.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import polars as pl

from winnow.core.candidates import Doubles, Ints
from winnow.core.declare import plain
from winnow.data.schema import Path
from winnow.features.state import NEVER
from winnow.serving.desk import Desk, Look
from winnow.serving.request import RankRequest
from winnow.serving.slate import Strangers
from winnow.serving.value import check_weights

MOVERS = 5  # values of a column that are told in each direction
TOP = 10  # the most shown values of a column
_HOUR_US = 3_600_000_000


@dataclass(frozen=True)
class Moved:
    """One figure under the live weights and under the others.

    Args:
        measure: what, such as `comment per 1,000`.
        now, then: mean over people under the live weights, and under the others.
        low, high: 95 % interval of the difference, people as units; NaN where it is no mean over people.
    """

    measure: str
    now: float
    then: float
    low: float = np.nan
    high: float = np.nan


@dataclass(frozen=True)
class WhatIf:
    """How lists would move.

    Args:
        requests, people: how many were asked again, and of how many people.
        skipped: requests that found nothing to show, or for which a part failed.
        now, then: the weights on both sides.
        moved: the figures.
        movers: column → value → share of what is shown, now and then: the values that would move most.
        note: what was done, in words.
    """

    requests: int
    people: int
    skipped: int
    now: Mapping[str, float]
    then: Mapping[str, float]
    moved: Sequence[Moved]
    movers: Mapping[str, Mapping[str, tuple[float, float]]] = field(default_factory=dict)
    note: str = ""


def asked(served: pl.DataFrame, user: str, limit: int) -> list[str]:
    """Who made the newest requests of a log of what was served, newest first, one entry per request.

    Args:
        served: rows of `<system>_served` as `Project.frame` gives them.
        user: the role of the person.
        limit: how many requests at most.
    """
    if not len(served):
        return []
    each = served.group_by("recommendation_id").agg(pl.col("at").max(), pl.col(user).first())
    newest = each.drop_nulls(user).sort("at", "recommendation_id", descending=True).head(limit)
    return [str(name) for name in newest[user]]


def whatif(desk: Desk, people: Sequence[str], weights: Mapping[str, float], *, size: int | None = None) -> WhatIf:
    """How the lists of people would move under other weights.

    Args:
        desk: who answers.
        people: ids, one per request.
        weights: head → weight in place of the live one; heads that are not named keep theirs.
        size: items of each list; the system's own when left out.

    Raises:
        InputError: `unpredicted-head`, `weight-not-finite`, `no-weights`.
        Unavailable: `no-release`.
    """
    kit = desk.kit
    check_weights(weights, desk.system.labels.heads)
    then = {**kit.weights, **weights}
    sides = (dict(kit.weights), then)
    looks = [_both(desk, RankRequest(user=user, size=size, exploration=0.0), sides) for user in people]
    pairs = [pair for pair in looks if all(look.whole and len(look.ranking.shown) for look in pair)]
    if not pairs:
        return WhatIf(0, 0, len(looks), *sides, (), note=_NOTE)
    found, moved = _Found(desk, pairs), []
    for measure, values in found.per_list():
        moved.append(_moved(measure, values, [pair[0].query.user_id for pair in pairs]))
    moved += found.spread()
    people_seen = len({pair[0].query.user_id for pair in pairs})
    return WhatIf(len(pairs), people_seen, len(looks) - len(pairs), *sides, moved, found.movers(), _NOTE)


def finite(told: WhatIf) -> Any:
    """As JSON data: what is not known is None."""
    data = plain(told)
    for one in data["moved"]:
        one |= {name: None for name in ("now", "then", "low", "high") if np.isnan(one[name])}
    return data


_NOTE = (
    "logged requests were asked again of the release and the state of now, under both sets of weights and without "
    "chance; predictions, not outcomes"
)
Pair = tuple[Look, Look]


def _both(desk: Desk, request: RankRequest, sides: tuple[dict[str, float], dict[str, float]]) -> Pair:
    return desk.look(request, weights=sides[0]), desk.look(request, weights=sides[1])


def _moved(measure: str, values: Doubles, people: Sequence[str]) -> Moved:
    """The mean over people of a figure per list, float64 [R, 2], and the interval of its change."""
    _, who = np.unique(people, return_inverse=True)
    lists = np.bincount(who)
    now, then = (np.bincount(who, side) / lists for side in values.T)
    change = then - now
    error = 1.96 * float(change.std(ddof=1) / np.sqrt(len(change))) if len(change) > 1 else np.nan
    return Moved(measure, float(now.mean()), float(then.mean()), float(change.mean()) - error,
                 float(change.mean()) + error)  # fmt: skip


class _Found:
    """The lists of both sides, and what can be read off them.

    Args:
        desk: who made them.
        pairs: of R requests.
    """

    def __init__(self, desk: Desk, pairs: Sequence[Pair]):
        self.desk, self.pairs = desk, pairs
        self.system = desk.kit.system
        self._item = self.system.labels.item

    def per_list(self) -> Iterator[tuple[str, Doubles]]:
        """Figures of each list on both sides, float64 [R, 2]."""
        for head, kind in self.system.labels.types().items():
            unit = "per 1,000" if kind == "binary" else "in 1,000 items"
            if head in self.pairs[0][0].ranking.heads:
                yield f"{head} {unit}", self._each(lambda look, h=head: 1000 * _head(look, h).mean())
        yield "items that stay, %", self._stay()
        for step in (s for s in self.system.pipeline.slate if isinstance(s, Strangers)):
            share = lambda look, s=step: 100 * s.strangers(look.ranking.shown.rows, look.query, look.kit).mean()  # noqa: E731
            yield "out of network, %", self._each(share)
        times = [n for n, kind in self._item.columns.items() if kind.storage == "time"]
        newest = self.system.pipeline.value.newest or (Path(self._item, (times[0],)) if times else None)
        if newest is not None:
            yield "age in hours, median", self._each(lambda look: _age(look, newest))
        for bit, source in enumerate(self.system.pipeline.sources):
            yield (
                f"from {source.name}, %",
                self._each(lambda look, b=bit: 100 * (look.ranking.shown.sources >> b & 1).mean()),
            )

    def _each(self, figure: Any) -> Doubles:
        return np.array([[figure(look) for look in pair] for pair in self.pairs], np.float64)

    def _stay(self) -> Doubles:
        stay = [100 * np.isin(then.ranking.shown.rows, now.ranking.shown.rows).mean() for now, then in self.pairs]
        return np.stack([np.full(len(stay), 100.0), np.array(stay)], axis=1)

    def spread(self) -> Iterator[Moved]:
        """How much of all that is shown falls to the most shown values of each column."""
        for name in self._columns:
            shares = [_top(np.bincount(codes[codes >= 0])) for codes in self._codes(name)]
            yield Moved(f"share of the {TOP} most shown {name}, %", *shares)

    def movers(self) -> dict[str, dict[str, tuple[float, float]]]:
        """The values of each column whose share would move most, those that would gain first."""
        found = {}
        for name in self._columns:
            now, then = self._codes(name)
            size = int(max(now.max(initial=-1), then.max(initial=-1))) + 1
            if not size:
                continue
            one, two = (np.bincount(c[c >= 0], minlength=size) / max(len(c), 1) for c in (now, then))
            order = np.argsort(one - two, kind="stable")
            chosen = np.unique(np.concatenate([order[:MOVERS], order[::-1][:MOVERS]]))
            chosen = chosen[np.argsort(one[chosen] - two[chosen], kind="stable")]
            chosen = chosen[one[chosen] != two[chosen]]
            names = self.desk.names(self._item.domain(name), chosen)
            found[name] = {v: (float(one[c]), float(two[c])) for v, c in zip(names, chosen, strict=True)}
        return found

    @property
    def _columns(self) -> list[str]:
        return [name for name, kind in self._item.columns.items() if kind.has_domain]

    def _codes(self, name: str) -> tuple[Ints, Ints]:
        """The values of a column over all that is shown on each side, int64 [n]."""
        sides = []
        for side in (0, 1):
            rows = np.concatenate([pair[side].ranking.shown.rows for pair in self.pairs])
            look = self.pairs[0][side]
            sides.append(look.kit.view(look.query, rows).path(Path(self._item, (name,))).reshape(-1).astype(np.int64))
        return sides[0], sides[1]


def _head(look: Look, head: str) -> Doubles:
    values: Doubles = look.ranking.shown.heads[:, look.ranking.heads.index(head)].astype(np.float64)
    return values


def _age(look: Look, newest: Path) -> float:
    times = look.kit.view(look.query, look.ranking.shown.rows).path(newest)
    known = times[times != NEVER]
    return float(np.median(look.query.at - known)) / _HOUR_US if len(known) else np.nan


def _top(counts: Ints) -> float:
    return 100 * float(np.sort(counts)[::-1][:TOP].sum()) / max(int(counts.sum()), 1)
