"""The share of strangers in every beginning of a list, and items under those they belong to."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from winnow.serving.arrangement import interleaved
from winnow.serving.sources_graph import ByOwner

flags = st.lists(st.booleans(), max_size=60).map(lambda bits: np.array(bits, bool))
shares = st.sampled_from([0.0, 0.1, 0.25, 1 / 3, 0.5, 0.7, 0.99, 1.0])


@given(flags, shares)
def test_strangers_keep_within_their_share_while_there_are_others(strangers, share):
    order = interleaved(strangers, share)
    assert sorted(order.tolist()) == list(range(len(strangers)))
    arranged = strangers[order]
    kin = int((~strangers).sum())
    place = np.arange(1, len(arranged) + 1)
    with_kin_left = (~arranged).cumsum() < kin
    assert (arranged.cumsum() <= np.ceil(share * place - 1e-9))[with_kin_left].all()


@given(flags, shares)
def test_both_kinds_keep_their_own_order_and_nobody_rises_without_need(strangers, share):
    order = interleaved(strangers, share)
    for kind in (True, False):
        mine = order[strangers[order] == kind]
        assert (np.diff(mine) > 0).all()
    if share == 1:
        assert order.tolist() == list(range(len(strangers)))


@given(flags, shares)
def test_the_greedy_choice_is_the_same(strangers, share):
    """Slot by slot: the better one that is left, a stranger only where that keeps within the share."""
    left, expected = list(range(len(strangers))), []
    while left:
        place, far = len(expected) + 1, sum(strangers[i] for i in expected)
        kin = [i for i in left if not strangers[i]]
        fits = far + 1 <= np.ceil(share * place - 1e-9)
        chosen = left[0] if not strangers[left[0]] or fits or not kin else kin[0]
        expected.append(chosen)
        left.remove(chosen)
    assert interleaved(strangers, share).tolist() == expected


items = st.lists(st.tuples(st.integers(-1, 6), st.integers(0, 9)), max_size=40)


@given(items, st.lists(st.integers(0, 9), unique=True, max_size=8), st.integers(1, 5))
def test_the_newest_of_each_owner(rows, owners, depth):
    owner, time = np.array(rows, np.int64).reshape(-1, 2).T
    found, times = ByOwner.of(owner, np.arange(len(rows)), time).newest(np.array(owners, np.int64), depth)
    expected = []
    for one in owners:
        mine = sorted((-t, row) for row, (o, t) in enumerate(rows) if o == one)
        expected += mine[:depth]
    assert [(-t, row) for t, row in zip(times.tolist(), found.tolist(), strict=True)] == sorted(expected)
