"""What every world has in common when its people use a running service: they come, look at a list, and react."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, TypeVar

import numpy as np

from winnow.core.errors import InputError, Problem
from winnow.simulation.people import Floats, Rows
from winnow.simulation.reactions import Flags, examination
from winnow.simulation.service import Service

V = TypeVar("V")


def everyone(connect: Callable[[], Service], count: int, visit: Callable[[Service, int], Awaitable[V]], *,
             at_once: int) -> list[V]:  # fmt: skip
    """What comes of visits, in their order.

    Args:
        connect: makes a client.
        count: how many visits.
        visit: one of them, by its number from 0.
        at_once: how many are under way at once.

    Raises:
        Unavailable: `service-unavailable`, when the service stays away for a minute.
        InputError: `service-refused`.
    """

    async def run() -> list[V]:
        gate = asyncio.Semaphore(at_once)

        async def one(service: Service, number: int) -> V:
            async with gate:
                return await visit(service, number)

        async with connect() as service, asyncio.TaskGroup() as group:
            tasks = [group.create_task(one(service, number)) for number in range(count)]
        return [task.result() for task in tasks]

    return asyncio.run(run())


def rows_of(reply: Mapping[str, Any], known: Mapping[str, int]) -> Rows:
    """The rows that a reply shows, int64 [k].

    Raises:
        InputError: `not-this-world`.
    """
    ids = [item["id"] for item in reply["items"]]
    strange = [i for i in ids if i not in known]
    if strange:
        fix = "fill the service from this world: same size, seed and end"
        raise InputError(Problem("not-this-world", f"the service shows `{strange[0]}`, unknown here", fix=fix))
    return np.array([known[i] for i in ids], dtype=np.int64)


def posted(
    reply: Mapping[str, Any], happened: Mapping[str, Flags], *, who: Mapping[str, str], item: str, key: str, at: int,
    context: Mapping[str, Any], amounts: Mapping[str, Mapping[str, Any]],
) -> list[dict[str, Any]]:  # fmt: skip
    """The events of one visit: an impression per item, then what was done with it.

    Args:
        reply: of the rank route, with k items.
        happened: event type → which items it was done to, bool [k].
        who: role → id of the person.
        item: role of the items.
        key: stem of the event ids; the same visit always has the same.
        at: moment, microseconds; events follow it a microsecond apart.
        context: fields of the impressions.
        amounts: event type → field → values [k].
    """
    stem = {**who, "recommendation_id": reply["recommendation_id"]}
    shared = [stem | {item: shown["id"], "at": at + i} for i, shown in enumerate(reply["items"])]
    events = [
        row | {"type": "impression", "event_id": f"{key}-{i}-impression", "position": i + 1, **context}
        for i, row in enumerate(shared)
    ]
    for name, flags in happened.items():
        for i in np.flatnonzero(flags).tolist():
            fields = {field: values[i].item() for field, values in amounts.get(name, {}).items()}
            done = {"type": name, "event_id": f"{key}-{i}-{name}", "at": at + len(shared) + i}
            events.append(shared[i] | done | fields)
    return events


def padded(lists: Sequence[Rows]) -> Rows:
    """Lists of rows as one array, -1 where one is shorter, int64 [N, k]."""
    whole = np.full((len(lists), max(1, *(len(rows) for rows in lists))), -1)
    for row, rows in zip(whole, lists, strict=True):
        row[: len(rows)] = rows
    return whole


def weighed(worth: Floats, shown: Flags) -> Floats:
    """The mean worth of the items of each list, by how surely each place is examined, float64 [N].

    Args:
        worth: float64 [N, k].
        shown: where there is an item, bool [N, k].
    """
    weight = examination(np.arange(worth.shape[1]), np.zeros(worth.shape[1], np.int64)) * shown
    total: Floats = (worth * weight).sum(axis=1) / np.maximum(weight.sum(axis=1), 1e-9)
    return total


def interval(worth: Floats) -> tuple[float, float, float]:
    """The mean over visits, and its 95 % interval."""
    mean, error = float(worth.mean()), 1.96 * float(worth.std() / np.sqrt(len(worth)))
    return mean, mean - error, mean + error
