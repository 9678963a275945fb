"""Sessions cut out of views and bookings."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from winnow.models.sessions import cut, nothing

MINUTE = 60_000_000
GAP = 30 * MINUTE


def sessions(*events, markets=None):
    """Events as (visitor, item, minute) or (visitor, item, minute, "goal"), and a weight after that."""
    people, items, at = (np.array([e[i] for e in events], np.int64) for i in range(3))
    goal = np.array([len(e) > 3 and e[3] == "goal" for e in events])
    weights = np.array([e[4] if len(e) > 4 else 1.0 for e in events], np.float32)
    return cut(people, items, at * MINUTE, weights=weights, goal=goal, gap=GAP, markets=markets)


def lists(found):
    return [found.items[a:b].tolist() for a, b in zip(found.starts[:-1], found.starts[1:], strict=True)]


def test_a_pause_ends_a_session_and_so_does_another_visitor():
    found = sessions((0, 1, 0), (0, 2, 30), (0, 3, 61), (0, 4, 62), (1, 5, 62), (1, 6, 63))
    assert lists(found) == [[1, 2], [3, 4], [5, 6]]
    assert found.people.tolist() == [0, 0, 1]
    assert (found.at // MINUTE).tolist() == [0, 61, 62]
    assert (found.until // MINUTE).tolist() == [30, 62, 63]


def test_what_follows_a_booking_is_another_trip():
    found = sessions((0, 1, 0), (0, 2, 1), (0, 2, 2, "goal"), (0, 7, 3), (0, 8, 4))
    assert lists(found) == [[1, 2], [7, 8]]
    assert found.goals.tolist() == [2, -1]


def test_a_goal_at_the_moment_of_a_step_comes_after_it():
    found = sessions((0, 2, 1, "goal"), (0, 2, 1), (0, 1, 0))
    assert lists(found) == [[1, 2]]
    assert found.goals.tolist() == [2]


def test_a_session_of_one_item_teaches_nothing():
    assert len(sessions((0, 1, 0), (0, 1, 1))) == 0
    assert len(sessions((0, 1, 0), (0, 1, 1, "goal"))) == 0
    assert len(sessions((0, 1, 0, "goal"))) == 0
    assert len(sessions((0, 1, 0), (0, 2, 1, "goal"))) == 1


def test_a_step_that_repeats_the_one_before_counts_once():
    assert lists(sessions((0, 1, 0), (0, 1, 1), (0, 2, 2), (0, 1, 3))) == [[1, 2, 1]]


def test_an_event_about_nothing_known_is_left_out():
    assert lists(sessions((0, 1, 0), (0, -1, 1), (0, 2, 2), (-1, 3, 3), (-1, 4, 4))) == [[1, 2]]


def test_pairs_reach_as_far_as_the_window_and_every_step_has_the_goal():
    found = sessions((0, 1, 0), (0, 2, 1), (0, 3, 2), (0, 9, 3, "goal"), (1, 4, 0), (1, 5, 1))
    pairs = sorted(zip(*(column.tolist() for column in found.pairs(1)[:2]), strict=True))
    assert pairs == [(1, 2), (1, 9), (2, 1), (2, 3), (2, 9), (3, 2), (3, 9), (4, 5), (5, 4)]


def test_a_step_that_the_list_itself_led_to_weighs_less():
    found = sessions((0, 1, 0), (0, 2, 1, "step", 0.3), (0, 3, 2, "goal"))
    centre, context, weight, _ = found.pairs(5)
    told = {(a, b): round(float(w), 3) for a, b, w in zip(centre, context, weight, strict=True)}
    assert told == {(1, 2): 0.3, (2, 1): 0.3, (1, 3): 1.0, (2, 3): 0.3}


def test_questions_lead_to_the_goal_or_to_the_next_step_where_there_are_none():
    found = sessions((0, 1, 0), (0, 2, 1), (0, 1, 2), (0, 2, 3, "goal"), (1, 4, 0), (1, 5, 1))
    asked, wanted, session = found.questions()
    assert list(zip(asked, wanted, session, strict=True)) == [(1, 2, 0)]
    asked, wanted, _ = sessions((0, 1, 0), (0, 2, 1), (0, 3, 2)).questions()
    assert list(zip(asked, wanted, strict=True)) == [(1, 2), (2, 3)]


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 5), st.integers(0, 200), st.booleans()), max_size=40))
def test_cutting_is_what_reading_one_by_one_gives(events):
    rows = [(who, item, minute, "goal" if goal else "step") for who, item, minute, goal in events]
    expected = []
    for who in range(4):
        mine = [rows[i] for i in sorted((i for i, r in enumerate(rows) if r[0] == who),
                                        key=lambda i: (rows[i][2], rows[i][3] == "goal", i))]  # fmt: skip
        steps, goal, last = [], -1, None
        for _, item, minute, what in [*mine, (who, -1, 10**9, "end")]:
            if last is not None and (minute - last > 30 or goal >= 0):
                if len({*steps, *([goal] if goal >= 0 else [])}) > 1 and steps:
                    expected.append((steps, goal))
                steps, goal = [], -1
            if what == "goal":
                goal = item
            elif not steps or steps[-1] != item:
                steps.append(item)
            last = minute
    found = sessions(*rows) if rows else nothing()
    assert list(zip(lists(found), found.goals.tolist(), strict=True)) == expected


def test_some_sessions_keep_their_steps():
    found = sessions((0, 1, 0), (0, 2, 1), (1, 3, 0), (1, 4, 1), (1, 5, 2), (2, 6, 0), (2, 7, 1, "goal"))
    some = found.take(np.array([2, 1]))
    assert lists(some) == [[6], [3, 4, 5]]
    assert some.goals.tolist() == [7, -1]
    assert lists(found.take(found.goals >= 0)) == [[6]]


@pytest.mark.parametrize("window", [1, 5])
def test_nothing_has_no_pairs(window):
    assert [len(column) for column in nothing().pairs(window)] == [0, 0, 0, 0]
