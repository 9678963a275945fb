"""The auction as a step of the slate: it sells the slots of a list, and notes the price of a click with every ad."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any, ClassVar

import numpy as np

from winnow.core.candidates import Candidates, Doubles, Ints
from winnow.core.errors import InputError, Problem
from winnow.core.time import days
from winnow.data.schema import Events, Path
from winnow.market.auction import NOBODY, Bids, Rule, Sale, checked_effects, ranked, sell
from winnow.market.money import MOST_BID, Micros, check_currency
from winnow.market.slots import AdLoad, apart, woven
from winnow.serving.arrangement import earlier
from winnow.serving.budgets import shading
from winnow.serving.kit import Kit
from winnow.serving.query import Query
from winnow.serving.slate import Step


@dataclass(frozen=True)
class Auction(Step):
    """Sells the slots of a list to the ads in it, and leaves out those that get none.

    The score of an ad is bid x chance of a click + the sum of worth x prediction: see `winnow.market.auction`. Its
    price stands in the reply and in the served log; the clicks of `clicks` are charged by it.

    Without an ad load all candidates are ads. With one, those without a bid are other items, which keep their order,
    and ads are woven in. When the auction fails nothing is sold, and no ad is shown: it would be shown for nothing.

    Args:
        bid: a number column: micros for a click.
        payer: the campaign that pays.
        clicks: the events that are charged.
        currency: of all bids, reserves and worths.
        click: the head that predicts them.
        worth: head → what one such outcome is worth beside money, micros; negative for hides.
        rule: `first`, `second` or `vcg`.
        reserve: the least that a click costs, micros.
        effects: factor on the chance of a click in each slot, best first; as many slots are sold.
        once: of ads with the same value in this column only the best takes part; advertisers, for example.
        apart: columns of which neighbours must not share a value.
        load: how many ads may stand where among other items.
        within: how long after its showing a click is charged.
    """

    bid: Path
    payer: Path = field(kw_only=True)
    clicks: Events = field(kw_only=True)
    currency: str = field(kw_only=True)
    click: str = field(kw_only=True, default="click")
    worth: Mapping[str, int] = field(kw_only=True, default_factory=dict, hash=False)
    rule: Rule = field(kw_only=True, default="second")
    reserve: int = field(kw_only=True, default=0)
    effects: Sequence[float] = field(kw_only=True, default=(1.0, 0.8, 0.65, 0.55, 0.5))
    once: Path | None = field(kw_only=True, default=None)
    apart: Sequence[Path] = field(kw_only=True, default=())
    load: AdLoad | None = field(kw_only=True, default=None)
    within: timedelta = field(kw_only=True, default=days(1))

    notes: ClassVar[tuple[str, ...]] = ("price", "payer", "expected")
    essential: ClassVar[bool] = True

    def problems(self, system: Any) -> Iterator[Problem]:
        for head in (self.click, *self.worth):
            if head not in system.labels.heads:
                what, why = f"the auction needs `{head}`, which no model predicts", "prices rest on predictions"
                yield Problem("unpredicted-head", what, self.where, why, "add it to the labels")
        if self.payer.kind.table is None:
            yield Problem("bad-column", f"`{self.payer}` is {self.payer.kind.storage}", self.where,
                          "somebody must pay", "use a reference to a campaign")  # fmt: skip
        try:
            check_currency(self.currency)
            sell(self.rule, Bids.of([0]), self.effects, reserve=self.reserve)
        except InputError as error:
            yield from (replace(problem, where=self.where) for problem in error.problems)

    def arrange(self, candidates: Candidates, query: Query, kit: Kit) -> Candidates:
        bids = self.bids(candidates, query, kit)
        ads = np.flatnonzero(bids.amount[0] > 0)
        others = np.setdiff1d(np.arange(len(candidates)), ads) if self.load is not None else np.empty(0, np.int64)
        slots = min(self.slots(len(others), query.size), len(self.effects))
        if not slots:
            return self._noted(candidates.take(others), np.empty(0, np.int64), None, query, kit)
        mine = candidates.take(ads)
        sale = self.sold(bids.take(ads[None]), self.groups(mine, query, kit), slots)
        sold = sale.winners[0] != NOBODY
        won = ads[sale.winners[0][sold]]
        order, places = woven(others, won, self.load) if self.load is not None else (won, np.arange(len(won)))
        return self._noted(candidates.take(order), places, sale, query, kit)

    def without(self, candidates: Candidates, query: Query, kit: Kit) -> Candidates:
        if self.load is None:
            return candidates.take(slice(0, 0))
        try:
            return candidates.take(micros(kit.view(query, candidates.rows).path(self.bid)) == 0)
        except Exception:  # nobody knows which are ads
            return candidates.take(slice(0, 0))

    def slots(self, others: int, size: int) -> int:
        """How many slots a list of so many places has for ads."""
        if self.load is None:
            return size
        return int((self.load.positions(others) < size).sum())

    def bids(self, candidates: Candidates, query: Query, kit: Kit) -> Bids:
        """What every candidate bids, and for what; 0 for what is no ad.

        Raises:
            LookupError: no model predicts clicks now.
        """
        if self.click not in query.heads:
            raise LookupError(f"nothing predicts `{self.click}` now, only {', '.join(query.heads)}")
        view = kit.view(query, candidates.rows)
        amount = shading(micros(view.path(self.bid)), view.path(self.payer), query, kit)
        heads = dict(zip(query.heads, candidates.heads.T.astype(np.float64), strict=True))
        bonus = sum((worth * heads[head] for head, worth in self.worth.items() if head in heads), np.zeros(len(amount)))
        return Bids.of(amount, np.clip(heads[self.click], 0, 1), bonus)

    def groups(self, ads: Candidates, query: Query, kit: Kit) -> Sequence[Ints]:
        """The values of `once` (or -1) and those of `apart`, int64 [N] each."""
        view = kit.view(query, ads.rows)
        once = view.path(self.once) if self.once is not None else np.full(len(ads), -1)
        return [once, *(view.path(path) for path in self.apart)]

    def sold(self, bids: Bids, groups: Sequence[Ints], slots: int) -> Sale:
        """The sale of so many slots to some ads."""
        scores = bids.scores(self.reserve)
        order = np.argsort(-scores[0], kind="stable")
        repeats = np.empty(len(order), np.int64)
        repeats[order] = earlier(groups[0][order])
        scores = np.where(repeats[None] > 0, 0.0, scores)
        stands = apart(scores[0], np.stack(groups[1:], axis=1), slots) if self.apart else ranked(scores, slots)
        return sell(self.rule, bids, checked_effects(self.effects)[:slots], reserve=self.reserve, slots=stands)

    def _noted(self, order: Candidates, places: Ints, sale: Sale | None, query: Query, kit: Kit) -> Candidates:
        columns = {name: np.zeros(len(order), np.int64) for name in self.notes}
        columns["payer"] -= 1
        if sale is not None and len(places):
            sold = sale.winners[0] != NOBODY
            prices, clicks = sale.prices[0][sold][: len(places)], sale.clicks[0][sold][: len(places)]
            columns["price"][places] = prices
            columns["expected"][places] = np.ceil(prices * clicks)
            columns["payer"][places] = kit.view(query, order.rows[places]).path(self.payer)
        # Scores stay those of the values, in the new order of places.
        return replace(order, noted=columns, order_score=-np.sort(-order.order_score))


def micros(column: Doubles) -> Micros:
    """A number column as micros, int64 [N]: rounded down, never more than was bid; 0 for nothing and for nonsense."""
    known = np.isfinite(column) & (column >= 1) & (column <= MOST_BID)
    return np.where(known, column, 0).astype(np.int64)
