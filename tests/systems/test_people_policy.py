"""Whom people are never shown, by any path: whatever happened in whatever order, against a model of plain sets."""

import numpy as np
import pytest
from acquaint_fixtures import People, a_person, names, tie
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from staged import opened

from winnow.core.time import now_us

KINDS = ("connect", "connect", "connect", "disconnect", "request", "withdraw", "decline", "reconsider", "dismiss",
         "restore", "block", "unblock")  # fmt: skip
MADE = {"disconnect": "connect", "withdraw": "request", "reconsider": "decline", "restore": "dismiss",
        "unblock": "block"}  # fmt: skip
SCHOOL = {"school": "night-school", "work": "mill", "groups": ["chess"]}
people_of = 7


class Truth:
    """What stands, kept in sets."""

    def __init__(self):
        self.standing = {kind: set() for kind in set(KINDS) - set(MADE)}
        self.hidden, self.private = set(), set()

    def happens(self, kind, one, other):
        made = MADE.get(kind, kind)
        pairs = {(one, other), (other, one)} if made == "connect" else {(one, other)}
        if kind in MADE:
            self.standing[made] -= pairs
        else:
            self.standing[made] |= pairs

    def either(self, kind, one, other):
        return {(one, other), (other, one)} & self.standing[kind]

    def forbidden(self, one, other):
        apart = any(self.either(kind, one, other) for kind in ("connect", "request", "decline", "block"))
        return apart or (one, other) in self.standing["dismiss"] or other in self.hidden or one == other

    def friends(self, one):
        return {b for a, b in self.standing["connect"] if a == one}

    def tellable(self, one, other):
        """Friends in common that may be told of to the first."""
        if other in self.private:
            return set()
        known = {f for f in self.friends(one) if not self.either("block", one, f) and f not in self.private}
        return known & self.friends(other)


histories = st.lists(st.tuples(st.sampled_from(KINDS), st.integers(0, people_of - 1), st.integers(0, people_of - 1)),
                     min_size=6, max_size=30)  # fmt: skip
flags = st.lists(st.sampled_from(["", "", "", "hidden", "private"]), min_size=people_of, max_size=people_of)


def mutual_told(item):
    found = [r.text for r in item.reasons if r.kind == "tie"]
    assert len(found) <= 1
    return int(found[0].split()[0]) if found else 0


def acted(people, history, flagged):
    """People of their own, to whom all of this happens."""
    ids, truth = names(people_of), Truth()
    rows = [a_person(i, hidden=f == "hidden", private_ties=f == "private", **SCHOOL)
            for i, f in zip(ids, flagged, strict=True)]  # fmt: skip
    truth.hidden = {i for i, f in zip(ids, flagged, strict=True) if f == "hidden"}
    truth.private = {i for i, f in zip(ids, flagged, strict=True) if f == "private"}
    events = []
    for kind, one, other in history:
        if one != other:
            truth.happens(kind, ids[one], ids[other])
            events.append(tie(kind, ids[one], ids[other], at=now_us() - 60_000_000 + 1000 * len(events)))
    people.post(*events, person=rows)
    return ids, truth


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(history=histories, flagged=flags)
def test_nobody_is_shown_whom_a_tie_or_a_wish_keeps_away(people, history, flagged):
    ids, truth = acted(people, history, flagged)
    people.desk.refresh()
    for one in ids[:4]:
        reply = people.rank(one, size=300, reasons=True)
        assert reply.degraded == []
        for item in reply.items:
            assert not truth.forbidden(one, item.id), (one, item.id)
            if item.id in ids:
                assert mutual_told(item) == len(truth.tellable(one, item.id)), (one, item.id)
        shown = {item.id for item in reply.items}
        near = {other for other in ids if truth.tellable(one, other) and not truth.forbidden(one, other)}
        assert near <= shown  # friends of friends are found as soon as they are that


@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
@given(history=histories, flagged=flags)
def test_no_source_finds_by_a_tie_that_is_hidden(people, history, flagged):
    ids, truth = acted(people, history, flagged)
    for one in ids[:3]:
        for other in set(people.proposed("FriendsOfFriends", one)) & set(ids):
            assert truth.tellable(one, other), (one, other)
        for other in set(people.proposed("Walk", one)) & set(ids):
            assert other not in truth.private


@pytest.mark.parametrize(("kind", "swapped"), [
    ("block", False), ("block", True), ("dismiss", False), ("decline", True), ("request", True),
])  # fmt: skip
def test_what_is_done_counts_from_the_next_request_on_whoever_proposed_them(people_folder, kind, swapped):
    """People with a past, in the snapshot of the release and in every list of the background."""
    with opened(People, people_folder) as people:
        who = next(p for p in people.ids.ids("person", np.arange(60)) if len(people.rank(p, size=300).items) > 60)
        reply = people.rank(who, size=300)
        by = {source: item.id for item in reply.items for source in item.sources}
        assert {"FriendsOfFriends", "Walk", "Same_school", "Same_work", "Nearest"} <= set(by)
        gone = set(by.values())
        people.post(*(tie(kind, *((other, who) if swapped else (who, other))) for other in gone))
        assert gone.isdisjoint(people.shown(who, size=300))
        people.desk.refresh()
        assert gone.isdisjoint(people.shown(who, size=300))
    with opened(People, people_folder) as again:  # another process, another look at the release
        assert gone.isdisjoint(again.shown(who, size=300))
        assert gone.isdisjoint(again.shown(who, size=300, personal=False))


def test_who_opts_out_is_gone_at_once_and_comes_back_when_they_want(people):
    one, other, between = names(3)
    met = [tie("connect", one, between), tie("connect", between, other)]
    people.post(*met, person=[a_person(i) for i in (one, other, between)])
    assert other in people.shown(one, size=300)
    people.post(person=[a_person(other, hidden=True)])
    assert other not in people.shown(one, size=300)
    people.post(person=[a_person(other)])
    assert other in people.shown(one, size=300)


def test_a_friend_who_hides_whom_they_know_leads_to_nobody(people):
    one, between, other = names(3)
    people.post(tie("connect", one, between), tie("connect", between, other),
                person=[a_person(one), a_person(other), a_person(between, private_ties=True)])  # fmt: skip
    assert people.proposed("FriendsOfFriends", one) == []
    assert people.told("FriendsOfFriends", one, other) == ["people near whom you know"]
    people.post(person=[a_person(between)])
    assert people.proposed("FriendsOfFriends", one) == [other]
    assert people.told("FriendsOfFriends", one, other) == ["1 mutual friend"]


def test_a_tie_that_ends_ends_the_reason(people):
    one, x, y, other = names(4)
    ties = [tie("connect", a, b) for a in (one, other) for b in (x, y)]
    people.post(*ties, person=[a_person(i) for i in (one, x, y, other)])
    assert people.told("FriendsOfFriends", one, other) == ["2 mutual friends"]
    people.post(tie("disconnect", other, y))
    assert people.told("FriendsOfFriends", one, other) == ["1 mutual friend"]
    people.post(tie("disconnect", x, one))
    assert people.proposed("FriendsOfFriends", one) == []


def test_who_wants_no_past_used_is_shown_nobody_by_it(people):
    one, between, other = names(3)
    people.post(tie("connect", one, between), tie("connect", between, other), tie("block", one, "blocked-by-all"),
                person=[a_person(i, **SCHOOL) for i in (one, between, other, "blocked-by-all")])  # fmt: skip
    for name in ("FriendsOfFriends", "Walk", "Same_school", "Same_work"):
        assert people.proposed(name, one, personal=False) == []
    shown = people.shown(one, size=300, personal=False)
    assert {one, "blocked-by-all"}.isdisjoint(shown)
    assert shown


def test_nobody_is_shown_to_themselves(people):
    for one in people.ids.ids("person", np.arange(20)):
        assert one not in people.shown(one, size=300)


def test_a_friend_from_whom_a_block_keeps_away_leads_to_nobody(people):
    one, between, other = names(3)
    met = [tie("connect", one, between), tie("connect", between, other)]
    people.post(*met, tie("block", between, one), person=[a_person(i) for i in (one, other, between)])
    assert people.proposed("FriendsOfFriends", one) == []
    assert people.proposed("Walk", one) == []
    people.post(tie("unblock", between, one))
    assert people.proposed("FriendsOfFriends", one) == [other]
