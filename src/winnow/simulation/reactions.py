"""What people do with a video that they look at: one model per kind of reaction, and draws from it.

Someone examines a video (depends on its position), clicks it (appeal), watches part of it, perhaps likes it, follows
the channel, comments or shares (satisfaction); someone who examines it and does not click may hide it.
"""

from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray
from scipy.special import betainc, expit

from winnow.core.time import days, to_us
from winnow.simulation.people import Floats, Rows

Flags = NDArray[np.bool_]
LONG = 0.6  # share of a video from which a watch is long
SPREAD = 3.0  # concentration of the share watched around its mean
FRESH_US = to_us(days(5))
SURFACES = ("home", "related")
_STEEPNESS = np.array([0.12, 0.25])  # how fast eyes leave the list, per surface


@dataclass(frozen=True, eq=False)
class Encounter:
    """People meeting videos: everything that a reaction depends on, as arrays of one shape.

    Args:
        match: taste for the topics, 0 to 1.
        style: taste for the channel's manner, about standard normal.
        quality, bait: of the video, about standard normal.
        fresh: 1 at upload, fading over days.
        length: natural logarithm of the duration over two minutes.
        patience, warmth: of the person, about standard normal.
        duration_s: seconds.
    """

    match: Floats
    style: Floats
    quality: Floats
    bait: Floats
    fresh: Floats
    length: Floats
    patience: Floats
    warmth: Floats
    duration_s: Floats


@dataclass(frozen=True, eq=False)
class Chances:
    """Probabilities given that the video is examined; all but `click` and `hide` further given a click.

    Args:
        click: P(click | examined).
        watched: mean share of the video that is watched.
        long: P(long watch | click).
        like, follow, comment, share: P(... | click).
        hide: P(hide | examined, not clicked).
    """

    click: Floats
    watched: Floats
    long: Floats
    like: Floats
    follow: Floats
    comment: Floats
    share: Floats
    hide: Floats

    def heads(self, duration_s: Floats) -> dict[str, Floats]:
        """Expected outcome per head of the system's labels, given that the video is examined."""
        return {
            "click": self.click,
            "long_view": self.click * self.long,
            "like": self.click * self.like,
            "watch_s": self.click * self.watched * duration_s,
        }


@dataclass(frozen=True, eq=False)
class Outcome:
    """What happened: flags of one shape, and the seconds watched (0 without a click)."""

    examined: Flags
    click: Flags
    seconds: Floats
    long: Flags
    like: Flags
    follow: Flags
    comment: Flags
    share: Flags
    hide: Flags

    def kept(self, which: Flags) -> "Outcome":
        """The outcomes at these places."""
        return Outcome(*(getattr(self, f.name)[which] for f in fields(self)))


def examination(position: Rows, surface: Rows) -> Floats:
    """P(examined): 1 / (1 + steepness x position), position from 0, steepness by surface."""
    return np.asarray(1.0 / (1.0 + _STEEPNESS[surface] * position), dtype=np.float64)


def chances(e: Encounter) -> Chances:
    """The reaction model; bait earns clicks and costs satisfaction."""
    taste = 2.8 * e.match + 0.4 * e.style
    fit = 0.35 * e.patience * e.length
    pleased = taste + 0.9 * e.quality - 0.8 * e.bait
    watched = expit(-1.5 + 0.7 * pleased + fit - 0.7 * e.length)
    return Chances(
        click=expit(-2.9 + taste + 0.5 * e.quality + 0.6 * e.bait + 0.6 * e.fresh + fit),
        watched=watched,
        long=1.0 - betainc(watched * SPREAD, (1.0 - watched) * SPREAD, LONG),
        like=expit(-4.4 + 1.0 * pleased + 0.6 * e.warmth),
        follow=expit(-5.6 + 0.8 * pleased + 0.6 * e.warmth),
        comment=expit(-5.4 + 0.6 * pleased + 0.8 * e.warmth),
        share=expit(-5.6 + 0.8 * pleased + 0.4 * e.warmth),
        hide=expit(-4.2 - 1.5 * taste + 0.9 * e.bait - 0.5 * e.quality),
    )


def react(e: Encounter, examined_chance: Floats, rng: np.random.Generator) -> Outcome:
    """Draws what happens in every encounter.

    Args:
        e: the encounters.
        examined_chance: P(examined), same shape.
        rng: the draws.
    """
    p, shape = chances(e), e.match.shape
    examined = rng.random(shape) < examined_chance
    click = examined & (rng.random(shape) < p.click)
    share_watched = np.where(click, rng.beta(p.watched * SPREAD, (1.0 - p.watched) * SPREAD), 0.0)
    after = {n: click & (rng.random(shape) < getattr(p, n)) for n in ("like", "follow", "comment", "share")}
    return Outcome(
        examined=examined,
        click=click,
        seconds=np.round(share_watched * e.duration_s, 1),
        long=share_watched >= LONG,
        hide=examined & ~click & (rng.random(shape) < p.hide),
        **after,
    )
