"""What is told of two people is the same from history, from live tables and from going through the whole log."""

from typing import Any

from features_oracle import Happened, LogSource, OracleState
from features_world import World, logs
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from test_features_parity import check_parity, some_requests

from winnow.core.time import days, minutes
from winnow.data.schema import Events, Table, categories, category, number
from winnow.data.ties import Bond, Tie
from winnow.features.back import Back
from winnow.features.closeness import Closeness, Common, Degree
from winnow.features.history import HistoryState
from winnow.features.past import Count
from winnow.features.plan import Plan
from winnow.features.ties import Tenure, Tied

SETTINGS = {"deadline": None, "suppress_health_check": list(HealthCheck), "print_blob": True}

person = Table("person", key="id", people=True, columns={
    "school": category, "first": number, "last": number, "groups": categories(domain="topic"),
})  # fmt: skip
candidate = person.playing("candidate")
both = {"person": person, "candidate": candidate}
visit = Events("visit", refs=both)
connect, part = Tie("connect", refs=both), Tie("part", refs=both)
friends, following = Bond(connect, part, mutual=True), Bond(connect, part)
years = (person.first, person.last), (candidate.first, candidate.last)
pair = (person, candidate)
features = (
    Closeness(friends, by=pair, k=3, half_life=minutes(5)), Degree(friends, by=person), Degree(following, by=candidate),
    Tied(friends, by=pair), Tenure(friends, by=pair), Common(person.groups, candidate.groups),
    Common(person.school, candidate.school, during=years), Back(Count(visit, by=pair, window=days(1)), between=pair),
    Back(Count(visit, by=person), between=pair), Back(Degree(following, by=person), between=pair),
)  # fmt: skip
plan = Plan(features, {"person": "person", "candidate": "candidate"})


@st.composite
def networks(draw: Any, size: int = 20) -> World:
    """Ties that are made and ended, often those of the same few people, and rows that change."""
    log: list[Happened] = draw(logs([person], [visit, connect, connect, part], size))
    return World([person], [visit, connect, part], plan, log)


@given(world=networks(), data=st.data())
@settings(max_examples=20, **SETTINGS)
def test_history_and_live_equal_the_oracle_about_two_people(world: World, data: Any) -> None:
    check_parity(world, some_requests(world, data, 3))


@given(world=networks(), data=st.data())
@settings(max_examples=15, **SETTINGS)
def test_what_becomes_known_later_says_nothing_of_two_people_before(world: World, data: Any) -> None:
    """No leak: a log that ends at a moment gives the same features as one that goes on."""
    (at, request), *_ = some_requests(world, data, 1)
    before = [happened for happened in world.log if happened.known_at < at]
    whole, cut = (plan.compute(request, HistoryState(LogSource(log, world.kinds))) for log in (world.log, before))
    truth = plan.compute(request, OracleState(before))
    assert whole.numeric.tobytes() == cut.numeric.tobytes() == truth.numeric.tobytes()
