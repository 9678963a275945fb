"""People who search a running system, click what is right for them, and tell how right the lists were."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from winnow.simulation.search_past import SHOWN, reacted
from winnow.simulation.search_world import SearchWorld, Wanted, misspelt, video_id

Search = Callable[..., Mapping[str, Any]]
Send = Callable[[list[dict[str, Any]]], Any]
SLIPS = 0.15  # share of texts with a slip


@dataclass(frozen=True)
class Visit:
    """One search.

    Args:
        wanted: what was meant.
        typed: what was typed.
        ids: what came back.
        ndcg: of the true worth of the first ten against the best that there is.
        clicks: how many were clicked.
    """

    wanted: Wanted
    typed: str
    ids: list[str]
    ndcg: float
    clicks: int


def visit(
    world: SearchWorld, search: Search, *, count: int, seed: int, send: Send | None = None, slips: float = SLIPS
) -> list[Visit]:
    """Searches a running system.

    Args:
        world: who asks for what.
        search: `search(text=..., size=...)` gives the reply of the search route.
        count: searches.
        seed: which.
        send: takes the events that follow; None leaves the log alone.
        slips: share of texts with a slip.
    """
    rng = np.random.default_rng([world.seed, 4, seed])
    asked = world.texts(count, seed=seed + 1)
    typed = [misspelt(w.text, rng) if rng.random() < slips else w.text for w in asked]
    return [_one(world, *one, rng=rng, search=search, send=send) for one in zip(asked, typed, strict=True)]


def _one(
    world: SearchWorld, wanted: Wanted, typed: str, *, rng: np.random.Generator, search: Search, send: Send | None
) -> Visit:
    reply = search(text=typed, size=SHOWN, context={"surface": "search"})
    numbers = {video_id(v): v for v in range(world.size.videos)}
    ids = [item["id"] for item in reply["items"]]
    rows, truth = np.array([numbers[i] for i in ids], np.int64), world.truth(wanted)
    done = reacted(truth[rows], world.videos.quality[rows], rng)
    if send is not None and ids:
        send(_events(reply, ids, done))
    best = np.sort(truth)[::-1]
    return Visit(wanted, typed, ids, _ndcg(truth[rows], best), int(done["click"].sum()))


def _ndcg(gains: Any, best: Any) -> float:
    discount = 1 / np.log2(np.arange(2, SHOWN + 2))
    worth, ideal = ((2.0 ** g[:SHOWN] - 1) @ discount[: len(g[:SHOWN])] for g in (gains, best))
    return float(worth / ideal) if ideal else 1.0


def _events(reply: Mapping[str, Any], ids: list[str], done: Mapping[str, Any]) -> list[dict[str, Any]]:
    events: list[dict[str, Any]] = []
    for place, item in enumerate(ids):
        one = {"query": reply["query"], "video": item, "recommendation_id": reply["recommendation_id"]}
        name = f"{reply['recommendation_id']}-{place}"
        events.append(one | {"type": "impression", "event_id": f"{name}-i", "surface": "search", "position": place + 1})
        if done["click"][place]:
            long = bool(done["long"][place])
            events.append(one | {"type": "click", "event_id": f"{name}-c"})
            seconds = 90.0 if long else 5.0
            events.append(one | {"type": "watch", "event_id": f"{name}-w", "seconds": seconds, "long": long})
    return events
