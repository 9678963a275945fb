"""Items that begin and end, and choices against what else could have been chosen."""

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import polars as pl
import pytest

from winnow.core.errors import DeclarationError
from winnow.core.time import MICROS, days, hours
from winnow.data.alternatives import Alternatives
from winnow.data.declare import Labels
from winnow.data.declare import any as any_of
from winnow.data.schema import Events, Table, category, number, time
from winnow.features.alive import Alive
from winnow.features.history import HistoryState
from winnow.features.state import KNOWN_AT, NEVER
from winnow.training import alternatives
from winnow.training.alive import Lives

START, HOUR = 1_700_000_000 * MICROS, 3600 * MICROS
ITEMS, USERS = 40, 6
member = Table("member", key="member_id", columns={"city": category})
event = Table("event", key="event_id", columns={"created_at": time, "starts_at": time, "price": number})
both = {"member": member, "event": event}
seen = Events("impression", refs=both, fields={"surface": category, "position": number})
register, bookmark = (Events(name, refs=both) for name in ("register", "bookmark"))
labels = Labels(
    of=seen, within=hours(6), heads={"register": any_of(register), "bookmark": any_of(bookmark)},
    against=Alternatives(register, k=5),
)  # fmt: skip
alive = Alive(since=event.created_at, until=event.starts_at)
system: Any = SimpleNamespace(labels=labels, alive=alive)


class World:
    """Events that are put, changed (their start moves) and sometimes taken back, over twenty days."""

    def __init__(self, seed: int) -> None:
        random = np.random.default_rng(seed)
        n = 2 * ITEMS
        self.known = START + np.sort(random.integers(0, 480 * HOUR, n))
        self.row = random.integers(0, ITEMS, n)
        self.deleted = (random.random(n) < 0.15).astype(np.int64)
        self.since = np.where(random.random(n) < 0.2, NEVER, self.known + random.integers(0, 48 * HOUR, n))
        self.until = np.where(random.random(n) < 0.2, NEVER, self.known + random.integers(24 * HOUR, 200 * HOUR, n))
        moments = START + np.sort(random.integers(0, 500 * HOUR, 300))
        self.choices = frame(moments, random.integers(0, USERS, 300), random.integers(0, ITEMS, 300))

    def rows(self, _: str) -> dict[str, Any]:
        columns = {"seq": np.arange(len(self.row)), "at": self.known, "known_at": self.known, "row": self.row}
        values = {"created_at": self.since, "starts_at": self.until, "price": np.ones(len(self.row))}
        return columns | {"deleted": self.deleted} | values

    def events(self, _: str) -> dict[str, Any]:
        raise NotImplementedError


def frame(at: Any, users: Any, items: Any, **fields: Any) -> pl.DataFrame:
    columns = {"seq": 1_000 + np.arange(len(at)), "at": at, "known_at": at, "member": users, "event": items, **fields}
    ids = pl.lit(None, pl.String)
    return pl.DataFrame(columns).with_columns(event_id=ids, recommendation_id=ids)


def shown_nothing() -> pl.DataFrame:
    none = np.empty(0, np.int64)
    return frame(none, none, none, surface=none, position=np.empty(0))


@pytest.fixture(params=range(4))
def world(request):
    return World(request.param)


def rows_of(world: World, as_of: int = START + 10_000 * HOUR, **given: Any) -> pl.DataFrame:
    asked = SimpleNamespace(labels=replace(labels, **given), alive=alive)
    feedback = {"register": world.choices, "bookmark": world.choices.head(0)}
    return alternatives.rows(asked, world, shown_nothing(), feedback, as_of=as_of)  # type: ignore[arg-type]


def test_lives_are_what_features_see_at_every_moment(world):
    """The spans agree with the mask that serving uses, on state as of the same moment."""
    state, lives = HistoryState(world), Lives.of(system, world)
    everything = np.arange(ITEMS)
    moments = np.random.default_rng(9).integers(START - HOUR, START + 520 * HOUR, 200)
    edges = np.concatenate([world.known, world.since, world.until])
    edges = edges[edges != NEVER]
    for at in [*moments.tolist(), *edges.tolist(), *(edges + 1).tolist(), *(edges - 1).tolist()]:
        moment = np.array([at])
        there = state.column(event, KNOWN_AT, everything, moment) != NEVER
        expected = everything[there & alive.mask(everything, state, moment)]
        assert lives.at(at).tolist() == expected.tolist()
        held = lives.holds(everything, np.full(ITEMS, at))
        assert everything[held].tolist() == expected.tolist()


def test_alternatives_were_alive_and_never_chosen_by_then(world):
    found, lives = rows_of(world), Lives.of(system, world)
    assert len(found) > 100
    first = {}
    for at, who, what in world.choices.select("at", "member", "event").iter_rows():
        first.setdefault((who, what), at)
    for _, group in found.group_by("choice", maintain_order=True):
        at, who, chosen = group.row(0, named=True)["at"], group["member"][0], group["event"][0]
        others = group["event"].to_list()[1:]
        assert first[who, chosen] == at
        there = set(lives.at(at).tolist())
        free = {i for i in there if first.get((who, i), at + 7 * HOUR) >= at + 6 * HOUR} - {chosen}
        assert chosen in there
        assert set(others) <= free
        assert len(others) == len(set(others)) == min(5, len(free))
        assert set(group["at"]) == {at}
        assert set(group["member"]) == {who}


def test_draws_repeat_and_stay_as_the_log_grows(world):
    whole = rows_of(world)
    until = int(whole["at"].to_numpy()[len(whole) // 2])
    half = rows_of(world, as_of=until)
    settled = pl.col("at") < until - 6 * HOUR  # of the others, what is chosen within the window is not known yet
    assert half.filter(settled).equals(whole.filter(settled))
    assert len(half.filter(settled)) > 30
    assert not rows_of(world, against=Alternatives(register, k=5, seed=1)).equals(whole)


def test_every_item_is_drawn_as_often_as_any_other():
    world = World(0)
    world.since[:], world.until[:], world.deleted[:] = NEVER, NEVER, 0
    world.known[:] = START - HOUR
    found = rows_of(world)
    drawn = found.filter(pl.col("event") != pl.col("event").first().over("choice"))["event"].to_numpy()
    counts = np.bincount(drawn, minlength=ITEMS)[np.unique(world.row)]
    assert counts.std() < 3 * np.sqrt(counts.mean())


def test_what_an_impression_led_to_needs_no_alternatives():
    world = World(1)
    led = world.choices.head(50)
    shown = led.with_columns(at=pl.col("at") - 1, seq=pl.col("seq") - 1_000, surface=0, position=0.0)
    asked = alternatives.choices(labels, shown, {"register": world.choices}, as_of=START + 10_000 * HOUR)
    free = set(zip(asked.at[asked.free].tolist(), asked.user[asked.free].tolist(), strict=True))
    assert not free & set(led.select("at", "member").iter_rows())
    assert asked.free.any()


def test_declarations_that_make_no_sense_are_refused():
    import winnow as w

    other = Events("other", refs={"member": member})
    frame_, pipeline = w.Frame(business="b", predict="p"), w.Pipeline(sources=[w.sources.Fresh(event.created_at)])
    made = w.System(
        "s", frame_, replace(labels, against=Alternatives(other, k=0)), [w.column(event.price)],
        ranking=w.Ladder(L0=w.Formula("event_price"), L1=w.GradientBoosting(), L2=w.DCN()), pipeline=pipeline,
        retrain=w.Retrain(every=days(1)), alive=Alive(until=event.price),
    )  # fmt: skip
    with pytest.raises(DeclarationError) as caught:
        made.check()
    codes = {problem.code for problem in caught.value.problems}
    assert {"unjoinable-choice", "unlabelled-choice", "bad-alternatives", "bad-column"} <= codes
    with pytest.raises(DeclarationError, match="neither since nor until"):
        replace(made, alive=Alive(), labels=labels).check()


def test_declarations_without_them_have_the_hash_they_had():
    assert "against" not in replace(labels, against=None).to_data()
    assert labels.to_data()["against"]["k"] == 5
