"""An ad market as rows and events of a service; the schema is that of the system `ad_click`."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import polars as pl

from winnow.core.time import MICROS, days, to_us
from winnow.simulation.ads_world import COUNTRIES, DEVICES, EFFECTS, TOPICS, AdWorld, Rows

CURRENCY = "EUR"
_HUNDREDTH = 10_000  # micros in a hundredth of a unit, in which budgets are sent
_HIDE = 0.004


def table_rows(world: AdWorld, *, at: int) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """Name and rows of every table, in an order in which references point to what is there.

    Args:
        world: the truth; what a click is worth to a campaign is its bid.
        at: since when all of it is there, microseconds.
    """
    top = np.argsort(-world.tastes, axis=1)[:, :3]
    yield "user", [
        {"user_id": f"p{i}", "changed_at": at, "country": COUNTRIES[world.country[i]], "age": int(world.age[i]),
         "interests": [TOPICS[t] for t in top[i]], "joined_at": at - to_us(days(int(i) % 300))}
        for i in range(world.size.people)
    ]  # fmt: skip
    yield (
        "advertiser",
        [
            {"advertiser_id": f"v{i}", "changed_at": at, "industry": TOPICS[i % 4], "joined_at": at - to_us(days(100))}
            for i in range(world.size.advertisers)
        ],
    )
    yield "campaign", [_campaign(world, i, at) for i in range(world.campaigns)]
    yield (
        "ad_group",
        [
            {"group_id": f"g{i}", "changed_at": at, "campaign": f"c{i}", "goal": "clicks"}
            for i in range(world.campaigns)
        ],
    )
    yield "creative", [
        {"creative_id": f"k{i}", "changed_at": at, "title": f"{TOPICS[world.topic[c]]} {i}",
         "topic": TOPICS[world.topic[c]], "format": ("picture", "video", "text")[i % 3], "length_s": float(i % 30)}
        for i, c in enumerate(world.campaign.tolist())
    ]  # fmt: skip
    yield "ad", [
        {"ad_id": f"a{i}", "changed_at": at, "group": f"g{c}", "creative": f"k{i}", "bid": int(world.value[c]),
         "approved": True, "created_at": at}
        for i, c in enumerate(world.campaign.tolist())
    ]  # fmt: skip


def _campaign(world: AdWorld, i: int, at: int) -> dict[str, Any]:
    wanted = [name for name, reached in zip(COUNTRIES, world.reach[i], strict=True) if reached]
    return {
        "campaign_id": f"c{i}", "changed_at": at, "advertiser": f"v{world.advertiser[i]}", "currency": CURRENCY,
        "daily": int(world.daily[i]) // _HUNDREDTH, "countries": wanted, "age_from": int(world.age_from[i]) or None,
    }  # fmt: skip


def past_events(world: AdWorld, *, visits: int, since: int, until: int) -> Iterator[tuple[str, pl.DataFrame]]:
    """The log of a time in which eligible ads were shown by chance: name and events of every type.

    Args:
        world: the truth.
        visits: how many lists of `EFFECTS` were shown.
        since, until: between which moments, microseconds.
    """
    rng = world.rng(41)
    people = rng.integers(0, world.size.people, visits)
    at = np.sort(rng.integers(since, until, visits))
    order = np.argsort(rng.random((visits, world.ads)) - world.wanted(people), axis=1)[:, : len(EFFECTS)]
    chance = np.take_along_axis(world.clicks(people, np.zeros((visits, world.campaigns))), order, 1) * EFFECTS
    ads, slot = order.ravel(), np.tile(np.arange(len(EFFECTS)), visits)
    people, at = np.repeat(people, len(EFFECTS)), np.repeat(at, len(EFFECTS)) + slot
    clicked = np.flatnonzero(rng.random(len(ads)) < chance.ravel())
    hidden = np.flatnonzero(rng.random(len(ads)) < _HIDE)
    bought, delay = world.bought(ads[clicked], rng)
    shown = _frame("impression", people, ads, at)
    device = [DEVICES[d] for d in rng.integers(0, len(DEVICES), visits).repeat(len(EFFECTS))]
    yield "impression", shown.with_columns(pl.lit("page").alias("surface"), pl.Series("device", device),
                                           pl.Series("position", slot + 1.0))  # fmt: skip
    yield "click", _frame("click", people[clicked], ads[clicked], at[clicked] + 5 * MICROS)
    yield "hide", _frame("hide", people[hidden], ads[hidden], at[hidden] + 8 * MICROS)
    buys = clicked[bought]
    there = at[buys] + delay[bought] < until
    yield "conversion", _frame("conversion", people[buys][there], ads[buys][there], (at[buys] + delay[bought])[there])


def _frame(name: str, people: Rows, ads: Rows, at: Rows) -> pl.DataFrame:
    return pl.DataFrame({
        "event_id": [f"past-{name}-{i}" for i in range(len(ads))], "at": at,
        "user": [f"p{i}" for i in people.tolist()], "ad": [f"a{i}" for i in ads.tolist()],
    })  # fmt: skip


def reactions(
    world: AdWorld, person: int, reply: Mapping[str, Any], *, at: int, rng: np.random.Generator, device: str = "phone"
) -> list[dict[str, Any]]:
    """What a person does with a reply of the service, as events to post.

    Args:
        world: the truth.
        person: row.
        reply: of the rank route.
        at: the present, microseconds.
        rng: their luck.
        device: on which they look.
    """
    ads = np.array([int(item["id"][1:]) for item in reply["items"]], np.int64)
    chance = world.clicks(np.array([person]), np.zeros((1, world.campaigns)))[0, ads] * EFFECTS[: len(ads)]
    clicked, hidden = rng.random(len(ads)) < chance, rng.random(len(ads)) < _HIDE
    stem = reply["recommendation_id"]
    events: list[dict[str, Any]] = []
    for place, item in enumerate(reply["items"]):
        told = {"user": f"p{person}", "ad": item["id"], "recommendation_id": stem, "at": at + place}
        kinds = ["impression", *["click"] * bool(clicked[place]), *["hide"] * bool(hidden[place])]
        events += [told | {"type": kind, "event_id": f"{stem}-{place}-{kind}"} for kind in kinds]
        events[-len(kinds)] |= {"surface": "page", "device": device, "position": place + 1}
    return events
