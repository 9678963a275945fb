"""The videos of a world: topics, channel, quality, length, and when they are put up."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from winnow.simulation.people import STYLES, Floats, Rows, unit
from winnow.simulation.titles import TOPIC_NAMES, channel_names, video_titles

Flags = NDArray[np.bool_]
NOT_YET = int(np.iinfo(np.int64).max)  # upload time of videos that nobody has put up yet
_KINDS = ("short", "clip", "feature")


@dataclass(frozen=True, eq=False)
class Videos:
    """Every video, those still to be put up included, as columns.

    Args:
        ids: [V].
        titles: [V].
        topics: main and second topic, -1 for none, int64 [V, 2].
        mix: weight of every topic, unit length, [V, T].
        channels: row of the channel, int64 [V].
        channel_names: [A].
        styles: manner of each channel, [A, STYLES].
        quality: how well made, about standard normal, [V].
        bait: how much the title promises beyond that, about standard normal, [V].
        duration_s: length in seconds, [V].
        uploaded_at: microseconds; `NOT_YET` for those held back, [V].
        available: False once taken down, [V].
    """

    ids: list[str]
    titles: list[str]
    topics: Rows
    mix: Floats
    channels: Rows
    channel_names: list[str]
    styles: Floats
    quality: Floats
    bait: Floats
    duration_s: Floats
    uploaded_at: Rows
    available: Flags

    def __len__(self) -> int:
        return len(self.ids)

    def kind(self, video: int) -> str:
        """`short` (up to a minute), `clip` (up to six) or `feature`."""
        return _KINDS[int(np.digitize(self.duration_s[video], [60, 360]))]

    def tags(self, video: int) -> list[str]:
        """The topics' names, main topic first."""
        return [TOPIC_NAMES[t] for t in self.topics[video] if t >= 0]

    def showable(self, at: int) -> Flags:
        """Which videos are up and available at a moment, [V]."""
        return self.available & (self.uploaded_at <= at)

    def held_back(self) -> Rows:
        """Rows of the videos that nobody has put up yet."""
        return np.flatnonzero(self.uploaded_at == NOT_YET)

    def put_up(self, rows: Rows, at: int) -> "Videos":
        """The same videos with these uploaded at this moment."""
        uploaded_at = self.uploaded_at.copy()
        uploaded_at[rows] = at
        return replace(self, uploaded_at=uploaded_at)


def make_videos(
    count: int, later: int, topics: int, *, first_at: int, last_at: int, rng: np.random.Generator
) -> Videos:
    """Videos of channels, each with a main topic, a manner and a level of quality.

    Args:
        count: how many are put up between `first_at` and `last_at`.
        later: how many more are held back.
        topics: number of topics, at most as many as there are words for.
        first_at: microseconds.
        last_at: microseconds.
        rng: every choice.
    """
    total, channels = count + later, max(2, (count + later) // 12)
    home = rng.integers(0, topics, channels)
    channel = rng.integers(0, channels, total)
    main = np.where(rng.random(total) < 0.8, home[channel], rng.integers(0, topics, total))
    second = np.where(rng.random(total) < 0.5, rng.integers(0, topics, total), -1)
    pair = np.stack([main, np.where(second == main, -1, second)], axis=1)
    bait = rng.standard_normal(total)
    uploaded = np.sort(rng.integers(first_at, last_at, count))
    return Videos(
        ids=[f"v{i:05d}" for i in range(total)],
        titles=video_titles(main, bait, rng),
        topics=pair,
        mix=_mix(pair, topics),
        channels=channel,
        channel_names=channel_names(home, rng),
        styles=rng.standard_normal((channels, STYLES)),
        quality=0.6 * rng.standard_normal(channels)[channel] + 0.8 * rng.standard_normal(total),
        bait=bait,
        duration_s=np.clip(np.round(rng.lognormal(4.8, 0.8, total)), 12, 900),
        uploaded_at=np.concatenate([uploaded, np.full(later, NOT_YET)]),
        available=rng.random(total) < 0.98,
    )


def _mix(pair: Rows, topics: int) -> Floats:
    mix = np.zeros((len(pair), topics))
    rows = np.arange(len(pair))
    mix[rows, pair[:, 0]] = 1.0
    both = pair[:, 1] >= 0
    mix[rows[both], pair[both, 1]] = 0.6
    return unit(mix)
