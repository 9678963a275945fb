"""The kit: what one request is served with. Immutable, so that a request sees one release from start to end."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path as FilePath
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from winnow.core.candidates import Candidates, Ints, Mask
from winnow.core.system import System
from winnow.data.schema import Path, Table
from winnow.data.ties import Bond
from winnow.encoders.base import Encoder
from winnow.features.aggregate import Aggregate
from winnow.features.batch import FeatureBatch, Floats
from winnow.features.nights import Nights
from winnow.features.plan import Plan
from winnow.features.proposed import standings
from winnow.features.state import State
from winnow.features.ties import standing
from winnow.features.view import Moments, View
from winnow.serving.catalogue import Catalogue, existing
from winnow.serving.query import NO_ROWS, Query
from winnow.serving.trial import CHAMPION, Trial

if TYPE_CHECKING:  # a system file is read without faiss and onnxruntime
    from winnow.features.live import LiveReader
    from winnow.serving.bundle import Bundle

T = TypeVar("T")


class Steady:
    """Live state whose every look-up sees a whole update; `State` for parts that look up one thing at a time."""

    def __init__(self, live: "LiveReader"):
        self._live = live

    def column(self, table: Table, column: str, rows: Ints, at: Ints) -> NDArray[np.generic]:
        return self._live.consistently(lambda state: state.column(table, column, rows, at))

    def windows(self, aggregates: Sequence[Aggregate], keys: tuple[Ints, ...], at: Ints) -> list[Ints]:
        return self._live.consistently(lambda state: state.windows(aggregates, keys, at))

    def vectors(self, encoder: Encoder, hashes: Ints) -> Floats:
        return self._live.consistently(lambda state: state.vectors(encoder, hashes))

    def recent(self, aggregate: Aggregate, keys: tuple[Ints, ...], at: Ints) -> tuple[Ints, Ints]:
        return self._live.consistently(lambda state: state.recent(aggregate, keys, at))


@dataclass(frozen=True, eq=False)
class Kit:
    """One release, one look at the catalogue, one version of the weights, and the live state.

    Args:
        system: the declaration.
        bundle: the release in memory.
        live: live state.
        catalogue: what the background refresh last found.
        weights: head → weight.
        weights_version: 0 for the declared weights.
        trial: the experiment that runs on the weights, if one does.
        arm: of that experiment under which this request is served.
        folder: of the project, for parts that keep files of their own; None where there is none.
        nights: column of the items → which nights they are free, as of now.
        followers: source → what follows the log for it, in this process.
    """

    system: System
    bundle: "Bundle"
    live: "LiveReader"
    catalogue: Catalogue
    weights: Mapping[str, float]
    weights_version: int = 0
    trial: Trial | None = None
    arm: str = CHAMPION
    folder: FilePath | None = None
    nights: Mapping[str, Nights] = field(default_factory=dict)
    followers: Mapping[str, Any] = field(default_factory=dict)

    def under(self, unit: str) -> "Kit":
        """The kit for a person: under the weights of their arm, if they take part in an experiment."""
        arm = self.trial.arm(unit) if self.trial is not None else None
        if self.trial is None or arm is None:
            return self
        return replace(self, arm=f"{self.trial.name}:{arm}", weights=self.trial.weights.get(arm, self.weights))

    def view(self, query: Query, rows: Ints) -> View:
        """Columns and counts of items, and of the user, as features see them."""
        return View(self._moments(query, rows, query.at), Steady(self.live), self.bundle.plan.roles)

    def recent(self, aggregate: Aggregate, query: Query) -> Ints:
        """What the user's last events were about, newest first, without padding."""
        rows: Ints = self.view(query, NO_ROWS).recent(aggregate)[0][0]
        return rows[rows >= 0]

    def recents(self, aggregate: Aggregate, query: Query) -> tuple[Ints, Ints]:
        """As `recent`, each value once, with the own time of its latest event."""
        values, times = self.view(query, NO_ROWS).recent(aggregate)
        rows, newest = np.unique(values[0], return_index=True)
        there = rows >= 0
        return rows[there], times[0][newest[there]]

    def since(self, aggregates: Sequence[Aggregate], keys: tuple[Ints, ...], at: int) -> list[Ints]:
        """What windows of one subject come to for n keys, int64 [n] each."""
        return Steady(self.live).windows(aggregates, keys, np.array([at]))

    def column(self, path: Path, row: int, at: int) -> Any:
        """A column of one row of a table, whoever asks."""
        return Steady(self.live).column(path.table, path.columns[-1], np.array([row]), np.array([at]))[0]

    def tied(self, bond: Bond, user: int, others: Ints, at: int, *, doubt: bool = False, either: bool = False) -> Mask:
        """Whether a bond stands between a person and others, bool [n]; with `either` also when others made it."""
        mine, moment = np.array([user]), np.array([at])

        def look(state: State) -> Mask:
            found = standing(bond, state, mine, others, moment, doubt=doubt)
            return found | standing(bond, state, others, mine, moment, doubt=doubt) if either else found

        return self.live.consistently(look)

    def features(self, query: Query, candidates: Candidates) -> tuple[FeatureBatch, int]:
        """The features of N candidates from one state, and the moment up to which that state knows events."""
        stood = standings([s.name for s in self.system.pipeline.sources], candidates.source_scores)

        def compute(state: State) -> tuple[FeatureBatch, int]:
            at: int = state.as_of  # type: ignore[attr-defined]
            moments = self._moments(query, candidates.rows, at)
            return self.bundle.plan.compute(replace(moments, context={**moments.context, **stood}), state), at

        return self.live.consistently(compute)

    def user_side(self, query: Query, plan: Plan) -> FeatureBatch:
        """The features of the user and the request, one row; `plan` has no others."""
        return self.live.consistently(lambda s: plan.compute(self._moments(query, None, s.as_of), s))

    def existing(self, query: Query, rows: Ints) -> Mask:
        """Which items exist, were not deleted and are alive, as of now."""
        item, alive = self.system.labels.item, self.system.alive
        return self.live.consistently(lambda state: existing(item, rows, state, query.now, alive))

    def _moments(self, query: Query, rows: Ints | None, at: int) -> Moments:
        labels = self.system.labels
        refs = {labels.user_role: np.array([query.profile])} | ({} if rows is None else {labels.item_role: rows})
        return Moments(np.array([at]), refs, query.context, query.told)
