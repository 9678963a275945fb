"""Rows for choices that followed no impression: what was chosen, and what else could have been at that moment.

C choices, A alternatives drawn for them.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from winnow.core.system import System
from winnow.core.time import to_us
from winnow.data import labels as joiner
from winnow.data.alternatives import Alternatives
from winnow.data.chunk import NO_TIME
from winnow.data.declare import Labels
from winnow.data.schema import Kind
from winnow.features.source import Source
from winnow.training.alive import Lives

Ints = NDArray[np.int64]
Mask = NDArray[np.bool_]
CHOICE = "choice"  # the column that says which choice a row belongs to; -1 for what was shown
_MISSING: Mapping[str, object] = {"number": np.nan, "time": NO_TIME, "text": None, "categories": []}


@dataclass(frozen=True, eq=False)
class Chosen:
    """All choices in a log, in time order, each item once per user.

    Args:
        seq, at, known_at: of the choice, int64 [C].
        user, item: int64 [C].
        free: whether no impression led to it, bool [C].
    """

    seq: Ints
    at: Ints
    known_at: Ints
    user: Ints
    item: Ints
    free: Mask

    def __len__(self) -> int:
        return len(self.at)

    def take(self, rows: Ints | Mask) -> "Chosen":
        """Some of them."""
        return Chosen(*(getattr(self, name)[rows] for name in ("seq", "at", "known_at", "user", "item", "free")))

    def until(self, users: Ints, items: Ints, moments: Ints) -> Mask:
        """Whether each user had chosen each item before a moment, bool [n]."""
        if not len(self):
            return np.zeros(len(users), np.bool_)
        width = int(max(self.item.max(), items.max(initial=-1))) + 1
        keys = self.user * width + self.item
        order = np.argsort(keys)
        place = np.minimum(np.searchsorted(keys[order], users * width + items), len(self) - 1)
        found = order[place]
        return np.asarray((keys[found] == users * width + items) & (self.at[found] < moments))


def choices(labels: Labels, shown: pl.DataFrame, feedback: Mapping[str, pl.DataFrame], *, as_of: int) -> Chosen:
    """The first choice of each item by each user.

    Args:
        labels: with alternatives.
        shown: impressions, as `labels.join` takes them.
        feedback: event type → its events.
        as_of: what became known at or after it is not seen, microseconds UTC.
    """
    of = _against(labels).of
    frame = feedback[of.name].filter(pl.col("known_at") < as_of).sort("at", "seq")
    roles = of.role(labels.user), of.role(labels.item)
    known = shown.filter(pl.col("known_at") < as_of)
    place = joiner.match(
        known.select("at", "seq", "recommendation_id", user=labels.user_role, item=labels.item_role),
        frame.select("at", "recommendation_id", user=roles[0], item=roles[1]),
        within=to_us(labels.within),
    )
    seq, at, known_at, user, item = (
        frame[name].to_numpy().astype(np.int64) for name in ("seq", "at", "known_at", *roles)
    )
    found = Chosen(seq, at, known_at, user, item, place < 0)
    first = frame.select(pl.struct(roles).is_first_distinct()).to_series().to_numpy()
    return found.take(np.asarray(first & (found.user >= 0) & (found.item >= 0)))


def rows(
    system: System, source: Source, shown: pl.DataFrame, feedback: Mapping[str, pl.DataFrame], *, as_of: int
) -> pl.DataFrame:
    """One row per choice that no impression led to, and one per alternative drawn for it.

    Returns:
        rows like impressions, in time order, with the column `choice`: the place in the log of the choice that they
        belong to. A choice of what was not alive at its moment makes none.
    """
    chosen = choices(system.labels, shown, feedback, as_of=as_of)
    lives = Lives.of(system, source)
    asked = chosen.take(chosen.free)
    asked = asked.take(lives.holds(asked.item, asked.at))
    which, items = drawn(_against(system.labels), asked, chosen, lives, within=to_us(system.labels.within))
    place = np.concatenate([np.arange(len(asked)), which])
    rows = np.concatenate([asked.item, items])
    order = np.lexsort((np.arange(len(place)), place))  # the chosen one first
    return _frame(system.labels, asked.take(place[order]), rows[order], schema=shown.schema)


def drawn(of: Alternatives, asked: Chosen, chosen: Chosen, lives: Lives, *, within: int) -> tuple[Ints, Ints]:
    """Alternatives for choices: which choice each is for, int64 [A], and its item, int64 [A].

    The lot of an item at a choice depends on the two alone, so that draws stay as they were when the log grows.

    Args:
        of: how many, and the seed.
        asked: the choices.
        chosen: all choices: what a user has chosen, or does within the window, is no alternative.
        lives: when items could be chosen.
        within: the label window in microseconds.
    """
    which, items = [np.empty(0, np.int64)], [np.empty(0, np.int64)]
    spare = 1 + int(np.bincount(chosen.user).max(initial=0))  # so many of the first may turn out to be taken
    for places, near in lives.parts(asked.at):
        some = asked.take(places)
        lots = _lots(some, near.row, seed=of.seed)
        lots[~near.mask(some.at)] = _NOT
        line, row = _lowest(lots, of.k + spare, near.row)
        free = (row != some.item[line]) & ~chosen.until(some.user[line], row, some.at[line] + within)
        line, row = line[free], row[free]
        first = np.arange(len(line)) - np.searchsorted(line, line) < of.k
        which.append(places[line[first]])
        items.append(row[first])
    return np.concatenate(which), np.concatenate(items)


_NOT = np.uint64(np.iinfo(np.uint64).max)


def _lots(some: Chosen, items: Ints, *, seed: int) -> NDArray[np.uint64]:
    """A number for each pair of choice and item, uint64 [c, I]: mixed from who, when and what."""
    with np.errstate(over="ignore"):
        mine = _mixed(_mixed(some.user + seed) ^ some.at.astype(np.uint64))
        return _mixed(mine[:, None] ^ _mixed(items)[None, :]) >> np.uint64(1)


def _mixed(numbers: NDArray[Any]) -> NDArray[np.uint64]:
    """The finaliser of SplitMix64 (Steele, Lea and Flood, OOPSLA 2014)."""
    z = numbers.astype(np.uint64) + np.uint64(0x9E3779B97F4A7C15)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return np.asarray(z ^ (z >> np.uint64(31)))


def _lowest(lots: NDArray[np.uint64], k: int, items: Ints) -> tuple[Ints, Ints]:
    """The k items with the lowest lots of each line: lines and rows, by lot."""
    k = min(k, lots.shape[1])
    first = np.argpartition(lots, k - 1, axis=1)[:, :k] if k else np.empty((len(lots), 0), np.int64)
    values = np.take_along_axis(lots, first, axis=1)
    first = np.take_along_axis(first, np.argsort(values, axis=1, kind="stable"), axis=1)
    line, place = np.nonzero(np.take_along_axis(lots, first, axis=1) != _NOT)
    return line, items[first[line, place]]


def _frame(labels: Labels, choice: Chosen, items: Ints, *, schema: Mapping[str, Any]) -> pl.DataFrame:
    """Rows like impressions: what only an impression has is missing."""
    known = {
        "at": choice.at, "known_at": choice.known_at, "seq": choice.seq, labels.user_role: choice.user,
        labels.item_role: items,
    }  # fmt: skip
    kinds, n = labels.of.columns, len(items)
    columns = {name: known[name] if name in known else _missing(kinds.get(name), n) for name in schema}
    frame = pl.DataFrame(columns, schema=dict(schema))
    return frame.with_columns(pl.Series(CHOICE, choice.seq, dtype=pl.Int64))


def _missing(kind: Kind | None, n: int) -> list[object]:
    return [_MISSING.get(kind.storage, -1) if kind else None] * n


def _against(labels: Labels) -> Alternatives:
    against: Alternatives | None = labels.against
    assert against is not None  # asked for choices of labels that declare them only
    return against
