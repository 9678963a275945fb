"""The charger: follows the event log in order, and brings budgets, prices and clicks to the spend ledger, each once.

Everything in the log between two of its positions goes into one transaction of the ledger together with the new
position, so that a kill at any moment repeats nothing and leaves nothing out. The ledger can be built anew by removing
its file: the charger starts at the beginning of the log.
"""

import json
import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from winnow.core.errors import InputError, Problem, WinnowError
from winnow.core.system import System
from winnow.core.time import MICROS, now_us, to_us
from winnow.data.chunk import NO_TIME, Chunk, decode
from winnow.data.log import SqliteLog
from winnow.market.book import Book, Click, Quote
from winnow.market.budget import DAY_US, ENDLESS, Budget
from winnow.market.ledger import FILE, PARTS, Ledger
from winnow.market.money import same_currency
from winnow.serving.auction import Auction
from winnow.serving.budgets import CHARGER, Funded
from winnow.serving.pacemaker import Pacemaker
from winnow.serving.stores import Stores

_CHUNKS = (
    "SELECT until_seq, kind, name, body FROM chunk WHERE first_seq > ? AND first_seq <= ? AND name IN "
    "(SELECT value FROM json_each(?)) ORDER BY first_seq"
)
_SIGN_US = 5 * MICROS  # between two signs of life
_LOOK_S = 0.2  # between two looks at a log in which nothing happens
_log = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class Market:
    """One system that sells its slots.

    Args:
        system: the declaration.
        auction: its step.
        funded: its rule.
    """

    system: System
    auction: Auction
    funded: Funded

    @classmethod
    def of(cls, system: System) -> "Market | None":
        """The market of a system, if it is one."""
        auction = next((s for s in system.pipeline.slate if isinstance(s, Auction)), None)
        funded = next((r for r in system.pipeline.policy if isinstance(r, Funded)), None)
        return None if auction is None or funded is None else cls(system, auction, funded)

    @property
    def served(self) -> str:
        return f"{self.system.name}_served"

    @property
    def campaigns(self) -> str:
        table = self.funded.payer.kind.table
        return table.name if table is not None else ""


class Charger:
    """Keeps the ledger of a project in step with its log.

    Args:
        log: the event log.
        ledger: where charges go.
        markets: the systems that sell slots.
        clock: the present, microseconds UTC.
        chunks: of the log after which no further append is taken into a transaction.
    """

    def __init__(
        self, log: SqliteLog, ledger: Ledger, markets: list[Market], *, clock: Callable[[], int] = now_us,
        chunks: int = 200,
    ) -> None:  # fmt: skip
        self._log, self._ledger, self._clock, self._most = log, ledger, clock, chunks
        self._takes: dict[tuple[str, str], list[Callable[[Chunk, Book], None]]] = {}
        for market in markets:
            parts = {("event", market.served): self._quote, ("event", market.auction.clicks.name): self._charge,
                     ("row", market.campaigns): self._fund}  # fmt: skip
            for key, take in parts.items():
                self._takes.setdefault(key, []).append(_bound(take, market))
        self._names = json.dumps(sorted({name for _, name in self._takes}))
        self._pacemaker = Pacemaker(ledger)
        self._seq, self._signed, self._looked = ledger.position(CHARGER), 0, 0.0

    def maybe(self) -> None:
        """A step, unless nothing was new a moment ago."""
        if time.monotonic() - self._looked >= _LOOK_S:
            self.step()

    def step(self) -> int:
        """Takes in what is new, as far as one transaction goes; how many chunks that was."""
        last, now = self._log.last_seq(), self._clock()
        chunks = self._read(last) if last > self._seq else []
        if chunks or last > self._seq or now - self._signed > _SIGN_US:
            until = last if len(chunks) < self._most else chunks[-1].until
            with self._ledger.writing() as book:
                for chunk in chunks:
                    for take in self._takes.get((chunk.kind, chunk.name), ()):
                        take(chunk, book)
                if now - self._signed > _SIGN_US:
                    book.expire(now)
                book.reach(CHARGER, until, at=now)
            self._seq, self._signed = until, now
        self._pacemaker.step(now)
        self._looked = time.monotonic() if len(chunks) < self._most else 0.0
        return len(chunks)

    def _read(self, until: int) -> list[Chunk]:
        """The next chunks, whole appends: all chunks of one have its last `seq`, and a position within it is none."""
        chunks: list[Chunk] = []
        with self._log.database.read() as connection:
            cursor = connection.execute(_CHUNKS, (self._seq, until, self._names))
            for end, kind, name, body in cursor:
                if len(chunks) >= self._most and end != chunks[-1].until:
                    break
                chunks.append(Chunk(kind, name, decode(body), end))
            cursor.close()
        return chunks

    def _quote(self, chunk: Chunk, book: Book, market: Market) -> None:
        """What clicks on the ads of some replies will cost."""
        if "price" not in chunk.columns:
            return
        replies, items = chunk.texts("recommendation_id"), chunk.ints(market.system.labels.item_role).tolist()
        prices, expected = (chunk.floats(name).astype(np.int64).tolist() for name in ("price", "expected"))
        payers, at = chunk.floats("payer").astype(np.int64), chunk.ints("at")
        self._count(replies, at, book)
        campaigns = self._log.ids.ids(market.campaigns, np.maximum(payers, 0))
        for i, campaign in enumerate(campaigns):
            if prices[i] > 0 and payers[i] >= 0:
                moment = int(at[i])
                quote = Quote(
                    showing=f"{replies[i]}/{items[i]}", campaign=campaign, price=prices[i], expected=expected[i],
                    currency=market.auction.currency, at=moment, expires_at=moment + to_us(market.auction.within),
                )  # fmt: skip
                _try(book.quote, quote)

    def _count(self, replies: list[str | None], at: Any, book: Book) -> None:
        _, first = np.unique(np.array([r or "" for r in replies]), return_index=True)
        parts, counts = np.unique(at[first] * PARTS // DAY_US, return_counts=True)
        for part, requests in zip(parts.tolist(), counts.tolist(), strict=True):
            book.count(part // PARTS, part % PARTS, requests)

    def _charge(self, chunk: Chunk, book: Book, market: Market) -> None:
        """Clicks; those that belong to no reply were made elsewhere, and cost nothing."""
        items, at = chunk.ints(list(market.auction.clicks.refs)[-1]).tolist(), chunk.ints("at").tolist()
        events, replies = chunk.texts("event_id"), chunk.texts("recommendation_id")
        for event, reply, item, moment in zip(events, replies, items, at, strict=True):
            if reply and event:
                book.charge(Click(event, f"{reply}/{item}", moment))

    def _fund(self, chunk: Chunk, book: Book, market: Market) -> None:
        """Budgets as they are after some changes of campaigns; one that makes no sense is told, and not spent."""
        rows = chunk.ints("row").tolist()
        for i, campaign in enumerate(self._log.ids.ids(market.campaigns, chunk.ints("row"))):
            if chunk.ints("deleted")[i]:
                book.refuse(campaign, "the campaign was deleted")
                continue
            key = f"{market.campaigns}/{campaign}"
            known = json.loads(book.recall(key) or "{}") | _changed(chunk, i, market.funded, self._log)
            book.remember(key, json.dumps(known))
            try:
                book.fund(_budget(campaign, known, market), row=rows[i])
            except WinnowError as error:
                _log.warning("campaign %s is not shown: %s", campaign, error)
                book.refuse(campaign, error.problems[0].what)


def charging(stores: Stores) -> Callable[[], None]:
    """What a follower of a project's log calls again and again, so that clicks are charged; nothing without markets."""
    markets = [m for m in map(Market.of, stores.systems.values()) if m is not None]
    if not markets:
        return lambda: None
    return Charger(stores.log, Ledger(stores.folder / FILE), markets).maybe


def _bound(take: Callable[[Chunk, Book, Market], None], market: Market) -> Callable[[Chunk, Book], None]:
    return lambda chunk, book: take(chunk, book, market)


def _try(work: Callable[[Quote], bool], quote: Quote) -> None:
    """A showing of a campaign that the ledger does not know cannot be charged; the others can."""
    try:
        work(quote)
    except WinnowError as error:
        _log.warning("the showing %s is not charged: %s", quote.showing, error)


def _changed(chunk: Chunk, i: int, funded: Funded, log: SqliteLog) -> dict[str, Any]:
    """What one row sets, by the argument of `Funded` that names the column; None for missing."""
    found: dict[str, Any] = {}
    for name in ("daily", "lifetime", "starts", "ends", "currency"):
        path = getattr(funded, name)
        column = path.columns[-1] if path is not None else ""
        if column not in chunk.columns:
            continue
        value = chunk.columns[column][i]
        if name == "currency":
            found[name] = log.ids.ids(path.domain, np.array([value]))[0] if int(value or 0) >= 0 else None
        elif name in ("daily", "lifetime"):
            found[name] = None if np.isnan(float(value or 0)) else float(value or 0)
        else:
            found[name] = None if int(value or 0) == NO_TIME else int(value or 0)
    return found


def _budget(campaign: str, known: Mapping[str, Any], market: Market) -> Budget:
    """The budget that columns make.

    Raises:
        InputError: `no-currency`, `currency-mix`, `not-whole-micros`, and what `Budget` raises.
    """
    if not known.get("currency"):
        raise InputError(Problem("no-currency", f"campaign `{campaign}` has no currency", fix="give it one"))
    amounts = {name: _micros(known.get(name), market.funded.unit) for name in ("daily", "lifetime")}
    starts, ends = known.get("starts"), known.get("ends")
    budget = Budget(
        campaign=campaign, currency=known["currency"], **amounts,
        starts_at=0 if starts is None else starts, ends_at=ENDLESS if ends is None else ends,
    )  # fmt: skip
    same_currency(budget.currency, market.auction.currency)
    return budget


def _micros(amount: float | None, unit: int) -> Any:
    """A column as micros; what is not whole stays a float, which `Budget` refuses."""
    micros = None if amount is None else amount * unit
    return int(micros) if micros is not None and micros == int(micros) else micros
