"""The query: one request with every id turned into a row number, as all stages of the pipeline read it."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from winnow.core.candidates import Ints, Mask
from winnow.retrieval.conditions import Condition

NOBODY = -1
NO_ROWS = np.empty(0, np.int64)


@dataclass(frozen=True, eq=False)
class Boost:
    """A factor on the value of the items that carry a value in a column.

    Args:
        items: which rows of the item table, bool [I].
        factor: 1 changes nothing.
    """

    items: Mask
    factor: float


@dataclass(frozen=True, eq=False)
class Query:
    """Who asks for what.

    Args:
        recommendation_id: names the reply; also the seed of its exploration, so that a replay repeats it.
        user_id: as the client sent it.
        user: row number of the user, `NOBODY` when the log has never seen the id.
        at: the moment as of which live state is read, microseconds UTC.
        size: how many items are wanted.
        deadline: on the clock of `time.monotonic`, seconds.
        now: the present, for what time alone changes; `at` when nobody says, and never before it.
        context: field of the impression → value, array of length 1.
        exclude: item rows that must not come back.
        vector: what to look for, float32 [1, D], by the encoder of the kit; None for what the user's row says.
        allowed: the only items that may come back, bool [I] by row; None for all.
        conditions: the same as conditions on columns, for indexes that filter while they search.
        said: column of who asks → what the request says about it.
        told: the same as features read it: path → value [1].
        boosts: changes to values.
        diversity: replaces the strength of the slate's `Mmr`.
        exploration: replaces the share of the slate's `Explore`.
        personal: whether what is known of the user's past may shape the list; what they must not be shown stays away.
        chronological: whether the list is in order of time, of what the user chose to follow.
        explain: whether every stage is to be kept for the reply.
        reasons: whether items come with their reasons.
        heads: names of the predictions, once there are any.
        skip: rows that the filters are known to drop, so that sources need not propose them; sorted.
    """

    recommendation_id: str
    user_id: str
    user: int
    at: int
    size: int
    deadline: float
    context: Mapping[str, NDArray[Any]] = field(default_factory=dict)
    exclude: Ints = field(default_factory=lambda: NO_ROWS)
    vector: NDArray[np.float32] | None = None
    allowed: Mask | None = None
    conditions: tuple[Condition, ...] = ()
    said: Mapping[str, Any] = field(default_factory=dict)
    told: Mapping[str, NDArray[Any]] = field(default_factory=dict)
    boosts: tuple[Boost, ...] = ()
    diversity: float | None = None
    exploration: float | None = None
    personal: bool = True
    chronological: bool = False
    explain: bool = False
    reasons: bool = False
    heads: tuple[str, ...] = ()
    skip: Ints = field(default_factory=lambda: NO_ROWS)
    now: int = 0

    def __post_init__(self) -> None:
        object.__setattr__(self, "now", max(self.now, self.at))

    @property
    def known(self) -> bool:
        """Whether the log has seen this user."""
        return self.user != NOBODY

    @property
    def profile(self) -> int:
        """The user whose past may shape the list, `NOBODY` when nothing of it may; policy asks for `user`."""
        return self.user if self.personal else NOBODY

    def left_s(self) -> float:
        """Seconds until the deadline; negative when it has passed."""
        return self.deadline - time.monotonic()

    def wants(self, rows: Ints) -> Mask:
        """Which rows the request itself allows, bool [n]."""
        kept = ~np.isin(rows, self.exclude) if len(self.exclude) else np.ones(len(rows), bool)
        return kept if self.allowed is None else kept & within(self.allowed, rows)

    def first(self, rows: Ints, scores: NDArray[np.float32], limit: int) -> tuple[Ints, NDArray[np.float32]]:
        """The first rows of a list that the request allows and no filter is known to drop."""
        kept = self.wants(rows)
        if len(self.skip):
            kept &= ~np.isin(rows, self.skip)
        chosen = np.flatnonzero(kept)[:limit]
        return rows[chosen], scores[chosen]


def within(allowed: Mask, rows: Ints) -> Mask:
    """`allowed[rows]`, False for rows that are younger than the mask."""
    inside = rows < len(allowed)
    return inside & allowed[np.where(inside, rows, 0)] if len(allowed) else inside
