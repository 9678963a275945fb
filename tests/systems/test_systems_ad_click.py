"""The ad system from a log of the past to charged clicks: trained, served, priced, charged once, paced, capped."""

import re
import shutil
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from winnow import systems
from winnow.core.candidates import Candidates
from winnow.core.time import MICROS, days, now_us, to_us
from winnow.features.live import LiveReader
from winnow.market.auction import Bids, sell
from winnow.market.ledger import FILE, Click, Ledger, Quote
from winnow.market.slots import AdLoad
from winnow.project import Project
from winnow.serving import budgets
from winnow.serving.charging import Charger, Market
from winnow.serving.desk import Desk
from winnow.serving.effects import ServedLog
from winnow.serving.gather import Gatherer
from winnow.serving.hydrate import hydrate
from winnow.serving.ingester import LIVE, Ingester
from winnow.serving.pacemaker import Pacemaker
from winnow.serving.renew import Renewal
from winnow.serving.request import RankRequest
from winnow.serving.scorer import judge
from winnow.serving.tail import Tail
from winnow.serving.trace import Trace
from winnow.simulation.ads_tables import past_events, reactions, table_rows
from winnow.simulation.ads_world import AdSize, AdWorld

NAME = "ad_click"


@pytest.fixture(scope="module")
def world():
    return AdWorld.make(AdSize(people=300, advertisers=8, visits_per_day=20_000))


@pytest.fixture(scope="module")
def template(world, tmp_path_factory):
    folder = tmp_path_factory.mktemp("ads") / "market"
    project = Project.init(folder, NAME)
    text = systems.source(NAME).replace("p99=ms(100)", "p99=ms(2000)")
    quick = "textbook, modern = w.GradientBoosting(), w.GradientBoosting(epochs=60)\n"
    text, times = re.subn(r"textbook, modern = .*\n", quick, text)
    assert times == 1
    project.system_files[0].write_text(text)
    project = Project(folder)
    until = now_us() - to_us(days(1)) // 4
    for table, rows in table_rows(world, at=until - to_us(days(10))):
        receipt = project.intake.rows(table, rows, backfill=True)
        assert receipt.quarantined == 0, receipt
    for name, frame in past_events(world, visits=4_000, since=until - to_us(days(8)), until=until):
        assert project.intake.frame(name, frame, backfill=True).quarantined == 0
    project.train(NAME, threads=1, promote=True)
    project.close()
    return folder


class Shop:
    """A project with its ingester, its charger and a desk."""

    def __init__(self, folder):
        self.project = Project(folder)
        self.system = self.project.system(NAME)
        self.ledger = Ledger(folder / FILE)
        self.charger = Charger(self.project.log, self.ledger, [Market.of(self.system)])
        self.ingester = Ingester(
            self.project.log, folder / LIVE, [self.system], tables=self.project.tables.values(), rows=50_000
        )
        self.gatherer, self.served = Gatherer(), ServedLog(self.project.log)
        self.catch_up()
        ids = self.project.log.ids
        live = LiveReader(folder / LIVE)
        tail = Tail(self.project.log, self.system.labels.item.name, None)
        renewal = Renewal(self.system, registry=self.project.registry, live=live, ids=ids, tail=tail, folder=folder)
        self.desk = Desk(self.system, renewal, ids, gatherer=self.gatherer, served=self.served)
        self.desk.refresh()

    def catch_up(self):
        self.served.flush()
        while self.charger.step():
            pass
        while self.ingester.step():
            pass
        budgets._OPEN.clear()  # looks at the ledger anew

    def rank(self, person, **options):
        request = RankRequest(user=f"p{person}", context={"surface": "page", "device": "phone"}, **options)
        reply = self.desk.rank(request)
        items = [{"id": i.id, "price": i.price, "position": i.position} for i in reply.items]
        return {"recommendation_id": reply.recommendation_id, "items": items, "degraded": reply.degraded}

    def post(self, events):
        receipt = self.project.intake.events(events)
        assert receipt.quarantined == 0, receipt
        self.catch_up()

    def put(self, table, *rows):
        receipt = self.project.intake.rows(table, list(rows))
        self.catch_up()
        self.desk.refresh()
        return receipt

    def close(self):
        self.gatherer.close()
        self.served.close()
        self.ingester.close()
        self.ledger.close()
        self.project.close()


@pytest.fixture(scope="module")
def calm(template, tmp_path_factory):
    """A shop for tests that leave it as it was."""
    folder = tmp_path_factory.mktemp("calm") / "market"
    shutil.copytree(template, folder)
    shop = Shop(folder)
    yield shop
    shop.close()


@pytest.fixture
def shop(template, tmp_path):
    shutil.copytree(template, tmp_path / "market")
    shop = Shop(tmp_path / "market")
    yield shop
    assert shop.ledger.mistakes() == []
    shop.close()


def click_on(reply, place=0, event="click-1"):
    item = reply["items"][place]["id"]
    return {
        "type": "click",
        "event_id": event,
        "user": "p1",
        "ad": item,
        "recommendation_id": reply["recommendation_id"],
    }


def campaign_of(world, item):
    return f"c{world.campaign[int(item['id'][1:])]}"


def test_every_ad_has_a_price_and_clicks_are_charged_by_it_once(shop, world):
    rng, owed = np.random.default_rng(1), {}
    for person in range(60):
        reply = shop.rank(person)
        assert reply["degraded"] == []
        for item in reply["items"]:
            bid = int(world.value[world.campaign[int(item["id"][1:])]])
            assert 10_000 <= item["price"] <= bid
        events = reactions(world, person, reply, at=now_us(), rng=rng)
        shop.project.intake.events(events + [e for e in events if e["type"] == "click"])
        clicked = {e["ad"] for e in events if e["type"] == "click"}
        for item in reply["items"]:
            if item["id"] in clicked:
                name = campaign_of(world, item)
                owed[name] = owed.get(name, 0) + item["price"]
    shop.catch_up()
    assert len(owed) > 3
    assert {name: shop.ledger.spent(name) for name in owed} == owed
    assert sum(shop.ledger.standing(now_us()).today) == sum(owed.values())
    # The ledger can be built anew from the log.
    shop.ledger.close()
    for file in shop.project.folder.glob(f"{FILE}*"):
        file.unlink()
    again = Ledger(shop.project.folder / FILE)
    charger = Charger(shop.project.log, again, [Market.of(shop.system)])
    while charger.step():
        pass
    assert {name: again.spent(name) for name in owed} == owed
    again.close()


def test_a_second_click_on_a_showing_and_a_click_on_nothing_cost_nothing(shop, world):
    reply = shop.rank(1)
    first = reply["items"][0]
    shop.post([click_on(reply), click_on(reply, event="click-2")])
    shop.post([click_on(reply) | {"recommendation_id": "made-up", "event_id": "click-3"}])
    shop.post([{k: v for k, v in click_on(reply).items() if k != "recommendation_id"} | {"event_id": "click-4"}])
    assert shop.ledger.spent(campaign_of(world, first)) == first["price"]


def test_a_campaign_without_money_is_not_shown(shop, world):
    name = campaign_of(world, shop.rank(1)["items"][0])
    shop.put("campaign", {"campaign_id": name, "daily": 1})  # a hundredth: less than a click
    shown = shop.rank(1)
    shop.post([click_on(shown, place) | {"event_id": f"x{place}"} for place in range(len(shown["items"]))])
    day = now_us() // to_us(days(1))
    assert shop.ledger.spent(name, day) <= 10_000


CHANGES = (
    {"ends_at": "2020-01-01T00:00:00"}, {"starts_at": "2020-01-02T00:00:00", "ends_at": "2020-01-01T00:00:00"},
    {"currency": "USD"}, {"currency": "gold"}, {"daily": 100.00001}, {"daily": None}, {"deleted": True},
)  # fmt: skip


def test_campaigns_whose_budgets_make_no_sense_are_not_shown(shop, world):
    people = range(0, 300, 10)
    names = sorted({campaign_of(world, item) for person in people for item in shop.rank(person)["items"]})
    rows = [{"campaign_id": name} | change for name, change in zip(names, CHANGES, strict=False)]
    assert len(names) > len(CHANGES) == len(rows)
    assert shop.put("campaign", *rows).quarantined == 0
    left = {campaign_of(world, item) for person in people for item in shop.rank(person)["items"]}
    assert left
    assert left.isdisjoint(names[: len(CHANGES)])
    assert set(shop.ledger.refused()) == set(names[1 : len(CHANGES)])  # the first one has ended, and may have


@pytest.mark.parametrize(
    ("table", "row"),
    [("ad", {"ad_id": "a1", "bid": -5}), ("ad", {"ad_id": "a1", "bid": 0}),
     ("campaign", {"campaign_id": "c1", "daily": 0}), ("campaign", {"campaign_id": "c1", "daily": -1})],
)  # fmt: skip
def test_negative_bids_and_budgets_of_nothing_are_refused_at_the_edge(calm, table, row):
    assert calm.put(table, row).quarantined == 1


def test_targeting_is_kept(calm, world):
    for person in range(40):
        wanted = world.wanted(np.array([person]))[0]
        assert all(wanted[int(item["id"][1:])] for item in calm.rank(person)["items"])
    assert calm.rank(10**6)["items"] == [] or all(
        world.age_from[world.campaign[int(i["id"][1:])]] == 0 and world.reach[world.campaign[int(i["id"][1:])]].all()
        for i in calm.rank(10**6)["items"]
    )


def test_nobody_sees_a_campaign_more_often_than_its_cap(shop, world):
    seen = {}
    for _ in range(12):
        reply = shop.rank(5)
        for item in reply["items"]:
            seen[campaign_of(world, item)] = seen.get(campaign_of(world, item), 0) + 1
        shop.post(
            [
                e
                for e in reactions(world, 5, reply, at=now_us(), rng=np.random.default_rng(2))
                if e["type"] == "impression"
            ]
        )
    assert max(seen.values()) <= 4
    assert len(seen) > 3


def test_when_nobody_charges_no_ad_is_shown(calm, monkeypatch):
    calm.catch_up()
    assert calm.rank(1)["items"]
    monkeypatch.setattr(budgets, "now_us", lambda: now_us() + 61 * MICROS)
    budgets._OPEN.clear()
    reply = calm.rank(1)
    assert reply["items"] == []
    assert {d["part"] for d in reply["degraded"]} == {"Funded"}


def test_when_nothing_predicts_clicks_no_ad_is_shown(calm):
    calm.catch_up()
    kit = calm.desk.kit
    calm.desk._kit = replace(kit, bundle=replace(kit.bundle, rungs=()))
    reply = calm.rank(1)
    calm.desk._kit = kit
    assert reply["items"] == []
    assert "Auction" in {d["part"] for d in reply["degraded"]}


def test_neighbours_have_neither_advertiser_nor_topic_in_common(calm, world):
    for person in range(40):
        campaigns = [world.campaign[int(i["id"][1:])] for i in calm.rank(person)["items"]]
        advertisers = [world.advertiser[c] for c in campaigns]
        assert len(set(advertisers)) == len(advertisers)
        topics = [world.topic[c] for c in campaigns]
        assert all(one != next_ for one, next_ in pairwise(topics))


def candidates_for(shop, person):
    """Every ad, scored, as it comes to the auction."""
    kit = shop.desk.kit
    query = hydrate(RankRequest(user=f"p{person}", context={"device": "phone"}), kit, shop.project.log.ids)
    judged = judge(Candidates.of(np.flatnonzero(kit.catalogue.exists)), query, kit, Trace())
    query = replace(query, heads=judged.heads, size=20)
    return judged.candidates, query, kit


def test_ads_are_woven_into_what_nobody_pays_for(shop):
    shop.put("ad", *({"ad_id": f"a{i}", "bid": None} for i in range(0, 24, 2)))
    auction = replace(shop.system.pipeline.slate[0], load=AdLoad(at_most=1, per=4, first=3), once=None, apart=())
    candidates, query, kit = candidates_for(shop, 1)
    shown = auction.arrange(candidates, query, kit)
    prices = shown.noted["price"]
    assert np.flatnonzero(prices).tolist() == [2, 7, 12]
    free = np.isnan(kit.view(query, shown.rows).path(auction.bid))
    assert (free == (prices == 0)).all()
    assert (
        shown.rows[free].tolist()
        == candidates.rows[np.isnan(kit.view(query, candidates.rows).path(auction.bid))].tolist()
    )
    assert (shown.noted["payer"][free] == -1).all()
    assert (shown.noted["expected"][~free] > 0).all()
    left = auction.without(candidates, query, kit)
    assert np.isnan(kit.view(query, left.rows).path(auction.bid)).all()


@pytest.mark.parametrize("rule", ["first", "second", "vcg"])
def test_each_rule_sells_the_same_ads_and_charges_what_the_market_says(calm, rule):
    plain = replace(calm.system.pipeline.slate[0], rule=rule, once=None, apart=(), worth={})
    candidates, query, kit = candidates_for(calm, 2)
    shown = plain.arrange(candidates, query, kit)
    view = kit.view(query, candidates.rows)
    chance = candidates.heads[:, query.heads.index("click")].astype(float)
    sale = sell(rule, Bids.of(view.path(plain.bid).astype(np.int64), chance), plain.effects, reserve=plain.reserve)
    assert shown.rows.tolist() == candidates.rows[sale.winners[0]].tolist()
    assert shown.noted["price"].tolist() == sale.prices[0].tolist()


def test_a_shaded_campaign_bids_less(shop):
    funded = replace(shop.system.pipeline.policy[1], pacing="shade")
    pipeline = replace(shop.system.pipeline, policy=(shop.system.pipeline.policy[0], funded))
    candidates, query, kit = candidates_for(shop, 3)
    kit = replace(kit, system=replace(shop.system, pipeline=pipeline))
    auction = shop.system.pipeline.slate[0]
    with shop.ledger.writing() as book:
        for i in range(100):
            book.pace(f"c{i}", 0.25)
    budgets._OPEN.clear()
    bids = kit.view(query, candidates.rows).path(auction.bid).astype(np.int64)
    assert (auction.bids(candidates, query, kit).amount == bids // 4).all()
    assert (auction.bids(candidates, query, shop.desk.kit).amount == bids).all()


def test_a_throttled_campaign_takes_part_in_its_share_of_requests(shop, world):
    with shop.ledger.writing() as book:
        for i in range(100):
            book.pace(f"c{i}", 0.25)
    budgets._OPEN.clear()
    kit, rule = shop.desk.kit, shop.system.pipeline.policy[1]
    candidates, query, _ = candidates_for(shop, 1)
    admitted = [rule.admit(candidates, replace(query, recommendation_id=f"{i:032x}"), kit) for i in range(800)]
    share = np.mean(admitted, axis=0)
    assert 0.15 < share.min() < 0.25 < share.max() < 0.35
    assert rule.admit(candidates, replace(query, recommendation_id=""), kit).all()


def test_the_pacemaker_holds_back_who_spends_too_fast(shop, world):
    maker, noon = Pacemaker(shop.ledger), now_us() // to_us(days(1)) * to_us(days(1)) + to_us(days(1)) // 2
    name, showing = "c1", {"currency": "EUR", "expires_at": noon * 2}
    maker.step(noon - 2 * MICROS * 60)
    budget = dict(zip(shop.ledger.standing(noon).campaigns, shop.ledger.standing(noon).budgets.tolist(), strict=True))
    with shop.ledger.writing() as book:
        book.count(noon // to_us(days(1)), 47, 500)
        book.quote(Quote(showing="x", campaign=name, price=int(budget[name] * 0.8), at=noon - 1, **showing))
        book.charge(Click("e", "x", noon))
    maker.step(noon)
    now = shop.ledger.standing(noon)
    paced = dict(zip(now.campaigns, now.participation.tolist(), strict=True))
    assert paced[name] < 0.5
    assert paced["c2"] >= 0.5
