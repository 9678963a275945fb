"""What members do with a post that they look at: one model per kind of reaction, and draws from it.

Closeness, taste and quality please; outrage draws people into talk, makes them look, and makes them hide.
"""

from dataclasses import dataclass

import numpy as np
from scipy.special import expit

from winnow.simulation.people import Floats
from winnow.simulation.reactions import Flags

BINARY = ("click", "like", "comment", "share", "visit", "hide", "skip")
EVENTS = {"visit": "profile_visit"}  # heads whose events are called otherwise
_BLINK_S = 0.5  # a glance that is shorter is a skip


@dataclass(frozen=True, eq=False)
class Meeting:
    """Members meeting posts: everything that a reaction depends on, as arrays of one shape.

    Args:
        match: taste for the topic, 0 to 1.
        close: how close the author is, 0 to 1.
        fellow: whether the post is in a group of theirs, 0 or 1.
        quality, warmth: about standard normal.
        outrage: 0 and more.
        temper: how easily it draws them into talk, 0 to 1.5.
    """

    match: Floats
    close: Floats
    fellow: Floats
    quality: Floats
    warmth: Floats
    outrage: Floats
    temper: Floats


def chances(m: Meeting) -> dict[str, Floats]:
    """P(reaction | the post is looked at) per binary head, and `dwell_s`, expected seconds."""
    near = 1.6 * m.match + 1.0 * m.close + 0.4 * m.fellow
    pleased = 1.5 * near + 0.8 * m.quality - 0.9 * m.outrage
    skip = expit(0.1 - near - 0.4 * m.quality - 0.5 * m.outrage)
    look_s = np.exp(1.2 + 0.5 * near + 0.25 * m.quality + 0.2 * m.outrage)
    return {
        "click": expit(-2.4 + near + 0.3 * m.quality + 0.5 * m.outrage),
        "like": expit(-4.6 + pleased + 0.5 * m.warmth),
        "comment": expit(-5.2 + 0.7 * near + 0.5 * m.warmth + 1.3 * m.outrage * m.temper),
        "share": expit(-6.2 + pleased + 0.3 * m.outrage),
        "visit": expit(-5.0 + 0.6 * near + 0.6 * m.quality),
        "hide": expit(-5.2 - 0.8 * near + 1.8 * m.outrage),
        "skip": skip,
        "dwell_s": (1 - skip) * look_s + skip * _BLINK_S / 2,
    }


def draw(m: Meeting, seen: Floats, rng: np.random.Generator) -> tuple[dict[str, Flags], Floats]:
    """What happens in every meeting: flags per binary head, and seconds of looking, 0 where nobody looked.

    Args:
        m: the meetings.
        seen: P(the post is looked at), same shape.
        rng: the draws.
    """
    p, looked = chances(m), rng.random(seen.shape) < seen
    done = {name: looked & (rng.random(seen.shape) < p[name]) for name in BINARY}
    for name in ("click", "like", "comment", "share", "visit"):
        done["skip"] &= ~done[name]
    look_s = rng.gamma(2.0, np.maximum(p["dwell_s"], _BLINK_S) / 2.0)
    seconds = np.where(done["skip"], rng.random(seen.shape) * _BLINK_S, _BLINK_S + look_s)
    return done, np.where(looked, np.round(seconds, 2), 0.0)
