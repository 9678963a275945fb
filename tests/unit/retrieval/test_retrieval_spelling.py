"""Spelling: what is corrected to what, what is left alone, and how fast."""

import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from winnow.retrieval.lexical_spelling import Speller, distances
from winnow.retrieval.lexical_text import parse

COUNTS = {"ocean": 40, "oceans": 9, "canoe": 50, "sourdough": 12, "tide": 30, "title": 400, "rare": 1, "machine": 80,
          "learning": 90, "cat": 500, "car": 900}  # fmt: skip


@pytest.fixture(scope="module")
def speller():
    return Speller(list(COUNTS.items()))


@pytest.mark.parametrize(
    ("typed", "meant"),
    [("ocaen", "ocean"), ("ocan", "ocean"), ("oceann", "ocean"), ("osean", "ocean"), ("sourdouhg", "sourdough"),
     ("surdouhg", "sourdough"), ("machne", "machine"), ("lerning", "learning")],
)  # fmt: skip
def test_a_slip_is_corrected(speller, typed, meant):
    assert speller.suggest(typed) == meant


@pytest.mark.parametrize("typed", ["xyzzy", "caz", "pide", "dcean", "raree", "4711x", "", "o", "a" * 60])
def test_what_is_like_nothing_too_short_or_like_a_word_of_one_item_stays(speller, typed):
    assert speller.suggest(typed) == ""


def test_only_words_that_no_item_has_are_corrected_and_quotes_are_kept(speller):
    found = speller.correct(parse('ocaen tide "machne learning" -tidde'), lambda word: COUNTS.get(word, 0))
    assert found.changes == (("ocaen", "ocean"),)
    assert found.asked == parse('ocean tide "machne learning" -tidde')


def slips(a, b):
    """Optimal string alignment, cell by cell."""
    table = np.zeros((len(a) + 1, len(b) + 1), int)
    table[:, 0], table[0] = np.arange(len(a) + 1), np.arange(len(b) + 1)
    for i in range(1, len(a) + 1):
        for j in range(1, len(b) + 1):
            table[i, j] = min(table[i - 1, j] + 1, table[i, j - 1] + 1, table[i - 1, j - 1] + (a[i - 1] != b[j - 1]))
            if i > 1 and j > 1 and a[i - 1] == b[j - 2] and a[i - 2] == b[j - 1]:
                table[i, j] = min(table[i, j], table[i - 2, j - 2] + 1)
    return int(table[-1, -1])


LETTERS = st.text("abc", min_size=1, max_size=7)


@given(LETTERS, st.lists(LETTERS, min_size=1, max_size=5))
def test_distances_are_those_of_the_textbook(word, others):
    codes = np.zeros((len(others), 9), np.int32)
    for place, other in enumerate(others):
        codes[place, : len(other)] = [ord(c) for c in other]
    found = distances(word, codes, np.array([len(other) for other in others]))
    assert found.tolist() == [slips(word, other) for other in others]


def test_it_is_quick_in_a_large_vocabulary():
    rng = np.random.default_rng(0)
    made = {"".join(rng.choice(list("abcdeilnorstu"), rng.integers(4, 12))): 2 for _ in range(20_000)}
    speller = Speller(list(made.items()))
    start = time.perf_counter()
    for word in list(made)[:20]:
        speller.suggest(word[:-1])
    assert (time.perf_counter() - start) / 20 < 0.1
