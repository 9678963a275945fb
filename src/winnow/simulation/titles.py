"""Names for people and channels, and titles that tell what a video is about."""

import numpy as np
from numpy.typing import NDArray

from winnow.simulation.words import BAIT, FIRST_NAMES, FORMS, LAST_NAMES, TOPICS

TOPIC_NAMES = tuple(TOPICS)
BAIT_FROM = 1.2  # clickbait (standard deviations) from which a title shouts


def person_ids(count: int, rng: np.random.Generator) -> list[str]:
    """Readable ids such as `mira-okafor`; numbered from the second round through all names on.

    Args:
        count: how many.
        rng: order of the names.
    """
    names = [f"{first}-{last}".lower() for first in FIRST_NAMES for last in LAST_NAMES]
    order = rng.permutation(len(names))
    rounds = [(i // len(names), names[order[i % len(names)]]) for i in range(count)]
    return [f"{name}-{turn + 1}" if turn else name for turn, name in rounds]


def channel_names(topics: NDArray[np.int64], rng: np.random.Generator) -> list[str]:
    """One distinct name per channel, such as `Noor's Kitchen`, after its main topic."""
    taken: dict[str, int] = {}
    firsts = rng.permutation(len(FIRST_NAMES))
    names = []
    for number, topic in enumerate(topics):
        noun = TOPICS[TOPIC_NAMES[topic]][0][number % 2]
        name = f"{FIRST_NAMES[firsts[number % len(firsts)]]}'s {noun}"
        taken[name] = taken.get(name, 0) + 1
        names.append(name if taken[name] == 1 else f"{name} {taken[name]}")
    return names


def video_titles(topics: NDArray[np.int64], bait: NDArray[np.float64], rng: np.random.Generator) -> list[str]:
    """One title per video; a second video with the same words becomes part 2.

    Args:
        topics: main topic of each video, int64 [V].
        bait: clickbait of each video, in standard deviations, float64 [V].
        rng: choice of words.
    """
    subjects, forms = rng.integers(0, 1 << 30, (2, len(topics)))
    taken: dict[str, int] = {}
    titles = []
    for topic, loud, subject, form in zip(topics, bait > BAIT_FROM, subjects, forms, strict=True):
        words = TOPICS[TOPIC_NAMES[topic]][1]
        shapes = BAIT if loud else FORMS
        title = _capital(shapes[form % len(shapes)].format(words[subject % len(words)]))
        taken[title] = taken.get(title, 0) + 1
        titles.append(title if taken[title] == 1 else f"{title}, part {taken[title]}")
    return titles


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
