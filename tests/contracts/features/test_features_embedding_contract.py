"""Features of texts and images do what every feature does."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from features_posts import BIOS, START, WithVectors, labels, like, log, member, post, put
from test_features_feature_contract import FeatureContract

from winnow.encoders.colours import ColourGrid
from winnow.encoders.encodings import Encodings
from winnow.encoders.words import HashedWords
from winnow.features.embedding import Embed, Similarity
from winnow.features.leaks import leaks
from winnow.features.plan import Plan
from winnow.features.recent import Last
from winnow.features.view import Moments


class OnPosts:
    """The contract on members and posts instead of users and videos."""

    feature: Any

    @pytest.fixture(autouse=True)
    def folder(self, tmp_path: Path) -> None:
        self.encodings = Encodings(tmp_path)
        self.encodings.ensure(HashedWords(), BIOS.values())

    def compute(self, users: Any, videos: Any, **context: Any) -> Any:
        moments = Moments(np.array([START + 1]), {"member": np.array(users), "post": np.array(videos)}, context)
        state = WithVectors(log(), self.encodings)
        return Plan.of([self.feature], labels).compute(moments, state, training=True)

    def test_what_it_reads_is_allowed(self) -> None:
        assert leaks(labels, [self.feature]) == []


class TestEmbed(OnPosts, FeatureContract):
    feature = Embed(post.author.bio, size=3)
    names = ("post_author_bio_e00", "post_author_bio_e01", "post_author_bio_e02")


class TestEmbedOfImages(OnPosts, FeatureContract):
    feature = Embed(post.picture, encoder=ColourGrid(), size=2, default=-1.0)
    names = ("post_picture_e00", "post_picture_e01")
    empty = -1.0


class TestSimilarity(OnPosts, FeatureContract):
    feature = Similarity(Embed(post.text), Embed(member.bio), default=-1.0)
    names = ("post_text_similarity_member_bio",)
    empty = -1.0


class TestSimilarityToTheLast(OnPosts, FeatureContract):
    feature = Similarity(Embed(post.author.bio), Last(like.post, by=member, k=3), pool="max")
    names = ("post_author_bio_similarity_member_like_post_last3_max",)


class TestLastThroughAReference(OnPosts, FeatureContract):
    feature = Last(like.post, by=member, k=3, columns=(post.author, post.author.country))
    names = ("member_like_post_last3",)

    def test_what_the_kept_rows_refer_to_comes_along(self) -> None:
        rows = log()
        put(rows, member, 0, START, country=7)
        put(rows, member, 1, START, country=5)
        moments = Moments(np.array([START + 60_000_000]), {"member": np.array([0, 1])})
        found = Plan.of([self.feature], labels).compute(moments, WithVectors(rows, self.encodings))
        recent = found.sequences[self.names[0]]
        assert recent.rows.tolist() == [[1, 0, -1], [2, -1, -1]]
        assert recent.columns["author"].tolist() == [[1, 0, -1], [0, -1, -1]]
        assert recent.columns["author_country"].tolist() == [[5, 7, -1], [7, -1, -1]]
