"""A judge over the release of a system: what `winnow train` made and promoted decides from the next renewal on."""

from collections.abc import Sequence

import numpy as np

from winnow.moderation.judge import Judgement
from winnow.moderation.post import Post
from winnow.moderation.trained import spans_of
from winnow.serving.desk import Desk
from winnow.serving.judging import Reader


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
        release = self._desk.kit.bundle.release if self._desk.ready else "none"
        return f"{self._desk.system.name}-{release}"

    def judge(self, posts: Sequence[Post]) -> Judgement:
        """The probability of every harm, and the characters that it rests on; NaN for harms that nobody has labelled.

        Raises:
            Unavailable: `no-release`, or why the release cannot judge.
        """
        kit = self._desk.kit
        scorer = kit.bundle.judge
        content = self._reader.content(
            kit, [post.text for post in posts], [post.image for post in posts],
            authors=[post.author for post in posts], posts=[post.post or post.request for post in posts],
            reactions=[post.reactions for post in posts],
        )  # fmt: skip
        table = np.full((len(posts), len(self.heads)), np.nan)
        said = [(self.heads.index(head), place) for place, head in enumerate(scorer.heads) if head in self.heads]
        table[:, [column for column, _ in said]] = scorer.score(content)[:, [place for _, place in said]]
        model = f"{self._desk.system.name}-{kit.bundle.release}"
        return Judgement(self.heads, table, spans_of(scorer, content), model, [post.inputs for post in posts])
