"""Whatever is written: places never fall and lie inside, a second time changes nothing, spans lead back."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from winnow.media.normalise import normalise, normalise_all

# Rich in what stages look at, so that one uncovers work for another.
TRICKY = "ab sS013458@$!|(+.-_*\u200b\u200c\u200d\u202e\u202c\u0301\u0336\u0323аеорсνοι𝐚ﬁⓐＡéжшاب日क्\ufe0f❤İΣ\n"
texts = st.text(max_size=40) | st.text(alphabet=TRICKY, max_size=40)


@settings(max_examples=400, deadline=None)
@given(texts)
def test_places_never_fall_and_lie_inside(text):
    normal = normalise(text)
    assert normal.origin.dtype == np.int32
    assert len(normal.origin) == len(normal.text) + 1
    assert (np.diff(normal.origin) >= 0).all()
    assert normal.origin[-1] == len(text)
    assert normal.origin[0] >= 0
    assert (normal.origin[:-1] < max(len(text), 1)).all()


@settings(max_examples=400, deadline=None)
@given(texts)
def test_a_second_time_changes_nothing(text):
    once = normalise(text).text
    assert normalise(once).text == once


@settings(max_examples=300, deadline=None)
@given(texts, st.data())
def test_spans_lead_back_to_something_that_reads_the_same(text, data):
    normal = normalise(text)
    if not normal.text:
        return
    start = data.draw(st.integers(0, len(normal.text) - 1))
    end = data.draw(st.integers(start + 1, len(normal.text)))
    first, last = normal.span(start, end)
    assert 0 <= first < last <= len(text)
    whole = normal.span(0, len(normal.text))
    assert whole[0] <= first
    assert last <= whole[1]


@settings(max_examples=200, deadline=None)
@given(st.text(alphabet="abcdefgh klmnop", max_size=30))
def test_plain_text_maps_letter_by_letter(text):
    normal = normalise(text)
    for i, letter in enumerate(normal.text):
        first, _ = normal.span(i, i + 1)
        assert text[first] == letter


@settings(max_examples=150, deadline=None)
@given(st.lists(texts, max_size=5))
def test_neighbours_do_not_matter(many):
    for text, beside in zip(many, normalise_all(many), strict=True):
        alone = normalise(text)
        assert alone.text == beside.text
        assert np.array_equal(alone.origin, beside.origin)
