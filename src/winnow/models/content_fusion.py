"""L2: early fusion of sentence, n-grams, picture, author and reactions into a shared trunk with a head per harm."""

import hashlib
import re
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from winnow.core.declare import digest
from winnow.encoders.base import Encode
from winnow.features.batch import Floats
from winnow.media.normalise import Normal
from winnow.models.artefact import Artefact
from winnow.models.base import Run
from winnow.models.content import Content, ContentModel, ContentScorer, Labelled, Span
from winnow.models.content_inputs import ANSWERS, FILE, Inputs, modalities
from winnow.models.content_linear import class_weights, weight_shift
from winnow.models.content_ngrams import NGrams, NGramsScorer, probabilities
from winnow.models.content_probes import FILE as PROBES
from winnow.models.content_probes import Probe, load, probed, save
from winnow.models.content_spans import WORD, strongest
from winnow.models.session import Session

_NETWORK, _NGRAMS = "network.onnx", "ngrams.npz"
_GROUPS_OF_WORDS = 48  # parts of a text that are left out in turn for an explanation
_CLOSELY = 4  # posts of one question that are explained by leaving words out
_AT_ONCE = 4_096

Values = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class EarlyFusion(ContentModel):
    """A small network over everything that is known of a post; what is missing is left out.

    N-grams enter as the logits of an `NGrams` model, in training those of models that have not seen the post; vectors
    of sentences and pictures as they are, and as the answers of a `Probe` of their own, in training of one without the
    post. All heads share the trunk; a post teaches the heads for which it has a label. Training starts from the best
    mix of what the modalities say by themselves.

    Args:
        ngrams: how n-grams are read.
        folds: models that make the n-gram logits of training posts.
        hidden: width of the trunk.
        members: networks whose mean is taken.
        dropout: share of hidden values dropped in training.
        left_out: share of posts from which a modality is left out in training.
        focal: gamma of the focal loss; 0 for cross entropy.
        balance: how much rare classes count for more, 0 to 1.
        epochs, batch_size, learning_rate, reg: as in every model.

    Source: Kiela et al., "The hateful memes challenge", NeurIPS 2020; Lin et al., ICCV 2017 (focal loss); Wolpert,
    "Stacked generalization", Neural Networks 1992.
    """

    ngrams: NGrams = field(default_factory=lambda: NGrams(calibration=None))
    folds: int = 4
    hidden: int = 128
    members: int = 3
    dropout: float = 0.4
    left_out: float = 0.1
    focal: float = 0.0
    balance: float = 0.3
    epochs: int = 15
    batch_size: int = 256
    learning_rate: float = 1e-3
    reg: float = 1.0

    def learn(self, train: Labelled, valid: Labelled, run: Run) -> tuple[list[str], dict[str, Any]]:
        from winnow.models.networks.content_fusion import fit

        heads = self.chosen(train)
        logits, scorer = self._ngram_logits(train, heads, run.part("ngrams", 0.0, 0.5))
        probes, said = _probed(train, heads)
        parts = modalities(train.content, logits, said)
        inputs = Inputs.fit(parts)
        inputs.save(run.folder)
        save(probes, run.folder)
        held_out = modalities(valid.content, scorer.logits(valid.content), _answers(probes, valid.content))
        rows = {
            "train": (inputs.matrix(parts), *self._labels(train, heads)),
            "valid": (inputs.matrix(held_out), *self._labels(valid, heads)),
        }
        seen = hashlib.sha256(rows["train"][0].tobytes() + rows["train"][1].tobytes()).hexdigest()[:12]
        settings = {f.name: float(v) for f in fields(self) if isinstance(v := getattr(self, f.name), int | float)}
        fit(rows, inputs.widths, blocks=self.blocks(heads), settings=settings, run=run.part("", 0.5),
            key=f"fusion {digest(self)} {seen}", shift=self._shift(rows["train"][1], heads))  # fmt: skip
        shutil.copyfile(run.folder / "ngrams" / _NGRAMS, run.folder / _NGRAMS)
        for part in (run.folder / "ngrams", *run.folder.glob("member*")):  # checkpoints, and what folds left
            shutil.rmtree(part)
        return [_NETWORK, FILE, PROBES, _NGRAMS], {"runs": list(self.ngrams.runs), "bits": self.ngrams.bits}

    def _ngram_logits(self, train: Labelled, heads: tuple[str, ...], run: Run) -> tuple[Values, NGramsScorer]:
        """For each training post the logits of a model that has not seen it, and the model of all posts."""
        model = replace(self.ngrams, heads=heads, groups=self.groups, calibration=None)
        fold = np.random.default_rng(run.seed).permutation(np.arange(len(train.content)) % max(self.folds, 1))
        out = np.zeros((len(train.content), len(heads)))
        for k in range(self.folds):
            own = run.part(f"fold{k}", k / (self.folds + 1), (k + 1) / (self.folds + 1))
            out[fold == k] = _fitted(model, train.take(fold != k), own).logits(train.content.take(fold == k))
        return out, _fitted(model, train, run)

    def _labels(self, rows: Labelled, heads: tuple[str, ...]) -> tuple[Floats, Floats]:
        """Labels and weights, float32 [N, H] both."""
        labels = np.stack([rows.labels[head] for head in heads], axis=1).astype(np.float32)
        weights = np.zeros_like(labels)
        for block in map(np.array, self.blocks(heads)):
            known = np.flatnonzero(~np.isnan(labels[:, block]).any(axis=1))
            if len(known):
                weights[np.ix_(known, block)] = class_weights(labels[known][:, block].astype(np.float64), self.balance)[
                    :, None
                ]
        return labels, weights

    def _shift(self, labels: Floats, heads: tuple[str, ...]) -> Floats:
        """What the weights of classes add to the logits, float32 [H]."""
        shift = np.zeros(len(heads), np.float32)
        for block in map(list, self.blocks(heads)):
            known = labels[~np.isnan(labels[:, block]).any(axis=1)][:, block]
            if len(known):
                shift[block] = weight_shift(known.astype(np.float64), self.balance)
        return shift

    @classmethod
    def open(cls, artefact: Artefact, threads: int, encode: Encode | None = None) -> ContentScorer:
        session = Session.open(artefact.path(_NETWORK), threads=threads)
        return FusionScorer(NGramsScorer.open(artefact), Inputs.open(artefact), session, encode, load(artefact))


def _fitted(model: NGrams, train: Labelled, run: Run) -> NGramsScorer:
    model.fit(train, train.take(np.zeros(0, np.int64)), run)
    return NGramsScorer.open(Artefact.open(run.folder))


def _probed(train: Labelled, heads: tuple[str, ...]) -> tuple[dict[str, Probe], dict[str, Floats]]:
    """Modality → its probe, and what probes that have not seen them say of the training posts."""
    labels = np.stack([train.labels[head] for head in heads], axis=1).astype(np.float32)
    vectors = {name: getattr(train.content, name) for name in ANSWERS}
    both = {name: probed(values, labels) for name, values in vectors.items() if values.shape[1]}
    return {name: probe for name, (probe, _) in both.items()}, {name: said for name, (_, said) in both.items()}


def _answers(probes: Mapping[str, Probe], content: Content) -> dict[str, Floats]:
    return {name: probe.answers(getattr(content, name)) for name, probe in probes.items()}


@dataclass(frozen=True)
class FusionScorer:
    """A fitted model.

    Args:
        ngrams: makes the n-gram logits.
        inputs: how modalities are scaled.
        session: the network.
        encode: makes sentence vectors; explanations leave words out of them too when it is there.
        probes: modality → what answers from its vectors alone.
    """

    ngrams: NGramsScorer
    inputs: Inputs
    session: Session
    encode: Encode | None = None
    probes: Mapping[str, Probe] = field(default_factory=dict)

    @property
    def heads(self) -> tuple[str, ...]:
        """What it predicts, in column order."""
        return self.ngrams.heads

    def score(self, content: Content) -> Floats:
        """Probabilities, float32 [N, H]."""
        if not len(content):
            return np.zeros((0, len(self.heads)), np.float32)
        logits, said = self.ngrams.logits(content), _answers(self.probes, content)
        x = self.inputs.matrix(modalities(content, logits, said))
        parts = [self.session.run({"x": x[i : i + _AT_ONCE]}) for i in range(0, len(x), _AT_ONCE)]
        return probabilities(np.concatenate(parts).astype(np.float64), self.ngrams.blocks)

    def spans(self, content: Content, *, least: float = 0.5) -> list[list[Span]]:
        """The words without which a head's log-odds fall most: each is left out in turn."""
        return self.spoken(content, self.score(content) >= least)

    def spoken(self, content: Content, wanted: NDArray[np.bool_]) -> list[list[Span]]:
        """As `spans`, for the wanted heads of each post, bool [N, H].

        Leaving words out costs as much as judging some ten posts or more. When many posts are asked about at once,
        only the first are explained so; what the n-grams of the others weigh is at hand.
        """
        asked = np.flatnonzero(wanted.any(axis=1))
        out: list[list[Span]] = [[] for _ in range(len(content))]
        closely, rest = asked[:_CLOSELY], asked[_CLOSELY:]
        scores = self.score(content.take(closely))
        for row, score in zip(closely, scores, strict=True):
            out[row] = self._spans(content, int(row), score, np.flatnonzero(wanted[row]))
        for row, found in zip(rest, self.ngrams.spoken(content.take(rest), wanted[rest]), strict=True):
            out[row] = found
        return out

    def _spans(self, content: Content, row: int, score: Floats, wanted: NDArray[np.int64]) -> list[Span]:
        normal = content.normal[row]
        words = _word_groups(normal)
        if not words:
            return []
        without = self.score(self._occluded(content, row, [normal.text[:a] + " " + normal.text[b:] for a, b in words]))
        falls = _log_odds(score[None]) - _log_odds(without)
        return sorted(
            Span(*normal.span(start, end), weight, self.heads[c])
            for c in wanted
            for start, end, weight in strongest(words, falls[:, c])
        )

    def _occluded(self, content: Content, row: int, texts: Sequence[str]) -> Content:
        """A post with other texts."""
        again = content.take(np.full(len(texts), row))
        posts = Content(texts, again.sentences, again.pictures, again.facts)
        return posts.encoded(self.encode) if self.encode and content.sentences.shape[1] else posts


def _word_groups(normal: Normal) -> list[tuple[int, int]]:
    """Words, or in a long text runs of neighbouring words."""
    words = [match.span() for match in re.finditer(WORD, normal.text)]
    step = -(-len(words) // _GROUPS_OF_WORDS) or 1
    return [(words[i][0], words[min(i + step, len(words)) - 1][1]) for i in range(0, len(words), step)]


def _log_odds(p: Floats) -> Values:
    clipped = np.clip(p.astype(np.float64), 1e-6, 1 - 1e-6)
    return np.log(clipped) - np.log1p(-clipped)
