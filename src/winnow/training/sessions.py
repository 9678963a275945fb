"""Sessions out of the log: for models that learn from what visitors look at one after the other."""

from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from winnow.core.system import System
from winnow.core.time import parse_time, to_us
from winnow.data.expectations.behaviour import People
from winnow.data.expectations.declare import Bots
from winnow.data.expectations.flags import bots, flagged
from winnow.data.history import History
from winnow.data.split import TimeSplit
from winnow.models.item_retrieval import ItemRetriever
from winnow.models.sessions import NONE, Journeys, Sessions, cut
from winnow.training.stores import Stores

Ints = NDArray[np.int64]
_PER_HOUR = 300.0  # items that no person opens in one hour


def declared(system: System) -> Sessions | None:
    """The sessions that the retrieval ladder learns from; None when it learns from none."""
    models = [m for rung in (system.retrieval.rungs.values() if system.retrieval else ()) for m in rung]
    found = [m.learns_from for m in models if isinstance(m, ItemRetriever)]
    return next((sessions for sessions in found if sessions is not None), None)


def build(stores: Stores, system: System, *, as_of: int) -> Journeys | None:
    """All sessions known at a moment; None when the system learns from none.

    Args:
        stores: the project; its history in step with the log.
        system: the declaration.
        as_of: events known before it count, microseconds UTC.
    """
    chosen = declared(system)
    if chosen is None:
        return None
    steps = _events(stores.history, chosen.of.name, as_of)
    goals = _events(stores.history, chosen.goal.name, as_of) if chosen.goal is not None else steps.clear()
    item, last = list(chosen.of.refs)[-1], list((chosen.goal or chosen.of).refs)[-1]
    columns = [(steps[chosen.by], goals[chosen.by]), (steps[item], goals[last]), (steps["at"], goals["at"])]
    people, items, at = (np.concatenate([a.to_numpy(), b.to_numpy()]).astype(np.int64) for a, b in columns)
    weights = np.concatenate([_weights(stores, chosen, steps), np.ones(len(goals), np.float32)])
    is_goal = np.repeat([False, True], [len(steps), len(goals)])
    markets = None if chosen.market is None else _markets(stores.history, chosen.market, as_of)
    return cut(people, items, at, weights=weights, goal=is_goal, gap=to_us(chosen.gap), markets=markets)


def parts(stores: Stores, system: System, whole: Journeys, split: TimeSplit) -> dict[str, Journeys]:
    """The sessions of each part: those that lie in it from begin to end. What robots did teaches nothing.

    Args:
        stores: the project.
        system: the declaration.
        whole: from `build`.
        split: where the parts begin and end.
    """
    train, valid = parse_time(split.train_until), parse_time(split.valid_until)
    last = np.iinfo(np.int64).max if split.test_until is None else parse_time(split.test_until)
    first = np.iinfo(np.int64).min if split.train_from is None else parse_time(split.train_from)
    human = ~np.isin(whole.people, robots_of(stores, system, until=train))

    def part(low: int, high: int) -> NDArray[np.bool_]:
        return np.asarray((whole.at >= low) & (whole.until < high))

    kept = {"train": part(first, train) & human, "valid": part(train, valid) & human, "test": part(valid, last)}
    return {name: whole.take(mask) for name, mask in kept.items()}


def robots_of(stores: Stores, system: System, *, until: int) -> list[int]:
    """Visitors who behave as no person does, by what was known before a moment."""
    chosen = declared(system)
    if chosen is None:
        return []
    names = [events.name for events in (chosen.of, chosen.goal) if events is not None]
    people = People(chosen.of.name, dict.fromkeys(names, chosen.by), tuple(names[1:]))
    frames = {name: _events(stores.history, name, until).select("seq", "at", "known_at", chosen.by) for name in names}
    # Most visitors do too little for limits to be learned from them, and nobody reads this fast.
    fast: list[int] = flagged(people, frames, Bots(per_hour=_PER_HOUR))["user"].to_list()
    return sorted({*fast, *bots(stores.history, system, as_of=until, people=people)})


def _events(history: History, name: str, as_of: int) -> pl.DataFrame:
    return history.events(name).filter(pl.col("known_at") < as_of).collect()


def _weights(stores: Stores, chosen: Sessions, steps: pl.DataFrame) -> NDArray[np.float32]:
    """What each step counts: less where a list of the system itself led there."""
    if chosen.source is None:
        return np.ones(len(steps), np.float32)
    loop = stores.log.ids.rows(chosen.source.domain, list(chosen.loop))
    told = np.isin(steps[chosen.source.name].to_numpy(), loop[loop >= 0])
    return np.where(told, np.float32(chosen.loop_weight), np.float32(1))


def _markets(history: History, market: Any, as_of: int) -> Ints:
    """Market of each item row, int64 [I]."""
    table = history.table_at(market.table.name, as_of)
    rows, values = table["row"].to_numpy(), table[market.columns[-1]].to_numpy()
    found = np.full(int(rows.max(initial=-1)) + 1, NONE)
    found[rows] = values
    return found
