"""What a model that judges content is: posts as columns in, one probability per harm out, and the words that led there.

`fit` leaves an artefact in `run.folder`; `load_content_scorer` opens it without torch. Predictions of every model are
calibrated per head on the validation part.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from winnow.core.declare import Declared
from winnow.core.errors import InputError, Problem
from winnow.encoders.base import Encode
from winnow.features.batch import Floats
from winnow.media.ngrams import nameless
from winnow.media.normalise import Normal, normalise_all
from winnow.models.artefact import Artefact
from winnow.models.base import Run, guarded, kind_of
from winnow.models.calibration import FILE, Calibration, Method

Groups = tuple[tuple[str, ...], ...]
Labels = Mapping[str, Floats]


@dataclass(frozen=True)
class Content:
    """N posts.

    Args:
        texts: as people wrote them; empty for none.
        sentences: vectors of the normalised texts, float32 [N, Ds]; NaN rows are unknown, no columns for none at all.
        pictures: vectors of the pictures, float32 [N, Dp]; NaN rows for posts without.
        facts: numbers about author and reactions, float32 [N, F]; NaN is unknown.
    """

    texts: Sequence[str]
    sentences: Floats = field(default_factory=lambda: np.zeros((0, 0), np.float32))
    pictures: Floats = field(default_factory=lambda: np.zeros((0, 0), np.float32))
    facts: Floats = field(default_factory=lambda: np.zeros((0, 0), np.float32))

    def __post_init__(self) -> None:
        for name in ("sentences", "pictures", "facts"):
            values = getattr(self, name)
            if not values.size:
                object.__setattr__(self, name, np.zeros((len(self), values.shape[-1]), np.float32))
            elif len(values) != len(self):
                what = f"{len(values)} rows of `{name}` for {len(self)} texts"
                raise InputError(Problem("lengths-differ", what, fix="give one row for each text"))

    def __len__(self) -> int:
        return len(self.texts)

    @classmethod
    def of(
        cls, texts: Sequence[str], encode: Encode | None = None, *, pictures: Floats | None = None,
        facts: Floats | None = None,
    ) -> Self:  # fmt: skip
        """Posts whose sentence vectors are those of their normalised texts."""
        given = {name: v for name, v in (("pictures", pictures), ("facts", facts)) if v is not None}
        posts = cls(texts, **given)
        return posts if encode is None else posts.encoded(encode)

    def encoded(self, encode: Encode) -> Self:
        """The same posts with sentence vectors."""
        vectors = encode([nameless(normal.text) for normal in self.normal])
        posts = type(self)(self.texts, vectors, self.pictures, self.facts)
        posts.__dict__["normal"] = self.normal
        return posts

    @cached_property
    def normal(self) -> list[Normal]:
        """The texts without disguises, with the way back."""
        return normalise_all(self.texts)

    def take(self, rows: NDArray[np.int64] | NDArray[np.bool_]) -> Self:
        """The chosen rows."""
        at = np.flatnonzero(rows) if rows.dtype == np.bool_ else rows
        parts = (self.sentences[at], self.pictures[at], self.facts[at])
        posts = type(self)([self.texts[i] for i in at], *parts)
        if "normal" in self.__dict__:
            posts.__dict__["normal"] = [self.normal[i] for i in at]
        return posts


class Labelled(NamedTuple):
    """Posts and what people said of them.

    Args:
        content: N posts.
        labels: head → float32 [N], 1 or 0, or the share of people who said so; NaN where nobody said.
    """

    content: Content
    labels: Labels

    def take(self, rows: NDArray[np.int64] | NDArray[np.bool_]) -> "Labelled":
        """The chosen rows."""
        return Labelled(self.content.take(rows), {head: values[rows] for head, values in self.labels.items()})


class Span(NamedTuple):
    """Characters of the original text that spoke for a head.

    Args:
        start, end: the characters, `end` not included.
        weight: by how much, in log-odds.
        head: for what.
    """

    start: int
    end: int
    weight: float
    head: str


class ContentScorer(Protocol):
    """A fitted model."""

    @property
    def heads(self) -> tuple[str, ...]:
        """What it predicts, in column order."""
        ...

    def score(self, content: Content) -> Floats:
        """Probabilities, float32 [N, H]."""
        ...

    def spans(self, content: Content, *, least: float = 0.5) -> list[list[Span]]:
        """For each post the words that speak for its heads of probability `least` or more, in order of place."""
        ...

    def spoken(self, content: Content, wanted: NDArray[np.bool_]) -> list[list[Span]]:
        """For each post the words that speak for its wanted heads, bool [N, H], in order of place."""
        ...


@dataclass(frozen=True, kw_only=True)
class ContentModel(Declared):
    """Base of the models that judge content.

    Args:
        heads: harms to predict; empty for all that are labelled.
        groups: heads of which exactly one is true, such as the classes of a task.
        calibration: how probabilities are made to mean what they say; None leaves them.
    """

    heads: tuple[str, ...] = ()
    groups: Groups = ()
    calibration: Method | None = "platt"

    def fit(self, train: Labelled, valid: Labelled, run: Run) -> None:
        """Learn from `train`, tune and calibrate on `valid`, leave an artefact in `run.folder`.

        Raises:
            InputError: `no-examples`, `unknown-head`, `lengths-differ`.
        """
        from winnow.models.content_calibration import calibrated

        heads = self.chosen(train)
        files, facts = self.learn(train, valid, run)
        facts = {"heads": list(heads), "groups": [list(g) for g in self.groups], **facts}
        artefact = Artefact.write(run.folder, model=type(self).__name__, files=files, **facts)
        if self.calibration and len(valid.content):
            raw = self.open(artefact, run.threads).score(valid.content)
            labels = {head: valid.labels[head] for head in heads}
            calibrated(self.calibration, raw, labels, heads).save(run.folder)
            Artefact.write(run.folder, model=type(self).__name__, files=[*files, FILE], **facts)

    def learn(self, train: Labelled, valid: Labelled, run: Run) -> tuple[list[str], dict[str, Any]]:
        """The names of the files that it wrote into `run.folder`, and what `meta.json` should say beside them."""
        raise NotImplementedError

    @classmethod
    def open(cls, artefact: Artefact, threads: int, encode: Encode | None = None) -> "ContentScorer":
        """The fitted model, not calibrated."""
        raise NotImplementedError

    def chosen(self, train: Labelled) -> tuple[str, ...]:
        """The heads to learn, in order.

        Raises:
            InputError: `no-examples`, `unknown-head`.
        """
        if not len(train.content):
            raise InputError(Problem("no-examples", "there are no posts to learn from", fix="label some first"))
        wanted = self.heads or tuple(train.labels)
        missing = [h for h in (*wanted, *(h for g in self.groups for h in g)) if h not in train.labels]
        if missing:
            what, known = f"no labels for head `{missing[0]}`", ", ".join(train.labels)
            raise InputError(Problem("unknown-head", what, fix=f"known heads: {known}"))
        return wanted

    def blocks(self, heads: tuple[str, ...]) -> list[tuple[int, ...]]:
        """Columns that are learnt together: each group, then every other head alone."""
        groups = [tuple(heads.index(h) for h in g) for g in self.groups if set(g) <= set(heads)]
        grouped = {column for g in groups for column in g}
        return groups + [(column,) for column in range(len(heads)) if column not in grouped]


@dataclass(frozen=True)
class Calibrated:
    """A fitted model whose probabilities mean what they say."""

    scorer: ContentScorer
    calibration: Calibration

    @property
    def heads(self) -> tuple[str, ...]:
        """What it predicts, in column order."""
        return self.scorer.heads

    def score(self, content: Content) -> Floats:
        """Calibrated probabilities, float32 [N, H]."""
        return self.calibration.apply(self.scorer.score(content), self.heads)

    def spans(self, content: Content, *, least: float = 0.5) -> list[list[Span]]:
        """As of the model, for heads whose calibrated probability is `least` or more."""
        return self.spoken(content, self.score(content) >= least)

    def spoken(self, content: Content, wanted: NDArray[np.bool_]) -> list[list[Span]]:
        """As of the model."""
        return self.scorer.spoken(content, wanted)


def load_content_scorer(folder: Path, *, threads: int = 1, encode: Encode | None = None) -> ContentScorer:
    """A fitted model from its folder.

    Args:
        folder: where `fit` left it.
        threads: how many to use.
        encode: makes sentence vectors: explanations then leave words out of them too.

    Raises:
        InputError: `model-corrupt` naming the file; `wrong-model` when it does not judge content.
    """
    artefact = Artefact.open(folder)
    model: type[ContentModel] = kind_of(artefact, ContentModel)
    scorer = guarded(folder, lambda: model.open(artefact, threads, encode))
    calibration = Calibration.open(folder)
    return scorer if calibration is None else Calibrated(scorer, calibration)
