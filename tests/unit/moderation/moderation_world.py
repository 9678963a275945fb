"""A project that moderates with a list of mild words, a policy in force, and a clock of its own.

Imported by the conftest of every folder that tests moderation.
"""

import numpy as np
import pytest

from winnow.core.time import MICROS
from winnow.moderation.judge import Judgement
from winnow.moderation.moderation import Moderation
from winnow.moderation.parsing import parse
from winnow.moderation.post import Post

WORDS = """
version = "1"
[heads.insult]
grumble = 0.7
blarg = 0.95
[heads.peril]
zorp = 0.99
"""
POLICY = {
    "name": "community",
    "harms": {
        "insult": {
            "severity": 2.0,
            "reason": "This insults somebody.",
            "rules": [{"action": "demote", "at": 0.6}, {"action": "remove", "at": 0.9}],
        },
        "peril": {
            "severity": 10.0,
            "top": True,
            "reason": "This puts somebody in danger.",
            "rules": [{"action": "escalate", "at": 0.5}],
        },
    },
    "exceptions": [{"name": "news", "harms": ["insult"], "verified": ["news"], "at_most": "warn"}],
}
SETTINGS = """
[judge]
words = "words.toml"
[review]
double_share = 0.0
sample_share = 0.0
sample_turn = 0.0
golden_share = 0.0
"""


class Clock:
    """A clock that tests turn on."""

    def __init__(self):
        self.now = 1_700_000_000 * MICROS

    def __call__(self):
        self.now += 1
        return self.now

    def pass_s(self, seconds):
        self.now += int(seconds * MICROS)


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def make(tmp_path, clock):
    """Makes a project: `make(settings, judge=...)`."""
    opened = []

    def make(settings=SETTINGS, *, policy=POLICY, folder=None, judge=None):
        folder = folder or tmp_path / "shop"
        folder.mkdir(exist_ok=True)
        (folder / "words.toml").write_text(WORDS)
        (folder / "moderation.toml").write_text(settings)
        found = Moderation(folder, judge=judge, clock=clock)
        opened.append(found)
        if policy is not None and found.book.active() is None:
            found.book.activate(found.book.put(parse(policy), who="ann").version, who="ann", why="first", force=True)
        return found

    yield make
    for one in opened:
        one.close()


@pytest.fixture
def court(make):
    """A project with a policy in force."""
    return make()


def post(text, request="", **more):
    """A post by somebody."""
    return Post(text=text, request=request, **({"author": "sam"} | more))


class Fixed:
    """A judge that says what it is told to."""

    model = "fixed-1"

    def __init__(self, heads, probability, *, reads=("text",)):
        self.heads, self.reads = tuple(heads), reads
        self.probability = probability

    def judge(self, posts):
        table = np.tile(np.asarray(self.probability, float), (len(posts), 1))
        return Judgement(self.heads, table, [[] for _ in posts], self.model, [p.inputs for p in posts])


class Broken(Fixed):
    """A judge that fails, quoting the post in its message."""

    def judge(self, posts):
        raise RuntimeError(f"cannot read {posts[0].text}")
