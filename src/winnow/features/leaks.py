"""Declarations that cannot work or would see the future: what a feature may read, checked before anything runs."""

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from winnow.core.errors import Problem, did_you_mean
from winnow.core.time import short
from winnow.data.declare import AnyOf, Labels, SumOf
from winnow.data.schema import EventField, Path, Played
from winnow.features.aggregate import OWN_TIME, Aggregate

if TYPE_CHECKING:
    from winnow.features.declare import Feature

_MOST_HOPS = 400  # cells per key of one window
_MOST_RECENT = 1000
_USES = {
    "sum": ("number", "flag"),
    "max": ("number", "flag"),
    "distinct": ("category", "ref"),
    "recent": ("category", "ref", "flag", "number"),
}
T = TypeVar("T")


def leaks(labels: Labels, features: Sequence["Feature"]) -> list[Problem]:
    """Every mistake in a set of features."""
    return [p for feature in features for p in problems(feature, labels, features)]


def problems(feature: "Feature", labels: Labels, features: Sequence["Feature"]) -> Iterator[Problem]:
    """The mistakes of one feature.

    Args:
        feature: the declaration.
        labels: what is predicted, and for which impressions.
        features: all features of the system.
    """
    parts = feature.parts  # these answer for themselves
    for field in _own(feature.fields, [f for part in parts for f in part.fields]):
        yield from _field(feature, field, labels, features)
    for path in _own(feature.paths, [p for part in parts for p in part.paths]):
        yield from _role(path, labels.of.refs, f"impression `{labels.of.name}`", feature.where)
    for aggregate in _own(feature.aggregates(), [a for part in parts for a in part.aggregates()]):
        yield from _aggregate(aggregate, feature.where)


def _own(all_: Iterable[T], of_parts: Sequence[T]) -> list[T]:
    return [one for one in all_ if one not in of_parts]


def _field(feature: "Feature", field: EventField, labels: Labels, features: Sequence["Feature"]) -> Iterator[Problem]:
    name = f"`{field.events.name}.{field.name}`"
    own = field.events.name == labels.of.name
    if field.to_data() in _outcomes(labels) or (not own and field.events.name in _feedback(labels)):
        why = "it is known only after the prediction, and is what the prediction is about"
        fix = f"use counts of `{field.events.name}` from before, or leave it out"
        yield Problem("reads-own-label", f"a feature reads {name}, which decides a label", feature.where, why, fix)
    elif not own:
        why, fix = "a request does not carry it", f"use a field of `{labels.of.name}`, or an aggregate"
        yield Problem("field-not-in-request", f"a feature reads {name} of another event", feature.where, why, fix)
    elif feature.type != "training_only" and field.to_data() in _positions(features):
        why = "where a thing is shown is decided after it has been scored"
        yield Problem("position-as-input", f"{name} is also an input", feature.where, why, "keep position(...) only")


def _outcomes(labels: Labels) -> set[str]:
    """The fields of impressions and feedback that decide labels."""
    found = {h.of.to_data() for h in labels.heads.values() if isinstance(h, SumOf)}
    tests = [(h.of.name, c.field) for h in labels.heads.values() if isinstance(h, AnyOf) for c in h.conditions]
    return found | {f"{event}.{field}" for event, field in tests}


def _feedback(labels: Labels) -> set[str]:
    return {h.events.name for head in labels.heads.values() for h in (head, *head.parts)}


def _positions(features: Sequence["Feature"]) -> set[str]:
    return {field.to_data() for f in features if f.type == "training_only" for field in f.fields}


def _role(path: Path, refs: Any, owner: str, where: str) -> Iterator[Problem]:
    table = path.table
    played = {*refs} if isinstance(table, Played) else {t.name for t in refs.values()}
    if table.called not in played:
        what = f"{owner} does not refer to `{table.called}`, which `{path}` needs"
        yield Problem("missing-role", what, where, fix=did_you_mean(table.called, played))


def _aggregate(a: Aggregate, where: str) -> Iterator[Problem]:
    for path in a.by:
        yield from _role(path, a.events.refs, f"event `{a.events.name}`", where)
        if not path.kind.has_domain:
            what = f"`{path}` is {path.kind.storage}, not a key"
            yield Problem("not-a-key", what, where, fix="count by a table, a reference or a category")
    sets = [path for path in a.by if path.kind.storage == "categories"]
    if len(sets) > 1:
        what = f"`{sets[0]}` and `{sets[1]}` both have several values"
        yield Problem("two-sets", what, where, "their pairs are not kept", "pair one of them with a single value")
    for name in [t.field for t in a.conditions] + [a.value] * (a.value not in (None, OWN_TIME)):
        if name not in a.events.columns:
            what = f"event `{a.events.name}` has no field `{name}`"
            yield Problem("unknown-field", what, where, fix=did_you_mean(str(name), a.events.columns))
            return
    storage = a.events.columns[a.value].storage if a.value not in (None, OWN_TIME) else ""
    yield from _value(a, storage, where)
    if a.kind == "recent":
        yield from _recent(a, bool(sets), where)
    elif a.buckets > _MOST_HOPS:
        what = f"a window of {short(a.window)} moves in {a.buckets} hops"
        why = "each hop takes memory for every key"
        yield Problem("uneven-window", what, where, why, "use whole minutes, hours or days: they divide evenly")


def _value(a: Aggregate, storage: str, where: str) -> Iterator[Problem]:
    """Whether a field can be put to this use."""
    if not storage or storage in _USES[a.kind]:
        return
    what = f"the {a.kind} of `{a.events.name}.{a.value}`, which is {storage}"
    yield Problem("unfit-field", what, where, fix=f"use a field that is {' or '.join(_USES[a.kind])}")


def _recent(a: Aggregate, by_set: bool, where: str) -> Iterator[Problem]:
    if not 1 <= a.k <= _MOST_RECENT:
        yield Problem("bad-k", f"the last {a.k} of `{a.events.name}`", where, fix=f"1 to {_MOST_RECENT}")
    if a.value is not None and by_set:
        yield Problem("last-by-set", f"`{a.subject}` has several values", where, fix="use a key with one value")
