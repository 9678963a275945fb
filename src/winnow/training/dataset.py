"""Turns the log into what models learn from: labelled impressions with their features as of their own moment."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any, Literal

import numpy as np
import polars as pl
import polars.selectors as cs
from numpy.typing import NDArray

from winnow.core.errors import InputError, Problem
from winnow.core.system import System
from winnow.core.time import parse_time
from winnow.data import labels as joiner
from winnow.data.declare import event_types
from winnow.data.expectations.flags import bots
from winnow.data.history import History, padded
from winnow.data.split import TimeSplit
from winnow.features.batch import FeatureBatch
from winnow.features.declare import Feature
from winnow.features.embedding import encode_history
from winnow.features.history import HistoryState, Source
from winnow.features.plan import Plan
from winnow.features.view import Moments
from winnow.models.content import Labelled
from winnow.models.examples import Catalogue, Examples
from winnow.models.sessions import Journeys
from winnow.training import album as albums
from winnow.training import alternatives, content, sessions, webs
from winnow.training.album import Album
from winnow.training.alive import Lives
from winnow.training.alternatives import CHOICE, Chosen
from winnow.training.cut import by_rule
from winnow.training.leakage import Until, refuse_later_inputs
from winnow.training.roles import roled
from winnow.training.served import AsServed, as_served
from winnow.training.stores import Stores

Columns = Mapping[str, NDArray[Any]]


@dataclass(frozen=True)
class Dataset:
    """Labelled impressions in three parts, and the catalogue.

    Args:
        plan: the features, compiled.
        split: where the parts begin and end.
        train, valid, test: impressions with final labels, sorted by time.
        catalogue: every item known when training ends, with its item-side features.
        state: what was known at any moment.
        album: the pictures of the items, when models learn from them.
        posts: `train`, `valid` and `test` as content, when models judge content.
        lives: when items could be chosen, where they begin and end or rows are choices.
        chosen: every choice, where rows are choices.
        journeys: `train`, `valid` and `test` as sessions, when models learn from sessions.
    """

    plan: Plan
    split: TimeSplit
    train: Examples
    valid: Examples
    test: Examples
    catalogue: Catalogue
    state: HistoryState
    album: Album | None = None
    posts: Mapping[str, Labelled] = field(default_factory=dict)
    lives: Lives | None = None
    chosen: Chosen | None = None
    journeys: Mapping[str, Journeys] = field(default_factory=dict)

    def base_rates(self) -> dict[str, float]:
        """Head → mean label of the training part, NaN where none is known."""
        known = {head: y[~np.isnan(y)] for head, y in self.train.labels.items()}
        return {head: float(y.mean()) if len(y) else float("nan") for head, y in known.items()}


def build(stores: Stores, system: System, *, as_of: int, split: TimeSplit | None = None) -> Dataset:
    """The dataset of a system as of a moment. What bots did is not learned from.

    A system that learns from pictures or from sessions needs no impressions: what people made of its lists adds to
    what it learns.

    Args:
        stores: the project; its history in step with the log.
        system: the declaration.
        as_of: labels younger than their window at this moment are provisional and left out, microseconds UTC.
        split: where to cut; `by_rule` when left out.

    Raises:
        InputError: `too-few-rows`; `input-after-row` when a feature reads the future; what `album.build` raises.
    """
    album, visits = albums.build(stores, system, as_of=as_of), sessions.build(stores, system, as_of=as_of)
    history = stores.history
    rows = labelled(system, history, as_of).filter(pl.col("state") == "final")
    at = rows["at"].to_numpy()
    known = at if visits is None else np.concatenate([at, visits.until])
    few = album is not None or visits is not None
    chosen = split or _cut(known, as_of, may_be_few=few)
    cut = _parts(system, history, rows, split=chosen)
    if split is None and not few:
        _demand_rows(system, cut)
    source, plan = HistorySource(history), Plan.of(system.features, system.labels)
    state, parts = state_of(stores, system.reads, source), {}
    robots = _robots(system, history, until=parse_time(chosen.train_until))
    for name, part in cut.items():
        people = part if name == "test" else part.filter(~pl.col(system.labels.user_role).is_in(robots))
        served = as_served(system, history, people)
        parts[name] = _examples(system, people, plan=plan, state=state, served=served)
        if name == "train":
            asked = moments_of(system, people)
            refuse_later_inputs(
                plan,
                replace(asked, at=served.moments(asked.at)),
                people["known_at"].to_numpy(),
                whole=state,
                until=lambda moment: state_of(stores, system.features, Until(source, moment)),
            )
    catalogue = _catalogue(system, plan, history=history, state=state, at=parse_time(chosen.train_until))
    if album is not None:
        album = album.learned(_liked(parts["train"]))
    posts = {} if system.pipeline.ranks else {name: content.labelled(stores, system, p) for name, p in parts.items()}
    lives = Lives.of(system, source) if system.alive is not None or system.labels.against is not None else None
    if lives is not None:
        catalogue = replace(catalogue, lives=lives.bounds(catalogue.rows))
    choices = _choices(system, history, as_of)
    web = webs.of(system, history, catalogue, before=parse_time(chosen.train_until))
    train, valid, test = (replace(parts[name], web=web) for name in ("train", "valid", "test"))
    kept = (train, valid, test, catalogue, state, album, posts)
    journeys = {} if visits is None else sessions.parts(stores, system, visits, chosen)
    return Dataset(plan, chosen, *kept, lives=lives, chosen=choices, journeys=journeys)


def _cut(at: NDArray[np.int64], as_of: int, *, may_be_few: bool) -> TimeSplit:
    """Where to cut when nobody says; where impressions may be few, all of them train until there are enough."""
    try:
        return by_rule(at)
    except InputError:
        if not may_be_few:
            raise
        return TimeSplit(train_until=as_of, valid_until=as_of + 1, test_until=as_of + 2)


def _parts(system: System, history: History, rows: pl.DataFrame, *, split: TimeSplit) -> dict[str, pl.DataFrame]:
    """The rows of each part. Labels that wait for a window are left out where it reaches beyond the part; findings are
    those that had been made when the part ended."""
    embargo = split.embargo if split.embargo is not None else system.retrain.embargo
    embargo = embargo if system.labels.waits else timedelta(0)
    parts = {}
    for name, mask in replace(split, embargo=embargo).parts(rows["at"].to_numpy(), within=system.labels.within).items():
        parts[name] = rows.filter(pl.Series(mask))
        if not system.labels.waits and name != "test":
            known = labelled(system, history, parse_time(split.train_until if name == "train" else split.valid_until))
            parts[name] = known.filter(pl.col("state") == "final", pl.col("seq").is_in(parts[name]["seq"].implode()))
    return parts


def _demand_rows(system: System, parts: Mapping[str, pl.DataFrame]) -> None:
    """Raises when a part holds nothing to learn from or to judge by."""
    if all(map(len, parts.values())):
        return
    counts = ", ".join(f"{len(part)} in {name}" for name, part in parts.items())
    if system.labels.waits:
        why = (
            f"a row teaches a part only when its label window of {system.labels.within} has passed before the part ends"
        )
        fix = "collect for longer, or give a shorter Retrain(embargo=...) where labels come sooner"
    else:
        why = "a finding teaches a part only when the log knew it before the part ended"
        fix = "wait for more findings, or import an old log with `winnow import`, which keeps its times"
    raise InputError(Problem("too-few-rows", f"a part has no labelled rows: {counts}", "", why, fix))


def _robots(system: System, history: History, *, until: int) -> list[int]:
    """Rows of those whose doings teach nothing. Who asks is no person where things are asked for their like, and what
    bots write is content like any other."""
    return list(bots(history, system, as_of=until)) if system.pipeline.ranks and not system.alike else []


def _liked(rows: Examples) -> NDArray[np.int64]:
    """Distinct pairs of user and item that led to something good, int64 [P, 2]."""
    good = positive(rows)
    return np.unique(np.stack([rows.user[good], rows.item[good]], axis=1), axis=0)


def positive(rows: Examples) -> NDArray[np.bool_]:
    """Impressions with a positive label in any head of 0 and 1, bool [N]."""
    marks = np.zeros(len(rows), bool)
    for label in rows.labels.values():
        if np.isin(label[~np.isnan(label)], (0, 1)).all():
            marks |= label == 1
    return marks


def state_of(stores: Stores, features: Sequence[Feature], source: Source | None = None) -> HistoryState:
    """What features were at any moment, within the project's memory; texts and images get their vectors first.

    Args:
        stores: the project; its history in step with the log.
        features: those that will be asked for.
        source: where history is read from; the project's own when left out.
    """
    source = source or HistorySource(stores.history)
    encode_history(features, stores.encodings, source)
    aggregates = dict.fromkeys(a for feature in features for a in feature.aggregates())
    return HistoryState(source, aggregates, budget=stores.budget, encodings=stores.encodings)


def labelled(system: System, history: History, as_of: int) -> pl.DataFrame:
    """Impressions of which any label is known, with a column per head and their `state`, in time order."""
    impressions, feedback = _logged(system, history)
    joined = joiner.join(roled(system.labels), impressions, feedback, as_of=as_of)
    if system.labels.against is not None:
        more = alternatives.rows(system, HistorySource(history), impressions, feedback, as_of=as_of)
        joined = pl.concat(
            [
                joined.with_columns(pl.lit(-1).alias(CHOICE)),
                joiner.join(roled(system.labels), more, feedback, as_of=as_of).select(*joined.columns, CHOICE),
            ],
            how="vertical_relaxed",
        )
    known = joined.filter(pl.any_horizontal(pl.col(head).is_not_nan() for head in system.labels.heads))
    return known.sort("at", "seq", maintain_order=True)


def _logged(system: System, history: History) -> tuple[pl.DataFrame, dict[str, pl.DataFrame]]:
    """Impressions, and the feedback by its type."""
    heads = list(system.labels.heads.values())
    feedback = {e.name: history.events(e.name).collect() for e in event_types(heads)}
    return history.events(system.labels.of.name).collect(), feedback


def _choices(system: System, history: History, as_of: int) -> Chosen | None:
    """Every choice in the log, where choices teach."""
    if system.labels.against is None:
        return None
    return alternatives.choices(system.labels, *_logged(system, history), as_of=as_of)


def _examples(system: System, rows: pl.DataFrame, *, plan: Plan, state: HistoryState, served: AsServed) -> Examples:
    labels, moments = system.labels, moments_of(system, rows)
    features = plan.compute(replace(moments, at=served.moments(moments.at)), state, training=True)
    return Examples(
        _with(features, served),
        {head: rows[head].to_numpy().astype(np.float32) for head in labels.heads},
        np.ones(len(rows), np.float32),
        moments.at,
        moments.refs[labels.user_role],
        moments.refs[labels.item_role],
        rows[CHOICE].to_numpy() if CHOICE in rows.columns else None,
    )


def _with(features: FeatureBatch, served: AsServed) -> FeatureBatch:
    """The features as they were served where that was logged: what a model saw then is what it learns from."""
    logged = served.features(features.numeric_names)
    features.numeric[served.rows] = np.where(np.isnan(logged), features.numeric[served.rows], logged)
    return features


def moments_of(system: System, rows: pl.DataFrame) -> Moments:
    """Who, what, when and in which context impressions were shown."""
    shown = system.labels.of
    refs = {role: rows[role].to_numpy().astype(np.int64) for role in shown.refs}
    context = {name: rows[name].to_numpy() for name, kind in shown.fields.items() if kind.storage != "text"}
    return Moments(rows["at"].to_numpy().astype(np.int64), refs, context)


def _catalogue(system: System, plan: Plan, *, history: History, state: HistoryState, at: int) -> Catalogue:
    """Items known at a moment, with what tables say about them."""
    rows = history.table_at(system.labels.item.name, at)["row"].to_numpy()
    return Catalogue(rows, catalogue_features(plan, system.labels.item_role, rows, state=state, at=at))


def catalogue_features(plan: Plan, role: str, rows: NDArray[np.int64], *, state: Any, at: int) -> FeatureBatch:
    """The item-side features of items: table columns only, so that they hold until the row changes."""
    moments = Moments(np.array([at], np.int64), {role: rows})
    return plan.side(role, static=True).compute(moments, state)


class HistorySource:
    """The Delta history as the arrays that `HistoryState` reads: as it stands when each table is first asked for."""

    def __init__(self, history: History):
        self._history = history
        self._frames: dict[tuple[str, str], pl.LazyFrame] = {}

    def events(self, name: str) -> Columns:
        frame = self._of("events", name)
        return _arrays(frame.select(cs.exclude(cs.string())).collect())

    def batches(self, name: str, columns: Collection[str], *, rows: int) -> Iterator[Columns]:
        """See `Streamed.batches`: spans of `seq` with about `rows` rows each."""
        frame = self._of("events", name)
        frame = frame.select(c for c in frame.collect_schema() if c in columns)
        bounds = self._of("events", name).select(pl.len(), low=pl.min("seq"), high=pl.max("seq")).collect().row(0)
        if bounds[0] <= rows:
            yield _arrays(frame.collect())
            return
        for low, high in _spans(self._of("events", name), *bounds[1:], rows=rows):
            yield _arrays(frame.filter(pl.col("seq").is_between(low, high)).collect())

    def rows(self, table: str) -> Columns:
        return _Rows(self._of("rows", table))

    def _of(self, kind: Literal["events", "rows"], name: str) -> pl.LazyFrame:
        if (kind, name) not in self._frames:
            self._frames[kind, name] = getattr(self._history, kind)(name)
        return self._frames[kind, name]


class _Rows(Mapping[str, NDArray[Any]]):
    """Columns of a table: texts are read when they are asked for only, an empty one is None."""

    def __init__(self, frame: pl.LazyFrame):
        self._frame, self._schema = frame, frame.collect_schema()
        self._read = dict(_arrays(frame.select(cs.exclude(cs.string())).collect()))

    def __getitem__(self, name: str) -> NDArray[Any]:
        if name not in self._read:
            texts = self._frame.select(pl.col(name).replace("", None)).collect()
            self._read[name] = texts[name].to_numpy()
        return self._read[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._schema)

    def __len__(self) -> int:
        return len(self._schema)


def _spans(frame: pl.LazyFrame, low: int, high: int, *, rows: int) -> Iterator[tuple[int, int]]:
    """Spans of the log, halved until none has more than `rows` events of the type."""
    size = frame.filter(pl.col("seq").is_between(low, high)).select(pl.len()).collect().item()
    if size <= rows or low == high:
        yield from [(low, high)] * bool(size)
        return
    middle = (low + high) // 2
    yield from _spans(frame, low, middle, rows=rows)
    yield from _spans(frame, middle + 1, high, rows=rows)


def _arrays(frame: pl.DataFrame) -> Columns:
    """Columns as arrays; lists of categories as [n, m]."""
    return {c: _array(frame[c]) for c in frame.columns if frame[c].dtype != pl.String}


def _array(column: pl.Series) -> NDArray[Any]:
    return padded(column) if isinstance(column.dtype, pl.List) else column.to_numpy()
