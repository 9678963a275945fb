"""N-grams: what they hold, where they are, and that neighbours do not matter."""

import numpy as np
import pytest

from winnow.media.ngrams import nameless, ngrams


def shown(text, **options):
    grams = ngrams([text], **options)
    return [text[a:b] for a, b in zip(grams.starts, grams.stops, strict=True)]


def ids(text, **options):
    return set(ngrams([text], **options).ids.tolist())


def test_words_pairs_and_runs_are_where_they_are_said_to_be():
    found = shown("one  two", runs=(3,))
    assert sorted(found) == sorted(["one", "two"] * 2 + ["one  two"] + ["on", "one", "ne"] + ["tw", "two", "wo"])


def test_counts_follow_from_the_words():
    # 2 words, 2 squeezed, 1 pair; "_ab_" and "_cd_" have 3 runs of 2 each
    assert len(ngrams(["ab cd"], runs=(2,)).ids) == 2 + 2 + 1 + 6
    assert len(ngrams(["ab cd"], runs=(), pairs=False).ids) == 4


@pytest.mark.parametrize("beside", [["x"], [""], ["", "", "y z"], ["a" * 40_000]])
def test_a_text_gives_the_same_whatever_stands_beside_it(beside):
    text = "some words, 😀 and @somebody's émigré"
    alone, among = ngrams([text]), ngrams([*beside, text, *beside])
    part = slice(among.indptr[len(beside)], among.indptr[len(beside) + 1])
    assert sorted(among.ids[part]) == sorted(alone.ids)
    assert sorted(among.starts[part]) == sorted(alone.starts)


def test_channels_do_not_meet():
    grams = ngrams(["word"], bits=10, runs=(4,))
    assert (grams.ids < 2 << 10).all()
    assert (grams.ids < 1 << 10).sum() == 2


def test_accents_doubled_letters_and_names():
    assert ids("émigré") == ids("emigre")
    assert ids("goood") & ids("god")  # both have one skeleton
    assert len(ids("as5 a11", runs=(), pairs=False) & ids("ass all", runs=(), pairs=False)) == 2
    assert not ids("as5", runs=(), pairs=False) & ids("bss", runs=(), pairs=False)
    assert ids("@somebody hi") == ids("@anyone hi")
    assert ids("https://a.example/x hi") == ids("https://b.example/yz hi")
    assert nameless("rt @someone hi") == "hi"


def test_scripts_without_spaces_and_pictures():
    assert len(ngrams(["日本語"], runs=(2,)).ids) == 2 + 4
    assert shown("a😀b", runs=(), pairs=False).count("😀") == 2


def test_nothing():
    assert ngrams([]).indptr.tolist() == [0]
    assert ngrams(["", " ", "..."]).indptr.tolist() == [0, 0, 0, 0]
    assert np.array_equal(ngrams(["a"]).ids, ngrams(["a", ""]).ids)
