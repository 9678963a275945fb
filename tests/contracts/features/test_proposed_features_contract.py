"""What sources made of a candidate, as features of the request."""

import numpy as np
from test_features_feature_contract import FeatureContract

import winnow as w
from winnow.features.proposed import standings


class TestScoreOf(FeatureContract):
    feature = w.score_of("Lexical")
    names = ("lexical_score",)

    def test_it_is_what_the_list_said(self) -> None:
        told = standings(["Lexical", "Nearest"], np.array([[3, 0.1], [np.nan, 0.2], [7, np.nan]], np.float32))
        assert self.compute([1], [0, 1, 2], **told).numeric.tolist() == [[3], [0], [7]]


class TestRankOf(FeatureContract):
    feature = w.rank_of("Nearest")
    names = ("nearest_rank",)

    def test_places_count_from_one_and_equal_scores_share_theirs(self) -> None:
        told = standings(["Nearest"], np.array([[0.5], [0.5], [np.nan], [0.9]], np.float32))
        assert self.compute([1], [0, 1, 2, 3], **told).numeric.tolist() == [[2], [2], [0], [1]]
