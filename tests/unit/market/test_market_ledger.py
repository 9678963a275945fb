"""The spend ledger: once per click, never over a budget, sums always right."""

import multiprocessing
import time

import numpy as np
import pytest

from winnow.core.errors import Conflict, InputError, NotFound
from winnow.market.budget import DAY_US, Budget
from winnow.market.ledger import Click, Ledger, Quote

NOON = 20_000 * DAY_US + DAY_US // 2


@pytest.fixture
def ledger(tmp_path):
    ledger = Ledger(tmp_path / "market.db")
    ledger.fund([budget("shoes", daily=100, lifetime=250), budget("hats", daily=1_000)])
    yield ledger
    assert ledger.mistakes() == []
    ledger.close()


def budget(campaign, **given):
    return Budget(campaign=campaign, **{"currency": "EUR"} | given)


def quote(showing, price=30, campaign="shoes", **given):
    common = {"currency": "EUR", "at": NOON, "expires_at": NOON + DAY_US}
    return Quote(showing=showing, campaign=campaign, price=price, **common | given)


def clicked(*showings, at=NOON + 5):
    return [Click(f"click-{s}", s, at) for s in showings]


def day_of(at):
    return at // DAY_US


def test_a_click_is_charged_once_whatever_is_sent_again(ledger):
    assert ledger.quote([quote("a")]) == [True]
    assert ledger.charge(clicked("a")) == ["charged"]
    assert ledger.charge(clicked("a")) == ["repeated"]
    assert ledger.charge([Click("another", "a", NOON + 9)]) == ["settled"]
    assert ledger.charge(clicked("a") * 3) == ["repeated"] * 3
    assert ledger.quote([quote("a", price=90)]) == [True]
    assert ledger.spent("shoes") == ledger.spent("shoes", day_of(NOON)) == 30


def test_a_showing_keeps_its_first_price(ledger):
    ledger.quote([quote("a", price=30), quote("a", price=90)])
    ledger.charge(clicked("a"))
    assert ledger.spent("shoes") == 30


def test_no_charge_exceeds_the_daily_budget(ledger):
    ledger.quote([quote(s) for s in "abcd"])
    assert ledger.charge(clicked(*"abcd")) == ["charged"] * 3 + ["over budget"]
    assert ledger.spent("shoes", day_of(NOON)) == 90


def test_nor_the_lifetime_budget(ledger):
    for day in range(4):
        at = NOON + day * DAY_US
        ledger.quote([quote(f"{day}{s}", at=at, expires_at=at + DAY_US) for s in "abc"])
        ledger.charge(clicked(*(f"{day}{s}" for s in "abc"), at=at + 1))
    assert ledger.spent("shoes") == 240


def test_a_late_click_belongs_to_the_day_of_its_showing(ledger):
    ledger.quote([quote("a", at=NOON, expires_at=NOON + DAY_US)])
    ledger.charge(clicked("a", at=NOON + DAY_US - 1))
    assert ledger.spent("shoes", day_of(NOON)) == 30
    assert ledger.spent("shoes", day_of(NOON) + 1) == 0


def test_a_click_comes_too_late(ledger):
    ledger.quote([quote("a", expires_at=NOON + 5)])
    assert ledger.charge(clicked("a", at=NOON + 5)) == ["too late"]
    assert ledger.spent("shoes") == 0


def test_a_firm_quote_keeps_its_money_from_others(ledger):
    assert ledger.quote([quote(s, firm=True) for s in "abcd"]) == [True, True, True, False]
    ledger.quote([quote("soft", price=20)])
    assert ledger.charge(clicked("soft")) == ["over budget"]
    assert ledger.charge(clicked(*"abc")) == ["charged"] * 3


def test_what_a_firm_quote_holds_comes_back_when_it_expires(ledger):
    ledger.quote([quote(s, firm=True, expires_at=NOON + 10) for s in "abc"])
    assert ledger.standing(NOON).left.tolist() == [10, 1_000]
    assert ledger.expire(NOON + 9) == 0
    assert ledger.expire(NOON + 10) == 3
    assert ledger.standing(NOON).left.tolist() == [100, 1_000]


def test_a_click_that_the_log_learned_of_before_the_showing_is_charged_when_that_comes(ledger):
    assert ledger.charge(clicked("a")) == ["waits"]
    assert ledger.charge(clicked("a")) == ["waits"]
    ledger.quote([quote("a")])
    assert ledger.spent("shoes") == 30
    assert ledger.charge(clicked("a")) == ["repeated"]


def test_a_campaign_is_quoted_only_while_it_runs(ledger):
    ledger.fund([budget("brief", daily=10, starts_at=NOON, ends_at=NOON + 10)])
    times = (NOON - 1, NOON, NOON + 9, NOON + 10)
    assert ledger.quote([quote(str(t), 5, "brief", at=t) for t in times]) == [False, True, True, False]
    assert ledger.standing(NOON).runs(NOON + 10).tolist() == [True, True, False]


def test_what_the_ledger_refuses(ledger):
    with pytest.raises(NotFound, match="unknown-campaign"):
        ledger.quote([quote("a", campaign="shoe")])
    with pytest.raises(InputError, match="currency-mix"):
        ledger.quote([quote("a", currency="USD")])
    with pytest.raises(InputError, match="negative-money"):
        ledger.quote([quote("a", price=-5)])
    with pytest.raises(InputError, match="negative-money"):
        ledger.quote([quote("a", price=0)])
    with pytest.raises(InputError, match="not-whole-micros"):
        ledger.quote([quote("a", price=1.5)])
    ledger.quote([quote("a")])
    with pytest.raises(Conflict, match="currency-changed"):
        ledger.fund([budget("shoes", currency="USD", daily=5)])


def test_one_bad_quote_undoes_its_whole_transaction(ledger):
    with pytest.raises(InputError):
        ledger.quote([quote("a"), quote("b", price=-1)])
    assert ledger.charge(clicked("a")) == ["waits"]


def test_a_budget_may_be_changed_and_what_was_charged_stays(ledger):
    ledger.quote([quote(s) for s in "abcd"])
    ledger.charge(clicked("a", "b"))
    ledger.fund([budget("shoes", daily=60)])
    assert ledger.charge(clicked("c")) == ["over budget"]
    ledger.fund([budget("shoes", daily=90)])
    assert ledger.charge(clicked("d")) == ["charged"]
    ledger.fund([budget("hats", currency="USD", daily=7)])  # nothing was shown for it yet


def test_a_campaign_whose_budget_was_refused_does_not_run_until_it_is_funded(ledger):
    with ledger.writing() as book:
        book.refuse("shoes", "the daily budget is 0")
        book.refuse("never seen", "no currency")
    assert ledger.refused() == {"shoes": "the daily budget is 0", "never seen": "no currency"}
    assert ledger.standing(NOON).runs(NOON).tolist() == [False, True]
    ledger.fund([budget("shoes", daily=100)])
    assert ledger.standing(NOON).runs(NOON).tolist() == [True, True]
    assert list(ledger.refused()) == ["never seen"]


def test_standing_says_of_all_at_once_what_budgets_say_one_by_one(ledger):
    rng = np.random.default_rng(1)
    budgets = []
    for i in range(200):
        daily, lifetime = (int(n) if rng.random() < 0.7 else None for n in rng.integers(50, 500, 2))
        starts = NOON - int(rng.integers(0, 5)) * DAY_US
        ends = {"ends_at": starts + int(rng.integers(1, 10 * DAY_US))} if rng.random() < 0.6 else {}
        given = {"daily": daily, "lifetime": lifetime if daily is not None else lifetime or 300, "starts_at": starts}
        budgets.append(budget(f"b{i}", midnight_us=int(rng.integers(-12, 12)) * DAY_US // 24, **given, **ends))
    ledger.fund(budgets)
    shown = [quote(f"s{i}", 20, f"b{i % 200}", at=NOON - int(rng.integers(0, 2)) * DAY_US) for i in range(900)]
    ledger.quote(shown)
    ledger.charge(clicked(*(q.showing for q in shown), at=NOON))
    now = ledger.standing(NOON)
    for i, b in enumerate(budgets, start=2):  # after the two of the fixture
        today, ever = ledger.spent(b.campaign, b.day(NOON)), ledger.spent(b.campaign)
        assert now.campaigns[i] == b.campaign
        assert now.left[i] == b.left(today, ever)
        assert now.budgets[i] == b.for_day(b.day(NOON), ever - today)
        assert now.runs(NOON)[i] == b.runs(NOON)
    assert len(set(now.left.tolist())) > 10


def test_notes_and_signs_of_life(ledger):
    with ledger.writing() as book:
        assert book.recall("x") is None
        book.remember("x", "1")
        book.remember("x", "2")
        book.reach("clicks", 3, at=NOON)
        book.reach("clicks", 1, at=NOON - 1)
        assert book.recall("x") == "2"
    assert (ledger.position("clicks"), ledger.heard("clicks"), ledger.heard("nobody")) == (3, NOON, 0)


def test_standing_tells_what_changed(ledger):
    ledger.quote([quote("a", expected=3), quote("b", campaign="hats", expected=4)])
    now = ledger.standing(NOON)
    assert dict(zip(now.campaigns, now.coming.tolist(), strict=True)) == {"shoes": 3, "hats": 4}
    ledger.charge(clicked("a"))
    changed = ledger.standing(NOON, after=now.version)
    assert (changed.campaigns, changed.today.tolist(), changed.coming.tolist()) == (["shoes"], [30], [0])
    assert changed.budgets.tolist() == [100]
    assert ledger.standing(NOON, after=changed.version).campaigns == []
    with ledger.writing() as book:
        book.pace("hats", 0.25)
    paced = ledger.standing(NOON, after=changed.version)
    assert (paced.campaigns, paced.participation.tolist()) == (["hats"], [0.25])


def test_position_and_traffic_move_with_the_charges_or_not_at_all(ledger):
    with ledger.writing() as book:
        book.reach("clicks", 7)
        book.count(3, 5, 10)
        book.count(3, 5, 2)
    assert ledger.position("clicks") == 7
    assert ledger.traffic(3)[5] == 12
    with pytest.raises(InputError):
        _reach_and_fail(ledger)
    assert ledger.position("clicks") == 7


def _reach_and_fail(ledger):
    with ledger.writing() as book:
        book.reach("clicks", 8)
        book.quote(quote("a", price=-1))


def _race(path, name, barrier, out):
    ledger = Ledger(path)
    barrier.wait()
    outcomes = []
    for i in range(40):
        showing = f"{name}-{i}"
        ledger.quote([quote(showing, price=7, campaign="raced")])
        outcomes += ledger.charge(clicked(showing))
    out.put(outcomes.count("charged"))


def test_processes_that_race_never_overspend(tmp_path):
    ledger = Ledger(tmp_path / "market.db")
    ledger.fund([budget("raced", daily=500)])
    ledger.close()
    fork = multiprocessing.get_context("spawn")
    barrier, out = fork.Barrier(3), fork.Queue()
    racers = [fork.Process(target=_race, args=(tmp_path / "market.db", n, barrier, out)) for n in "xyz"]
    for racer in racers:
        racer.start()
    charged = sum(out.get(timeout=60) for _ in racers)
    for racer in racers:
        racer.join()
    assert charged == 500 // 7
    assert ledger.spent("raced") == 500 // 7 * 7
    assert ledger.mistakes() == []


def test_sums_are_read_quickly_however_many_charges_there_are(ledger):
    ledger.fund([budget("big", daily=10**9)])
    many = [f"s{i}" for i in range(3_000)]
    ledger.quote([quote(s, price=1, campaign="big") for s in many])
    ledger.charge(clicked(*many))
    start = time.perf_counter()
    for _ in range(100):
        assert ledger.spent("big", day_of(NOON)) == 3_000
    assert (time.perf_counter() - start) / 100 < 0.001
