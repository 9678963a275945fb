"""Similar listings through its life: a world's log in, train, serve under filters, change, train again."""

import shutil
import time

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from winnow.core.errors import InputError
from winnow.core.loading import load as load_file
from winnow.core.time import hours, now_us, to_us
from winnow.data import labels as joiner
from winnow.data.importers import load
from winnow.data.nights import date_of, day_of, written
from winnow.evaluation.bootstrap import Resamples, difference
from winnow.evaluation.report import pick
from winnow.project import Project
from winnow.simulation.importer import FILE, ListingsImporter
from winnow.simulation.listings_truth import worth
from winnow.simulation.listings_world import DAY_US, HORIZON, TYPES, ListingSize, ListingWorld
from winnow.training import sessions
from winnow.training.roles import roled

NAME = "similar_listings"
SIZE = ListingSize(listings=300, later=15, cities=3, trips=2_500, days=20, robots=2)


@pytest.fixture(scope="module")
def grown(tmp_path_factory):
    """A trained project and its world; not to be changed."""
    folder = tmp_path_factory.mktemp("stays")
    project = Project.init(folder / "stays", NAME)
    (file,) = project.system_files
    file.write_text(file.read_text().replace("p99=ms(100)", "p99=ms(5000)"))
    project = Project(folder / "stays")
    hour = to_us(hours(1))  # a whole one: how much somebody does is counted by hours of the clock
    world = ListingWorld.make(SIZE, until=(now_us() // hour - 1) * hour)
    world.write(project.folder / FILE)
    receipt = load(ListingsImporter(), project.folder, project.intake, progress=False).total
    assert receipt.quarantined == 0
    outcome = project.train(NAME)
    project.close()
    return folder / "stays", outcome


@pytest.fixture(scope="module")
def served(grown):
    """The project as it serves; asked, not changed."""
    project = Project(grown[0])
    project.rank(NAME, user="listing-00000")
    yield project, ListingWorld.read(grown[0] / FILE)
    project.close()


@pytest.fixture
def project(grown, tmp_path):
    shutil.copytree(grown[0], tmp_path / "stays")
    project = Project(tmp_path / "stays")
    yield project
    project.close()


def found(project, listing, **asked):
    reply = project.rank(NAME, user=listing, **asked)
    assert not reply["degraded"]
    return [item["id"] for item in reply["items"]]


def within(seconds, test):
    """Waits until something holds; fails after a generous multiple of what is promised."""
    start = time.monotonic()
    while not test():
        assert time.monotonic() - start < 10 * seconds, "waited too long"
        time.sleep(0.01)


# The declaration


@pytest.mark.parametrize(
    ("old", "new", "code"),
    [
        ('view, by="visitor"', 'view, by="host"', "bad-session"),
        ("gap=minutes(30)", "gap=minutes(0)", "bad-session"),
        ("market=listing.city", "market=listing.price", "bad-session"),
        ('loop=("similar",), ', "", "bad-session"),
        ("loop_weight=0.3", "loop_weight=3", "bad-session"),
        ("slate.Comparable(listing.price, ratio=2)", "slate.Comparable(listing.city)", "bad-column"),
        ("slate.Comparable(listing.price, ratio=2)", "slate.Comparable(listing.price, ratio=1)", "bad-factor"),
        ('labels.any(book, by="visitor")', 'labels.any(book, by="host")', "unjoinable-label"),
        ('labels.any(book, by="visitor")', "labels.any(book, by='surface')", "unjoinable-label"),
    ],
)
def test_a_mistake_is_found(tmp_path, old, new, code):
    (file,) = Project.init(tmp_path / "p", NAME).system_files
    text = file.read_text()
    assert len(text.splitlines()) <= 120
    assert not load_file(file).find_problems()
    assert old in text
    file.write_text(text.replace(old, new))
    assert code in {p.code for p in load_file(file).find_problems()}


# What is learned


def test_every_rung_is_judged_and_what_is_learned_finds_bookings_sooner(grown):
    records = grown[1].records
    rank = {(r["rung"], r["model"]): r for r in pick(records, metric="mean_rank", head="book", slice="all")}
    assert {rung for rung, _ in rank} == {"L0", "L1", "L2"}
    assert all(r["low"] <= r["value"] <= r["high"] and r["n"] > 30 for r in rank.values())
    assert rank["L2", "ItemBlend"]["high"] < rank["L0", "Attributes"]["value"]
    assert pick(records, metric="recall@20", head="liked", slice="all")


def test_trained_lists_lead_to_more_true_bookings_than_those_of_the_same_area_and_price(grown, served):
    project, world = served
    trips, everything = world.trips(300, 77), np.arange(len(world.listings))

    def learned(trips, one, row):
        stay = {"calendar": world.stay(trips, one), "guests": {"at_least": float(trips.guests[one])}}
        asked = {"size": 12, "filter": stay | {"city": f"city-{trips.city[one]}"}}
        return world.rows(found(project, world.listings.ids[row], **asked))

    def by_rule(trips, one, row):
        all_ = world.listings
        fit = everything[world.fits(trips, one, everything) & (everything != row)]
        apart = (all_.area[fit] != all_.area[row]) * 1e6 + np.abs(all_.price[fit] - all_.price[row])
        return fit[np.argsort(apart, kind="stable")[:12]]

    ours, rule = worth(world, trips, learned), worth(world, trips, by_rule)
    real = ~np.isnan(ours)
    drawn = Resamples.of(np.arange(real.sum()))
    apart = difference(drawn.means(ours[real]), drawn.means(rule[real]))
    assert apart.value > 0.05 * rule[real].mean(), apart
    assert apart.high > 0, apart


def test_robots_and_trips_of_one_visitor_are_kept_apart(project):
    system = project.system(NAME)
    project.history.sync(project.log)
    whole = sessions.build(project, system, as_of=now_us())
    robots = project.log.ids.rows("visitor", ["robot-0", "robot-1"])
    assert set(sessions.robots_of(project, system, until=now_us())) == set(robots.tolist())
    assert np.isin(robots, whole.people).all()
    assert (whole.until - whole.at).max() < DAY_US  # people travel twice, days apart
    loop = np.unique(whole.weights[~np.isin(whole.people[whole.session], robots)])
    np.testing.assert_allclose(loop, [0.3, 1.0])


def test_a_booking_belongs_to_what_its_visitor_was_shown(project):
    """Whatever listing they looked at when they were shown it; another visitor's booking does not count."""
    project.history.sync(project.log)
    system = project.system(NAME)
    history, shown = project.history, project.history.events("impression").collect()
    feedback = {name: history.events(name).collect() for name in ("click", "book")}
    rows = joiner.join(roled(system.labels), shown, feedback, as_of=now_us())
    booked = feedback["book"].select("visitor", "listing", at_book="at")
    truth = rows.with_row_index("row").join(booked, on=["visitor", "listing"])
    after = (truth["at_book"] >= truth["at"]) & (truth["at_book"] < truth["at"] + to_us(hours(24)))
    # Of several impressions the last one before the booking gets it.
    last = truth.filter(after).sort("at", "seq").group_by("visitor", "listing", "at_book").last()
    assert len(last) > 10
    assert set(rows.with_row_index("row").filter(rows["book"] == 1)["row"]) == set(last["row"])


# What is served


requests = st.fixed_dictionaries({
    "seed": st.integers(0, 10_000), "size": st.integers(1, 40), "nights": st.integers(0, 8),
    "guests": st.integers(0, 6), "most": st.none() | st.floats(20, 300), "city": st.none() | st.integers(0, 2),
    "kind": st.none() | st.integers(0, 2), "left_out": st.integers(0, 30),
})  # fmt: skip


def oracle(world, row, wish, rng):
    """A filter as a request says it, and the rows that it lets through by the world's own columns."""
    all_, filters = world.listings, {}
    fit = np.arange(len(all_)) != row
    if wish["nights"]:
        first = int(rng.integers(0, HORIZON - 8))
        fit &= all_.free[:, first : first + wish["nights"]].all(axis=1)
        days = world.today + first, world.today + first + wish["nights"]
        filters["calendar"] = dict(zip(("from", "to"), map(date_of, days), strict=True))
    if wish["guests"]:
        fit &= all_.guests >= wish["guests"]
        filters["guests"] = {"at_least": float(wish["guests"])}
    if wish["most"] is not None:
        fit &= all_.price <= wish["most"]
        filters["price"] = {"at_most": wish["most"]}
    if wish["city"] is not None:
        fit &= all_.city == wish["city"]
        filters["city"] = f"city-{wish['city']}"
    if wish["kind"] is not None:
        fit &= all_.type == wish["kind"]
        filters["kind"] = TYPES[wish["kind"]]
    left_out = rng.choice(len(all_), wish["left_out"], replace=False)
    fit[left_out] = False
    return filters, [all_.ids[i] for i in left_out], np.flatnonzero(fit)


@settings(deadline=None, max_examples=120, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(wish=requests)
def test_k_come_back_when_k_exist_and_never_one_that_does_not_fit(served, wish):
    project, world = served
    rng = np.random.default_rng(wish["seed"])
    row = int(rng.integers(SIZE.listings))
    filters, left_out, fit = oracle(world, row, wish, rng)
    items = found(project, world.listings.ids[row], size=wish["size"], filter=filters, exclude=left_out)
    rows = world.rows(items)
    assert np.isin(rows, fit).all()
    assert len(rows) == len(set(items)) == min(wish["size"], len(fit))


def test_hosts_are_spread_and_prices_stay_comparable(served):
    project, world = served
    all_ = world.listings
    for row in range(0, 60, 6):
        explained = project.explain(NAME, user=all_.ids[row], size=12)
        rows = world.rows([item["id"] for item in explained["items"]])
        hosts = all_.host[rows]
        assert np.unique(hosts, return_counts=True)[1].max() <= 6
        assert np.median(np.abs(np.log(all_.price[rows] / all_.price[row]))) < np.log(2)


def test_who_looks_at_nothing_known_gets_nothing_and_no_fault(served):
    reply = served[0].rank(NAME, user="no-such-listing")
    assert reply["items"] == []
    assert not reply["known_user"]


@pytest.mark.parametrize(
    ("filters", "code"),
    [
        ({"calendar": {"from": "2026-07-01"}}, "bad-value"),
        ({"calendar": {"from": "2026-07-05", "to": "2026-07-05"}}, "bad-value"),
        ({"calendar": {"from": "soon", "to": "later"}}, "bad-value"),
        ({"calendar": "2026-07-05"}, "bad-value"),
        ({"calendar": {"at_least": 3}}, "bad-value"),
        ({"text": "garden"}, "unknown-column"),
        ({"rooms": 3}, "unknown-column"),
        ({"price": "cheap"}, "bad-value"),
    ],
)
def test_a_filter_that_means_nothing_is_refused(served, filters, code):
    with pytest.raises(InputError) as error:
        served[0].rank(NAME, user="listing-00000", filter=filters)
    assert [p.code for p in error.value.problems] == [code]
    assert error.value.problems[0].where.startswith("filter.")


# What changes


def row_of(world, key, like, **changed):
    """A listing like another one."""
    all_ = world.listings
    row = {"listing_id": key, "title": "new", "text": all_.names[like], "host": "host-new",
           "city": f"city-{all_.city[like]}",
           "area": f"city-{all_.city[like]} area-{all_.area[like] % 6}", "kind": TYPES[all_.type[like]],
           "lat": float(all_.degrees[0][like]), "lon": float(all_.degrees[1][like]),
           "price": float(all_.price[like]), "rating": float(all_.rating[like]), "guests": float(all_.guests[like]),
           "beds": float(np.ceil(all_.guests[like] / 2))}  # fmt: skip
    return row | changed


def test_a_new_listing_is_found_within_a_second_under_filters_too(project):
    world = ListingWorld.read(project.folder / FILE)
    found(project, "listing-00007")
    nights = written(date_of(world.today + 191), [1, 1, 1, 0, 1])
    start = time.monotonic()
    assert project.intake.rows("listing", [row_of(world, "fresh", 7, calendar=nights)]).accepted == 1
    within(1, lambda: "fresh" in found(project, "listing-00007", size=5))
    seconds = time.monotonic() - start
    stay = {"calendar": {"from": date_of(world.today + 191), "to": date_of(world.today + 194)}}
    within(1, lambda: found(project, "listing-00007", filter=stay) == ["fresh"])
    assert seconds < 5  # a second where nothing else runs
    late = {"calendar": {"from": date_of(world.today + 193), "to": date_of(world.today + 195)}}
    assert found(project, "listing-00007", filter=late) == []
    assert len(found(project, "fresh", size=5)) == 5
    assert world.listings.city[world.rows(found(project, "fresh", size=5))].tolist() == [world.listings.city[7]] * 5


def test_a_night_that_is_taken_is_gone_within_a_second(project):
    world = ListingWorld.read(project.folder / FILE)
    day = world.today + 3
    stay = {"calendar": {"from": date_of(day), "to": date_of(day + 1)}}
    before = found(project, "listing-00001", filter=stay, size=30)
    first = before[0]
    bits = world.listings.free[world.rows([first])[0]].copy()
    bits[3] = False
    project.intake.rows("listing", [{"listing_id": first, "calendar": written(date_of(world.today), bits)}])
    within(1, lambda: first not in found(project, "listing-00001", filter=stay, size=30))
    other = {"calendar": {"from": date_of(day + 1), "to": date_of(day + 2)}}
    assert (first in found(project, "listing-00001", filter=other, size=200)) == bool(bits[4])
    city = {"city": f"city-{world.listings.city[world.rows([first])[0]]}"}
    assert first in found(project, "listing-00001", filter=city, size=200)  # without dates nobody asks the calendar


def test_hidden_and_deleted_listings_are_gone(project):
    first, second = found(project, "listing-00002", size=2)
    project.intake.rows("listing", [{"listing_id": first, "hidden": True}, {"listing_id": second, "deleted": True}])
    within(1, lambda: not {first, second} & set(found(project, "listing-00002", size=100)))
    assert len(found(project, "listing-00002", size=100)) == 100


def test_a_calendar_that_cannot_be_read_is_set_aside(project):
    receipt = project.intake.rows("listing", [{"listing_id": "listing-00003", "calendar": "always"}])
    assert receipt.quarantined == 1
    assert [p.code for p in receipt.problems] == ["bad-nights"]


@pytest.mark.heavy
def test_the_next_release_is_compared_on_the_same_questions(project):
    outcome = project.train(NAME, seed=1)
    checks = {(c.head, c.metric) for c in outcome.verdict.checks}
    assert checks == {("book", "recall@20"), ("liked", "recall@20")}
    assert outcome.verdict.passed
    assert day_of(date_of(17)) == 17
