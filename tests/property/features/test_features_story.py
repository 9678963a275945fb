"""The story of a count: the events that it names as counting are as many as the count, at any moment of random logs."""

from dataclasses import replace
from typing import Any

import numpy as np
from features_oracle import LogSource
from features_world import START, World, worlds
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from winnow.features.history import HistoryState
from winnow.features.past import Count
from winnow.features.plan import Plan
from winnow.features.story import Asked, told
from winnow.features.view import Moments

SETTINGS = {"deadline": None, "suppress_health_check": list(HealthCheck), "print_blob": True}


def counts(world: World) -> list[Count]:
    return [replace(f, default=0.0) for f in world.plan.features if isinstance(f, Count)]


@settings(max_examples=150, **SETTINGS)
@given(world=worlds().filter(counts), data=st.data())
def test_the_events_that_count_add_up_to_the_count(world: World, data: Any) -> None:
    feature = data.draw(st.sampled_from(counts(world)))
    name = data.draw(st.sampled_from(feature.names))
    refs = {role: data.draw(st.integers(-1, 4)) for role in set(world.plan.roles.values())}
    end = max(h.known_at for h in world.log) + data.draw(st.sampled_from([0, 1, 59_000_000, 3600_000_000, 10**12]))
    asked = Asked(refs, world.plan.roles, START - 10**9, end)
    source = LogSource(world.log, world.kinds)
    story = told(feature, name, asked, state=HistoryState(source), source=source)
    (lane,) = story.lanes
    assert story.now == lane.times[lane.counts].sum()
    assert story.at[-1] == end
    assert (np.diff(story.at) > 0).all()


@settings(max_examples=50, **SETTINGS)
@given(world=worlds().filter(counts), data=st.data())
def test_a_story_goes_through_the_values_of_the_plan_and_misses_no_change(world: World, data: Any) -> None:
    """Between two neighbouring moments of the story a count does not change: any moment has the value to its left."""
    feature = data.draw(st.sampled_from(counts(world)))
    name, source = feature.names[0], LogSource(world.log, world.kinds)
    refs = {role: data.draw(st.integers(0, 3)) for role in set(world.plan.roles.values())}
    end = max(h.known_at for h in world.log) + 7200_000_000
    state = HistoryState(source)
    story = told(feature, name, Asked(refs, world.plan.roles, START - 10**9, end), state=state, source=source)
    asked = np.array(sorted(data.draw(st.lists(st.integers(START, end), min_size=1, max_size=20))), np.int64)
    keys = {role: np.array([row], np.int64) for role, row in refs.items()}
    direct = Plan((feature,), world.plan.roles).compute(Moments(asked, keys), state).column(name)
    drawn = story.values[np.searchsorted(story.at, asked, "right") - 1]
    if not any(p.columns for p in feature.paths):  # one reached through a table may change between two moments
        np.testing.assert_array_equal(drawn, direct)
