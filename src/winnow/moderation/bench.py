"""Posts before a policy: known content first, then the judges, then what the policy calls for. Nothing is recorded."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from winnow.moderation.judge import Judge, Judgement, Pointing, Span
from winnow.moderation.known import UNREAD, Match, Matcher
from winnow.moderation.policy import Policy
from winnow.moderation.post import Post
from winnow.moderation.ruling import Facts, Ruling, rule, rule_known

if TYPE_CHECKING:
    from winnow.models.content_regions import Region

MOST_SPANS = 50
MOST_REGIONS = 10
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Considered:
    """One post with all that was found out about it.

    Args:
        post: as it came in.
        ruling: what is to be done.
        scores: harm → probability, None when nobody judged it; empty for known content.
        spans: characters that spoke for a harm.
        model: who judged.
        match: the entry of known content, if there is one.
        silent: harms of which some judge said nothing.
        regions: boxes of the picture that spoke for a harm, for posts that something is done about.
    """

    post: Post
    ruling: Ruling
    scores: Mapping[str, float | None]
    spans: Sequence[Span]
    model: str
    match: Match | None = None
    silent: frozenset[str] = frozenset()
    regions: "Sequence[Region]" = ()

    @property
    def shown(self) -> dict[str, Any]:
        """What may be told to whoever sent it: of known content of the gravest kind nothing but what is done."""
        ruling, hidden = self.ruling, self.ruling.withheld
        return {
            "action": ruling.action, "reason": ruling.reason, "harm": "" if hidden else ruling.harm,
            "escalate": ruling.escalate, "scores": {} if hidden else dict(self.scores),
            "spans": [] if hidden else [list(span) for span in self.spans],
            "regions": [] if hidden else [list(region) for region in self.regions],
            "not_evaluated": [] if hidden else list(ruling.unseen),
        }  # fmt: skip


class Bench:
    """Judges and banks together.

    Args:
        judge: usually a `Panel`.
        matchers: banks of known content, the first that knows a post counts.
    """

    def __init__(self, judge: Judge, matchers: Sequence[Matcher] = ()) -> None:
        self.judge = judge
        self._matchers = matchers

    def consider(self, posts: Sequence[Post], policy: Policy) -> list[Considered]:
        """What is to be done about posts under a policy."""
        matches, unread = self._matches(posts)
        matches = [m if m and m.harm in policy.harms else None for m in matches]
        gravest = frozenset(name for name, harm in policy.harms.items() if harm.top)
        unknown = [row for row, match in enumerate(matches) if match is None]
        said = self._judged([posts[row] for row in unknown])
        places = {row: place for place, row in enumerate(unknown)}
        made = [
            # A bank that was not asked may hold what is gravest.
            _known(post, match, policy) if match
            else _judged(post, said, places[row], policy=policy, silent=gravest if row in unread else frozenset())
            for row, (post, match) in enumerate(zip(posts, matches, strict=True))
        ]  # fmt: skip
        return [self._pointed(one) for one in made]

    def _pointed(self, one: Considered) -> Considered:
        """With the regions of its picture that spoke against it, where that matters to anybody."""
        judged = one.match is None and one.post.image is not None and one.ruling.action != "allow"
        if not (judged and isinstance(self.judge, Pointing)):
            return one
        try:
            return replace(one, regions=tuple(self.judge.regions([one.post])[0][:MOST_REGIONS]))
        except Exception as error:
            _log.error("judge %s cannot point at regions: %s", self.judge.model, type(error).__name__)
            return one

    def _matches(self, posts: Sequence[Post]) -> tuple[list[Match | None], set[int]]:
        """The known content among posts, and the rows of those that some bank could not be asked for."""
        found: list[Match | None] = [None] * len(posts)
        unread: set[int] = set()
        for matcher in self._matchers:
            try:
                said = matcher.match(posts)
                unread |= {row for row, match in enumerate(said) if match == UNREAD}
                found = [old or (None if new == UNREAD else new) for old, new in zip(found, said, strict=True)]
            except Exception as error:
                _log.error("bank %s failed: %s", type(matcher).__name__, type(error).__name__)
                unread |= set(range(len(posts)))
        return found, unread

    def _judged(self, posts: Sequence[Post]) -> Judgement:
        try:
            if posts:
                return self.judge.judge(posts)
        except Exception as error:
            # A judge without a panel around it; its message may quote the post.
            _log.error("judge %s failed: %s", self.judge.model, type(error).__name__)
        heads = self.judge.heads
        inputs = [post.inputs for post in posts]
        empty = np.full((len(posts), len(heads)), np.nan)
        return Judgement(heads, empty, [[] for _ in posts], self.judge.model, inputs, frozenset(heads))


def _known(post: Post, match: Match, policy: Policy) -> Considered:
    return Considered(post, rule_known(policy, match.harm, facts_of(post)), {}, (), "known", match)


def _judged(post: Post, said: Judgement, row: int, *, policy: Policy, silent: frozenset[str]) -> Considered:
    scores = said.scores(row)
    silent = (said.silent & set(policy.harms)) | silent
    spans = sorted(said.spans[row], key=lambda span: -span.weight)[:MOST_SPANS]
    return Considered(
        post, rule(policy, scores, facts_of(post), silent=silent), scores, spans, said.model, None, silent
    )


def facts_of(post: Post) -> Facts:
    """What a policy may look at besides probabilities."""
    return Facts(post.author, post.verified, post.language, post.reach)


def unjudged(policy: Policy, judge: Judge) -> list[str]:
    """The harms of a policy that no judge knows."""
    return [harm for harm in policy.harms if harm not in judge.heads]
