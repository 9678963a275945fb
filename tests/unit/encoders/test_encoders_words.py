"""Hashed words: what counts as the same, what is near, and that the algorithm stays what it was."""

import numpy as np
import pytest

from winnow.encoders.words import HashedWords


@pytest.fixture
def encode(tmp_path):
    return HashedWords().open(tmp_path)


@pytest.mark.parametrize(
    ("one", "two"), [("Red  Cat", "red cat"), ("red, cat!", "red cat"), ("ﬁne", "fine"), ("STRASSE", "straße")]
)
def test_case_spaces_punctuation_and_forms_do_not_count(encode, one, two):
    np.testing.assert_array_equal(*encode([one, two]))


def test_shared_words_and_shared_pieces_are_near(encode):
    texts = ["cooking pasta with tomatoes", "pasta with fresh tomatoes", "cook tomato pastas", "stars and planets"]
    base, words, pieces, other = encode(texts)
    assert base @ words > base @ pieces > 0.2 > abs(base @ other)


def test_the_order_of_words_counts_a_little(encode):
    one, two = encode(["dog bites man", "man bites dog"])
    assert 0.6 < one @ two < 0.95


def test_a_text_without_words_is_zero(encode):
    assert not encode(["", "  ", "!?"]).any()


def test_one_more_text_of_the_same_word_changes_little(encode):
    one, many = encode(["cat dog", "cat cat cat dog"])
    assert 0.6 < one @ many < 1


def test_the_algorithm_is_pinned(tmp_path):
    """A change here needs a new `revision`: vectors in caches would otherwise mean two things."""
    encoder = HashedWords(size=16, pieces=(3,))
    vector = encoder.open(tmp_path)(["Winnow the chaff"])[0]
    assert encoder.revision == 1
    np.testing.assert_allclose(vector, PINNED, atol=1e-6)
    assert encoder.version == "6e37bff22987"


# fmt: off
PINNED = [-0.481223, 0, 0, 0, -0.605985, 0, 0.356461, 0.106938, 0.481223, 0, 0.124762, 0, 0, 0, 0, -0.124762]
# fmt: on
