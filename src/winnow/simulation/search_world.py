"""A world of videos and of texts that ask for them, in which it is known what each text means.

A video is about two subjects of one topic; its title names the first, its transcript both. Some videos are spam: their
descriptions name the subjects of other topics. A text asks for a subject, or for a topic. A video is right (2) when it
is about the subject, or of the topic that was asked for; near (1) when it is of the same topic; wrong (0) otherwise.
Spam is wrong for all it lists.
"""

import json
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

from winnow.core.time import MICROS, days, to_us
from winnow.simulation.words import TOPICS

Ints = NDArray[np.int64]
NAMES = tuple(TOPICS)
SUBJECTS = tuple(tuple(subjects) for _, subjects in TOPICS.values())
EACH = min(map(len, SUBJECTS))  # subjects of a topic that are used
FORMS = (
    "{} explained", "the secret of {}", "{}: a beginner's guide", "what nobody tells you about {}",
    "{} in ten minutes", "my year with {}", "{}, step by step", "why {} matters",
)  # fmt: skip
SPAM, STUFFED = 0.12, 14  # share of videos that are spam, and subjects that each lists
TOPIC_ASKED = 0.25  # share of texts that ask for a whole topic
RIGHT, NEAR = 2, 1


@dataclass(frozen=True)
class SearchSize:
    """How large a world is.

    Args:
        videos: to be found.
        texts: that were asked before the service began.
        lists: that were shown for them.
        days: over which they were shown.
    """

    videos: int = 1_000
    texts: int = 400
    lists: int = 3_000
    days: int = 30


@dataclass(frozen=True)
class SearchWorld:
    """A world, made again from these numbers alone.

    Args:
        size: how large.
        seed: of everything.
        until: when the past ends, microseconds UTC.
    """

    size: SearchSize
    seed: int
    until: int

    @classmethod
    def read(cls, path: Path) -> Self:
        """What `write` wrote."""
        data = json.loads(path.read_text())
        return cls(SearchSize(**data["size"]), data["seed"], data["until"])

    def write(self, path: Path) -> None:
        """Notes the world in a file."""
        path.write_text(json.dumps(asdict(self)))

    @property
    def since(self) -> int:
        """When the past begins."""
        return self.until - to_us(days(self.size.days))

    @cached_property
    def videos(self) -> "Videos":
        """What can be found."""
        return Videos.made(self.size.videos, np.random.default_rng([self.seed, 1]))

    def texts(self, count: int, seed: int) -> list["Wanted"]:
        """What people ask for.

        Args:
            count: how many; a text may come twice.
            seed: which.
        """
        rng = np.random.default_rng([self.seed, 2, seed])
        return [_wanted(rng) for _ in range(count)]

    def truth(self, wanted: "Wanted") -> Ints:
        """How right every video is for a text, 0 to 2, int64 [V]."""
        videos = self.videos
        same = (videos.topic == wanted.topic) & ~videos.spam
        if wanted.subject < 0:
            return np.where(same, RIGHT, 0)
        about = same & (videos.subjects == wanted.subject).any(axis=1)
        return np.where(about, RIGHT, np.where(same, NEAR, 0))


@dataclass(frozen=True)
class Wanted:
    """A text and what it means.

    Args:
        text: as somebody who makes no mistakes types it.
        topic: number of the topic.
        subject: number of the subject in it; -1 for the whole topic.
    """

    text: str
    topic: int
    subject: int


@dataclass(frozen=True, eq=False)
class Videos:
    """V videos.

    Args:
        topic: of each, int64 [V].
        subjects: numbers within the topic, the first is that of the title, int64 [V, 2].
        form: wording of the title, int64 [V].
        spam: bool [V].
        quality: 0 to 1, float64 [V].
        length_s: float64 [V].
        age_d: at the end of the past, float64 [V].
    """

    topic: Ints
    subjects: Ints
    form: Ints
    spam: NDArray[np.bool_]
    quality: NDArray[np.float64]
    length_s: NDArray[np.float64]
    age_d: NDArray[np.float64]

    @classmethod
    def made(cls, count: int, rng: np.random.Generator) -> Self:
        """Videos at random."""
        first = rng.integers(0, EACH, count)
        second = (first + rng.integers(1, EACH, count)) % EACH
        return cls(
            rng.integers(0, len(NAMES), count),
            np.stack([first, second], axis=1),
            rng.integers(0, len(FORMS), count),
            rng.random(count) < SPAM,
            rng.beta(2, 2, count),
            np.round(np.exp(rng.normal(6, 0.8, count))).astype(np.float64),
            rng.exponential(200, count) + 31,
        )

    def __len__(self) -> int:
        return len(self.topic)

    def title(self, video: int) -> str:
        """What it is called."""
        subject = SUBJECTS[self.topic[video]][self.subjects[video, 0]]
        text = FORMS[self.form[video]].format(subject)
        return text[0].upper() + text[1:]

    def description(self, video: int) -> str:
        """What its maker says about it; spam lists what it is not about."""
        if not self.spam[video]:
            return f"A film about {NAMES[self.topic[video]]}."
        rng = np.random.default_rng([int(self.topic[video]), video])
        topics, subjects = rng.integers(0, len(NAMES), STUFFED), rng.integers(0, EACH, STUFFED)
        return ", ".join(SUBJECTS[t][s] for t, s in zip(topics, subjects, strict=True))

    def transcript(self, video: int) -> str:
        """What is said in it."""
        one, two = (SUBJECTS[self.topic[video]][s] for s in self.subjects[video])
        return f"welcome back, today it is {one} and after the break {two}, so stay with us for {two}"


def misspelt(text: str, rng: np.random.Generator) -> str:
    """A text with two neighbouring letters of its longest word swapped; as it is when no word is long."""
    longest = max(text.split(), key=len)
    places = [i for i in range(1, len(longest) - 2) if longest[i : i + 2].isalpha() and longest[i] != longest[i + 1]]
    if len(longest) < 6 or not places:
        return text
    at = int(rng.choice(places))
    wrong = longest[:at] + longest[at + 1] + longest[at] + longest[at + 2 :]
    return text.replace(longest, wrong, 1)


def video_id(video: int) -> str:
    """The id of a video by its number."""
    return f"video-{video:05d}"


def second(day: float) -> int:
    """Days as microseconds."""
    return int(day * 86_400 * MICROS)


def _wanted(rng: np.random.Generator) -> Wanted:
    topic, subject = int(rng.integers(0, len(NAMES))), int(rng.integers(0, EACH))
    if rng.random() < TOPIC_ASKED:
        return Wanted(NAMES[topic], topic, -1)
    return Wanted(SUBJECTS[topic][subject].lower(), topic, subject)
