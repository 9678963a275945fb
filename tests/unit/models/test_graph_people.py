"""People whom the release does not know, or knew alone, get their vectors from columns and neighbours."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from winnow.data.graph import Graph
from winnow.features.batch import FeatureBatch, Recent
from winnow.models.artefact import Artefact
from winnow.models.base import Run, load_scorer
from winnow.models.examples import Catalogue, Examples, Web
from winnow.models.graph_people import VECTORS, People
from winnow.models.graph_ranker import GraphSage
from winnow.models.inputs import Inputs

PEOPLE, CIRCLES = 72, 6  # the last twelve are tied to nobody
TIED = PEOPLE - 12


def columns(rows, role):
    return FeatureBatch(np.sin(rows)[:, None].astype(np.float32), (f"{role}_age",), {f"{role}_town": rows % 4})


def web():
    rng = np.random.default_rng(0)
    one, two = np.triu_indices(TIED, 1)
    made = rng.random(len(one)) < np.where(one % CIRCLES == two % CIRCLES, 0.6, 0.02)
    who = np.arange(PEOPLE)
    known = columns(who, "candidate")
    known = replace(known, categorical=known.categorical | {"candidate": who})
    return Web(Graph.of(one[made], two[made], size=PEOPLE), Catalogue(who, known))


def batch(user, item, near=None):
    """Both sides of pairs; `near` are the friends of each who asks."""
    mine, theirs = columns(user, "person"), columns(item, "candidate")
    rows = np.full((len(user), 1), -1) if near is None else near
    return FeatureBatch(
        np.column_stack([mine.numeric, theirs.numeric]), mine.numeric_names + theirs.numeric_names,
        mine.categorical | theirs.categorical | {"person": user, "candidate": item},
        {"friends": Recent(rows, np.zeros(rows.shape, np.float32))},
    )  # fmt: skip


def pairs(seed, size=600):
    rng = np.random.default_rng(seed)
    user, item = rng.integers(TIED, size=(2, size))
    liked = {"accept": (user % CIRCLES == item % CIRCLES).astype(np.float32)}
    at = np.arange(size) + 1
    return Examples(batch(user, item), liked, np.ones(size, np.float32), at, user, item)


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    made = tmp_path_factory.mktemp("people")
    model = GraphSage(
        friends=("friends", ""), epochs=12, batch_size=64, learning_rate=2e-2, dropout=0, hidden=(32,), least=2
    )
    known = web()
    model.fit(*(replace(pairs(seed, size), web=known) for seed, size in ((1, 1_200), (2, 300))), Run(made, threads=1))
    return made


def test_circles_are_told_from_vectors_alone(folder):
    """No feature of the pair says who is of which circle."""
    test = pairs(3)
    scores = load_scorer(folder).score(test.features)[:, 0]
    same = test.labels["accept"] == 1
    assert (scores[same][:, None] > scores[~same]).mean() > 0.8


def test_nobody_is_learned_by_heart(folder):
    read = Inputs.open(Artefact.open(folder))
    assert set(read.vocabularies) == {"person_town", "candidate_town"}
    assert read.numerics.names == ("person_age", "candidate_age")


def test_a_newcomer_has_the_vector_of_somebody_with_the_same_columns_and_friends(folder):
    """Row 70 is new; told with the age, town and friends of row 6 it has all of its vector but for chance columns."""
    people, known = People.open(Artefact.open(folder), 1), web().graph
    near = known.neighbours(6).astype(np.int64)
    twin = batch(np.array([6]), np.array([0]), near[None])
    stored = np.load(folder / VECTORS)
    assert np.array_equal(people.vectors(twin, 0)[0], stored[6])
    new = replace(twin, categorical=twin.categorical | {"person": np.array([70])})
    others = [float(np.linalg.norm(stored[6] - stored[v])) for v in range(TIED) if v % CIRCLES]
    assert np.linalg.norm(people.vectors(new, 0)[0] - stored[6]) < np.quantile(others, 0.25)


def test_friends_of_a_newcomer_change_the_score(folder):
    """Told with friends of one circle, a newcomer is closer to it than when told with friends of another."""
    scorer, item = load_scorer(folder), np.arange(TIED)
    for person in (PEOPLE - 1, PEOPLE + 99, -1):
        who = np.full(TIED, person)
        told = [batch(who, item, np.tile(np.arange(circle, 48, CIRCLES), (TIED, 1))) for circle in (0, 1)]
        first, second = (scorer.score(features)[:, 0] for features in told)
        gain = first - second
        assert np.isfinite(gain).all()
        assert gain[item % CIRCLES == 0].mean() > gain[item % CIRCLES == 1].mean()


def test_strange_friends_count_as_none(folder):
    scorer = load_scorer(folder)
    who, item = np.full(3, PEOPLE + 1), np.arange(3)
    strange = scorer.score(batch(who, item, np.full((3, 2), 10**6)))
    assert np.array_equal(strange, scorer.score(batch(who, item)))
    one_list = replace(
        batch(who, item), sequences={"friends": Recent(np.array([[1, -1]]), np.zeros((1, 2), np.float32))}
    )
    each = batch(who, item, np.array([[1, -1]] * 3))
    assert np.allclose(scorer.score(one_list), scorer.score(each), atol=1e-6)
