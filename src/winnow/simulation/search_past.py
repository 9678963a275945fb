"""What was asked and watched before the service began: lists of an older engine that mixes good and bad results."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from winnow.core.time import MICROS
from winnow.data.importers.base import Part
from winnow.retrieval.lexical_text import parse
from winnow.simulation.search_world import SearchWorld, Wanted, second, video_id
from winnow.simulation.words import TOPICS

SHOWN = 10
_LIKED = np.array([0.02, 0.18, 0.55])  # chance of a click on what is looked at, by how right it is
_STEEPNESS = 0.7  # of the chance that a place is looked at
_PER_SUBJECT, _PER_TOPIC = 0.4, 0.3  # shares of a list of the past


def search_tables(world: SearchWorld) -> Iterator[Part]:
    """Videos and texts."""
    yield "video", _videos(world)
    yield "query", _queries(world)


def search_events(world: SearchWorld) -> Iterator[Part]:
    """Lists of the past, and what came of them."""
    rows = _lists(world)
    for name in ("impression", "click", "watch"):
        yield name, pl.DataFrame([row for kind, row in rows if kind == name])


def reacted(truth: NDArray[np.int64], quality: NDArray[np.float64], rng: np.random.Generator) -> Mapping[str, Any]:
    """What somebody does with a list.

    Args:
        truth: how right each item is, in the order shown, int64 [n].
        quality: of each, float64 [n].
        rng: what they do.

    Returns:
        `click` and `long`, bool [n].
    """
    looked = rng.random(len(truth)) < np.arange(1, len(truth) + 1) ** -_STEEPNESS
    click = looked & (rng.random(len(truth)) < _LIKED[truth] * (0.6 + 0.8 * quality))
    return {"click": click, "long": click & (rng.random(len(truth)) < np.array([0.1, 0.5, 0.9])[truth])}


def _videos(world: SearchWorld) -> pl.DataFrame:
    videos, every = world.videos, range(world.size.videos)
    names = tuple(TOPICS)
    published = [world.until - second(age) for age in videos.age_d]
    return pl.DataFrame({
        "video_id": [video_id(v) for v in every], "title": [videos.title(v) for v in every],
        "description": [videos.description(v) for v in every], "transcript": [videos.transcript(v) for v in every],
        "tags": [[names[t]] for t in videos.topic], "speaker": [TOPICS[names[t]][0][0] for t in videos.topic],
        "language": ["en"] * len(videos), "duration_s": videos.length_s, "published_at": published,
        "available": [True] * len(videos), "changed_at": [world.since - second(1)] * len(videos),
    })  # fmt: skip


def _asked(world: SearchWorld) -> list[Wanted]:
    return world.texts(world.size.texts, seed=0)


def _queries(world: SearchWorld) -> pl.DataFrame:
    texts = [parse(wanted.text).text for wanted in _asked(world)]
    return pl.DataFrame({
        "query_id": [f"past-{i}" for i in range(len(texts))], "text": texts, "language": ["en"] * len(texts),
        "words": [float(len(text.split())) for text in texts], "changed_at": [world.since - second(1)] * len(texts),
    })  # fmt: skip


def _lists(world: SearchWorld) -> list[tuple[str, dict[str, Any]]]:
    rng, asked = np.random.default_rng([world.seed, 3]), _asked(world)
    rows: list[tuple[str, dict[str, Any]]] = []
    times = np.sort(rng.integers(world.since, world.until, world.size.lists))
    for number, at in enumerate(times.tolist()):
        who = int(rng.integers(0, len(asked)))
        truth = world.truth(asked[who])
        shown = _shown(world, asked[who], rng)
        done = reacted(truth[shown], world.videos.quality[shown], rng)
        for place, video in enumerate(shown.tolist()):
            one = {"query": f"past-{who}", "video": video_id(video), "recommendation_id": f"past-{number}"}
            rows.append(("impression", one | {"event_id": f"{number}-{place}-i", "at": at, "surface": "search",
                                              "position": float(place + 1)}))  # fmt: skip
            if done["click"][place]:
                late = at + int(rng.integers(2, 60)) * MICROS
                long = bool(done["long"][place])
                rows.append(("click", one | {"event_id": f"{number}-{place}-c", "at": late}))
                rows.append(("watch", one | {"event_id": f"{number}-{place}-w", "at": late + MICROS, "long": long,
                                             "seconds": 90.0 if long else 5.0}))  # fmt: skip
    return rows


def _shown(world: SearchWorld, wanted: Wanted, rng: np.random.Generator) -> NDArray[np.int64]:
    """Some about it, some of its topic, spam that lists it, and others; in no order, so that place and worth differ."""
    truth, words = world.truth(wanted), wanted.text
    spam = [v for v in np.flatnonzero(world.videos.spam) if words in world.videos.description(int(v)).lower()]
    parts = [np.flatnonzero(truth == 2), np.flatnonzero(truth == 1), np.array(spam, np.int64)]
    sizes = [round(SHOWN * _PER_SUBJECT), round(SHOWN * _PER_TOPIC), 2]
    chosen = [rng.choice(part, min(size, len(part)), replace=False) for part, size in zip(parts, sizes, strict=True)]
    rest = rng.integers(0, world.size.videos, SHOWN)
    shown = np.array(list(dict.fromkeys(np.concatenate([*chosen, rest]).tolist()))[:SHOWN], np.int64)
    return rng.permutation(shown)
