"""What each person did, in figures that tell people from programs."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import polars as pl

from winnow.core.system import System
from winnow.core.time import MICROS
from winnow.data.declare import AnyOf
from winnow.data.schema import Events

_HOUR, _DAY = 3600 * MICROS, 86_400 * MICROS
_PAUSE = 1800 * MICROS  # a longer gap is the end of a visit and tells nothing about how somebody acts


@dataclass(frozen=True)
class People:
    """Who acts in a system, and by which events.

    Args:
        shown: name of the impression.
        roles: event type → the role of the person in it.
        follows: event types that decide a head of 0 and 1.
    """

    shown: str
    roles: Mapping[str, str]
    follows: tuple[str, ...]

    @classmethod
    def of(cls, system: System) -> "People":
        """The people of a system: the table in the first role of its impression."""
        labels = system.labels
        events = {p.name: p for p in system.parts() if isinstance(p, Events)}
        roles = {n: r for n, e in events.items() for r, t in e.refs.items() if t.name == labels.user.name}
        heads = dict.fromkeys(h.events.name for h in labels.heads.values() if isinstance(h, AnyOf))
        return cls(labels.of.name, roles, tuple(heads))


@dataclass(frozen=True, eq=False)
class Figure:
    """One figure of every person who did enough for it to mean something.

    Args:
        reason: `per_hour`, `hours_a_day`, `regular`, `dwell_s` or `share`.
        event: of which event type; empty for all.
        people: `user` (row), `value`, `events` (behind the value).
    """

    reason: str
    event: str
    people: pl.DataFrame


def figures(people: People, frames: Mapping[str, pl.DataFrame], *, least: int) -> Iterator[Figure]:
    """The figures of everybody.

    Args:
        people: who acts.
        frames: event type → events with `at` and the roles.
        least: events below which a person has no figure.
    """
    parts = [
        frames[name].select(pl.col(role).alias("user"), "at", event=pl.lit(name))
        for name, role in people.roles.items()
        if name in frames and len(frames[name])
    ]
    if not parts:
        return
    every = pl.concat(parts).with_columns(pl.col("event").cast(pl.Categorical))
    # Whoever did little is nobody's bot, and is most people.
    enough = every.group_by("user").len().filter(pl.col("len") >= least).select("user")
    busy = every.join(enough, on="user", how="semi").sort("user", "at")
    yield from _pace(busy, least)
    yield _day(busy)
    yield _gaps(busy, least)
    yield from _dwell(busy, people, least)
    yield from _shares(busy, people, least)


def _pace(busy: pl.DataFrame, least: int) -> Iterator[Figure]:
    hours = busy.group_by("user", "event", hour=pl.col("at") // _HOUR).len()
    most = hours.group_by("user", "event").agg(value=pl.col("len").max().cast(pl.Float64), events=pl.col("len").sum())
    for (event,), one in most.filter(pl.col("events") >= least).group_by("event", maintain_order=True):
        yield Figure("per_hour", str(event), one.select("user", "value", "events"))


def _day(busy: pl.DataFrame) -> Figure:
    hours = busy.group_by("user", hour=pl.col("at") // _HOUR).len()
    days = hours.group_by("user", day=pl.col("hour") // 24).agg(value=pl.len(), events=pl.col("len").sum())
    most = days.group_by("user").agg(pl.col("value").max().cast(pl.Float64), pl.col("events").sum())
    return Figure("hours_a_day", "", most)


def _gaps(busy: pl.DataFrame, least: int) -> Figure:
    """How even the gaps between different moments are: the middle half of them over the median."""
    same = pl.col("user") == pl.col("user").shift()
    gaps = busy.select("user", gap=pl.when(same).then(pl.col("at") - pl.col("at").shift()))
    gaps = gaps.filter((pl.col("gap") > 0) & (pl.col("gap") <= _PAUSE))
    spread = pl.col("gap").quantile(0.75) - pl.col("gap").quantile(0.25)
    each = gaps.group_by("user").agg(value=spread / pl.col("gap").median(), events=pl.len())
    return Figure("regular", "", each.filter(pl.col("events") >= least))


def _dwell(busy: pl.DataFrame, people: People, least: int) -> Iterator[Figure]:
    """Median seconds from one act to the next of its type; whoever looks at things takes a while."""
    acts = busy.filter(pl.col("event") != people.shown).sort("event", "user", "at")
    same = (pl.col("user") == pl.col("user").shift()) & (pl.col("event") == pl.col("event").shift())
    gaps = acts.select("user", "event", gap=pl.when(same).then(pl.col("at") - pl.col("at").shift()))
    gaps = gaps.filter(pl.col("gap") <= _PAUSE)
    each = gaps.group_by("event", "user").agg(value=pl.col("gap").median() / MICROS, events=pl.len())
    for (event,), one in each.filter(pl.col("events") >= least).group_by("event", maintain_order=True):
        yield Figure("dwell_s", str(event), one.select("user", "value", "events"))


def _shares(busy: pl.DataFrame, people: People, least: int) -> Iterator[Figure]:
    """The share of what a person was shown that an event follows."""
    counts = busy.group_by("user", "event").len()
    shown = counts.filter((pl.col("event") == people.shown) & (pl.col("len") >= least)).select("user", events="len")
    for name in people.follows:
        did = counts.filter(pl.col("event") == name).select("user", did="len")
        both = shown.join(did, on="user", how="left").with_columns(pl.col("did").fill_null(0))
        share = (pl.col("did") / pl.col("events")).clip(0, 1)
        yield Figure("share", name, both.select("user", value=share, events="events"))
