"""What embeddings and similarities are worth, that history and requests agree to the bit, and what is refused."""

from datetime import timedelta
from types import SimpleNamespace

import numpy as np
import pytest
from features_posts import BIOS, POSTS, SECOND, START, WithVectors, labels, like, log, member, post, shown, source

from winnow.core.errors import Unavailable
from winnow.core.time import days
from winnow.data.text import text_hashes
from winnow.encoders.colours import ColourGrid
from winnow.encoders.encodings import Encoded, Encodings
from winnow.encoders.minilm import MiniLM
from winnow.encoders.words import HashedWords
from winnow.features import embedding
from winnow.features.across import Difference
from winnow.features.declare import Column
from winnow.features.embedding import Embed, Similarity, embeds, encode_history, encode_rows, folded
from winnow.features.history import HistoryState
from winnow.features.plan import Plan
from winnow.features.recent import Last
from winnow.features.view import Moments

TEXT = Embed(post.text)
LIKED = Last(like.post, by=member, k=3)
NOW = START + 60 * SECOND


@pytest.fixture
def encodings(tmp_path):
    made = Encodings(tmp_path)
    encode_history([TEXT, Embed(member.bio)], made, source(log()))
    return made


def compute(feature, encodings, members, posts, at=NOW):
    at = np.atleast_1d(np.array(at, np.int64))
    moments = Moments(at, {"member": np.array(members), "post": np.array(posts)})
    return Plan.of([feature], labels).compute(moments, WithVectors(log(), encodings)).numeric


def vectors(texts, encoder=None):
    return np.nan_to_num((encoder or HashedWords()).open(None)([t or "" for t in texts]))


def test_an_embedding_is_the_folded_vector_of_the_text_as_of_the_moment(encodings):
    found = compute(TEXT, encodings, [0], [0, 2, 0], at=[NOW, NOW, NOW + 100 * SECOND])
    expected = folded(vectors([POSTS[0], POSTS[2], "planets and stars"]), 32)
    np.testing.assert_array_equal(found, expected)


def test_the_whole_vector_is_the_vector(encodings):
    whole = Embed(post.text, size=256)
    np.testing.assert_array_equal(compute(whole, encodings, [0], [0, 2]), vectors([POSTS[0], POSTS[2]]))


def test_folding_adds_every_size_th_component():
    vector = np.arange(10, dtype=np.float32)[None]
    assert folded(vector, 4).tolist() == [[0 + 4 + 8, 1 + 5 + 9, 2 + 6, 3 + 7]]
    assert folded(vector, 10).tolist() == vector.tolist()


def test_folding_keeps_what_is_near(encodings):
    texts = [f"{a} {b} {c}" for a in ("red", "blue", "old") for b in ("cat", "house") for c in ("sleeps", "falls")]
    full, small = vectors(texts), folded(vectors(texts), 64)
    small /= np.linalg.norm(small, axis=1, keepdims=True)
    near = np.corrcoef((full @ full.T).ravel(), (small @ small.T).ravel())[0, 1]
    assert near > 0.8


def test_missing_text_and_text_never_encoded_give_the_default(encodings, tmp_path):
    found = compute(Embed(post.text, size=2, default=7.0), encodings, [0], [0, 3, 99, -1])
    assert (found == 7.0).all(axis=1).tolist() == [False, True, True, True]
    assert (compute(Embed(post.text, size=2, default=7.0), Encodings(tmp_path / "none"), [0], [0, 1]) == 7.0).all()


def test_a_time_to_live_ends_it(encodings):
    short = Embed(post.text, size=2, default=7.0, ttl=timedelta(seconds=50))
    assert (compute(short, encodings, [0], [0, 1], at=START + 40 * SECOND) != 7.0).any()
    assert (compute(short, encodings, [0], [0, 1], at=START + 60 * SECOND) == 7.0).all()


def cosine(one, two):
    a, b = vectors([one, two]).astype(np.float64)
    return a @ b


def test_similarity_is_the_cosine(encodings):
    found = compute(Similarity(TEXT, Embed(member.bio)), encodings, [0, 1, 2, 0], [0, 0, 0, 3])[:, 0]
    expected = [cosine(POSTS[0], BIOS[0]), cosine(POSTS[0], BIOS[1]), 0, 0]
    np.testing.assert_allclose(found, expected, atol=3e-4)
    assert found[0] > 0.3 > abs(found[1])


def test_of_itself_it_is_one(encodings):
    np.testing.assert_allclose(compute(Similarity(TEXT, TEXT), encodings, [0], [0, 1, 2]), 1.0, atol=1e-7)


@pytest.mark.parametrize(("pool", "pooled"), [("mean", np.mean), ("max", max)])
def test_similarity_to_the_last_pools_those_that_are_known(encodings, pool, pooled):
    feature = Similarity(TEXT, LIKED, pool=pool, default=-9.0)
    found = compute(feature, encodings, [0, 0, 1, 2, -1], [2, 4, 4, 4, 4])[:, 0]
    expected = [pooled([cosine(POSTS[2], POSTS[i]) for i in (1, 0)]),
                pooled([cosine(POSTS[4], POSTS[i]) for i in (1, 0)]), cosine(POSTS[4], POSTS[2]), -9, -9]  # fmt: skip
    np.testing.assert_allclose(found, expected, atol=3e-4)


def test_the_last_are_embedded_as_they_stand_at_the_moment(encodings):
    feature = Similarity(TEXT, Last(like.post, by=member, k=3), pool="max")
    before, after = compute(feature, encodings, [0], [2], at=[NOW, NOW + 100 * SECOND])[:, 0]
    assert after > before + 0.2


def test_the_column_may_lie_behind_a_reference(encodings):
    feature = Similarity(Embed(post.author.bio), LIKED, pool="max")
    found = compute(feature, encodings, [1], [0, 1])[:, 0]
    np.testing.assert_allclose(found, [1, cosine(BIOS[0], BIOS[1])], atol=3e-4)


@pytest.mark.parametrize("pool", ["mean", "max"])
def test_a_request_and_a_training_set_agree_to_the_bit(pool, monkeypatch):
    """One user with many items, and many rows each with its own user, take different ways through the arithmetic."""
    monkeypatch.setattr(embedding, "_TOGETHER", 140)
    encoder = HashedWords(size=384)
    dense = np.random.default_rng(0).normal(size=(60, 384))
    dense = (dense / np.linalg.norm(dense, axis=1, keepdims=True)).astype(np.float32)

    class Dense:
        def column(self, table, column, rows, at):
            return rows

        def recent(self, aggregate, keys, at):
            members = np.broadcast_to(keys[0], np.broadcast_shapes(keys[0].shape, at.shape))
            rows = (members[:, None] * 7 + np.arange(20)) % 60
            return np.where(rows % 9 == 0, -1, rows), np.full(rows.shape, START)

        def vectors(self, encoder, hashes):
            return np.where(hashes[:, None] >= 0, dense[hashes], np.float32(np.nan))

    plan = Plan.of([Similarity(Embed(post.text, encoder=encoder), Last(like.post, by=member, k=20), pool=pool),
                    Embed(post.text, encoder=encoder)], labels)  # fmt: skip
    members, posts = np.repeat(np.arange(6), 50), np.tile(np.arange(50), 6)
    many = plan.compute(Moments(np.full(300, NOW), {"member": members, "post": posts}), Dense()).numeric
    for one in range(6):
        asked = Moments(np.array([NOW]), {"member": np.array([one]), "post": np.arange(50)})
        np.testing.assert_array_equal(plan.compute(asked, Dense()).numeric, many[members == one])


def test_history_gives_what_the_oracle_gives(encodings):
    plan = Plan.of([TEXT, Similarity(TEXT, Embed(post.author.bio)), Similarity(TEXT, LIKED)], labels)
    random = np.random.default_rng(0)
    at = random.integers(START, START + 200 * SECOND, 200)
    moments = Moments(at, {"member": random.integers(-1, 4, 200), "post": random.integers(-1, 6, 200)})
    one = plan.compute(moments, WithVectors(log(), encodings))
    two = plan.compute(moments, HistoryState(source(log()), encodings=encodings))
    np.testing.assert_array_equal(one.numeric, two.numeric, strict=True)
    assert len(np.unique(one.numeric[:, -1])) > 5


def test_a_state_without_vectors_says_so():
    moments = Moments(np.array([NOW]), {"member": np.array([0]), "post": np.array([0])})
    with pytest.raises(Unavailable, match="no-encodings"):
        Plan.of([TEXT], labels).compute(moments, HistoryState(source(log())))


# What is encoded when


def test_every_version_of_every_text_is_encoded_once(tmp_path):
    features = [Similarity(TEXT, Embed(member.bio)), Difference(Similarity(TEXT, LIKED), Column(of=post.author))]
    encodings = Encodings(tmp_path)
    assert encode_history(features, encodings, source(log())) == Encoded(new=7)
    assert encode_history(features, encodings, source(log())) == Encoded()
    assert encodings.known(HashedWords(), text_hashes(["planets and stars", POSTS[0], BIOS[1]])).all()


def test_rows_that_come_in_are_encoded_by_their_columns(tmp_path):
    encodings = Encodings(tmp_path)
    features = [TEXT, Embed(post.author.bio), Embed(post.text, encoder=HashedWords(size=64))]
    row = {"text": ["a post", None], "bio": ["not of this table", "x"], "seq": np.arange(2)}
    assert encode_rows(features, encodings, table="post", columns=row) == Encoded(new=2)
    assert encode_rows(features, encodings, table="member", columns={"bio": ["hello"]}) == Encoded(new=1)
    assert encode_rows(features, encodings, table="member", columns={"seq": np.arange(1)}) == Encoded()
    assert encode_rows(features, encodings, table="else", columns=row) == Encoded()


def test_embeddings_are_found_inside_other_features():
    inside = Difference(Similarity(TEXT, Embed(member.bio)), Similarity(Embed(post.text, size=8), LIKED))
    assert [(e.owner_table.name, e.of.columns) for e in embeds([inside])] == [("post", ("text",)), ("member", ("bio",))]


def test_static_features_hold_until_a_row_changes():
    plan = Plan.of([TEXT, Embed(post.text, ttl=days(1)), Similarity(TEXT, Embed(post.author.bio)),
                    Similarity(TEXT, LIKED)], labels)  # fmt: skip
    assert plan.side("post", static=True).features == (plan.features[0], plan.features[2])
    assert plan.depends_on(plan.features[3]) == {"post", "member"}


# What is refused


def codes(feature):
    system = SimpleNamespace(labels=labels, features=[feature])
    return [p.code for p in feature.problems(system)]


def test_what_can_work_has_no_problems():
    for feature in (TEXT, Embed(post.picture, encoder=ColourGrid()), Similarity(TEXT, LIKED), Embed(post.author.bio),
                    Embed(post.text, encoder=MiniLM(), size=384)):  # fmt: skip
        assert codes(feature) == []


def test_what_cannot_work_is_refused():
    assert codes(Embed(member.country)) == ["wrong-column"]
    assert codes(Embed(post.picture)) == ["wrong-column"]
    assert codes(Embed(post.text, encoder=ColourGrid())) == ["wrong-column"]
    assert codes(Embed(post.text, size=257)) == ["bad-embedding-size"]
    assert codes(Embed(post.text, size=0)) == ["bad-embedding-size"]
    assert codes(Similarity(TEXT, Embed(member.bio, encoder=HashedWords(size=64)))) == ["different-encoders"]
    assert codes(Similarity(Embed(member.bio), LIKED)) == ["different-domains"]
    assert codes(Embed(post.text, encoder=MiniLM(weights="no-such-folder"))) == ["encoder-files-missing"]
    assert shown.refs["post"] is post
