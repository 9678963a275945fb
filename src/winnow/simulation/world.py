"""A world whose truth is known: people, videos, how the ones react to the others, and what a list is really worth."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np

from winnow.core.time import days, to_us
from winnow.simulation.noted import Noted, facts, places
from winnow.simulation.people import STYLES, Floats, People, Rows, make_people
from winnow.simulation.reactions import FRESH_US, Chances, Encounter, Outcome, chances, react
from winnow.simulation.titles import TOPIC_NAMES
from winnow.simulation.videos import Videos, make_videos
from winnow.simulation.visiting import weighed

VALUE: Mapping[str, float] = {"click": 1.0, "long_view": 2.0, "like": 5.0, "watch_s": 0.01}


@dataclass(frozen=True)
class Size:
    """How big a world is.

    Args:
        people: how many.
        videos: how many are up when the log ends; about a quarter of them came during it.
        later: how many more are held back, to be put up through the API.
        topics: how many, at most 24.
        days: length of the initial log.
        impressions: how many it has, about.
    """

    people: int = 2_000
    videos: int = 3_000
    later: int = 300
    topics: int = len(TOPIC_NAMES)
    days: int = 14
    impressions: int = 150_000


@dataclass(frozen=True, eq=False)
class World(Noted):
    """People and videos, with the true value of showing one to the other.

    Two worlds of the same size, seed and end are equal in every number.

    Args:
        size, seed, until: see `Noted`.
        weights: head → its worth, as in the value model of the system.
    """

    size: Size
    people: People
    videos: Videos
    weights: Mapping[str, float]

    @classmethod
    def make(
        cls, size: Size | None = None, *, until: int, seed: int = 1, weights: Mapping[str, float] = VALUE
    ) -> "World":
        """Builds the world; about 0.1 s for 2,000 people and 3,000 videos."""
        size = size or Size()
        starts_at = until - to_us(days(size.days))
        people_rng, video_rng = (np.random.default_rng([seed, part]) for part in (1, 2))
        people = make_people(size.people, size.topics, starts_at=starts_at, rng=people_rng)
        first_at = until - 4 * (until - starts_at)
        videos = make_videos(
            size.videos, size.later, size.topics, first_at=first_at, last_at=until, rng=video_rng
        )  # fmt: skip
        return cls(size, seed, until, people, videos, weights)

    @classmethod
    def read(cls, path: Path) -> "World":
        """The world that `write` noted down, built again.

        Raises:
            NotFound: `no-world`.
        """
        data = facts(path, fix="`winnow demo FOLDER --no-serve` makes one")
        size = Size(**data["size"])
        return cls.make(size, until=data["until"], seed=data["seed"], weights=data["weights"])

    def write(self, path: Path) -> None:
        """See `Noted.note`."""
        self.note(path, self.weights)

    @cached_property
    def person_rows(self) -> dict[str, int]:
        """Id of a person → row."""
        return places(self.people.ids)

    @cached_property
    def video_rows(self) -> dict[str, int]:
        """Id of a video → row."""
        return places(self.videos.ids)

    def put_up(self, rows: Rows, at: int) -> "World":
        """The world after these videos were uploaded at this moment."""
        return replace(self, videos=self.videos.put_up(rows, at))

    def encounters(self, people: Rows, videos: Rows, at: Rows | int) -> Encounter:
        """People meeting videos, pair by pair: arrays of one shape [...]."""
        taste = self.people.taste(people, at)
        styles = self.people.styles[people] * self.videos.styles[self.videos.channels[videos]]
        match = (taste * self.videos.mix[videos]).sum(axis=-1)
        return self._encounter(match, styles.sum(axis=-1), people, videos=videos, at=at)

    def every_encounter(self, people: Rows, at: Rows | int) -> Encounter:
        """People [N] meeting every video: arrays [N, V]."""
        match = self.people.taste(people, at) @ self.videos.mix.T
        styles = self.people.styles[people] @ self.videos.styles.T
        videos, moments = np.arange(len(self.videos)), np.broadcast_to(np.asarray(at), people.shape)
        style = styles[:, self.videos.channels]
        return self._encounter(match, style, people[:, None], videos=videos[None, :], at=moments[:, None])

    def _encounter(self, match: Floats, style: Floats, people: Rows, *, videos: Rows, at: Rows | int) -> Encounter:
        v, p, shape = self.videos, self.people, match.shape
        age_us = np.maximum(np.asarray(at) - v.uploaded_at[videos], 0)
        columns = (
            v.quality[videos], v.bait[videos], np.exp(-age_us / FRESH_US), np.log(v.duration_s[videos] / 120.0),
            p.patience[people], p.warmth[people], v.duration_s[videos],
        )  # fmt: skip
        return Encounter(match, style / np.sqrt(STYLES), *(np.broadcast_to(c, shape) for c in columns))

    def true_value(self, people: Rows, videos: Rows, at: Rows | int) -> Floats:
        """The expected value of an examined showing: sum over heads of weight x expected outcome.

        Args:
            people: rows, int64 [...].
            videos: rows, int64 of the same shape.
            at: microseconds, one or of the same shape.

        Returns:
            float64 [...], in units of one click.
        """
        return self._worth(self.encounters(people, videos, at))

    def every_true_value(self, people: Rows, at: Rows | int) -> Floats:
        """`true_value` of every video for people [N]; minus infinity for videos that cannot be shown, [N, V]."""
        worth = self._worth(self.every_encounter(people, at))
        moments = np.broadcast_to(np.asarray(at), people.shape)[:, None]
        return np.where(self.videos.available & (self.videos.uploaded_at <= moments), worth, -np.inf)

    def _worth(self, encounter: Encounter) -> Floats:
        heads = self.chances(encounter).heads(encounter.duration_s)
        return np.asarray(sum(weight * heads[name] for name, weight in self.weights.items()))

    @staticmethod
    def chances(encounter: Encounter) -> Chances:
        """The probabilities of every reaction."""
        return chances(encounter)

    def list_value(self, people: Rows, lists: Rows, at: Rows) -> Floats:
        """The value of ranked lists on the home page: mean of `true_value`, weighted by how surely each is examined.

        Args:
            people: rows, int64 [N].
            lists: rows of videos in order, -1 where a list is shorter, int64 [N, k].
            at: microseconds, int64 [N].
        """
        who = np.broadcast_to(people[:, None], lists.shape)
        worth = self.true_value(who, np.maximum(lists, 0), np.broadcast_to(at[:, None], lists.shape))
        return weighed(worth, lists >= 0)

    def react(self, people: Rows, videos: Rows, at: Rows, *, seen: Floats, rng: np.random.Generator) -> Outcome:
        """Draws what people do; `seen` is the chance that each video is examined."""
        return react(self.encounters(people, videos, at), seen, rng)
