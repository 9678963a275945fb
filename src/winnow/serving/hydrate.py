"""Hydration: a request becomes a query. Ids turn into row numbers here, and every bad parameter is told at once."""

import math
import time
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from winnow.core.candidates import Floats, Ints, Mask
from winnow.core.errors import InputError, Problem, did_you_mean
from winnow.core.time import parse_time
from winnow.data.ids import IdMap
from winnow.data.nights import day_of
from winnow.data.schema import Kind, Table
from winnow.data.text import text_hashes
from winnow.features.state import NEVER
from winnow.retrieval import conditions
from winnow.serving.kit import Kit
from winnow.serving.query import Boost, Query
from winnow.serving.request import Condition, RankRequest


def hydrate(request: RankRequest, kit: Kit, ids: IdMap, vector: Floats | None = None, *, now: int = 0) -> Query:
    """The query behind a request.

    Args:
        request: as it came in.
        kit: what it is served with.
        ids: ids and row numbers.
        vector: what to look for, float32 [1, D], when that is no item.
        now: the present, microseconds UTC; what the log last knew of when left out.

    Raises:
        InputError: with every bad parameter: `unknown-context`, `unknown-column`, `bad-value`, `size-too-large`.
    """
    return replace(_Hydration(request, kit, ids).query(), vector=vector, now=now)


class _Hydration:
    """The parameters of one request, and what is wrong with them."""

    def __init__(self, request: RankRequest, kit: Kit, ids: IdMap):
        self.request, self.kit, self.ids = request, kit, ids
        self.labels = kit.system.labels
        self.problems: list[Problem] = []
        self.conditions: list[conditions.Condition] = []

    def query(self) -> Query:
        request, item = self.request, self.labels.item
        size = self._size()
        context = dict(self._context())
        masks = [self._mask(f"filter.{c}", c, wish) for c, wish in request.filter.items()]
        kept, boosts = tuple(self.conditions), tuple(self._boosts())
        told = dict(self._told())
        if self.problems:
            raise InputError(*self.problems)
        user_id = str(request.user)
        user = int(self.ids.rows(self.labels.user.name, [user_id])[0])
        # Nothing is an answer to itself.
        itself = np.array([user] * (self.kit.system.own_kind and user >= 0), np.int64)
        return Query(
            recommendation_id=uuid.uuid4().hex,
            user_id=user_id,
            user=user,
            at=self.kit.live.watermark,
            size=size,
            deadline=time.monotonic() + self._seconds(),
            context=context,
            exclude=np.concatenate([self._rows(item.name, request.exclude), itself]),
            allowed=np.logical_and.reduce(masks) if masks else None,
            conditions=kept,
            said=dict(request.about),
            told=told,
            boosts=boosts,
            diversity=request.diversity,
            exploration=request.exploration,
            explain=request.explain,
            reasons=request.reasons or request.explain,
        )

    def _size(self) -> int:
        pipeline = self.kit.system.pipeline
        size = self.request.size or int(pipeline.size)
        if size > pipeline.candidates:
            what = f"size is {size}, and at most {pipeline.candidates} items are judged"
            self.problems.append(Problem("size-too-large", what, "size", fix="ask for fewer"))
        return size

    def _seconds(self) -> float:
        limit = float(self.kit.system.frame.p99.total_seconds())
        return min(limit, (self.request.deadline_ms or math.inf) / 1000)

    def _rows(self, domain: str, values: list[Any]) -> Ints:
        rows = self.ids.rows(domain, [str(v) for v in values]) if values else np.empty(0, np.int64)
        return rows[rows >= 0]

    def _context(self) -> Iterator[tuple[str, NDArray[Any]]]:
        shown = self.labels.of
        for name, value in self.request.context.items():
            if name not in shown.fields:
                fix = did_you_mean(name, shown.fields)
                what = f"`{shown.name}` has no field `{name}`"
                self.problems.append(Problem("unknown-context", what, f"context.{name}", fix=fix))
            elif value is not None:
                found = self._values(f"context.{name}", shown.fields[name], shown.domain(name), [value])
                if found is not None:
                    yield name, found

    def _told(self) -> Iterator[tuple[str, NDArray[Any]]]:
        """What the request says about who asks, as features read it; texts get their vectors."""
        user: Table = self.labels.user
        usable = {
            c: kind for c, kind in user.columns.items() if kind.storage in _TELLABLE and not self.kit.system.alike
        }
        for column, value in self.request.about.items():
            param = f"about.{column}"
            if column not in usable:
                what, fix = f"`{user.name}` has no column `{column}` to tell", did_you_mean(column, usable)
                self.problems.append(Problem("unknown-column", what, param, fix=fix))
            elif usable[column].storage == "text":
                self._hold(column, str(value))
                yield f"{user.name}.{column}", text_hashes([str(value)])
            elif (found := self._values(param, usable[column], user.domain(column), [value])) is not None:
                yield f"{user.name}.{column}", found

    def _hold(self, column: str, text: str) -> None:
        if (encodings := self.kit.live.encodings) is not None:
            for encoder in self.kit.bundle.encoders.get(column, ()):
                encodings.hold(encoder, text)

    def _boosts(self) -> Iterator[Boost]:
        for column, factors in self.request.boost.items():
            for value, factor in factors.items():
                yield Boost(self._mask(f"boost.{column}", column, value), factor)

    def _mask(self, param: str, column: str, wish: Condition) -> Mask:
        """Which items meet a condition on a column, bool [I]."""
        item: Table = self.labels.item
        everything = np.arange(self._items())
        if column in item.columns and item.columns[column].media == "nights":
            return self._free(param, column, wish)
        if column not in item.columns or item.columns[column].storage == "text":
            usable = [c for c, kind in item.columns.items() if kind.storage != "text"]
            what = f"`{item.name}` has no column `{column}` to choose by"
            self.problems.append(Problem("unknown-column", what, param, fix=did_you_mean(column, usable)))
            return np.ones(len(everything), bool)
        kind = item.columns[column]
        self._condition(column, kind, wish)
        values = self.kit.view(_NOBODY, everything).path(getattr(item, column))
        if isinstance(wish, Mapping):
            return self._between(param, kind, values, wish)
        wanted = self._values(param, kind, item.domain(column), wish if isinstance(wish, list) else [wish])
        hit = np.isin(values, wanted[wanted >= 0] if kind.has_domain else wanted) if wanted is not None else values == 0
        return np.asarray(hit.reshape(len(hit), -1).any(axis=1))

    def _items(self) -> int:
        """How many rows conditions are asked of: also those that came since the last look at the catalogue."""
        space = self.kit.bundle.space
        return max(len(self.kit.catalogue.exists), space.size if space is not None else 0)

    def _free(self, param: str, column: str, wish: Condition) -> Mask:
        """Which items are free on all nights of a stay, bool [I]."""
        try:
            if not isinstance(wish, Mapping) or set(wish) != {"from", "to"}:
                raise ValueError("it takes the days of arrival and departure")
            first, last = (day_of(str(wish[end])) for end in ("from", "to"))
            if last <= first:
                raise ValueError("departure is not after arrival")
        except ValueError as error:
            what, fix = f"{wish} is no stay: {error}", 'send {"from": "2026-07-01", "to": "2026-07-05"}'
            self.problems.append(Problem("bad-value", what, param, fix=fix))
            return np.zeros(self._items(), bool)
        return self.kit.nights[column].free(first, last, self._items())

    def _condition(self, column: str, kind: Kind, wish: Condition) -> None:
        """Notes the condition for indexes; what is wrong with it is told where its mask is made."""
        item, found = self.labels.item, len(self.problems)
        if isinstance(wish, Mapping) and set(wish) - {"at_least", "at_most"}:
            return
        if isinstance(wish, Mapping):
            bounds = {n: self._values("", kind, "", [b]) for n, b in wish.items()}
            limits = {n: v[0].item() for n, v in bounds.items() if v is not None}
            self.conditions.append(conditions.Between(column, **limits))
        else:
            wanted = self._values("", kind, item.domain(column), wish if isinstance(wish, list) else [wish])
            self.conditions.append(conditions.OneOf(column, np.zeros(0, np.int64) if wanted is None else wanted))
        del self.problems[found:]

    def _between(self, param: str, kind: Kind, values: NDArray[Any], wish: Mapping[str, Any]) -> Mask:
        if kind.storage not in ("number", "time") or not wish or set(wish) - {"at_least", "at_most"}:
            fix = 'numbers and times take {"at_least": x, "at_most": y}, others a value or a list of values'
            self.problems.append(Problem("bad-value", f"{dict(wish)} does not fit a {kind.storage}", param, fix=fix))
            return np.ones(len(values), bool)
        kept: Mask = values != NEVER if kind.storage == "time" else ~np.isnan(values)
        for name, bound in wish.items():
            limit = self._values(f"{param}.{name}", kind, "", [bound])
            if limit is not None:
                kept = kept & (values >= limit[0] if name == "at_least" else values <= limit[0])
        return kept

    def _values(self, param: str, kind: Kind, domain: str, values: list[Any]) -> NDArray[Any] | None:
        """Values as a column holds them; None, and a problem, when one does not fit."""
        try:
            if kind.has_domain:
                return self.ids.rows(domain, [str(v) for v in values])
            if kind.storage == "time":
                return np.array([parse_time(v) for v in values], np.int64)
            numbers = np.array([float(v) for v in values])
            if not np.isfinite(numbers).all():
                raise ValueError("not a finite number")
            return numbers if kind.storage == "number" else numbers.astype(np.int64)
        except (ValueError, TypeError, OverflowError) as error:
            self.problems.append(Problem("bad-value", f"{values[:3]} does not fit a {kind.storage}: {error}", param))
            return None


_TELLABLE = ("number", "category", "text", "time", "flag")
_NOBODY = Query("", "", -1, 0, 0, 0.0)
