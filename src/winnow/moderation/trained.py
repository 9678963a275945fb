"""A judge over a trained content model."""

import hashlib
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from winnow.core.errors import InputError, Problem
from winnow.encoders.base import Encode
from winnow.models.content import Content, ContentScorer, load_content_scorer
from winnow.models.content_regions import Region, regions
from winnow.moderation.judge import Judgement, Span
from winnow.moderation.post import Post

_LIKELY = 0.5  # probability of a harm from which it is explained


class ContentJudge:
    """Judges by a trained model.

    Args:
        scorer: the model.
        name: as it is written into decisions.
        encode: of texts, for models that take sentence vectors.
        encode_pictures: of image files, for models that take vectors of pictures.
    """

    def __init__(
        self, scorer: ContentScorer, *, name: str, encode: Encode | None = None, encode_pictures: Encode | None = None
    ) -> None:
        self._scorer, self._encode, self._encode_pictures = scorer, encode, encode_pictures
        self.heads = tuple(scorer.heads)
        self.model = name

    @classmethod
    def load(
        cls, folder: Path | str, *, encode: Encode | None = None, encode_pictures: Encode | None = None
    ) -> "ContentJudge":
        """The judge of a model's folder.

        Args:
            folder: that `ContentModel.fit` wrote.
            encode: of texts, for models that take sentence vectors.
            encode_pictures: of image files, for models that take vectors of pictures.

        Raises:
            InputError: `no-content-model`, `model-corrupt`, `wrong-model`.
        """
        folder = Path(folder)
        if not folder.is_dir():
            fix = "name the folder of a trained content model in `judge.model` of moderation.toml"
            raise InputError(Problem("no-content-model", f"there is no folder `{folder.name}`", "judge.model", fix=fix))
        scorer = load_content_scorer(folder, encode=encode)
        name = f"{folder.name}-{_version(folder)}"
        return cls(scorer, name=name, encode=encode, encode_pictures=encode_pictures)

    @property
    def reads(self) -> tuple[str, ...]:
        """Which parts of a post it looks at."""
        return ("text",) if self._encode_pictures is None else ("text", "image")

    def judge(self, posts: Sequence[Post]) -> Judgement:
        """The probability of every harm, and the characters that it rests on."""
        content = self._content(posts)
        table = np.asarray(self._scorer.score(content), np.float64)
        bare = np.array([not post.text and bool(post.image_hash) for post in posts], np.bool_)
        table[bare & np.isnan(content.pictures).all(axis=1)] = np.nan  # a picture that is not at hand, and nothing else
        return Judgement(
            self.heads, table, spans_of(self._scorer, content, table), self.model, [post.inputs for post in posts]
        )

    def regions(self, posts: Sequence[Post], *, least: float = 0.5) -> list[list[Region]]:
        """The boxes of each picture that speak for a harm of probability `least` or more; some 30 encodings each.

        Asked for posts about which something is done; nothing for a model that does not look at pictures.
        """
        if self._encode_pictures is None:
            return [[] for _ in posts]
        content, files = self._content(posts), [post.image for post in posts]
        found = regions(self._scorer, content, files, self._encode_pictures, least=least)
        return [[region._replace(weight=told(region.weight)) for region in row] for row in found]

    def _content(self, posts: Sequence[Post]) -> Content:
        vectors = None
        if self._encode_pictures is not None:
            vectors = self._encode_pictures([post.image or b"" for post in posts])
        return Content.of([post.text for post in posts], self._encode, pictures=vectors)


def spans_of(scorer: ContentScorer, content: Content, table: NDArray[np.floating]) -> list[list[Span]]:
    """What spoke for the harms of each post that are more probable than not, by their probabilities [N, H]."""
    found = scorer.spoken(content, table >= _LIKELY)
    return [[Span(s.head, s.start, s.end, told(s.weight)) for s in spans] for spans in found]


def told(weight: float) -> float:
    """Models tell weights in log-odds; from 0 to 1 they can stand beside those of other judges."""
    return 1 - math.exp(-max(0.0, weight))


def _version(folder: Path) -> str:
    """A digest of the model's files: decisions name exactly what judged them."""
    digest = hashlib.sha256()
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        digest.update(path.relative_to(folder).as_posix().encode() + b"\0" + hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()[:12]
