"""Fusion of sources: by place, by calibrated score; and what it reads."""

import numpy as np
import pytest

from winnow.core.errors import InputError
from winnow.features.batch import FeatureBatch
from winnow.features.proposed import ranks, standings
from winnow.models.base import Run, load_scorer
from winnow.models.examples import Examples
from winnow.models.fusion import CalibratedScores, ReciprocalRank

BOTH = ("Lexical", "Nearest")
NAMES = ("lexical_score", "lexical_rank", "nearest_score", "nearest_rank")


def examples(values, right):
    n = len(values)
    zeros, ones = np.zeros(n, np.int64), np.ones(n, np.float32)
    batch = FeatureBatch(np.asarray(values, np.float32), NAMES)
    return Examples(batch, {"click": np.asarray(right, np.float32)}, ones, zeros, zeros, np.arange(n))


def world(n=4_000, seed=0):
    """Two sources whose scores have other scales; the second is worth three times as much, and both leave gaps."""
    rng = np.random.default_rng(seed)
    truth = rng.normal(size=n)
    one, two = truth + rng.normal(size=n) * 3, truth + rng.normal(size=n)
    there = rng.random((2, n)) < 0.7
    columns = [np.where(there[0], 20 + 5 * one, 0), np.where(there[0], ranks(one), 0),
               np.where(there[1], 0.4 + 0.1 * two, 0), np.where(there[1], ranks(two), 0)]  # fmt: skip
    return examples(np.stack(columns, axis=1), rng.random(n) < 1 / (1 + np.exp(2 - 2 * truth))), truth, there


def fitted(model, part, folder):
    folder.mkdir(exist_ok=True)
    model.fit(part, part, Run(folder, threads=1))
    return load_scorer(folder)


def auc(score, right):
    order = np.argsort(np.argsort(score, kind="stable"))
    positive = right > 0
    return (order[positive].mean() - (positive.sum() - 1) / 2) / (~positive).sum()


def test_reciprocal_ranks_are_those_of_the_paper(tmp_path):
    rows = [[9, 1, 0.9, 1], [5, 2, 0, 0], [0, 0, 0.8, 3], [0, 0, 0, 0]]
    found = fitted(ReciprocalRank(BOTH, k=60), examples(rows, [1, 0, 0, 0]), tmp_path / "r").score(
        examples(rows, [0] * 4).features
    )[:, 0]
    paper = np.array([1 / 61 + 1 / 61, 1 / 62, 1 / 63, 0]) * 61 / 2
    np.testing.assert_allclose(found, paper, rtol=1e-6)


def test_calibrated_scores_know_which_source_is_worth_more_and_mean_what_they_say(tmp_path):
    part, _, _ = world()
    test, _, there = world(seed=1)
    scorer = fitted(CalibratedScores(BOTH), part, tmp_path / "c")
    found, right = scorer.score(test.features)[:, 0], test.labels["click"]
    plain = fitted(ReciprocalRank(BOTH), part, tmp_path / "r").score(test.features)[:, 0]
    seen = there.any(axis=0)
    assert auc(found[seen], right[seen]) > auc(plain[seen], right[seen]) + 0.01
    for column in (0, 2):
        single = test.features.numeric[:, column]
        assert auc(found[seen], right[seen]) > auc(single[seen], right[seen]) + 0.02
    assert abs(found.mean() - right.mean()) < 0.03


def test_without_enough_outcomes_scores_are_put_in_order_by_their_own_spread(tmp_path):
    part, truth, there = world(60)
    few = examples(part.features.numeric, np.zeros(60))
    found = fitted(CalibratedScores(BOTH), few, tmp_path / "c").score(part.features)[:, 0]
    both = there.all(axis=0)
    assert np.corrcoef(found[both], truth[both])[0, 1] > 0.4


def test_a_source_of_one_score_and_examples_of_none_do_no_harm(tmp_path):
    rows = [[3, 1, 0, 0]] * 30
    found = fitted(CalibratedScores(BOTH), examples(rows, [1, 0] * 15), tmp_path / "c").score(
        examples(rows, [0] * 30).features
    )
    assert np.isfinite(found).all()


@pytest.mark.parametrize("model", [ReciprocalRank(("Lexical", "Other")), CalibratedScores(("Other",))])
def test_features_that_are_not_there_are_told(model, tmp_path):
    with pytest.raises(InputError, match="other_"):
        model.fit(examples([[1, 1, 1, 1]], [1]), examples([[1, 1, 1, 1]], [1]), Run(tmp_path))


def test_places_count_from_one_and_equal_scores_share_theirs():
    scores = np.array([[3, np.nan], [1, 0.5], [3, 0.7]], np.float32)
    found = standings(BOTH, scores)
    assert found["lexical_rank"].tolist() == [1, 3, 1]
    np.testing.assert_array_equal(found["nearest_rank"], [np.nan, 2, 1])
    assert standings(BOTH, np.empty((3, 0), np.float32)) == {}
