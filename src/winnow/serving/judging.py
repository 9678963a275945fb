"""Posts as the models of a release read them: what they say and show, and the features of who says it, as of now.

N posts, H harms, F facts.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from winnow.core.system import System
from winnow.data.batch import Coded, Draft
from winnow.data.chunk import Column
from winnow.data.ids import IdMap
from winnow.encoders.base import Encode, Encoder, Floats
from winnow.encoders.encodings import Encodings
from winnow.features.state import State
from winnow.features.view import Moments
from winnow.models.content import Content
from winnow.serving.effects import ServedLog, matrix, served_events
from winnow.serving.kit import Kit
from winnow.serving.trial import CHAMPION

NOBODY = "author-of-{}"  # a post without an author is by somebody of whom nothing else is known


@dataclass(frozen=True)
class Said:
    """What somebody wants judged.

    Args:
        text: as written, empty for none.
        picture: the file as it was sent, None for none.
        author: id; empty, or an id that the log has never seen, is somebody unknown.
        post: id, for what has become of a post that is judged again; empty for a new one.
        request: under which the judgement is logged; empty for not at all.
        reactions: event type → how many the post has had, where whoever asks knows better than the log.
    """

    text: str
    picture: bytes | None = None
    author: str = ""
    post: str = ""
    request: str = ""
    reactions: Mapping[str, float] | None = None


@dataclass(frozen=True, eq=False)
class Judged:
    """What a release made of posts; rows for the log.

    Args:
        system: whose release.
        release: its id.
        at: when, microseconds UTC.
        posts: N of them.
        heads: the H harms that it predicts.
        table: their probabilities, float32 [N, H].
        names: the F facts.
        facts: float32 [N, F].
    """

    system: System
    release: str
    at: int
    posts: Sequence[Said]
    heads: tuple[str, ...]
    table: Floats
    names: tuple[str, ...]
    facts: Floats

    def __len__(self) -> int:
        return len(self.posts)

    def drafts(self, start: int) -> list[Draft]:
        """See `Loggable`."""
        labels, n = self.system.labels, len(self)
        ids = [p.post or p.request for p in self.posts]
        authors = [p.author or NOBODY.format(i) for p, i in zip(self.posts, ids, strict=True)]
        columns: dict[str, Column | Coded] = {
            "recommendation_id": [p.request for p in self.posts],
            labels.user_role: _coded(labels.user.name, authors), labels.item_role: _coded(labels.item.name, ids),
            "as_of": np.full(n, self.at), "release": [self.release] * n, "arm": [CHAMPION] * n,
            **matrix("head_", self.heads, self.table), **matrix("feature_", self.names, self.facts),
        }  # fmt: skip
        events = served_events(self.system, self.names)
        return [Draft("event", events.name, start + np.arange(n), np.full(n, self.at), columns)]


def _coded(domain: str, ids: Sequence[str]) -> Coded:
    different = list(dict.fromkeys(ids))
    place = {one: at for at, one in enumerate(different)}
    return Coded(domain, different, np.array([place[one] for one in ids], np.int64))


class Reader:
    """Turns posts into content.

    Args:
        ids: ids and row numbers.
        encodings: opens encoders.
        served: where judgements are logged; None leaves them out.
    """

    def __init__(self, ids: IdMap, encodings: Encodings, served: ServedLog | None = None):
        self._ids, self._encodings, self._served = ids, encodings, served

    def judge(self, kit: Kit, posts: Sequence[Said]) -> tuple[Content, Floats]:
        """N posts as content, and the probabilities of the harms that the release predicts, float32 [N, H].

        Args:
            kit: of a system that decides about content.
            posts: any.

        Raises:
            Unavailable: `no-judge-model`.
        """
        how, scorer = kit.system.pipeline, kit.bundle.judge
        encode = None if how.sentences is None else self._encodings.opened(how.sentences)
        vectors = None if how.looks is None else self._seen(how.looks, posts)
        facts, as_of = self._facts(kit, posts)
        content = Content.of([p.text for p in posts], encode, pictures=vectors, facts=facts)
        table = scorer.score(content)
        named = np.array([bool(p.request) for p in posts])
        if self._served is not None and named.any():
            kept = [p for p in posts if p.request]
            names = kit.bundle.plan.numeric_names
            self._served.put(Judged(kit.system, kit.bundle.release, as_of, kept, scorer.heads, table[named], names,
                                    facts[named]))  # fmt: skip
        return content, table

    def sight(self, kit: Kit) -> Encode:
        """What turns pictures into the vectors that the models of a release read."""
        return self._encodings.opened(kit.system.pipeline.looks)

    def _seen(self, encoder: Encoder, posts: Sequence[Said]) -> Floats:
        """Vectors, NaN where there is no picture or it cannot be read, float32 [N, D]."""
        vectors = np.full((len(posts), encoder.size), np.nan, np.float32)
        there = [place for place, post in enumerate(posts) if post.picture]
        if there:
            vectors[there] = self._encodings.opened(encoder)([posts[place].picture for place in there])
        return vectors

    def _facts(self, kit: Kit, posts: Sequence[Said]) -> tuple[Floats, int]:
        """The declared features, float32 [N, F], and the moment up to which they know events."""
        labels, plan = kit.system.labels, kit.bundle.plan
        refs = {
            labels.user_role: self._ids.rows(labels.user.name, [p.author for p in posts]),
            labels.item_role: self._ids.rows(labels.item.name, [p.post for p in posts]),
        }

        def compute(state: State) -> tuple[Floats, int]:
            at: int = state.as_of  # type: ignore[attr-defined]
            return plan.compute(Moments(np.array([at]), refs), state).numeric, at

        facts, at = kit.live.consistently(compute)
        for row, post in enumerate(posts):
            for kind, count in (post.reactions or {}).items():
                if (name := f"{labels.item_role}_{kind}_count_ever") in plan.numeric_names:
                    facts[row, plan.numeric_names.index(name)] = count
        return facts, at
