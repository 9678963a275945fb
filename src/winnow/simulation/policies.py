"""What a service is measured against: the best lists there are, the most popular videos, and chance.

All keep to videos that can be shown and that the person has not been shown before, as the service does.
"""

import numpy as np

from winnow.simulation.people import Floats, Rows
from winnow.simulation.reactions import Flags
from winnow.simulation.world import World


def oracle(world: World, people: Rows, at: Rows, *, size: int, seen: Flags | None = None) -> Rows:
    """The lists of greatest true value, int64 [N, size]: no policy reaches more with lists of that length.

    Args:
        world: the truth.
        people: rows, int64 [N].
        at: microseconds, int64 [N].
        size: length of the lists.
        seen: what each of them has been shown before, bool [N, V]; None for nothing.
    """
    return best(world.every_true_value(people, at), size, seen)


def popular(world: World, people: Rows, at: Rows, *, size: int, watches: Floats, seen: Flags | None = None) -> Rows:
    """The videos watched most, int64 [N, size]; `watches` is the (decayed) number per video, float64 [V]."""
    return best(np.where(_showable(world, at), watches, -np.inf), size, seen)


def chance(
    world: World, people: Rows, at: Rows, *, size: int, rng: np.random.Generator, seen: Flags | None = None
) -> Rows:
    """Lists of videos by chance, int64 [N, size]."""
    showable = _showable(world, at)
    return best(np.where(showable, rng.random(showable.shape), -np.inf), size, seen)


def _showable(world: World, at: Rows) -> Flags:
    return np.asarray(world.videos.available & (world.videos.uploaded_at <= at[:, None]))


def best(scores: Floats, size: int, seen: Flags | None) -> Rows:
    """The columns of the highest scores; videos that may not be shown come only where there are no others."""
    allowed = scores if seen is None else np.where(seen, -np.inf, scores)
    top = np.argpartition(-allowed, size - 1, axis=1)[:, :size]
    order = np.argsort(-np.take_along_axis(allowed, top, axis=1), axis=1, kind="stable")
    return np.take_along_axis(top, order, axis=1)
