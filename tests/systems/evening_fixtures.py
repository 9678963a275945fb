"""A small town of members and events under a formula, and a desk over it: what time, place and room are tested on."""

import shutil
from contextlib import contextmanager

import numpy as np
import pytest

from winnow.core.time import now_us
from winnow.features.live import Caps, LiveReader
from winnow.project import Project
from winnow.serving.desk import Desk
from winnow.serving.gather import Gatherer
from winnow.serving.ingester import LIVE, Ingester
from winnow.serving.renew import Renewal
from winnow.serving.request import RankRequest
from winnow.training.train import train

NAME, HOUR, DAY = "evenings", 3_600_000_000, 86_400_000_000
MEMBERS, EVENTS, VENUES = 12, 60, 8
SYSTEM = '''
"""Events near to a member."""
import winnow as w
from winnow import days, hours, labels, minutes, ms, places, policy, slate, sources

frame = w.Frame(business="b", predict="p", p99=ms(5000), throughput_per_s=1, freshness=minutes(1), retention=days(365))
member = w.Table("member", key="member_id", columns={"lat": w.personal(w.number), "lon": w.personal(w.number)})
venue = w.Table("venue", key="venue_id", columns={"lat": w.number, "lon": w.number})
event = w.Table("event", key="event_id", columns={
    "venue": w.ref(venue), "starts_at": w.time, "ends_at": w.time, "capacity": w.number, "topic": w.category})
both, two = {"member": member, "event": event}, {"member": member, "friend": member}
seen = w.Events("impression", refs=both, fields={
    "position": w.number, "lat": w.personal(w.number), "lon": w.personal(w.number)})
register, cancel = (w.Tie(n, refs=both) for n in ("register", "cancel"))
going = w.Bond(register, cancel)
friends = w.Bond(w.Tie("befriend", refs=two), w.Tie("unfriend", refs=two), mutual=True)
outcomes = w.Labels(of=seen, within=hours(1), heads={"register": labels.any(register)})
there, went = w.Place(event.venue.lat, event.venue.lon), w.last(register.event, by=member, k=20)
here = w.Whereabouts((w.Place(seen.lat, seen.lon), w.Place(member.lat, member.lon),
                      w.centre(register.event, by=member, k=20, of=there)))
features = [
    w.position(seen.position), w.count(register, by=event), w.distance(here, there, default=-1),
    w.bucket(w.distance(here, there), edges=places.TRAVEL), w.until(event.starts_at), w.match(event.topic, went),
    w.hour(event.starts_at, zone="Europe/Berlin"), w.company(friends, going, by=event),
    w.room(event.capacity, taken=going), went,
]
much = w.Formula("event_register_count_ever")
ranking = w.Ladder(L0=much, L1=much, L2=much)
pipeline = w.Pipeline(
    sources=[places.Near(here, there, event.starts_at, km=50, limit=40), places.Upcoming(event.starts_at, limit=40),
             sources.Popular(register, limit=60, window=days(30)), sources.Fresh(event.starts_at, limit=60)],
    value=w.Weighted(register=1.0, newest=event.starts_at),
    slate=[slate.Mmr(event.topic, strength=0.1), slate.Explore(share=0.1)],
    policy=[policy.Future(event.starts_at), policy.RoomLeft(event.capacity, taken=going),
            policy.NoClash(event.starts_at, event.ends_at, going)],
    candidates=200, size=60,
)
system = w.System("evenings", frame, outcomes, features, ranking=ranking, pipeline=pipeline)
'''


def fill(project, now):
    """Members and venues about Berlin; events from two days ago to ten days ahead; some are full, some have no end."""
    rng, at = np.random.default_rng(3), now - 3 * DAY
    near = lambda: {"lat": float(52.5 + rng.normal(0, 0.1)), "lon": float(13.4 + rng.normal(0, 0.15))}  # noqa: E731
    rows = {
        "member": [{"member_id": f"m{i}", **(near() if i % 3 else {})} for i in range(MEMBERS)],
        "venue": [{"venue_id": f"v{i}", **near()} for i in range(VENUES)],
        "event": [event_row(f"e{i}", now + int(rng.integers(-48, 240)) * HOUR, rng) for i in range(EVENTS)],
    }
    for table, given in rows.items():
        project.intake.rows(table, [{**row, "changed_at": at} for row in given], backfill=True)
    who, what = rng.integers(0, MEMBERS, 400), rng.integers(0, EVENTS, 400)
    base = [{"at": at + i * 60_000_000, "member": f"m{m}", "event": f"e{e}"}
            for i, (m, e) in enumerate(zip(who, what, strict=True))]  # fmt: skip
    shown = [{"type": "impression", "event_id": f"i{i}", "position": 1.0, **e} for i, e in enumerate(base)]
    taken = [{"type": "register", "event_id": f"r{i}", **e} for i, e in enumerate(base) if i % 9 == 0]
    assert project.intake.events([*shown, *taken], backfill=True).quarantined == 0


def event_row(key, starts, rng):
    row = {"event_id": key, "venue": f"v{rng.integers(VENUES)}", "starts_at": starts, "topic": f"t{rng.integers(4)}"}
    row |= {"ends_at": starts + int(rng.integers(1, 5)) * HOUR} if rng.random() < 0.7 else {}
    return row | ({"capacity": float(rng.integers(1, 9))} if rng.random() < 0.6 else {})


@pytest.fixture(scope="session")
def evening_template(tmp_path_factory):
    """A project with a release; not to be changed."""
    folder = tmp_path_factory.mktemp("evenings") / "town"
    Project.init(folder, "video_recommendation").system_files[0].unlink()
    (folder / "systems" / f"{NAME}.py").write_text(SYSTEM)
    with Project(folder) as project:
        fill(project, now_us())
        trained = train(project, project.system(NAME), source=SYSTEM, seed=0, threads=1)
        project.registry.promote(NAME, trained.release.id, at=now_us(), who="tests")
    return folder


class Town:
    """A project with its ingester and a desk; `post` returns when what is posted is in live state."""

    def __init__(self, folder, *, served=None):
        self.project, self.number, self.ahead = Project(folder), 0, 0
        self.system, self.gatherer = self.project.system(NAME), Gatherer()
        self.ingester = Ingester(
            self.project.log, folder / LIVE, self.project.systems.values(), tables=self.project.tables.values(),
            rows=50_000, caps=Caps(rows=1 << 12, pairs=1 << 14), encodings=self.project.encodings,
        )  # fmt: skip
        self.post()
        live, self.ids = LiveReader(folder / LIVE, encodings=self.project.encodings), self.project.log.ids
        renewal = Renewal(self.system, registry=self.project.registry, live=live, ids=self.ids, clock=self.now)
        self.desk = Desk(self.system, renewal, self.ids, gatherer=self.gatherer, served=served, clock=self.now)
        self.desk.refresh()

    def now(self):
        """The present of this town, which tests may move ahead."""
        return now_us() + self.ahead

    def post(self, *events, **rows):
        for table, given in rows.items():
            self.project.intake.rows(table, given)
        if events:
            self.number += 1
            given = [{"event_id": f"t{self.number}-{i}", **e} for i, e in enumerate(events)]
            assert self.project.intake.events(given).accepted == len(given)
        while self.ingester.step():
            pass

    def rank(self, user="m1", **options):
        return self.desk.rank(RankRequest(user=user, **options))

    def shown(self, user="m1", **options):
        """Ids in order; nothing may have failed."""
        reply = self.rank(user, **options)
        assert reply.degraded == []
        return [item.id for item in reply.items]

    def close(self):
        self.gatherer.close()
        self.ingester.close()
        self.project.close()


@contextmanager
def town_at(template, folder, **options):
    shutil.copytree(template, folder)
    town = Town(folder, **options)
    yield town
    town.close()


@pytest.fixture
def town(evening_template, tmp_path):
    with town_at(evening_template, tmp_path / "town") as town:
        yield town
