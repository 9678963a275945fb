"""Random schemas, declarations and logs for the property tests of features."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from features_oracle import Happened
from hypothesis import strategies as st

from winnow.core.time import FOREVER, MICROS, hours, minutes
from winnow.data.schema import Events, Path, Table, categories, category, flag, number, ref, text, time
from winnow.features import across, calendar, past, place, recent
from winnow.features import declare as d
from winnow.features.plan import Plan
from winnow.features.state import SET_WIDTH
from winnow.features.view import Moments

START = 1_700_000_000 * MICROS
ROWS = 4  # row numbers in logs are below; requests also ask for one more and for -1
WINDOWS = [minutes(1), minutes(2), minutes(90), hours(24), FOREVER]
STEPS = [0, 0, 1, MICROS - 1, MICROS, 7 * MICROS, 59 * MICROS, 60 * MICROS, 61 * MICROS, 3600 * MICROS, 86_400 * MICROS]
LATE = [0, 0, 0, 1, MICROS, 60 * MICROS, 119 * MICROS, 120 * MICROS, 3 * 3600 * MICROS, 90_000 * MICROS]
NUMBERS = [0.0, 1.0, -1.5, 0.1, 2.5e-7, 18.0, 123456.789, 16777217.0, -16777216.0, 1e9, -1e9, math.nan]


@dataclass(repr=False)
class World:
    """A schema, a plan over it and a log."""

    tables: list[Table]
    events: list[Events]
    plan: Plan
    log: list[Happened]

    @property
    def kinds(self) -> list[Any]:
        return [*self.tables, *self.events]

    def __repr__(self) -> str:
        names = [n for f in self.plan.features for n in f.names]
        return "\n".join([f"features: {names}", "log:", *map(repr, self.log)])

    def _repr_pretty_(self, printer: Any, _: bool) -> None:
        printer.text(repr(self))


@st.composite
def schemas(draw: Any) -> tuple[list[Table], list[Events]]:
    """One or two tables with columns of every kind, and two event types that refer to them."""
    columns = {"land": category, "likes": categories(domain="topic"), "size": number, "born": time, "about": text}
    person = Table("person", key="id", columns=columns)
    tables, roles = [person], {"person": person, "other": person}
    if draw(st.booleans()):
        columns = {"maker": category, "tags": categories(domain="topic"), "owner": ref(person)}
        thing = Table("thing", key="id", columns=columns | {"price": number, "free": flag, "made": time})
        tables, roles = [person, thing], {"person": person, "thing": thing}
    fields = {"seconds": number, "long": flag, "place": category}
    return tables, [Events("view", refs=roles, fields=fields), Events("click", refs=roles, fields={"seconds": number})]


def paths(tables: list[Table]) -> list[Path]:
    """Everything that can be a key."""
    person = tables[0]
    found = [Path(person), person.land, person.likes]
    return found if len(tables) == 1 else [*found, Path(tables[1]), tables[1].maker, tables[1].tags,
                                           tables[1].owner, tables[1].owner.land]  # fmt: skip


@st.composite
def features(draw: Any, tables: list[Table], events: list[Events]) -> d.Feature:
    """A random declaration."""
    view, click = events
    single = [k for k in paths(tables) if k.kind.storage != "categories"]
    one, first = draw(st.sampled_from(paths(tables))), draw(st.sampled_from(single))
    by = draw(st.sampled_from([one, (first, one), (one, first)]))
    tests = draw(
        st.sampled_from([(), (view.seconds >= 18,), (view.long.equals(1),), (view.place > 0, view.seconds < 18)])
    )
    given = {"by": by, "ttl": draw(st.sampled_from([None, None, minutes(2), hours(24)]))}
    window = {"window": draw(st.sampled_from([w for v in WINDOWS for w in (v, (v, FOREVER))]))}
    counted = past.Count(click, **given, window=window["window"])
    return draw(st.sampled_from([
        *from_rows(tables, view, given["ttl"]), counted, *windowed(view, click, tests, given | window),
        past.Decayed(draw(st.sampled_from(events)), half_life=draw(st.sampled_from([minutes(1), hours(1)])), **given),
        recent.Since(view, by=by), recent.Last(view.place, by=first, k=2, ttl=given["ttl"]),
        recent.Last(view.person, tests, by=first, k=draw(st.integers(1, 4)), columns=(tables[0].land, tables[0].likes)),
        *(recent.Latest(f, tests, by=(first, first), ttl=given["ttl"]) for f in (view.person, view.seconds, view.long)),
        *through(tables, view), *composed(tables, view, counted, given["ttl"]),
    ]))  # fmt: skip


def through(tables: list[Table], view: Events) -> list[d.Feature]:
    """Sequences whose rows bring along what they refer to."""
    along = [(t.owner, t.owner.land, t.owner.likes) for t in tables[1:]]
    return [recent.Last(view.thing, by=tables[0], k=2, columns=columns) for columns in along]


def from_rows(tables: list[Table], view: Events, ttl: Any) -> list[d.Feature]:
    """Features of table rows and of the request."""
    all_ = [Path(t, (c,)) for t in tables for c in t.columns]
    plain = [p for p in all_ if p.kind.storage not in ("time", "text")]
    return [
        *(d.Column(of=p, ttl=ttl) for p in plain), *map(d.Missing, all_), d.Column(of=view.place),
        d.Column(of=view.seconds), calendar.Hour(), calendar.Weekday(), d.Age(of=tables[0].born),
    ]  # fmt: skip


def windowed(view: Events, click: Events, tests: Any, given: dict[str, Any]) -> list[d.Feature]:
    """Features of what happened in windows."""
    return [
        past.Count(view, tests, **given), past.Sum(click.seconds, **given), past.Sum(view.long, **given),
        past.Mean(view.seconds, prior=(3.0, 2.0), **given),
        past.Rate(view, tests, over=click, prior=(1.0, 7.0), **given),
        past.Max(click.seconds, **given), past.Min(view.seconds, **given), past.Max(view.long, **given),
        past.Distinct(view.place, tests, **given), past.Distinct(click.person, **given),
    ]  # fmt: skip


def composed(tables: list[Table], view: Events, counted: d.Feature, ttl: Any) -> list[d.Feature]:
    """Features made of others."""
    person = tables[0]
    sets = [t.likes if t is person else t.tags for t in tables]
    likes = recent.Last(view.person, by=person, k=3, columns=(person.likes,), ttl=ttl)
    surprise = across.Cross((d.Column(of=view.place), d.Column(of=person.likes), across.Bucket(counted, (1.0,))))
    return [
        across.Bucket(counted, (1.0, 2.0)), across.Ratio(counted, d.Column(of=person.size)),
        across.Difference(d.Age(of=person.born), recent.Since(view, by=person)),
        place.Distance((person.size, person.size), (view.seconds, view.seconds)),
        *(across.Overlap(one, other) for one in sets for other in (*sets, likes) if other is not one),
        *([surprise] if len(counted.names) == 1 else []),
    ]  # fmt: skip


def plan_of(view: Events, chosen: list[d.Feature]) -> Plan:
    """A plan without the features whose names are taken."""
    kept: dict[str, d.Feature] = {}
    for feature in chosen:
        if not set(feature.names) & set(kept):
            kept |= dict.fromkeys(feature.names, feature)
    roles = {table.name: role for role, table in reversed(list(view.refs.items()))}
    return Plan(tuple(dict.fromkeys(kept.values())), roles)


@st.composite
def values_of(draw: Any, kinds: dict[str, Any], at: int) -> dict[str, Any]:
    """Random values for columns or fields."""
    row = st.integers(-1, ROWS - 1)
    made: dict[str, Any] = {}
    for name, kind in kinds.items():
        match kind.storage:
            case "number":
                made[name] = draw(st.sampled_from(NUMBERS))
            case "flag":
                made[name] = draw(st.integers(-1, 1))
            case "time":
                made[name] = at - draw(st.sampled_from([0, 1, 3600 * MICROS]))
            case "text":
                made[name] = draw(st.sampled_from([None, "", "a", "Ä", "a b"]))
            case "categories":
                some = draw(st.lists(st.integers(0, ROWS - 1), max_size=3, unique=True))
                made[name] = some + [-1] * (SET_WIDTH - len(some))
            case _:
                made[name] = draw(row)
    return made


@st.composite
def logs(draw: Any, tables: list[Table], events: list[Events], size: int) -> list[Happened]:
    """A log with ties, late events, table changes of some columns, and deletions."""
    log, now = [], START
    for seq in range(1, draw(st.integers(1, size)) + 1):
        now += draw(st.sampled_from(STEPS))
        of = draw(st.sampled_from([*events, *events, *tables]))
        at = now - draw(st.sampled_from(LATE))
        if isinstance(of, Events):
            log.append(Happened(seq, now, at, of, draw(values_of(of.columns, at))))
            continue
        row, deleted = draw(st.integers(0, ROWS - 1)), draw(st.integers(0, 4)) == 0
        some = draw(st.sets(st.sampled_from(sorted(of.columns)), min_size=1))
        columns = {} if deleted else draw(values_of({c: of.columns[c] for c in some}, at))
        log.append(Happened(seq, now, at, of, columns, row, deleted))
    return log


@st.composite
def worlds(draw: Any, size: int = 25) -> World:
    """A whole world."""
    tables, events = draw(schemas())
    chosen = draw(st.lists(features(tables, events), min_size=1, max_size=6))
    return World(tables, events, plan_of(events[0], chosen), draw(logs(tables, events, size)))


@st.composite
def moments(draw: Any, world: World, at: int) -> Moments:
    """A request at a moment: roles and context, each for all rows or for one each."""
    size = draw(st.integers(1, 3))

    def some(low: int, high: int) -> Any:
        n = draw(st.sampled_from([1, size]))
        return np.array(draw(st.lists(st.integers(low, high), min_size=n, max_size=n)), np.int64)

    refs = {role: some(-1, ROWS) for role in world.events[0].refs}
    return Moments(np.array([at]), refs, {"place": some(-1, ROWS), "seconds": some(0, 90).astype(float)})


@st.composite
def asked_at(draw: Any, log: list[Happened]) -> int:
    """A moment that matters: at or beside a time of the log, or the edge of a window that starts there."""
    h = draw(st.sampled_from(log))
    edge = draw(st.sampled_from([h.known_at, h.at, *(_left(h.at, w) for w in WINDOWS if w != FOREVER)]))
    return max(edge + draw(st.sampled_from([-1, 0, 1, MICROS])), START)


def _left(at: int, window: Any) -> int:
    """The first moment at which an event has left a window."""
    from winnow.features.aggregate import hop_us

    hop, size = hop_us(window), window // (hours(1) / 3600 / MICROS)
    return int((at // hop) * hop + size)
