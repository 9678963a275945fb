"""The tagger of harmful words, on posts of made-up words."""

import json

import numpy as np
import pytest

from winnow.core.errors import InputError
from winnow.media.normalise import normalise_all
from winnow.models.base import Run
from winnow.models.content_tagger import (
    Marked,
    SpanTagger,
    load_span_tagger,
    marked_words,
    run_lengths,
    span_f1,
    words_of,
)

PLAIN = ["lorem", "ipsum", "dolor", "sit", "amet"]


def posts(count, seed):
    """`zorp` is always marked, `blick` only before `ipsum`."""
    rng = np.random.default_rng(seed)
    texts, places = [], []
    for _ in range(count):
        words = [*rng.choice(PLAIN, 4), *rng.choice(["zorp", "blick", "magna"], 1), *rng.choice(PLAIN, 2)]
        starts = np.cumsum([0] + [len(w) + 1 for w in words])
        hits = [i for i, w in enumerate(words) if w == "zorp" or (w == "blick" and words[i + 1] == "ipsum")]
        texts.append(" ".join(words))
        places.append({int(p) for i in hits for p in range(starts[i], starts[i] + len(words[i]))})
    return Marked(texts, places)


@pytest.fixture(scope="module")
def tagger(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tagger")
    SpanTagger(reg=0.1).fit(posts(400, 0), posts(100, 1), Run(folder))
    return load_span_tagger(folder)


def test_words_and_their_neighbours_are_learnt(tagger):
    test = posts(200, 2)
    scores = [span_f1(f, m) for f, m in zip(tagger.places(test.texts), test.places, strict=True)]
    assert np.mean(scores) > 0.98


def test_disguised_words_are_marked_where_they_were_written(tagger):
    text = "lorem z.0.r.p ipsum z\u200borp"
    assert [text[start:end] for start, end, _ in tagger.spans([text])[0]] == ["z.0.r.p", "z\u200borp"]


def test_neighbours_that_are_both_marked_are_one_run(tagger):
    text = "lorem zorp zorp ipsum"
    assert [(start, end) for start, end, _ in tagger.spans([text])[0]] == [(6, 15)]


def test_nothing_to_mark(tagger):
    assert tagger.spans(["", "lorem", "😀"]) == [[], [], []]
    assert tagger.places([]) == []


def test_runs_are_counted_within_posts():
    words = words_of(normalise_all(["aa bb cc", "dd ee"]))
    marked = np.array([0.0, 1, 1, 1, 0])
    assert run_lengths(marked, words.post).tolist() == [0, 2, 2, 1, 0]
    assert run_lengths(np.zeros(0), np.zeros(0, np.int64)).tolist() == []


def test_half_of_a_word_marks_it():
    words = words_of(normalise_all(["abcd efgh"]))
    assert marked_words(words, [{0, 1, 5}]).tolist() == [1, 0]


@pytest.mark.parametrize(
    ("found", "marked", "f1"),
    [(set(), set(), 1), ({1}, set(), 0), (set(), {1}, 0), ({1, 2}, {2, 3}, 0.5), ({1}, {1}, 1)],
)
def test_the_f1_of_the_task(found, marked, f1):
    assert span_f1(found, marked) == f1


def test_a_threshold_can_be_chosen_on_the_validation_part(tmp_path):
    """Where nothing is marked any more, the threshold that marks least is best."""
    unmarked = Marked(posts(50, 1).texts, [set()] * 50)
    SpanTagger(threshold=None).fit(posts(100, 0), unmarked, Run(tmp_path))
    assert load_span_tagger(tmp_path).threshold >= 0.85
    SpanTagger(threshold=None).fit(posts(100, 0), posts(50, 1), Run(tmp_path))
    assert load_span_tagger(tmp_path).threshold < 0.85


def test_mistakes_are_told(tmp_path):
    with pytest.raises(InputError, match="no-examples"):
        SpanTagger().fit(Marked([""], [set()]), Marked([], []), Run(tmp_path))
    SpanTagger().fit(posts(20, 0), Marked([], []), Run(tmp_path))
    meta = json.loads((tmp_path / "meta.json").read_text())
    (tmp_path / "meta.json").write_text(json.dumps(meta | {"model": "NGrams"}))
    with pytest.raises(InputError, match="wrong-model"):
        load_span_tagger(tmp_path)
