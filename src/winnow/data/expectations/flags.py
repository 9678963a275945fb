"""Users who behave as no person does, and storms of copies, found in the history: training can leave them out."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np
import polars as pl
from numpy.typing import NDArray

from winnow.core.system import System
from winnow.core.time import MICROS
from winnow.data.expectations.behaviour import Figure, People, figures
from winnow.data.expectations.declare import FILE, Bots, Storms
from winnow.data.expectations.sample import down, up
from winnow.data.history import History
from winnow.data.schema import Events

Notes = dict[tuple[str, ...], str]
SIGMAS = 6.0
_SPREAD = 0.25  # least spread, of the logarithm: where all people are alike, that is no reason to flag a few
_PEOPLE = 30  # people with enough events below which no limit is learned
_COMMON = 0.05  # what more than this share of the people do is what people do here
_AWAKE = 20.0
_SCHEMA = {
    "user": pl.Int64, "reason": pl.String, "event": pl.String, "value": pl.Float64, "limit": pl.Float64,
    "events": pl.Int64,
}  # fmt: skip


@dataclass(frozen=True, eq=False)
class Flags:
    """Who and what was flagged.

    Args:
        users: `user` (row), `reason` (see `declare.Bots`), `event`, `value`, `limit`, `events` behind the value; one
            record per reason.
        storms: `event`, `user` (row), `copies`, `first_at`, `last_at`, `seq` of the first; one record per storm.
        copies: event type → share of its events that are copies in a storm, the first of each not counted.
    """

    users: pl.DataFrame
    storms: pl.DataFrame
    copies: Mapping[str, float]

    @property
    def bots(self) -> frozenset[int]:
        """The rows of the users who were flagged."""
        return frozenset(self.users["user"].to_list())


def bots(
    history: History, system: System, *, as_of: int | None = None, limits: Bots | None = None,
    people: People | None = None,
) -> frozenset[int]:  # fmt: skip
    """The users of a system who behave as no person does, so that training can leave out what they did.

    Args:
        history: in step with the log.
        system: whose impressions and feedback count.
        as_of: only what was known before this moment, microseconds UTC.
        limits: beyond which a user is flagged; None takes those in the project's `expectations.toml`, or, where there
            is no such file, learns them from the same events.
        people: who acts; None for the first role of the impression.

    Returns:
        Row numbers of users.
    """
    people = people or People.of(system)
    frames = {name: _events(history, name, [role], as_of) for name, role in people.roles.items()}
    return frozenset(flagged(people, frames, limits or _limits(history, people, frames))["user"].to_list())


def _limits(history: History, people: People, frames: Mapping[str, pl.DataFrame]) -> Bots:
    path = history.folder.parent / FILE
    if not path.exists():
        return learn(people, frames)
    return msgspec.convert(tomllib.loads(path.read_text(encoding="utf-8")).get("bots", {}), Bots)


def _events(history: History, name: str, roles: list[str], as_of: int | None = None) -> pl.DataFrame:
    frame = history.events(name).select("seq", "at", "known_at", *roles)
    return (frame if as_of is None else frame.filter(pl.col("known_at") < as_of)).collect()


def find(system: System, frames: Mapping[str, pl.DataFrame], limits: Bots, storms: Storms) -> Flags:
    """Everything to flag in some events.

    Args:
        system: that they belong to.
        frames: event type → events with `seq`, `at` and the roles.
        limits: beyond which a user is flagged.
        storms: beyond which repetition is.
    """
    people = People.of(system)
    kinds = {p.name: p for p in system.parts() if isinstance(p, Events)}
    found = {n: storms_of(frames[n], kinds[n], storms, role) for n, role in people.roles.items() if n in frames}
    share = {n: float((f["copies"] - 1).sum()) / max(len(frames[n]), 1) for n, f in found.items()}
    every = pl.concat(found.values()) if found else pl.DataFrame(schema=_STORM)
    return Flags(flagged(people, frames, limits), every, share)


# Users --------------------------------------------------------------------------------------------------------------


def flagged(people: People, frames: Mapping[str, pl.DataFrame], limits: Bots) -> pl.DataFrame:
    """Users beyond a limit, one record per reason; see `Flags.users`."""
    found = [pl.DataFrame(schema=_SCHEMA)]
    for figure in figures(people, frames, least=limits.least):
        limit = limits.share.get(figure.event) if figure.reason == "share" else getattr(limits, figure.reason)
        if limit is not None:
            beyond = figure.people.filter(_beyond(figure.reason, float(limit)))
            extra = {"reason": pl.lit(figure.reason), "event": pl.lit(figure.event), "limit": pl.lit(float(limit))}
            found.append(beyond.with_columns(**extra).select(pl.col(n).cast(t) for n, t in _SCHEMA.items()))
    return pl.concat(found).sort("user", "reason", "event")


def _beyond(reason: str, limit: float) -> pl.Expr:
    return pl.col("value") < limit if reason in ("regular", "dwell_s") else pl.col("value") > limit


def learn(people: People, frames: Mapping[str, pl.DataFrame], notes: Notes | None = None) -> Bots:
    """Limits from what the people in some events do: six robust standard deviations from the median, on a log scale.

    The median and the median deviation stay where they are however wildly a few behave. A limit that more than 5 % of
    the people are beyond is left out: it would be what people do here.

    Args:
        people: who acts.
        frames: event type → events with `at` and the roles.
        notes: filled with what was observed.
    """
    told: Notes = {} if notes is None else notes
    limits: dict[str, Any] = {}
    shares: dict[str, float] = {}
    for figure in figures(people, frames, least=Bots().least):
        limit = _limit(figure)
        if limit is None:
            continue
        if figure.reason == "share":
            shares[figure.event] = limit
        else:  # one limit for all event types: that of the liveliest one
            pick = min if figure.reason == "dwell_s" else max
            limits[figure.reason] = pick(limit, limits.get(figure.reason, limit))
        told["bots", figure.reason] = _told(figure)
    return Bots(**limits, share=shares)


def _limit(figure: Figure) -> float | int | None:
    values = figure.people["value"].to_numpy()
    if len(values) < _PEOPLE:
        return None
    limit = _CANDIDATES[figure.reason](values)
    beyond = values < limit if figure.reason in ("regular", "dwell_s") else values > limit
    return None if beyond.mean() > _COMMON or limit <= 0.01 else limit


def _told(figure: Figure) -> str:
    values = figure.people["value"].to_numpy()
    low, middle, high = np.quantile(values, (0.01, 0.5, 0.99))
    of = f"{figure.event}: " if figure.event else ""
    return f"{of}median {middle:.3g}, 98 of 100 people between {low:.3g} and {high:.3g}"


def _centre(values: NDArray[np.float64]) -> tuple[float, float]:
    middle = float(np.median(values))
    return middle, SIGMAS * max(1.4826 * float(np.median(np.abs(values - middle))), _SPREAD)


def _high(values: NDArray[np.float64]) -> float:
    middle, far = _centre(np.log(np.maximum(values, 1e-3)))
    return up(float(np.exp(middle + far)))


def _low(values: NDArray[np.float64]) -> float:
    middle, far = _centre(np.log(np.maximum(values, 1e-3)))
    return down(float(np.exp(middle - far)))


def _odds(values: NDArray[np.float64]) -> float:
    shares = np.clip(values, 0.002, 0.998)
    middle, far = _centre(np.log(shares / (1 - shares)))
    return min(round(float(1 / (1 + np.exp(-middle - far))), 3), 0.995)


_CANDIDATES = {
    "per_hour": lambda values: max(_high(values), 120.0),
    "hours_a_day": lambda values: int(_AWAKE),
    "regular": lambda values: min(_low(values), 0.2),
    "dwell_s": lambda values: min(_low(values), 1.0),
    "share": _odds,
}


# Storms -------------------------------------------------------------------------------------------------------------

_STORM = {"event": pl.String, "user": pl.Int64, "copies": pl.Int64, "first_at": pl.Int64, "last_at": pl.Int64,
          "seq": pl.Int64}  # fmt: skip


def storms_of(frame: pl.DataFrame, event: Events, storms: Storms, role: str) -> pl.DataFrame:
    """Runs of events about the same rows, each within seconds of the one before; see `Flags.storms`."""
    if not len(frame):
        return pl.DataFrame(schema=_STORM)
    refs = list(event.refs)
    often = frame.group_by(refs).len().filter(pl.col("len") >= storms.copies).select(refs)
    rows = frame.join(often, on=refs, how="semi").sort(*refs, "at", "seq")
    within = pl.col("at") - pl.col("at").shift() <= round(storms.within_s * MICROS)
    same = pl.all_horizontal(pl.col(r) == pl.col(r).shift() for r in refs) & within
    runs = rows.with_columns(run=(~same).fill_null(True).cum_sum())
    found = runs.group_by("run", maintain_order=True).agg(
        user=pl.col(role).first(), copies=pl.len(), first_at=pl.col("at").first(), last_at=pl.col("at").last(),
        seq=pl.col("seq").first(),
    )  # fmt: skip
    found = found.filter(pl.col("copies") >= storms.copies).with_columns(event=pl.lit(event.name))
    return found.select(pl.col(n).cast(t) for n, t in _STORM.items())


def none() -> Flags:
    """Nobody and nothing."""
    return Flags(pl.DataFrame(schema=_SCHEMA), pl.DataFrame(schema=_STORM), {})
