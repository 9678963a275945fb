"""Posts as the models of a release read them: what they say and show, and the features of who says it, as of now.

N posts, F facts.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from winnow.data.ids import IdMap
from winnow.encoders.base import Encoder, Floats
from winnow.encoders.encodings import Encodings
from winnow.features.state import State
from winnow.features.view import Moments
from winnow.models.content import Content
from winnow.serving.kit import Kit


class Reader:
    """Turns posts into content.

    Args:
        ids: ids and row numbers.
        encodings: opens encoders.
    """

    def __init__(self, ids: IdMap, encodings: Encodings):
        self._ids, self._encodings = ids, encodings

    def content(
        self, kit: Kit, texts: Sequence[str], pictures: Sequence[bytes | None], *, authors: Sequence[str],
        posts: Sequence[str], reactions: Sequence[Mapping[str, float]] = (),
    ) -> Content:  # fmt: skip
        """N posts as content, with vectors by the encoders that the system names.

        Args:
            kit: of a system that decides about content.
            texts: as written, empty for none.
            pictures: files as they were sent, None for none.
            authors: their ids; empty, or an id that the log has never seen, is somebody unknown.
            posts: ids, for what has become of a post that is judged again; empty for new ones.
            reactions: event type → how many the post has had, where whoever asks knows better than the log.
        """
        how = kit.system.pipeline
        encode = None if how.sentences is None else self._encodings.opened(how.sentences)
        vectors = None if how.looks is None else self._seen(how.looks, pictures)
        facts = self._facts(kit, authors, posts)
        _tell(facts, kit, reactions)
        return Content.of(texts, encode, pictures=vectors, facts=facts)

    def _seen(self, encoder: Encoder, pictures: Sequence[bytes | None]) -> Floats:
        """Vectors, NaN where there is no picture or it cannot be read, float32 [N, D]."""
        vectors = np.full((len(pictures), encoder.size), np.nan, np.float32)
        there = [place for place, picture in enumerate(pictures) if picture]
        if there:
            vectors[there] = self._encodings.opened(encoder)([pictures[place] for place in there])
        return vectors

    def _facts(self, kit: Kit, authors: Sequence[str], posts: Sequence[str]) -> Floats:
        """The declared features, float32 [N, F]."""
        labels = kit.system.labels
        refs = {
            labels.user_role: self._ids.rows(labels.user.name, list(authors)),
            labels.item_role: self._ids.rows(labels.item.name, list(posts)),
        }

        def compute(state: State) -> Floats:
            at = np.array([state.as_of])  # type: ignore[attr-defined]
            return kit.bundle.plan.compute(Moments(at, refs), state).numeric

        facts: Floats = kit.live.consistently(compute)
        return facts


def _tell(facts: Floats, kit: Kit, reactions: Sequence[Mapping[str, float]]) -> None:
    """Writes counts that were sent along over those of the log, where the system has a feature for them."""
    role, names = kit.system.labels.item_role, kit.bundle.plan.numeric_names
    for row, counts in enumerate(reactions):
        for kind, count in counts.items():
            if (name := f"{role}_{kind}_count_ever") in names:
                facts[row, names.index(name)] = count
