"""The people of a world: what they like, how that drifts, how often they come."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from winnow.core.time import days, to_us
from winnow.simulation.titles import person_ids

Floats = NDArray[np.float64]
Rows = NDArray[np.int64]
STYLES = 6
_SOME = ("0", "1-9", "10-49", "50-199", "200+")
_ACTIVITY = ("low", "medium", "high", "full")


@dataclass(frozen=True, eq=False)
class People:
    """Everyone, as columns.

    Args:
        ids: readable ids, [P].
        tastes: taste for each topic at anchor times, unit length, [P, K, T]; between anchors it moves in a line.
        styles: taste for the manner of a channel, [P, STYLES].
        patience: liking for long videos, [P].
        warmth: readiness to like, follow, comment, share, [P].
        sessions_per_day: mean, [P].
        activity, register_days, follows, fans, friends: what the service is told, [P].
        starts_at: the moment of the first anchor, microseconds.
        drift_us: time between anchors, microseconds.
    """

    ids: list[str]
    tastes: Floats
    styles: Floats
    patience: Floats
    warmth: Floats
    sessions_per_day: Floats
    activity: list[str]
    register_days: Floats
    follows: list[str]
    fans: list[str]
    friends: list[str]
    starts_at: int
    drift_us: int

    def __len__(self) -> int:
        return len(self.ids)

    def taste(self, people: Rows, at: Rows | int) -> Floats:
        """Taste of these people at these moments, unit length, [..., T]."""
        last = self.tastes.shape[1] - 2
        since = np.maximum(np.asarray(at) - self.starts_at, 0) / self.drift_us
        anchor = np.minimum(since.astype(np.int64), last)
        share = np.minimum(since - anchor, 1.0)[..., None]
        return unit(self.tastes[people, anchor] * (1 - share) + self.tastes[people, anchor + 1] * share)


def make_people(count: int, topics: int, *, starts_at: int, rng: np.random.Generator) -> People:
    """People with two or three topics close to their heart, a quarter of which they trade in every two weeks."""
    sessions = rng.lognormal(-0.9, 0.8, count)
    return People(
        ids=person_ids(count, rng),
        tastes=draw_tastes(count, topics, rng),
        styles=rng.standard_normal((count, STYLES)),
        patience=rng.standard_normal(count),
        warmth=rng.standard_normal(count),
        sessions_per_day=sessions,
        activity=[_ACTIVITY[i] for i in np.digitize(sessions, np.quantile(sessions, [0.4, 0.7, 0.9]))],
        register_days=np.round(rng.gamma(1.5, 200, count)),
        follows=_buckets(rng.gamma(0.6, 30, count) * (0.5 + sessions)),
        fans=_buckets(rng.gamma(0.3, 20, count)),
        friends=_buckets(rng.gamma(0.5, 15, count)),
        starts_at=starts_at,
        drift_us=to_us(days(14)),
    )


def draw_tastes(count: int, topics: int, rng: np.random.Generator, anchors: int = 8) -> Floats:
    """Taste for each topic at anchor times, two or three large, unit length: float64 [count, anchors, topics]."""
    # A gamma draw with a small shape is near zero for most topics and large for a few.
    draws = unit(rng.gamma(0.2, 1.0, (count, anchors, topics)) + 1e-3)
    for k in range(1, anchors):
        draws[:, k] = unit(0.75 * draws[:, k - 1] + 0.25 * draws[:, k])
    return draws


def unit(vectors: Floats) -> Floats:
    """The vectors along the last axis, scaled to length 1."""
    lengths: Floats = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return vectors / lengths


def _buckets(amounts: Floats) -> list[str]:
    return [_SOME[i] for i in np.digitize(amounts, [1, 10, 50, 200])]
