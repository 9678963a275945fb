"""The story of a count: the events that it names as counting are as many as the count, at any moment of random logs."""

from dataclasses import replace
from typing import Any

import numpy as np
from features_oracle import LogSource
from features_world import World, worlds
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from winnow.features.history import HistoryState
from winnow.features.past import Count
from winnow.features.plan import Plan
from winnow.features.story import Asked, Story, told
from winnow.features.view import Moments

SETTINGS = {"deadline": None, "suppress_health_check": list(HealthCheck), "print_blob": True}


def counts(world: World) -> list[Count]:
    return [replace(f, default=0.0) for f in world.plan.features if isinstance(f, Count)]


def some_story(world: World, data: Any) -> tuple[Count, str, Asked, Story]:
    """A count, asked about rows that an event of its type refers to, up to a moment at which that event may leave."""
    feature = data.draw(st.sampled_from(counts(world)))
    name = data.draw(st.sampled_from(feature.names))
    happened = [h for h in world.log if h.of == feature.of]
    assume(happened)
    about = data.draw(st.sampled_from(happened))
    refs = {role: about.values.get(role, 0) for role in set(world.plan.roles.values())}
    leaves = [(about.at // a.hop + a.buckets) * a.hop for a in feature.aggregates() if a.hop]
    end = data.draw(st.sampled_from([*leaves, about.known_at])) + data.draw(st.sampled_from([-1, 0, 1]))
    asked = Asked(refs, world.plan.roles, min(h.at for h in world.log) - 10**9, end)
    source = LogSource(world.log, world.kinds)
    return feature, name, asked, told(feature, name, asked, state=HistoryState(source), source=source)


@settings(max_examples=50, **SETTINGS)
@given(world=worlds().filter(counts), data=st.data())
def test_the_events_that_count_add_up_to_the_count(world: World, data: Any) -> None:
    _, _, asked, story = some_story(world, data)
    (lane,) = story.lanes
    assert story.now == lane.times[lane.counts].sum()
    assert story.at[-1] == asked.end
    assert (np.diff(story.at) > 0).all()


@settings(max_examples=25, **SETTINGS)
@given(world=worlds().filter(counts), data=st.data())
def test_a_story_misses_no_change(world: World, data: Any) -> None:
    """Between two neighbouring moments of the story a count does not change: any moment has the value to its left."""
    feature, name, asked, story = some_story(world, data)
    assume(not any(p.columns for p in feature.paths))  # a key reached through a table may change between two moments
    moments = [data.draw(st.integers(asked.start or 0, asked.end)) for _ in range(10)]
    moments += [int(t) + step for t in story.at[np.flatnonzero(np.diff(story.values))] for step in (0, 1, 2)]
    at = np.array([t for t in moments if story.at[0] <= t <= asked.end], np.int64)
    keys = {role: np.array([row], np.int64) for role, row in asked.refs.items()}
    state = HistoryState(LogSource(world.log, world.kinds))
    direct = Plan((feature,), world.plan.roles).compute(Moments(at, keys), state).column(name)
    np.testing.assert_array_equal(story.values[np.searchsorted(story.at, at, "right") - 1], direct)
