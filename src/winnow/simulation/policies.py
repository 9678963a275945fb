"""What a service is measured against: the best lists there are, the most popular videos, and chance."""

import numpy as np

from winnow.simulation.people import Floats, Rows
from winnow.simulation.world import World


def oracle(world: World, people: Rows, at: Rows, *, size: int) -> Rows:
    """The lists of greatest true value, int64 [N, size]: no policy reaches more with lists of that length."""
    return _best(world.every_true_value(people, at), size)


def popular(world: World, people: Rows, at: Rows, *, size: int, watches: Floats) -> Rows:
    """The videos watched most, the same for all, int64 [N, size].

    Args:
        world: which videos can be shown.
        people: rows, int64 [N].
        at: microseconds, int64 [N].
        size: length of the lists.
        watches: (decayed) number of watches per video, float64 [V].
    """
    showable = world.videos.showable(int(at.min()))
    best = _best(np.where(showable, watches, -np.inf)[None, :], size)
    return np.repeat(best, len(people), axis=0)


def chance(world: World, people: Rows, at: Rows, *, size: int, rng: np.random.Generator) -> Rows:
    """Lists of videos by chance, int64 [N, size]."""
    showable = np.flatnonzero(world.videos.showable(int(at.min())))
    return _best(rng.random((len(people), len(showable))), size, showable)


def _best(scores: Floats, size: int, rows: Rows | None = None) -> Rows:
    top = np.argpartition(-scores, size - 1, axis=1)[:, :size]
    order = np.argsort(-np.take_along_axis(scores, top, axis=1), axis=1, kind="stable")
    best = np.take_along_axis(top, order, axis=1)
    return best if rows is None else rows[best]
