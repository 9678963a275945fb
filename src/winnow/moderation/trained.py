"""A judge over a trained content model."""

import hashlib
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from winnow.core.errors import InputError, Problem
from winnow.encoders.base import Encode
from winnow.models.content import Content, ContentScorer, load_content_scorer
from winnow.moderation.judge import Judgement, Span
from winnow.moderation.post import Post


class ContentJudge:
    """Judges by a trained model.

    Args:
        scorer: the model.
        name: as it is written into decisions.
        encode: of texts, for models that take sentence vectors.
    """

    def __init__(self, scorer: ContentScorer, *, name: str, encode: Encode | None = None) -> None:
        self._scorer, self._encode = scorer, encode
        self.heads = tuple(scorer.heads)
        self.model = name

    @classmethod
    def load(cls, folder: Path | str, *, encode: Encode | None = None) -> "ContentJudge":
        """The judge of a model's folder.

        Args:
            folder: that `ContentModel.fit` wrote.
            encode: of texts, for models that take sentence vectors.

        Raises:
            InputError: `no-content-model`, `model-corrupt`, `wrong-model`.
        """
        folder = Path(folder)
        if not folder.is_dir():
            fix = "name the folder of a trained content model in `judge.model` of moderation.toml"
            raise InputError(Problem("no-content-model", f"there is no folder `{folder.name}`", "judge.model", fix=fix))
        scorer = load_content_scorer(folder, encode=encode)
        return cls(scorer, name=f"{folder.name}-{_version(folder)}", encode=encode)

    def judge(self, posts: Sequence[Post]) -> Judgement:
        """The probability of every harm, and the characters that it rests on."""
        content = Content.of([post.text for post in posts], self._encode)
        table = np.asarray(self._scorer.score(content), np.float64)
        return Judgement(
            self.heads, table, spans_of(self._scorer, content), self.model, [post.inputs for post in posts]
        )


def spans_of(scorer: ContentScorer, content: Content) -> list[list[Span]]:
    """What spoke for the harms of each post. A model tells weights in log-odds; from 0 to 1 they can stand beside those
    of other judges."""
    return [
        [Span(s.head, s.start, s.end, 1 - math.exp(-max(0.0, s.weight))) for s in found]
        for found in scorer.spans(content)
    ]


def _version(folder: Path) -> str:
    """A digest of the model's files: decisions name exactly what judged them."""
    digest = hashlib.sha256()
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        digest.update(path.relative_to(folder).as_posix().encode() + b"\0" + hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()[:12]
