"""What a feature means in a plain sentence, made from its declaration.

A class that has no sentence of its own here is told by the first line of its docstring and the state that it keeps.
"""

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from functools import singledispatch
from itertools import pairwise

from winnow.core.time import FOREVER, to_us
from winnow.data.schema import Condition, EventField, Events, Path, Table
from winnow.features import across, declare, embedding, past, proposed, recent
from winnow.features.aggregate import Aggregate
from winnow.features.declare import Feature

_UNITS = ((86_400, "day"), (3_600, "hour"), (60, "minute"), (1, "second"))
_SIGNS = {">=": "≥", "<=": "≤", "==": "="}


def sentence(feature: Feature, name: str) -> str:
    """What one column of a feature means, without a full stop.

    >>> from winnow.data.schema import Events, Table
    >>> video = Table("video", key="video_id")
    >>> click, seen = (Events(n, refs={"video": video}) for n in ("click", "impression"))
    >>> rate = past.Rate(click, over=seen, by=video, window=timedelta(days=1), prior=(9, 20))
    >>> sentence(rate, "video_click_rate_1d")  # doctest: +NORMALIZE_WHITESPACE
    'clicks over impressions of the video in the last day, smoothed as if 20 impressions with 9 clicks had been seen
     before'
    """
    told = meaning(feature, feature.names.index(name))
    if _can_be_unknown(feature):
        told += f"; {feature.default:g} where that is not known"
    if feature.ttl is not None:
        told += f"; not known either when it rests on nothing younger than {span(feature.ttl)}"
    return told


def alone(feature: Feature, name: str) -> Feature:
    """The declaration of one column: of several windows only its own, where that can be said."""
    if len(feature.names) < 2:
        return feature
    place = feature.names.index(name)
    if isinstance(feature, past.Decayed):
        return replace(feature, half_life=feature.windows[place])
    return replace(feature, window=feature.windows[place]) if isinstance(feature, past.Windowed) else feature


def windows(feature: Feature, name: str) -> tuple[timedelta, ...]:
    """How far back one column looks; half-lives of decayed counts."""
    if isinstance(feature, past.Windowed):
        return (feature.windows[feature.names.index(name)],)
    return tuple(dict.fromkeys(a.window for a in feature.aggregates() if a.kind != "recent"))


def span(duration: timedelta) -> str:
    """A duration in words.

    >>> span(timedelta(days=7)), span(timedelta(hours=36)), span(timedelta(days=1))
    ('7 days', '36 hours', 'a day')
    """
    size, unit = next(((s, u) for s, u in _UNITS if to_us(duration) % (s * 1_000_000) == 0), (1, "second"))
    many = duration.total_seconds() / size
    article = "an" if unit == "hour" else "a"
    return f"{article} {unit}" if many == 1 else f"{many:g} {unit}s"


def within(window: timedelta) -> str:
    """A window in words: `in the last 7 days`."""
    return "so far" if window == FOREVER else f"in the last {span(window).removeprefix('a ').removeprefix('an ')}"


def thing(key: Table | Path | EventField) -> str:
    """A row, a column or a field of the request in words: `the author of the video`."""
    if isinstance(key, EventField):
        return f"the {key.name} of the request"
    path = key if isinstance(key, Path) else Path(key)
    words = " of ".join(f"the {column}" for column in reversed((path.table.called, *path.columns)))
    return f"each of {words}" if path.columns and path.kind.storage == "categories" else words


def things(by: Sequence[Path]) -> str:
    """One key or a pair in words."""
    return " and ".join(map(thing, by))


def plural(noun: str) -> str:
    """Several of an event.

    >>> plural("watch"), plural("like"), plural("reply"), plural("play")
    ('watches', 'likes', 'replies', 'plays')
    """
    if noun.endswith(("s", "x", "z", "ch", "sh")):
        return f"{noun}es"
    return f"{noun[:-1]}ies" if noun.endswith("y") and noun[-2:-1] not in "aeiou" else f"{noun}s"


def happenings(events: Events, conditions: Sequence[Condition] = ()) -> str:
    """Events that pass tests, in words: `watches with seconds ≥ 18`."""
    tests = [f"{c.field} {_SIGNS.get(c.op, c.op)} {c.value:g}" for c in conditions]
    return plural(events.name) + (f" with {' and '.join(tests)}" if tests else "")


def kept(aggregate: Aggregate) -> str:
    """The state that an aggregate keeps, in words."""
    tests = [c for c in aggregate.conditions if abs(c.value) < 1e300]  # a test that only asks whether there is a value
    of = happenings(aggregate.events, tests)
    what = {
        "sum": f"sum of {aggregate.value} of {of}" if aggregate.value else f"number of {of}",
        "max": f"{'smallest' if aggregate.negated else 'largest'} {aggregate.value} of {of}",
        "distinct": f"number of different values of {aggregate.value} of {of}",
        "recent": f"last {aggregate.k} {aggregate.value or 'times'} of {of}",
    }[aggregate.kind]
    if aggregate.kind == "max" and aggregate.value == "at":
        what = f"time of the latest of {of}"
    decay = f", halved every {span(aggregate.half_life)}" if aggregate.half_life else ""
    size = "" if aggregate.kind == "recent" else f" {within(aggregate.window)}"
    return f"{what}{decay}, by {things(aggregate.by)},{size}".rstrip(",")


def _can_be_unknown(feature: Feature) -> bool:
    always = declare.Missing, past.Count, past.Sum, past.Mean, past.Rate, past.Distinct, past.Decayed
    told = isinstance(feature, always) or not (feature.paths or feature.fields)  # the moment is always known
    return feature.type == "numeric" and (feature.ttl is not None or not told)


@singledispatch
def meaning(feature: Feature, place: int) -> str:
    """What the column at a place means; the general case tells the class and the state that it keeps."""
    first = (type(feature).__doc__ or type(feature).__name__).strip().partition("\n")[0].rstrip(".")
    first = first[:1].lower() + first[1:]
    keys: list[Path | EventField] = [*feature.paths, *feature.fields]
    told = [kept(a) for a in feature.aggregates()] or [thing(key) for key in keys]
    return f"{first} ({'; '.join(told)})" if told else first


@meaning.register
def _(feature: declare.Column, place: int) -> str:
    of = feature.of
    if isinstance(of, Path) and not of.columns:
        return f"which {of.table.called} it is"
    return thing(of) if isinstance(of, EventField) else f"{thing(of).removeprefix('each of ')}, as it stood then"


@meaning.register
def _(feature: declare.Position, place: int) -> str:
    return f"{thing(feature.of)}: known in training only"


@meaning.register
def _(feature: declare.Age, place: int) -> str:
    return f"days since {thing(feature.of)}"


@meaning.register
def _(feature: declare.Missing, place: int) -> str:
    return f"1 where {thing(feature.of).removeprefix('each of ')} is not known, otherwise 0"


def _of(feature: past.Windowed, place: int) -> str:
    return f"of {things(feature.paths)} {within(feature.windows[place])}"


@meaning.register
def _(feature: past.Count, place: int) -> str:
    return f"number of {happenings(feature.of, past.as_tests(feature.conditions))} {_of(feature, place)}"


@meaning.register
def _(feature: past.Sum, place: int) -> str:
    return f"sum of {feature.of.name} over the {plural(feature.of.events.name)} {_of(feature, place)}"


@meaning.register
def _(feature: past.Mean, place: int) -> str:
    (mean, weight), events = feature.prior, plural(feature.of.events.name)
    prior = f"as if {_many(weight, feature.of.events.name)} with {mean:g} had been seen before"
    return f"mean of {feature.of.name} over the {events} {_of(feature, place)}, smoothed {prior}"


@meaning.register
def _(feature: past.Rate, place: int) -> str:
    (a, b), over = feature.prior, feature.over.name
    of = happenings(feature.of, past.as_tests(feature.conditions))
    prior = f"as if {_many(b, over)} with {_many(a, feature.of.name)} had been seen before"
    return f"{of} over {plural(over)} {_of(feature, place)}, smoothed {prior}"


def _many(number: float, noun: str) -> str:
    return f"{number:g} {noun if number == 1 else plural(noun)}"


@meaning.register
def _(feature: past.Extreme, place: int) -> str:
    extreme = "smallest" if feature.negated else "largest"
    return f"{extreme} {feature.of.name} of the {plural(feature.of.events.name)} {_of(feature, place)}"


@meaning.register
def _(feature: past.Distinct, place: int) -> str:
    events = happenings(feature.of.events, past.as_tests(feature.conditions))
    return f"number of different {plural(feature.of.name)} in the {events} {_of(feature, place)}"


@meaning.register
def _(feature: past.Decayed, place: int) -> str:
    events = happenings(feature.of, past.as_tests(feature.conditions))
    half = span(feature.windows[place])
    return f"number of {events} of {things(feature.paths)}, each weighing half as much after {half}"


@meaning.register
def _(feature: recent.Since, place: int) -> str:
    return f"days since the last {feature.of.name} of {things(feature.paths)}"


@meaning.register
def _(feature: recent.Latest, place: int) -> str:
    tests = happenings(feature.of.events, past.as_tests(feature.conditions))
    return f"{feature.of.name} of the latest of the {tests} of {things(feature.paths)}"


@meaning.register
def _(feature: recent.Last, place: int) -> str:
    events = happenings(feature.of.events, past.as_tests(feature.conditions))
    along = f", with their {' and '.join('.'.join(p.columns) for p in feature.columns)}" if feature.columns else ""
    last = f"last {feature.k} {plural(feature.of.name)}"
    return f"{last} of the {events} of {things(feature.paths)}, newest first, with their ages{along}"


@meaning.register
def _(feature: across.Bucket, place: int) -> str:
    edges = [f"{edge:g}" for edge in feature.edges]
    ranges = [
        f"below {edges[0]}",
        *(f"{a} to {b}" for a, b in pairwise(edges)),
        f"from {edges[-1]}",
    ]
    return f"which range ({', '.join(ranges)}) this falls into: {meaning(feature.of, place)}"


@meaning.register
def _(feature: across.Ratio, place: int) -> str:
    return " over ".join(f"({told})" for told in _both(feature.of, feature.over, place))


@meaning.register
def _(feature: across.Difference, place: int) -> str:
    return " minus ".join(f"({told})" for told in _both(feature.of, feature.minus, place))


def _both(first: Feature, second: Feature, place: int) -> list[str]:
    return [meaning(part, place if len(part.names) > 1 else 0) for part in (first, second)]


@meaning.register
def _(feature: across.Cross, place: int) -> str:
    parts = " and ".join(part.names[0] for part in feature.of)
    return f"{parts} together as one category, hashed to {feature.buckets:,} values"


@meaning.register
def _(feature: across.Overlap, place: int) -> str:
    mine = thing(feature.of).removeprefix("each of ")
    if isinstance(feature.to, Path):
        return f"how much {mine} and {thing(feature.to).removeprefix('each of ')} have in common, 0 to 1"
    return f"share of these that have {mine}: {meaning(feature.to, 0)}"


@meaning.register
def _(feature: embedding.Embed, place: int) -> str:
    return f"number {place + 1} of {feature.size} of the vector of {thing(feature.of)}, by {feature.encoder.name}"


@meaning.register
def _(feature: proposed.Proposed, place: int) -> str:
    told = {"score": "score that the source {} gave it", "rank": "place of it in the list of the source {}"}
    return told[feature.what].format(feature.of)


@meaning.register
def _(feature: embedding.Similarity, place: int) -> str:
    mine = f"cosine of the vector of {thing(feature.of.of)}"
    if isinstance(feature.to, embedding.Embed):
        return f"{mine} with that of {thing(feature.to.of)}, by {feature.of.encoder.name}"
    pooled = "mean" if feature.pool == "mean" else "largest"
    return f"{pooled} {mine} with those of the {meaning(feature.to, 0)}, by {feature.of.encoder.name}"
