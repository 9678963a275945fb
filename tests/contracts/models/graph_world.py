"""Sixty people in six circles, who know others of their circle and want to meet the rest of it."""

import numpy as np

from winnow.data.graph import Graph
from winnow.features.batch import FeatureBatch
from winnow.models.examples import Catalogue, Examples, Web

PEOPLE, CIRCLES, REQUESTS = 60, 6, 600


def ties(seed=0):
    """Ties, most of them within circles, and when they were made."""
    rng = np.random.default_rng(seed)
    one, two = np.triu_indices(PEOPLE, 1)
    chance = np.where(one % CIRCLES == two % CIRCLES, 0.6, 0.02)
    made = rng.random(len(one)) < chance
    return one[made], two[made], rng.integers(0, 1_000, made.sum())


def people():
    """Everybody, with a column that says nothing."""
    who = np.arange(PEOPLE)
    features = FeatureBatch(np.sin(who)[:, None].astype(np.float32), ("candidate_age",), {"candidate": who})
    return Catalogue(who, features)


def web():
    return Web(Graph.of(*ties(), size=PEOPLE, as_of=1_000), people())


def rows(seed):
    """Requests with the person's side only; of those shown, people of the same circle are wanted."""
    rng = np.random.default_rng(seed)
    user, item = rng.integers(PEOPLE, size=(2, REQUESTS))
    age = np.sin(user)[:, None].astype(np.float32)
    features = FeatureBatch(age, ("person_age",), {"person": user})
    labels = {"click": (user % CIRCLES == item % CIRCLES).astype(np.float32)}
    at = np.sort(rng.integers(1_000, 2_000, REQUESTS))
    return Examples(features, labels, np.ones(REQUESTS, np.float32), at, user, item)
