"""Explanations: one request seen from inside, as plain data."""

from typing import Any

import numpy as np

from winnow.core.candidates import Candidates, Ints
from winnow.data.ids import IdMap
from winnow.features.batch import FeatureBatch
from winnow.features.declare import Column
from winnow.features.recent import Latest
from winnow.serving.kit import Kit
from winnow.serving.pipeline import Ranking
from winnow.serving.query import Query
from winnow.serving.trace import Trace

_KEPT_BACK = "personal"  # what stands for the value of a personal column
_SHOWN_REMOVED = 20  # ids named per filter; the count is of all


def explain(ranking: Ranking, query: Query, kit: Kit, ids: IdMap, *, trace: Trace) -> dict[str, Any]:
    """Every stage with its counts and milliseconds, and per item all that led to its place."""
    return _Explanation(ranking, query, kit, ids, trace).data()


class _Explanation:
    """One explanation and what it is made from."""

    def __init__(self, ranking: Ranking, query: Query, kit: Kit, ids: IdMap, trace: Trace):
        self.ranking, self.query, self.kit, self.ids, self.trace = ranking, query, kit, ids, trace
        self.item = kit.system.labels.item.name

    def data(self) -> dict[str, Any]:
        shown = self.ranking.shown
        return {
            "user": self.user(),
            "stages": [stage.to_data() for stage in self.trace.stages],
            "removed": {s.name: self.removed(s.removed) for s in self.trace.stages if s.removed is not None},
            "weights": dict(self.kit.weights),
            "weights_version": self.kit.weights_version,
            "items": [self.one(place) for place in range(len(shown))],
        }

    def user(self) -> dict[str, Any]:
        """Who asked, and what the log knows of their last items."""
        past = {}
        for feature in self.kit.bundle.plan.features:
            if feature.type == "sequence":
                rows = self.kit.recent(feature.aggregates()[0], self.query)
                past[feature.names[0]] = self.ids.ids(self.item, rows)
        return {"id": self.query.user_id, "known": self.query.known, "recent": past}

    def removed(self, rows: Ints) -> dict[str, Any]:
        return {"count": len(rows), "ids": self.ids.ids(self.item, rows[:_SHOWN_REMOVED])}

    def one(self, place: int) -> dict[str, Any]:
        """One item: who proposed it, what was predicted, what that is worth, how the slate moved it."""
        shown, heads = self.ranking.shown, self.ranking.heads
        predicted = dict(zip(heads, map(float, shown.heads[place]), strict=True))
        return {
            "id": self.ids.ids(self.item, shown.rows[place : place + 1])[0],
            "position": place + 1,
            "sources": self.sources(place),
            "heads": predicted,
            "value_terms": {h: p * self.kit.weights[h] for h, p in predicted.items() if h in self.kit.weights},
            "value": float(shown.value[place]),
            "slate": self.moves(int(shown.rows[place])),
            "propensity": float(shown.propensity[place]),
            "features": self.features(int(shown.place[place])),
        }

    def sources(self, place: int) -> dict[str, float]:
        names = [s.name for s in self.kit.system.pipeline.sources]
        scores = zip(names, self.ranking.shown.source_scores[place].tolist(), strict=True)
        return {name: score for name, score in scores if not np.isnan(score)}

    def moves(self, row: int) -> list[dict[str, Any]]:
        """Positions before and after every step of the slate, from 1."""
        before, moves = _position(self.ranking.valued, row), []
        for name, order in self.trace.orders:
            after = _position(order, row)
            moves.append({"step": name, "from": before, "to": after})
            before = after
        return moves

    def features(self, place: int) -> dict[str, Any]:
        """What the scorer saw; categories as ids, ranges and crosses as numbers; nothing that is personal as it is."""
        batch: FeatureBatch | None = self.ranking.features
        if batch is None:
            return {}
        values: dict[str, Any] = dict(zip(batch.numeric_names, map(float, batch.numeric[place]), strict=True))
        columns = [f for f in self.kit.bundle.plan.features if isinstance(f, Column | Latest)]
        domains = {f.names[0]: str(f.of.domain) for f in columns if f.of.kind.has_domain}
        for name, codes in batch.categorical.items():
            known = np.atleast_1d(codes[place])
            known = known[known >= 0]
            found = self.ids.ids(domains[name], known) if name in domains else known.tolist()
            values[name] = found if codes.ndim == 2 else (found[0] if found else None)
        return values | {f.names[0]: _KEPT_BACK for f in columns if f.of.kind.privacy == "personal"}


def _position(candidates: Candidates, row: int) -> int:
    return int(np.flatnonzero(candidates.rows == row)[0]) + 1
