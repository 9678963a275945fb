"""A small made-up world with known rules, as examples and as a catalogue."""

import numpy as np

from winnow.features.batch import FeatureBatch, Recent
from winnow.models.examples import Catalogue, Examples

ITEMS, USERS, TAGS, STEPS = 60, 80, 6, 8
DAY = 86_400_000_000


def world(rows=1200, seed=0, *, retrieval=False):
    """Rows in time order. A user likes the tag `user % 6`: a click is likely on it, more so for high `quality`.

    The history holds items of the liked tag; those also in the `liked` sequence have an even row number.
    """
    rng = np.random.default_rng(seed)
    user, item = rng.integers(USERS, size=rows), rng.integers(ITEMS, size=rows)
    if retrieval:  # what is shown follows taste, or there would be nothing to retrieve
        item = np.where(rng.random(rows) < 0.7, user % TAGS + TAGS * rng.integers(ITEMS // TAGS, size=rows), item)
    quality = rng.normal(size=rows).astype(np.float32)
    match = (item % TAGS == user % TAGS).astype(np.float32)
    chance = 1 / (1 + np.exp(-(-1.5 + 3 * match + quality)))
    click = (rng.random(rows) < chance).astype(np.float32)
    seconds = (click * rng.exponential(20 + 30 * match)).astype(np.float32)
    like = np.where(rng.random(rows) < 0.1, np.nan, click * (rng.random(rows) < 0.5)).astype(np.float32)
    past = user[:, None] % TAGS + TAGS * rng.integers(ITEMS // TAGS, size=(rows, STEPS))
    past[rng.random((rows, STEPS)) < 0.2] = -1
    past = -np.sort(-past, axis=1)  # padding stands last
    age = np.where(past >= 0, np.arange(STEPS) * 3600.0, 0).astype(np.float32)
    columns = {"kind": np.where(past >= 0, past % TAGS, -1), "tags": tags(past)}
    sequences = {"watched": Recent(past, age, columns), "liked": Recent(np.where(past % 2 == 0, past, -1), age)}
    side = {"user_group": user % TAGS, "request_surface": rng.integers(3, size=rows)}
    both = {**side, "video": item, "video_kind": item % TAGS, "video_tags": tags(item)}
    numeric = np.stack([quality, rng.normal(size=rows), match * 0.1 + 0.2], axis=1).astype(np.float32)
    features = FeatureBatch(
        numeric[:, 1:2] if retrieval else numeric,
        ("noise",) if retrieval else ("quality", "noise", "rate"),
        side if retrieval else both,
        sequences,
        {"position": rng.integers(10, size=rows).astype(np.float32)},
    )
    at = np.sort(rng.integers(10 * DAY, size=rows))
    labels = {"click": click, "like": like, "seconds": seconds}
    return Examples(features, labels, np.ones(rows, np.float32), at, user, item)


def tags(items):
    """Two tags per item, the second missing for even ones."""
    return np.stack([np.where(items >= 0, items % TAGS, -1), np.where(items % 2 == 1, TAGS, -1)], axis=-1)


def catalogue():
    """The items, with what is known about them."""
    items = np.arange(ITEMS)
    features = FeatureBatch(
        (items[:, None] / ITEMS).astype(np.float32),
        ("length",),
        {"video_kind": items % TAGS, "video_tags": tags(items)},
    )
    return Catalogue(items, features)


def auc(labels, scores):
    """Share of (positive, negative) pairs in the right order."""
    high, low = scores[labels == 1], scores[labels == 0]
    return float((high[:, None] > low).mean() + 0.5 * (high[:, None] == low).mean())
