"""A social world whose truth is known: members, ties, posts, and what showing one to the other is really worth."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np

from winnow.core.time import days, to_us
from winnow.simulation.noted import Noted, facts, places
from winnow.simulation.people import Floats, Rows
from winnow.simulation.reactions import Flags
from winnow.simulation.social_people import Members, make_members
from winnow.simulation.social_posts import Posts, make_posts
from winnow.simulation.social_reactions import Meeting, chances, draw
from winnow.simulation.titles import TOPIC_NAMES
from winnow.simulation.visiting import weighed

VALUE: Mapping[str, float] = {
    "click": 1.0, "like": 5.0, "comment": 10.0, "share": 20.0, "visit": 6.0, "dwell_s": 0.05, "skip": -2.0,
    "hide": -60.0,
}  # fmt: skip


@dataclass(frozen=True)
class SocialSize:
    """How big a social world is.

    Args:
        members: how many.
        posts: how many are written before the log ends, from three days before it begins.
        later: how many more are held back, to be put up through the API.
        topics: how many, at most 24; there are two groups about each.
        days: length of the initial log.
        impressions: how many it has, about.
    """

    members: int = 1_000
    posts: int = 6_000
    later: int = 600
    topics: int = len(TOPIC_NAMES)
    days: int = 10
    impressions: int = 100_000


@dataclass(frozen=True, eq=False)
class SocialWorld(Noted):
    """Members and posts, with the true value of showing one to the other.

    Two worlds of the same size, seed and end are equal in every number.

    Args:
        size, seed, until: see `Noted`.
        members: who acts.
        posts: what they write.
        weights: head → its worth, as in the value model of the system.
    """

    size: SocialSize
    members: Members
    posts: Posts
    weights: Mapping[str, float]

    @classmethod
    def make(
        cls, size: SocialSize | None = None, *, until: int, seed: int = 1, weights: Mapping[str, float] = VALUE
    ) -> "SocialWorld":
        """Builds the world; a second for 1,000 members and 6,000 posts."""
        size = size or SocialSize()
        members = make_members(size.members, size.topics, np.random.default_rng([seed, 31]))
        first_at = until - to_us(days(size.days + 3))
        rng = np.random.default_rng([seed, 32])
        posts = make_posts(members, size.posts, size.later, first_at=first_at, last_at=until, rng=rng)
        return cls(size, seed, until, members, posts, weights)

    @classmethod
    def read(cls, path: Path) -> "SocialWorld":
        """The world that `write` noted down, built again.

        Raises:
            NotFound: `no-world`.
        """
        data = facts(path, fix="`winnow demo FOLDER --system news_feed --no-serve` makes one")
        size = SocialSize(**data["size"])
        return cls.make(size, until=data["until"], seed=data["seed"], weights=data["weights"])

    def write(self, path: Path) -> None:
        """See `Noted.note`."""
        self.note(path, self.weights)

    @cached_property
    def post_rows(self) -> dict[str, int]:
        """Id of a post → row."""
        return places(self.posts.ids)

    def put_up(self, rows: Rows, at: int) -> "SocialWorld":
        """The world after these posts were written at this moment."""
        return replace(self, posts=self.posts.put_up(rows, at))

    def only(self, posts: Rows) -> "SocialWorld":
        """The world with these posts alone, in that order."""
        return replace(self, posts=self.posts.only(posts))

    def meetings(self, members: Rows, posts: Rows) -> Meeting:
        """Members meeting posts, pair by pair: rows that broadcast to one shape."""
        m, p = self.members, self.posts
        authors, groups = p.authors[posts], p.groups[posts]
        columns = (
            m.tastes[members, p.topics[posts]], m.close(members, authors),
            (m.belongs[members, groups] & (groups >= 0)).astype(np.float64), p.quality[posts], m.warmth[members],
            p.outrage[posts], m.temper[members],
        )  # fmt: skip
        return Meeting(*np.broadcast_arrays(*columns))

    def heads(self, members: Rows, posts: Rows) -> dict[str, Floats]:
        """Expected outcome per head of the system's labels, given that the post is looked at."""
        return chances(self.meetings(members, posts))

    def true_value(self, members: Rows, posts: Rows) -> Floats:
        """The expected value of a showing that is looked at: sum over heads of weight x expected outcome."""
        expected = self.heads(members, posts)
        return np.asarray(sum(weight * expected[head] for head, weight in self.weights.items()))

    def showable(self, members: Rows, at: Rows) -> Flags:
        """Which posts may be shown to each of N members at a moment: written, allowed, nobody blocked; [N, V]."""
        p, m = self.posts, self.members
        year = np.asarray(at, "datetime64[us]").astype("datetime64[Y]").astype(int) + 1970
        of_age = (p.least_age == 0) | ((year - m.birth_year[members] - 1)[:, None] >= p.least_age)
        apart = m.apart(members[:, None], p.authors[None, :])
        return np.asarray((p.created_at <= at[:, None]) & ~p.removed & of_age & ~apart)

    def circle(self, members: Rows) -> Flags:
        """Which posts are of somebody whom each of N members follows or befriended, or in a group of theirs: [N, V]."""
        p, m = self.posts, self.members
        near = m.close(members[:, None], p.authors[None, :]) > 0
        return near | (m.belongs[members][:, p.groups] & (p.groups >= 0))

    def list_value(self, members: Rows, lists: Rows) -> Floats:
        """The value of ranked lists, float64 [N]: mean of `true_value`, weighted by how surely each is looked at.

        Args:
            members: rows, int64 [N].
            lists: rows of posts in order, -1 where a list is shorter, int64 [N, k].
        """
        return weighed(self.true_value(members[:, None], np.maximum(lists, 0)), lists >= 0)

    def react(
        self, members: Rows, posts: Rows, *, seen: Floats, rng: np.random.Generator
    ) -> tuple[dict[str, Flags], Floats]:
        """Draws what members do; `seen` is the chance that each post is looked at. See `social_reactions.draw`."""
        return draw(self.meetings(members, posts), seen, rng)
