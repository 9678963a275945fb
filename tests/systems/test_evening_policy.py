"""Nothing that is past, full or clashes is shown: not by any source, mode or step, whatever changes in between."""

from dataclasses import dataclass, field, replace

import numpy as np
import pytest
from evening_fixtures import DAY, EVENTS, HOUR, MEMBERS

from winnow.core.errors import DeclarationError
from winnow.serving import policy_event
from winnow.serving.aggregates import needed
from winnow.serving.rules import Future, NoClash, RoomLeft
from winnow.serving.slate import Step
from winnow.serving.sources import Source

LASTS = 2 * HOUR  # of events whose end nobody knows


@dataclass(frozen=True)
class Everything(Source):
    """Proposes every row that was ever given, and some that were not."""

    def propose(self, query, kit):
        rows = np.arange(EVENTS + 20)
        return query.first(rows, np.zeros(len(rows), np.float32), len(rows))


@dataclass(frozen=True)
class BringBack(Step):
    """Puts what policy took away back into the list."""

    def arrange(self, candidates, query, kit):
        rows = np.arange(EVENTS)
        every = np.concatenate([candidates.rows, rows[~np.isin(rows, candidates.rows)]])
        return candidates.take(np.zeros(len(every), np.int64)).__class__.of(every)


@dataclass
class Truth:
    """What is so, by plain book-keeping."""

    starts: dict = field(default_factory=dict)
    ends: dict = field(default_factory=dict)
    capacity: dict = field(default_factory=dict)
    taken: dict = field(default_factory=dict)
    going: dict = field(default_factory=dict)

    @classmethod
    def of(cls, project):
        made, columns = cls(), ["event_id", "starts_at", "ends_at", "capacity"]
        us = lambda t: None if t is None else int(t.timestamp() * 1_000_000)  # noqa: E731
        for key, starts, ends, capacity in project.frame("event").select(columns).iter_rows():
            made.starts[key], made.ends[key], made.capacity[key] = us(starts), us(ends), capacity
        for who, what in project.frame("register").sort("at").select("member", "event").iter_rows():
            made.register(who, what)
        return made

    def register(self, who, what):
        self.taken[what] = self.taken.get(what, 0) + 1
        self.going.setdefault(who, set()).add(what)

    def cancel(self, who, what):
        self.taken[what] -= 1
        self.going[who].discard(what)

    def span(self, key):
        starts, ends = self.starts[key], self.ends[key]
        return starts, ends if ends is not None and ends > starts else starts + LASTS

    def wrong(self, who, shown, now):
        """What may not be among what was shown, and why."""
        found = []
        for key in shown:
            (starts, ends), room = self.span(key), self.capacity[key]
            mine = [self.span(k) for k in self.going.get(who, ())]
            found += [(key, "past")] * (starts <= now)
            found += [(key, "full")] * (room is not None and self.taken.get(key, 0) >= room)
            found += [(key, "clash")] * any(a < ends and starts < b for a, b in mine)
        return found


def through(town, **pipeline):
    """The same town with another pipeline: sources and steps that nobody declared."""
    kit = town.desk.kit
    system = replace(kit.system, pipeline=replace(kit.system.pipeline, **pipeline))
    town.desk._kit = replace(kit, system=system)


MODES = ({}, {"personal": False}, {"mode": "chronological"}, {"filter": {"topic": ["t0", "t1"]}}, {"diversity": 1.0},
         {"exploration": 1.0}, {"context": {"lat": 52.5, "lon": 13.4}}, {"size": 5})  # fmt: skip


def act(town, truth, rng):
    """Something that changes what may be shown, both in the town and in the books."""
    who, what = f"m{rng.integers(MEMBERS)}", f"e{rng.integers(EVENTS)}"
    kind = rng.choice(["register", "cancel", "capacity", "start", "wait"], p=[0.4, 0.15, 0.2, 0.1, 0.15])
    if kind == "cancel":
        mine = sorted(truth.going.get(who, ()))
        if mine:
            truth.cancel(who, what := mine[rng.integers(len(mine))])
            town.post({"type": "cancel", "member": who, "event": what})
    elif kind == "register" and what not in truth.going.get(who, ()):
        truth.register(who, what)
        town.post({"type": "register", "member": who, "event": what})
    elif kind == "capacity":
        truth.capacity[what] = float(rng.integers(0, 6))
        town.post(event=[{"event_id": what, "capacity": truth.capacity[what]}])
    elif kind == "start":
        truth.starts[what] = town.now() + int(rng.integers(-2, 60)) * HOUR
        truth.ends[what] = truth.starts[what] + HOUR
        town.post(event=[{"event_id": what, "starts_at": truth.starts[what], "ends_at": truth.ends[what]}])
    elif kind == "wait":
        town.ahead += int(rng.integers(1, 6)) * HOUR
    return who


def broken(town, seed, rounds):
    """What was shown and may not have been, after anything that changed; lists are not made anew in between."""
    rng, truth, plain = np.random.default_rng(seed), Truth.of(town.project), town.desk.kit.system.pipeline
    pipelines = [
        {}, {"sources": (Everything(),)}, {"slate": (*plain.slate, BringBack())},
        *({"sources": (source,), "slate": ()} for source in plain.sources),
    ]  # fmt: skip
    shown = 0
    for turn in range(rounds):
        who = act(town, truth, rng)
        through(town, **{"sources": plain.sources, "slate": plain.slate} | pipelines[turn % len(pipelines)])
        for options in MODES if turn % 5 == 0 else MODES[:1]:
            items = [item.id for item in town.rank(who, **options).items]
            if found := truth.wrong(who, items, town.now()):
                return found
            shown += len(items)
    assert shown > 10 * rounds
    return []


def test_nothing_past_full_or_clashing_is_shown(town):
    assert broken(town, seed=1, rounds=30) == []


@pytest.mark.heavy
@pytest.mark.parametrize("seed", range(10, 16))
def test_nothing_past_full_or_clashing_is_shown_whatever_happens(town, seed):
    assert broken(town, seed, rounds=300) == []


ALL = lambda self, candidates, query, kit: np.ones(len(candidates), bool)  # noqa: E731


@pytest.mark.parametrize("rule", [Future, RoomLeft, NoClash], ids=lambda rule: rule.__name__)
def test_the_test_sees_a_rule_that_admits_everything(town, monkeypatch, rule):
    monkeypatch.setattr(rule, "admit", ALL)
    reason = {Future: "past", RoomLeft: "full", NoClash: "clash"}[rule]
    assert reason in {why for _, why in broken(town, seed=2, rounds=30)}


def test_the_test_sees_a_cancellation_that_is_not_given_back_and_one_that_is_too_soon(town, monkeypatch):
    monkeypatch.setattr(policy_event, "left", lambda capacity, counts: capacity - counts[0] + 2 * counts[1] + 1)
    assert "full" in {why for _, why in broken(town, seed=2, rounds=30)}


def test_a_rule_that_fails_shows_nothing(town, monkeypatch):
    def fails(self, candidates, query, kit):
        raise RuntimeError("no")

    assert town.shown()
    monkeypatch.setattr(RoomLeft, "admit", fails)
    reply = town.rank()
    assert reply.items == []
    assert {d["part"] for d in reply.degraded} == {"RoomLeft"}


def test_somebody_with_more_to_come_than_is_looked_at_is_shown_nothing(town):
    ahead = [key for key, starts in Truth.of(town.project).starts.items() if starts > town.now() + DAY][:6]
    town.post(*({"type": "register", "member": "m9", "event": key} for key in ahead))
    rules = town.desk.kit.system.pipeline.policy
    through(town, policy=tuple(replace(r, last=3) if isinstance(r, NoClash) else r for r in rules))
    town.ingester.keep([system := town.desk.kit.system])
    while town.desk.kit.live.missing(needed([system])):
        town.ingester.step()
    assert town.rank("m9").items == []
    assert town.rank("stranger").items


def test_what_has_no_beginning_or_was_cancelled(town):
    soon = town.now() + 400 * HOUR
    town.post(event=[{"event_id": "whenever", "venue": "v1"}, {"event_id": "then", "venue": "v1", "starts_at": soon}])
    through(town, sources=(Everything(),))
    assert "then" in town.shown()
    assert "whenever" not in town.shown()
    town.post({"type": "register", "member": "m1", "event": "then"})
    assert "then" not in town.shown()
    assert "then" in town.shown("m2")
    town.post({"type": "cancel", "member": "m1", "event": "then"})
    assert "then" in town.shown()
    town.post(event=[{"event_id": "then", "deleted": True}])
    assert "then" not in town.shown()


@pytest.mark.parametrize(
    ("rule", "code"),
    [
        (lambda e, m, g: Future(e.capacity), "bad-column"),
        (lambda e, m, g: RoomLeft(e.topic, taken=g), "bad-column"),
        (lambda e, m, g: NoClash(e.capacity, None, g), "bad-column"),
        (lambda e, m, g: NoClash(e.starts_at, e.topic, g), "bad-column"),
        (lambda e, m, g: NoClash(e.starts_at, None, m), "unlike-ends"),
    ],
)
def test_each_mistake_has_its_code(town, rule, code):
    system = town.system
    tables = town.project.tables
    room = next(r for r in system.pipeline.policy if isinstance(r, RoomLeft))
    friends = next(f for f in system.features if type(f).__name__ == "Company").friends
    wrong = replace(system.pipeline, policy=(rule(tables["event"], friends, room.taken),))
    with pytest.raises(DeclarationError) as error:
        replace(system, pipeline=wrong).check()
    assert code in {p.code for p in error.value.problems}
