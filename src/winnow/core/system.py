"""The System: what a team declares in one file, in six steps, and the checks that see the whole of it."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from functools import cached_property
from typing import Any

from winnow.core.declare import Declared, digest, walk
from winnow.core.errors import DeclarationError, Problem
from winnow.core.time import days, hours, minutes, ms


@dataclass(frozen=True, kw_only=True)
class Frame(Declared):
    """Step 1: what the business wants, what is predicted for it, and within which limits.

    Args:
        business: the objective in words.
        predict: the ML objective in words.
        p99: time in which 99 of 100 requests are answered; also the request's deadline.
        throughput_per_s: requests a second to plan for.
        freshness: how soon an event must show in features.
        retention: how long events are kept; no window may reach further back.
        guardrails: metric → the worst change that an experiment may cause ("+1 %").
        non_goals: what is deliberately left out.
    """

    business: str
    predict: str
    p99: timedelta = field(default_factory=lambda: ms(200))
    throughput_per_s: float = 100
    freshness: timedelta = field(default_factory=lambda: minutes(1))
    retention: timedelta = field(default_factory=lambda: days(365))
    guardrails: Mapping[str, str] = field(default_factory=dict, hash=False)
    non_goals: Sequence[str] = ()

    def problems(self, system: Any) -> Iterator[Problem]:
        if self.p99 <= timedelta(0):
            yield Problem("bad-p99", f"p99 is {self.p99}", self.where, fix="give a positive time, e.g. ms(200)")
        if self.throughput_per_s <= 0:
            yield Problem("bad-throughput", f"throughput is {self.throughput_per_s}", self.where, fix="above 0")


@dataclass(frozen=True, kw_only=True)
class Ladder(Declared):
    """Step 4: heuristic, textbook model, modern model; each rung one model or several.

    Args:
        L0: the heuristic.
        L1: the textbook model, or several.
        L2: the modern model, or several.
        serve: the rung that serves (its first model).
        calibrate: `isotonic`, `platt`, `Segmented(...)` or None; fitted per head on the validation part.
    """

    L0: Any
    L1: Any
    L2: Any
    serve: str = "L2"
    calibrate: Any = "isotonic"

    @cached_property
    def rungs(self) -> dict[str, tuple[Declared, ...]]:
        """Rung → its models, lowest first."""
        return {n: m if isinstance(m, tuple) else (m,) for n, m in (("L0", self.L0), ("L1", self.L1), ("L2", self.L2))}

    @property
    def serving(self) -> Declared:
        """The model that serves."""
        return self.rungs[self.serve][0]

    def problems(self, system: Any) -> Iterator[Problem]:
        if self.serve not in self.rungs:
            yield Problem("unknown-rung", f"serve={self.serve!r}", self.where, fix="one of L0, L1, L2")
        if not isinstance(self.calibrate, Declared) and self.calibrate not in ("isotonic", "platt", None):
            fix = "isotonic, platt or Segmented(...)"
            yield Problem("unknown-calibration", f"calibrate={self.calibrate!r}", self.where, fix=fix)


@dataclass(frozen=True, kw_only=True)
class Retrain(Declared):
    """Step 6: when to train again, and what a candidate must show before it may serve.

    Args:
        every: how often.
        promote_if: metric → `lower`, `higher` or `not worse`, against the champion on the newest held-out window.
        embargo: gap between training and held-out rows; None is the label window.
    """

    every: timedelta = field(default_factory=lambda: hours(24))
    promote_if: Mapping[str, str] = field(default_factory=lambda: {"ne": "not worse"}, hash=False)
    embargo: timedelta | None = None

    def problems(self, system: Any) -> Iterator[Problem]:
        if self.every < system.labels.within:
            yield Problem(
                "retrains-before-labels",
                f"retraining every {self.every}, but labels take {system.labels.within} to arrive",
                self.where,
                "each run would learn from the same final labels as the one before",
                "retrain less often or shorten Labels(within=...)",
            )
        for metric, wish in self.promote_if.items():
            if wish not in ("lower", "higher", "not worse"):
                fix = "lower, higher or not worse"
                yield Problem("unknown-gate", f"promote_if[{metric!r}] is {wish!r}", self.where, fix=fix)


@dataclass(frozen=True)
class System(Declared):
    """One search, recommendation, ads, feed or moderation system.

    Args:
        name: its name in commands and URLs.
        frame: step 1.
        labels: step 2, together with the tables and events that everything else refers to.
        features: step 3.
        retrieval: step 4, candidates (a ladder of retrievers), or None when sources need no model.
        ranking: step 4, scores (a ladder of rankers), or None when the sources' own scores order.
        relevance: step 4, a category of the items: those that share a value are alike. Retrieval of like items is
            judged by it, and models that learn from likeness learn from it.
        alive: step 4, when an item can be chosen at all (`Alive(...)`), where items begin and end.
        pipeline: step 5.
        monitors: step 6.
        retrain: step 6.
    """

    name: str
    frame: Frame
    labels: Any
    features: Sequence[Any]
    retrieval: Ladder | None = field(kw_only=True, default=None)
    ranking: Ladder | None = field(kw_only=True, default=None)
    relevance: Any = field(kw_only=True, default=None)
    alive: Any = field(kw_only=True, default=None)
    pipeline: Any = field(kw_only=True)
    metrics: Sequence[Declared] = field(kw_only=True, default=())
    monitors: Sequence[Declared] = field(kw_only=True, default=())
    retrain: Retrain = field(kw_only=True, default_factory=Retrain)

    @cached_property
    def hash(self) -> str:
        """The hash of the resolved declaration; every model, log line and reply carries it."""
        return digest(self.to_data())

    def to_data(self) -> dict[str, Any]:
        data = super().to_data()
        left_out = [name for name in ("relevance", "alive") if getattr(self, name) is None]
        return {k: v for k, v in data.items() if k not in left_out}

    @property
    def picture(self) -> str | None:
        """The column of the items that holds their picture, if there is one: the first of kind `image`."""
        return self._media("image")

    @property
    def video(self) -> str | None:
        """The column of the items that holds their video, if there is one: the first of kind `video`."""
        return self._media("video")

    def _media(self, media: str) -> str | None:
        columns = self.labels.item.columns.items()
        return next((name for name, kind in columns if kind.media == media), None)

    @property
    def reads(self) -> tuple[Any, ...]:
        """The features, and those that retrieval models bring along, each once."""
        rungs, found = self.retrieval.rungs.values() if self.retrieval is not None else (), [*self.features]
        for brought in (feature for models in rungs for model in models for feature in getattr(model, "reads", ())):
            found += [] if brought in found else [brought]
        return tuple(found)

    @property
    def own_kind(self) -> bool:
        """Whether one table plays both roles, so that nothing is an answer to itself."""
        return bool(self.labels.user.name == self.labels.item.name)

    @property
    def alike(self) -> bool:
        """Whether it answers an item with items: nobody with a past asks, unlike where people are shown people."""
        return self.own_kind and not self.labels.user.people

    def parts(self) -> list[Declared]:
        """Every declaration inside, once each."""
        found: dict[int, Declared] = {id(d): d for f in self._fields() for d in walk(f)}
        return list(found.values())

    def _fields(self) -> tuple[Any, ...]:
        return (self.frame, self.labels, self.features, self.retrieval, self.ranking, self.relevance, self.alive,
                self.pipeline, self.metrics, self.monitors, self.retrain)  # fmt: skip

    def find_problems(self) -> list[Problem]:
        """Every mistake in the declaration, design mistakes included, in the order of the file."""
        found = [p for part in self.parts() for p in part.problems(self)]
        found += self._feature_clashes()
        found += self._bad_relevance()
        return sorted(dict.fromkeys(found), key=lambda p: _line(p.where))

    def check(self) -> None:
        """Raise all the mistakes at once.

        Raises:
            DeclarationError: with every problem found.
        """
        if found := self.find_problems():
            raise DeclarationError(*found)

    def _feature_clashes(self) -> Iterator[Problem]:
        counts = Counter(name for feature in self.features for name in feature.names)
        for feature in self.features:
            for name in feature.names:
                if counts[name] > 1:
                    yield Problem("duplicate-feature", f"`{name}` is declared {counts[name]} times", feature.where,
                                  fix="remove one")  # fmt: skip

    def _bad_relevance(self) -> Iterator[Problem]:
        item, like = self.labels.item.name, self.relevance
        owner = getattr(getattr(like, "table", None), "name", None)  # anything may stand there
        if like is not None and not (owner == item and len(like.columns) == 1 and like.kind.has_domain):
            what = f"relevance is `{self.relevance}`, no category of `{item}`"
            yield Problem("bad-relevance", what, self.where, "items are alike by a column of theirs", "use a category")
        if self.ranking is None and self.retrieval is None:
            why = "nothing would be trained and nothing could be judged"
            yield Problem("no-models", "neither retrieval nor ranking has a ladder", self.where, why, "declare one")


def _line(where: str) -> tuple[str, int]:
    file, _, line = where.rpartition(":")
    return file, int(line) if line.isdigit() else 0
