"""The log with which a project begins: what people did while an older site chose videos by chance and popularity."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import polars as pl

from winnow.core.time import MICROS, days, minutes, to_us
from winnow.simulation.people import Floats, Rows
from winnow.simulation.reactions import Flags, examination
from winnow.simulation.tables import Showings, user_frame, video_frame
from winnow.simulation.world import World

DAY_US = to_us(days(1))
_TAIL_US = to_us(minutes(20))  # the last visits begin this long before the log ends, so that all feedback is in it
_POPULAR = 0.5  # share of the places that the old site filled by popularity
_BLINK_US = MICROS // 2  # between the impressions of one list


@dataclass(frozen=True)
class Visits:
    """People opening the site: rows, moments (microseconds) and surfaces, int64 [S]."""

    people: Rows
    at: Rows
    surface: Rows


def world_history(world: World, *, shown: int = 12, pace: float = 1.0) -> Iterator[tuple[str, pl.DataFrame]]:
    """The initial log, day by day: tables first, then events.

    Args:
        world: who acts.
        shown: length of the lists.
        pace: how long looking and watching take, as a share of real time; for projects with short label windows.

    Yields:
        Name of a table or event type, and its rows; a table's rows carry `changed_at`, an event's `at`, both
        microseconds since 1970 UTC.
    """
    yield from world_tables(world)
    yield from world_events(world, shown=shown, pace=pace)


def world_tables(world: World) -> Iterator[tuple[str, pl.DataFrame]]:
    """The people, and the videos that are up when the log ends."""
    yield "user", user_frame(world)
    yield "video", video_frame(world)


def world_events(world: World, *, shown: int = 12, pace: float = 1.0) -> Iterator[tuple[str, pl.DataFrame]]:
    """What people did, day by day."""
    clicks = np.zeros(len(world.videos))
    for day in range(world.size.days):
        visits = _visits(world, day, world.size.impressions / shown / world.size.days)
        showings, clicked = _show(world, visits, clicks, day=day, shown=shown, pace=pace)
        clicks = 0.8 * clicks + clicked
        yield from showings.frames()


def _visits(world: World, day: int, expected: float) -> Visits:
    rng = world.rng(10, day)
    rate = world.people.sessions_per_day / world.people.sessions_per_day.sum()
    people = np.repeat(np.arange(len(rate)), rng.poisson(expected * rate))
    hour = np.minimum(24 * rng.beta(3.0, 2.0, len(people)), 23.99)  # few at night, most in the evening
    begins = world.starts_at + day * DAY_US
    at = begins + (hour / 24 * (DAY_US - _TAIL_US)).astype(np.int64)
    order = np.argsort(at, kind="stable")
    surface = (rng.random(len(people)) < 0.2).astype(np.int64)
    return Visits(people[order], at[order], surface)


def _show(
    world: World, visits: Visits, clicks: Floats, *, day: int, shown: int, pace: float
) -> tuple[Showings, Floats]:
    rng = world.rng(11, day)
    lists = _old_policy(world, world.starts_at + day * DAY_US, clicks, size=(len(visits.at), shown), rng=rng)
    place = np.broadcast_to(np.arange(shown), lists.shape)
    keep = _first_in_list(lists)
    who, at, surface = (
        np.broadcast_to(column[:, None], lists.shape)[keep] for column in (visits.people, visits.at, visits.surface)
    )
    position, videos = place[keep], lists[keep]
    seen = examination(position, surface)
    at = at + position * _BLINK_US
    outcome = world.react(who, videos, at, seen=seen, rng=rng)
    keys = [f"h{day}-{i}" for i in range(len(videos))]
    clicked = np.bincount(videos[outcome.click], minlength=len(world.videos)).astype(np.float64)
    showings = Showings(
        world, who, videos, at=at, position=position, surface=surface, outcome=outcome, keys=keys, pace=pace
    )  # fmt: skip
    return showings, clicked


def _old_policy(world: World, at: int, clicks: Floats, *, size: tuple[int, int], rng: np.random.Generator) -> Rows:
    # Half the places by chance, half in proportion to the clicks so far: an uneven log, but no video is left out.
    showable = world.videos.showable(at)
    popular = np.where(showable, clicks + 0.2, 0.0)
    by_chance = rng.choice(np.flatnonzero(showable), size=size)
    by_clicks = rng.choice(len(popular), size=size, p=popular / popular.sum())
    return np.where(rng.random(size) < _POPULAR, by_clicks, by_chance)


def _first_in_list(lists: Rows) -> Flags:
    # A stable sort puts equal videos side by side with the earliest place first.
    order = np.argsort(lists, axis=1, kind="stable")
    ordered = np.take_along_axis(lists, order, axis=1)
    fresh = np.ones(lists.shape, bool)
    fresh[:, 1:] = ordered[:, 1:] != ordered[:, :-1]
    keep = np.empty(lists.shape, bool)
    np.put_along_axis(keep, order, fresh, axis=1)
    return keep
