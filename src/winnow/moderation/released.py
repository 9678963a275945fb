"""A judge over the release of a system: what `winnow train` made and promoted decides from the next renewal on."""

from collections.abc import Sequence

import numpy as np

from winnow.moderation.judge import Judgement
from winnow.moderation.post import Post
from winnow.moderation.trained import spans_of
from winnow.serving.desk import Desk
from winnow.serving.judging import Reader, Said


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
        said = [Said(p.text, p.image, p.author, p.post or p.request, p.request, p.reactions) for p in posts]
        content, found = self._reader.judge(kit, said)
        scorer, table = kit.bundle.judge, np.full((len(posts), len(self.heads)), np.nan)
        for place, head in enumerate(scorer.heads):
            if head in self.heads:
                table[:, self.heads.index(head)] = found[:, place]
        spans, inputs = spans_of(scorer, content), [post.inputs for post in posts]
        return Judgement(self.heads, table, spans, self._name(kit.bundle.release), inputs)
