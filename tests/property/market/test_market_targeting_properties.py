"""The index finds what asking every campaign finds."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from winnow.core.errors import InputError
from winnow.market import targeting
from winnow.market.targeting import Between, NoneOf, OneOf, Targeting, naive

value = st.integers(-1, 6)


@st.composite
def demands(draw):
    size = draw(st.integers(0, 150))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    found = []
    for name in draw(st.lists(st.sampled_from("abcd"), max_size=4)):
        kind = draw(st.sampled_from([OneOf, NoneOf, Between]))
        if kind is Between:
            low, high = np.sort(rng.integers(0, 7, (2, size)).astype(float), axis=0)
            low[rng.random(size) < 0.3], high[rng.random(size) < 0.3] = np.nan, np.nan
            found.append(Between(name, low, high))
        else:
            wide = rng.integers(-1, 7, (size, draw(st.integers(1, 3))))
            wide[rng.random(size) < 0.3] = -1
            found.append(kind(name, wide))
    return found, size


def fitting(request, found):
    """Ranges ask for one number, the others for any."""
    one = {d.attribute for d in found if isinstance(d, Between)}
    single = {
        k: (v[0] if isinstance(v, list) and v else None) if k in one and isinstance(v, list) else v
        for k, v in request.items()
    }
    return {k: None if k in one and v == -1 else v for k, v in single.items()}


@settings(max_examples=300, deadline=None)
@given(
    demands(),
    st.dictionaries(st.sampled_from("abcd"), st.one_of(st.none(), value, st.lists(value, max_size=3))),
    st.sampled_from([1, 512]),
)
def test_the_index_finds_what_asking_everyone_finds(given_, request, few):
    found, size = given_
    request = fitting(request, found)
    before, targeting._FEW = targeting._FEW, few
    try:
        index = Targeting(found, size)
    finally:
        targeting._FEW = before
    for _ in range(2):  # asking changes nothing
        assert index.match(request).tolist() == naive(found, request, size).tolist()


def one(*demands, **request):
    return Targeting(demands, 3).match(request).tolist()


def test_what_is_unknown_meets_no_demand():
    country = np.array([[4, 5], [4, -1], [-1, -1]])
    assert one(OneOf("country", country), country=5) == [0, 2]
    assert one(OneOf("country", country)) == [2]
    assert one(OneOf("country", country), country=-1) == [2]
    assert one(NoneOf("country", country), country=5) == [1, 2]
    assert one(NoneOf("country", country)) == [2]
    assert one(NoneOf("country", country), country=9) == [0, 1, 2]
    age = Between("age", np.array([18.0, np.nan, np.nan]), np.array([25.0, 30.0, np.nan]))
    assert one(age, age=18) == [0, 1, 2]
    assert one(age, age=26) == [1, 2]
    assert one(age) == one(age, age=np.nan) == [2]


def test_several_demands_on_one_attribute_all_count():
    wanted, barred = OneOf("interest", np.array([1, 1, 1])), NoneOf("interest", np.array([2, 3, -1]))
    assert one(wanted, barred, interest=[1, 2]) == [1, 2]


def test_without_demands_everybody_matches():
    assert one() == [0, 1, 2]
    assert Targeting([], 0).match({}).tolist() == []


@pytest.mark.parametrize(
    "demand",
    [OneOf("a", np.array([1, 2])), Between("a", np.array([1.0]), np.array([2.0])),
     Between("a", np.array([1.0, 9.0, 1.0]), np.array([2.0, 3.0, 2.0]))],
)  # fmt: skip
def test_demands_that_fit_no_campaign_are_refused(demand):
    with pytest.raises(InputError, match="bad-targeting"):
        Targeting([demand], 3)
