"""A judge over the release of a system: what `winnow train` made and promoted decides from the next renewal on."""

from collections.abc import Sequence

import numpy as np
from msgspec import structs

from winnow.models.content_regions import Region, regions
from winnow.moderation.judge import Judgement
from winnow.moderation.post import Post
from winnow.moderation.trained import spans_of, told
from winnow.serving.desk import Desk
from winnow.serving.judging import Reader, Said

_LEAST = 0.3  # probability of a harm from which its regions are told


class ReleasedJudge:
    """Judges by the release that serves.

    Args:
        desk: of a system that decides about content.
        reader: turns posts into what its models read.
    """

    reads = ("text", "image")

    def __init__(self, desk: Desk, reader: Reader) -> None:
        self._desk, self._reader = desk, reader
        self.heads = tuple(desk.system.labels.heads)

    @property
    def model(self) -> str:
        """The system and the release, as it is written into decisions."""
        return self._name(self._desk.kit.bundle.release if self._desk.ready else "none")

    def _name(self, release: str) -> str:
        return f"{self._desk.system.name}-{release}"

    def judge(self, posts: Sequence[Post]) -> Judgement:
        """The probability of every harm, and the characters that it rests on; NaN for harms that nobody has labelled.

        Raises:
            Unavailable: `no-release`, or why the release cannot judge.
        """
        kit = self._desk.kit
        content, found = self._reader.judge(kit, _said(posts))
        scorer, table = kit.bundle.judge, np.full((len(posts), len(self.heads)), np.nan)
        for place, head in enumerate(scorer.heads):
            if head in self.heads:
                table[:, self.heads.index(head)] = found[:, place]
        spans, inputs = spans_of(scorer, content, found), [post.inputs for post in posts]
        return Judgement(self.heads, table, spans, self._name(kit.bundle.release), inputs)

    def regions(self, posts: Sequence[Post]) -> list[list[Region]]:
        """The boxes of each picture that spoke for a harm; see `Pointing`."""
        kit = self._desk.kit
        if kit.system.pipeline.looks is None:
            return [[] for _ in posts]
        unlogged = [structs.replace(post, request="", post=post.post or post.request) for post in posts]
        content, _ = self._reader.judge(kit, _said(unlogged))
        encode, files = self._reader.sight(kit), [post.image for post in posts]
        found = regions(kit.bundle.judge, content, files, encode, least=_LEAST)
        return [[region._replace(weight=told(region.weight)) for region in row] for row in found]


def _said(posts: Sequence[Post]) -> list[Said]:
    return [Said(p.text, p.image, p.author, p.post or p.request, p.request, p.reactions) for p in posts]
