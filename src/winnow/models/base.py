"""What a model is: a frozen declaration that can be fitted to examples, and files that serve without torch.

Subclassing `Ranker` or `Retriever` registers a model. `fit` leaves an `Artefact` in `run.folder`; the loaders here open
it by what its `meta.json` says, with onnxruntime, lightgbm and numpy only.
"""

import importlib
import pkgutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol, TypeVar

import numpy as np

from winnow import models
from winnow.core.declare import Declared
from winnow.core.errors import InputError, Problem
from winnow.features.batch import FeatureBatch, Floats, Ints
from winnow.features.declare import Feature
from winnow.models.artefact import META, Artefact, corrupt
from winnow.models.examples import Catalogue, Examples

T = TypeVar("T")
HeadType = Literal["binary", "regression"]
Progress = Callable[[str, float], None]
QueryEncoder = Callable[[FeatureBatch], Floats]
ItemEncoder = Callable[[FeatureBatch, Ints], Floats]
FrameEncoder = Callable[[FeatureBatch], Floats]


def silent(what: str, share: float) -> None:
    """Progress that nobody watches."""


@dataclass(frozen=True)
class Run:
    """One fit.

    Args:
        folder: where the model's files go; a checkpoint found there is continued.
        seed: the same seed on the same machine gives the same bytes.
        threads: how many threads to use.
        progress: called with what is being done and the share done, 0 to 1.
        checkpoint_every: steps between checkpoints.
        types: head → `binary` or `regression`; heads not named are binary when all their labels are 0 or 1.
    """

    folder: Path
    seed: int = 0
    threads: int = 2
    progress: Progress = silent
    checkpoint_every: int = 200
    types: Mapping[str, HeadType] = field(default_factory=dict)

    def part(self, name: str, low: float = 0.0, high: float = 1.0) -> "Run":
        """A part of this fit, in its own folder, whose progress counts from `low` to `high` of the whole."""

        def told(what: str, share: float) -> None:
            self.progress(what, low + (high - low) * share)

        folder = self.folder / name
        folder.mkdir(parents=True, exist_ok=True)
        return Run(folder, self.seed, self.threads, told, self.checkpoint_every, self.types)


@dataclass(frozen=True, kw_only=True)
class Ranker(Declared):
    """A model that predicts the outcome of showing an item: one number per head.

    Args:
        heads: outcomes to predict; empty for all that the examples carry.
    """

    heads: tuple[str, ...] = ()

    def fit(self, train: Examples, valid: Examples, run: Run) -> None:
        """Learn from `train`, tune on `valid`, leave an artefact in `run.folder`.

        Raises:
            InputError: `no-examples`, `unknown-head`.
        """
        raise NotImplementedError

    @classmethod
    def open(cls, artefact: Artefact, threads: int) -> "Scorer":
        """The fitted model, ready to score."""
        raise NotImplementedError


@dataclass(frozen=True, kw_only=True)
class Retriever(Declared):
    """A model that puts users and items into one space, where near means likely to be wanted."""

    @property
    def reads(self) -> tuple[Feature, ...]:
        """Features that it brings along and reads instead of the system's own, which rankers do not see; empty for a
        model that reads those of the system."""
        return ()

    def fit(self, train: Examples, valid: Examples, catalogue: Catalogue, run: Run) -> None:
        """Learn the two encoders and encode the catalogue into `item_vectors.npy` and `item_rows.npy`.

        Args:
            train: rows with the features of the user and the request only.
            valid: the same, later.
            catalogue: items with their item-side features; covers the items of both.
            run: where and how.

        Raises:
            InputError: `no-examples`.
        """
        raise NotImplementedError

    @classmethod
    def query_encoder(cls, artefact: Artefact, threads: int) -> QueryEncoder:
        """User side → vectors."""
        raise NotImplementedError

    @classmethod
    def item_encoder(cls, artefact: Artefact, threads: int) -> ItemEncoder:
        """Item side → vectors."""
        raise NotImplementedError

    @classmethod
    def frame_encoder(cls, artefact: Artefact, threads: int) -> FrameEncoder | None:
        """Item side of videos → a vector of each of their frames, float32 [I, F, D], NaN beyond the last; None for
        models that look at no frames."""
        return None


class Scorer(Protocol):
    """A fitted ranker."""

    @property
    def heads(self) -> tuple[str, ...]:
        """What it predicts, in column order."""
        ...

    def score(self, batch: FeatureBatch) -> Floats:
        """Predictions, float32 [N, H]: probabilities for binary heads, amounts for regression heads.

        A feature the batch lacks counts as unknown; features it was not trained on are ignored.
        """
        ...


def load_scorer(folder: Path, *, threads: int = 1) -> Scorer:
    """A fitted ranker from its folder.

    Raises:
        InputError: `model-corrupt` naming the file; `wrong-model` when it is not a ranker.
    """
    artefact = Artefact.open(folder)
    model: type[Ranker] = kind_of(artefact, Ranker)
    return guarded(folder, lambda: model.open(artefact, threads))


def load_query_encoder(folder: Path, *, threads: int = 1) -> QueryEncoder:
    """The user side of a fitted retriever: FeatureBatch of N users → float32 [N, D].

    Raises:
        InputError: `model-corrupt` naming the file; `wrong-model` when it is not a retriever.
    """
    artefact = Artefact.open(folder)
    model: type[Retriever] = kind_of(artefact, Retriever)
    return guarded(folder, lambda: model.query_encoder(artefact, threads))


def load_item_encoder(folder: Path, *, threads: int = 1) -> ItemEncoder:
    """The item side of a fitted retriever: FeatureBatch of I items and their rows, int64 [I] → float32 [I, D].

    Raises:
        InputError: `model-corrupt` naming the file; `wrong-model` when it is not a retriever.
    """
    artefact = Artefact.open(folder)
    model: type[Retriever] = kind_of(artefact, Retriever)
    return guarded(folder, lambda: model.item_encoder(artefact, threads))


def load_frame_encoder(folder: Path, *, threads: int = 1) -> FrameEncoder | None:
    """What a fitted retriever makes of single frames of its items, if it looks at any; see `Retriever.frame_encoder`.

    Raises:
        InputError: `model-corrupt` naming the file; `wrong-model` when it is not a retriever.
    """
    artefact = Artefact.open(folder)
    model: type[Retriever] = kind_of(artefact, Retriever)
    return guarded(folder, lambda: model.frame_encoder(artefact, threads))


def chosen_heads(heads: tuple[str, ...], train: Examples, run: Run) -> dict[str, HeadType]:
    """Head → type of the heads to learn, in order.

    Raises:
        InputError: `no-examples`, `unknown-head`.
    """
    if not len(train):
        raise InputError(Problem("no-examples", "there are no rows to learn from", fix="import or collect a log first"))
    if missing := [h for h in heads if h not in train.labels]:
        what, known = f"no labels for head `{missing[0]}`", ", ".join(train.labels)
        raise InputError(Problem("unknown-head", what, fix=f"known heads: {known}"))
    return {h: run.types.get(h) or _type_of(train.labels[h]) for h in heads or tuple(train.labels)}


def _type_of(labels: Floats) -> HeadType:
    return "binary" if bool(np.isin(labels[~np.isnan(labels)], (0, 1)).all()) else "regression"


def guarded(folder: Path, load: Callable[[], T]) -> T:
    """What `load` returns; whatever a library raises over a file becomes `model-corrupt`."""
    try:
        return load()
    except InputError:
        raise
    except Exception as error:
        raise corrupt(folder / META, f"{type(error).__name__}: {error}") from error


def kind_of(artefact: Artefact, base: type[Declared]) -> Any:
    """The registered class that made an artefact.

    Raises:
        InputError: `wrong-model` when it is none of that kind.
    """
    name = str(artefact.fact("model"))
    if name not in base.known():  # a server starts without declaring what it loads
        for module in pkgutil.iter_modules(models.__path__):
            importlib.import_module(f"winnow.models.{module.name}")
    if name not in base.known():
        what = f"`{name}` in {artefact.folder.name} is not a {base.__name__.lower()}"
        raise InputError(Problem("wrong-model", what, str(artefact.folder), fix="give the folder of the other model"))
    return base.known()[name]
