"""What the sources of place and time owe the pipeline, as every source does."""

import json
from dataclasses import replace

import numpy as np
import pytest

from winnow.serving.hydrate import hydrate
from winnow.serving.request import RankRequest


@pytest.fixture(params=["Near", "Upcoming"])
def source(town, request):
    return next(s for s in town.system.pipeline.sources if s.name == request.param)


def ask(town, source, user="m1", **given):
    query = hydrate(RankRequest(user=user), town.desk.kit, town.ids, now=town.now())
    return source.propose(replace(query, **given), town.desk.kit)


def test_rows_are_distinct_fit_the_limit_and_the_best_come_first(town, source):
    for limit in (1, 7, source.limit):
        rows, scores = ask(town, replace(source, limit=limit))
        assert 1 <= len(rows) <= limit
        assert len(np.unique(rows)) == len(rows) == len(scores)
        assert rows.dtype == np.int64
        assert (np.diff(scores.astype(np.float64)) <= 1e-6).all()
        assert np.array_equal(rows, ask(town, replace(source, limit=limit))[0])


def test_what_the_request_rules_out_is_not_proposed_and_makes_room(town, source):
    few = replace(source, limit=5)
    rows, _ = ask(town, few)
    others, _ = ask(town, few, skip=np.sort(rows))
    assert not set(rows) & set(others)
    assert len(others) == len(rows)
    allowed = np.zeros(len(town.desk.kit.catalogue.exists), bool)
    allowed[rows[::2]] = True
    only, _ = ask(town, source, allowed=allowed, exclude=rows[:2])
    assert set(only.tolist()) == set(rows[2::2].tolist())
    allowed[:] = True
    allowed[rows] = False
    instead, _ = ask(town, few, allowed=allowed)
    assert instead.tolist() == others.tolist()


def test_a_stranger_gets_a_list_or_none_and_reasons_go_with_it(town, source):
    rows, _ = ask(town, source, user="nobody")
    assert len(np.unique(rows)) == len(rows)
    query = hydrate(RankRequest(user="m1"), town.desk.kit, town.ids)
    rows, _ = source.propose(query, town.desk.kit)
    told = source.tell(rows, query, town.desk.kit)
    assert len(told) == len(rows)
    assert all(t.text and t.kind in ("near", "soon") for t in told)
    assert json.loads(json.dumps(source.to_data()))["kind"] == type(source).__name__


def test_what_began_since_the_last_look_is_not_proposed(town, source):
    rows, _ = ask(town, source)
    starts = town.desk.kit.view(hydrate(RankRequest(user="m1"), town.desk.kit, town.ids), rows).path(source.starts)
    now = int(np.median(starts))
    later, _ = ask(town, source, now=now)
    assert set(later.tolist()) & set(rows.tolist())
    assert not set(later.tolist()) & set(rows[starts <= now].tolist())


def test_sources_of_what_has_no_place_or_time_are_refused(town):
    near, upcoming = (s for s in town.system.pipeline.sources if s.name in ("Near", "Upcoming"))
    member = town.project.tables["member"]
    event = town.project.tables["event"]
    wrong = [
        (replace(near, starts=event.capacity), "bad-column"),
        (replace(upcoming, starts=event.capacity), "bad-column"),
        (replace(near, venue=(member.lat, member.lon)), "bad-place"),
        (replace(near, venue=(event.topic, event.capacity)), "not-a-number"),
        (replace(near, home=(event.topic, event.capacity)), "not-a-number"),
        (replace(near, km=0), "bad-limit"),
        (replace(near, limit=0), "bad-limit"),
    ]
    for source, code in wrong:
        assert code in {p.code for p in source.problems(town.system)}
