"""The joiner: which feedback belongs to which impression, and what the labels of each impression are by now.

A feedback event belongs to one impression of the same user and item (a finding: of the same item, whoever found it):
the one with the same `recommendation_id` if the event carries one, else the latest at or before it. It counts while it
lies within the window, at <= feedback < at + `within`. Nothing is stored: feedback that comes late is in the next join.
"""

from collections.abc import Callable, Mapping
from typing import Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray

from winnow.core.errors import InputError, Problem
from winnow.core.time import to_us
from winnow.data.chunk import NO_TIME
from winnow.data.declare import Answered, AnyOf, Finding, Head, Labels, SumOf
from winnow.data.schema import Condition, Events

Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]
State = Literal["final", "provisional", "censored"]

_TESTS: Mapping[str, Callable[[pl.Expr, float], pl.Expr]] = {
    ">=": pl.Expr.ge, "<=": pl.Expr.le, ">": pl.Expr.gt, "<": pl.Expr.lt, "==": pl.Expr.eq,
}  # fmt: skip


def join(
    labels: Labels,
    impressions: pl.DataFrame,
    feedback: Mapping[str, pl.DataFrame],
    *,
    as_of: int,
    data_until: int | None = None,
) -> pl.DataFrame:
    """Impressions with one column per head.

    Args:
        labels: what counts, and until when.
        impressions: events of type `labels.of` as `History.events` gives them.
        feedback: event type → its events; a type that is not there has had none.
        as_of: the moment of looking, microseconds UTC; what became known at or after it is not seen.
        data_until: end of what the log covers, for logs that stopped: impressions whose window lies partly beyond it
            are `censored`, since their feedback will never come.

    Returns:
        The impressions known before `as_of`, in the order given; per head a float32 column (0 or 1, or a sum; NaN for
        a finding that nobody has made and for what was asked and not answered); and `state`: `final` when the window
        has passed or, where all heads are findings, one has been made; `provisional` while feedback can still come;
        `censored`.

    Raises:
        InputError: `label-conflict`, when a head is named like a column of the impressions.
    """
    _check_names(labels, impressions)
    shown = impressions.filter(pl.col("known_at") < as_of)
    every = [part for head in labels.heads.values() for part in (head, *head.parts)]
    pairs = {key: _paired(labels, shown, feedback, *key, as_of=as_of) for key in map(_key, every)}
    heads = {name: _known(head, pairs, len(shown)) for name, head in labels.heads.items()}
    states = _states(shown["at"].to_numpy(), to_us(labels.within), as_of, data_until)
    if not labels.waits:
        states = np.where(~np.isnan([*heads.values()]).all(axis=0), "final", states)
    columns = [pl.Series(name, values) for name, values in heads.items()]
    return shown.with_columns(*columns, pl.Series("state", states.astype(object), dtype=pl.String))


def _key(head: Head) -> tuple[Events, tuple[str, ...]]:
    """Heads with the same key share how their feedback is paired."""
    return head.events, head.roles


def _check_names(labels: Labels, impressions: pl.DataFrame) -> None:
    taken = [name for name in labels.heads if name in {*impressions.columns, "state"}]
    if taken:
        what = f"head `{taken[0]}` is named like a column of `{labels.of.name}`"
        raise InputError(Problem("label-conflict", what, labels.where, fix="give the head another name"))


def _paired(
    labels: Labels,
    shown: pl.DataFrame,
    feedback: Mapping[str, pl.DataFrame],
    events: Events,
    roles: tuple[str, ...],
    *,
    as_of: int,
) -> pl.DataFrame:
    """The feedback of one type that counts, with the place of its impression as column `impression`."""
    if events.name not in feedback:
        return pl.DataFrame(schema={"impression": pl.Int64})
    seen = feedback[events.name].filter(pl.col("known_at") < as_of)
    mine = {role: getattr(labels, f"{role}_role", role) for role in roles}
    tables = {role: getattr(labels, role) if hasattr(labels, role) else labels.of.refs[role] for role in roles}
    theirs = {role: events.role(table) for role, table in tables.items()}
    impression = match(
        shown.select("at", "seq", "recommendation_id", **mine),
        seen.select("at", "recommendation_id", **theirs),
        within=to_us(labels.within),
    )
    return seen.with_columns(impression=impression).filter(pl.col("impression") >= 0)


def match(shown: pl.DataFrame, seen: pl.DataFrame, *, within: int) -> Ints:
    """The place of the impression that each feedback event belongs to, int64 [n]; -1 for none.

    Args:
        shown: impressions with `at, seq, recommendation_id` and what they share with feedback (`user, item`, or one of
            them); of several at one moment the one with the highest `seq` gets the feedback.
        seen: feedback with `at, recommendation_id` and the same.
        within: the window in microseconds.
    """
    place = np.full(len(seen), -1, dtype=np.int64)
    named = seen["recommendation_id"].is_not_null().to_numpy()
    roles = [role for role in seen.columns if role not in ("at", "recommendation_id")]
    for rows, keys in ((~named, roles), (named, [*roles, "recommendation_id"])):
        where = np.flatnonzero(rows)
        place[where] = _latest_before(shown, seen.select("at", *keys)[where], keys)
    at = np.append(shown["at"].to_numpy(), NO_TIME)[place]
    inside = (place >= 0) & (seen["at"].to_numpy() - np.maximum(at, -(1 << 62)) < within)
    return np.where(inside, place, -1)


def _latest_before(shown: pl.DataFrame, seen: pl.DataFrame, keys: list[str]) -> Ints:
    """Per feedback event the place of the last impression with equal keys at or before it, -1 for none."""
    if not len(shown) or not len(seen):
        return np.full(len(seen), -1, dtype=np.int64)
    # Every distinct key and every moment gets a rank, so that one int64 orders by both and searchsorted is exact.
    group = _ranks(pl.concat([shown.select(keys), seen.select(keys)]).select(key=pl.struct(keys))["key"])
    moment = _ranks(pl.concat([shown["at"], seen["at"]]))
    packed = group << 32 | moment
    order = np.lexsort((shown["seq"].to_numpy(), packed[: len(shown)]))
    found = np.searchsorted(packed[order], packed[len(shown) :], side="right") - 1
    same = (found >= 0) & (group[order][found] == group[len(shown) :])
    return np.where(same, order[found], -1)


def _ranks(values: pl.Series) -> Ints:
    return values.rank("dense").cast(pl.Int64).to_numpy() - 1


def _known(head: Head, pairs: Mapping[tuple[Events, tuple[str, ...]], pl.DataFrame], n: int) -> NDArray[np.float32]:
    """What a head comes to, float32 [n]; NaN where that is not known yet."""
    values = _values(head, pairs[_key(head)], n)
    if isinstance(head, Answered):
        asked, refused = (_values(part, pairs[_key(part)], n) for part in head.parts)
        values[(asked == 1) & (refused == 0) & (values == 0)] = np.nan
    return values


def _values(head: Head, found: pl.DataFrame, n: int) -> NDArray[np.float32]:
    if isinstance(head, Finding):
        return _found(head, found, n)
    if not len(found):
        return np.zeros(n, dtype=np.float32)
    if isinstance(head, SumOf):
        amount = found[head.of.name].cast(pl.Float64).fill_nan(0.0).fill_null(0.0).to_numpy()
        return np.bincount(found["impression"].to_numpy(), weights=amount, minlength=n).astype(np.float32)
    if not isinstance(head, AnyOf):
        raise NotImplementedError(f"labels of {type(head).__name__}")
    passing = found.filter([passes(head.of, c) for c in head.conditions]) if head.conditions else found
    values = np.zeros(n, dtype=np.float32)
    values[passing["impression"].to_numpy()] = 1.0
    return values


def _found(head: Finding, found: pl.DataFrame, n: int) -> NDArray[np.float32]:
    """The flag of the last finding about each impression that says anything, NaN without one."""
    values = np.full(n, np.nan, np.float32)
    if len(found):
        said = found.filter(pl.col(head.of.name) >= 0).sort("at", "known_at", "seq")
        last = said.group_by("impression", maintain_order=True).last()
        values[last["impression"].to_numpy()] = last[head.of.name].to_numpy()
    return values


def passes(events: Events, condition: Condition) -> pl.Expr:
    """A condition on a field of an event as an expression over its columns; a missing value never passes."""
    storage = events.columns[condition.field].storage
    column = pl.col(condition.field)
    missing = {"number": column.is_nan(), "time": column == NO_TIME}.get(storage, column == -1)
    return _TESTS[condition.op](column, condition.value) & ~missing & column.is_not_null()


def _states(at: Ints, within: int, as_of: int, data_until: int | None) -> NDArray[np.str_]:
    ends = at + within
    states = np.where(ends <= as_of, "final", "provisional")
    if data_until is not None:
        states = np.where(ends > data_until, np.where(ends <= as_of, "censored", states), states)
    return states
