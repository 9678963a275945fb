"""Decisions: step 5 of a system that judges content instead of putting items in order."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from winnow.core.declare import Declared
from winnow.core.errors import InputError, Problem
from winnow.data.schema import Path
from winnow.encoders.base import Encoder
from winnow.models.content import ContentModel
from winnow.serving.gather import Gatherer
from winnow.serving.kit import Kit
from winnow.serving.pipeline import Pipeline, Ranking
from winnow.serving.query import Query
from winnow.serving.sources import Source
from winnow.serving.trace import Trace


@dataclass(frozen=True, kw_only=True)
class Decisions(Pipeline):
    """How a system about content serves: the one candidate is the content itself, and policy answers with an action.

    Known content comes first, then features of the author as of now, the model of the release, and the policy in
    force, which is data of the project and no part of the system; see `winnow.moderation`. What is declared here is
    how a post becomes what models read, in training and in serving alike.

    Args:
        text: column of the items that holds what was written.
        picture: column that holds their picture.
        sentences: encoder of the text without its disguises.
        looks: encoder of the picture.
    """

    ranks: ClassVar[bool] = False
    models: ClassVar[type[Declared]] = ContentModel

    sources: Sequence[Source] = ()
    text: Path
    picture: Path | None = None
    sentences: Encoder | None = None
    looks: Encoder | None = None

    def problems(self, system: Any) -> Iterator[Problem]:
        yield from super().problems(system)
        for column, encoder, media in ((self.text, self.sentences, "text"), (self.picture, self.looks, "image")):
            if column is not None and (column.kind.media or column.kind.storage) != media:
                what = f"`{column}` is {column.kind.media or column.kind.storage}"
                yield Problem("wrong-column", what, self.where, fix=f"give a column that is {media}")
            if encoder is not None and encoder.of != media:
                what = f"{type(encoder).__name__} takes {encoder.of}"
                yield Problem("wrong-encoder", what, self.where, fix=f"give one that takes {media}")
        if (self.picture is None) != (self.looks is None):
            what = "a picture and the encoder that reads it go together"
            yield Problem("picture-unread", what, self.where, fix="give picture= and looks=, or neither")
        if system.ranking is None:
            yield Problem("no-models", "nothing judges posts", self.where, fix="give System(ranking=Ladder(...))")

    def execute(self, query: Query, kit: Kit, *, gatherer: Gatherer, trace: Trace) -> Ranking:
        """Refuses: there is nothing to put in order.

        Raises:
            InputError: `decides-only`.
        """
        what = f"`{kit.system.name}` decides about content and puts nothing in order"
        raise InputError(Problem("decides-only", what, "system", fix="POST /v1/moderation/decisions"))
