"""The posts of a social world: who wrote them, about what, where, how well, and how much they outrage."""

from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np

from winnow.simulation.people import Floats, Rows
from winnow.simulation.reactions import Flags
from winnow.simulation.social_people import Members
from winnow.simulation.titles import TOPIC_NAMES
from winnow.simulation.videos import NOT_YET
from winnow.simulation.words import FORMS, TOPICS

_FURIOUS = 1.0  # outrage from which a post reads like it
_CALM = ("Thoughts welcome.", "It went better than planned.", "More of it next week.", "A small step, but mine.",
         "I took notes.", "With pictures.", "Would do it again.", "Ask me anything.")  # fmt: skip
_FURY = ("This is a disgrace!", "They do not want you to know!", "How can anyone defend this?", "Enough is enough!",
         "Wake up!", "Shame on all of them!")  # fmt: skip
_GROUPED, _COPIED, _REMOVED, _GROWN_UP = 0.35, 0.04, 0.01, 0.03


@dataclass(frozen=True, eq=False)
class Posts:
    """Every post, those still to be written included, as columns.

    Args:
        ids, texts: [N].
        authors: rows of members, int64 [N].
        groups: rows of groups, -1 for none, int64 [N].
        topics: int64 [N].
        quality: about standard normal, [N].
        outrage: 0 for most, 1 and more for what is meant to anger, [N].
        created_at: microseconds; `NOT_YET` for those that are still to be written, int64 [N].
        removed: taken down by moderation, [N].
        least_age: years, 0 for most, [N].
    """

    ids: list[str]
    texts: list[str]
    authors: Rows
    groups: Rows
    topics: Rows
    quality: Floats
    outrage: Floats
    created_at: Rows
    removed: Flags
    least_age: Floats

    def __len__(self) -> int:
        return len(self.ids)

    def only(self, rows: Rows) -> "Posts":
        """These posts, in that order."""
        every: dict[str, Any] = {f.name: getattr(self, f.name) for f in fields(self)}
        kept: dict[str, Any] = {n: [c[i] for i in rows] if isinstance(c, list) else c[rows] for n, c in every.items()}
        return Posts(**kept)

    def held_back(self) -> Rows:
        """Rows of the posts that nobody has written yet."""
        return np.flatnonzero(self.created_at == NOT_YET)

    def put_up(self, rows: Rows, at: int) -> "Posts":
        """The same posts with these written at this moment."""
        created_at = self.created_at.copy()
        created_at[rows] = at
        return replace(self, created_at=created_at)


def make_posts(
    members: Members, count: int, later: int, *, first_at: int, last_at: int, rng: np.random.Generator
) -> Posts:
    """Posts of members about what they like; some in groups, some copied from others.

    Args:
        members: who writes.
        count: how many are written between `first_at` and `last_at`.
        later: how many more are held back.
        first_at, last_at: microseconds.
        rng: every choice.
    """
    total = count + later
    authors = rng.choice(len(members), total, p=members.sessions_per_day / members.sessions_per_day.sum())
    chance = members.tastes[authors] ** 2
    topics = (np.cumsum(chance, axis=1) > rng.random((total, 1)) * chance.sum(axis=1, keepdims=True)).argmax(axis=1)
    outrage = np.maximum(members.provoking[authors] + 0.4 * rng.standard_normal(total), 0.0)
    source = np.where((rng.random(total) < _COPIED) & (np.arange(total) > 10), rng.integers(0, total, total), -1)
    copied = np.where((source >= 0) & (source < np.arange(total)), source, np.arange(total))
    own = _texts(topics, outrage, rng)
    return Posts(
        ids=[f"p{i:06d}" for i in range(total)],
        texts=[own[i] for i in copied],
        authors=authors,
        groups=_groups(members, authors, topics, rng),
        topics=topics[copied],
        quality=rng.standard_normal(total),
        outrage=outrage,
        created_at=np.concatenate([np.sort(rng.integers(first_at, last_at, count)), np.full(later, NOT_YET)]),
        removed=rng.random(total) < _REMOVED,
        least_age=np.where(rng.random(total) < _GROWN_UP, 18.0, 0.0),
    )


def _groups(members: Members, authors: Rows, topics: Rows, rng: np.random.Generator) -> Rows:
    """A group of the author about the topic for some posts, -1 for the others."""
    fits = members.belongs[authors] & (members.group_topics == topics[:, None])
    some = fits.any(axis=1) & (rng.random(len(authors)) < _GROUPED)
    return np.where(some, fits.argmax(axis=1), -1)


def _texts(topics: Rows, outrage: Floats, rng: np.random.Generator) -> list[str]:
    texts = []
    for topic, furious in zip(topics.tolist(), (outrage >= _FURIOUS).tolist(), strict=True):
        words = TOPICS[TOPIC_NAMES[topic]][1]
        one, two, three = (words[i] for i in rng.integers(0, len(words), 3))
        form, close = FORMS[rng.integers(len(FORMS))], (_FURY if furious else _CALM)
        texts.append(f"{form.format(one)}. After {two} and {three}, day {rng.integers(2, 400)}. "
                     f"{close[rng.integers(len(close))]}")  # fmt: skip
    return texts
