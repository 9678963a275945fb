"""Filters on live state: what a person has seen or hidden stays away."""

import numpy as np
import pytest

from winnow.core.candidates import Candidates
from winnow.core.time import days, now_us
from winnow.features.live import LiveReader
from winnow.serving import filters
from winnow.serving.desk import Desk
from winnow.serving.gather import Gatherer
from winnow.serving.hydrate import hydrate
from winnow.serving.ingester import LIVE, Ingester
from winnow.serving.renew import Renewal
from winnow.serving.request import RankRequest

NAME = "video_recommendation"


class Shop:
    """A project with its ingester and a desk; `post` returns when the events are in live state."""

    def __init__(self, project):
        tables = project.tables.values()
        self.project, self.gatherer = project, Gatherer()
        self.ingester = Ingester(
            project.log, project.folder / LIVE, project.systems.values(), tables=tables, rows=50_000
        )
        self.post([])
        live, ids = LiveReader(project.folder / LIVE), project.log.ids
        self.system = project.system(NAME)
        renewal = Renewal(self.system, registry=project.registry, live=live, ids=ids)
        self.desk = Desk(self.system, renewal, ids, gatherer=self.gatherer)
        self.desk.refresh()

    def post(self, rows):
        if rows:
            self.project.intake.events([{"event_id": f"{now_us()}-{i}", **row} for i, row in enumerate(rows)])
        while self.ingester.step():
            pass

    def kept(self, part, user="stranger"):
        """Ids of all videos that a filter lets through."""
        query = hydrate(RankRequest(user=user), self.desk.kit, self.project.log.ids)
        candidates = Candidates.of(np.flatnonzero(self.desk.kit.catalogue.exists))
        return set(self.project.log.ids.ids("video", candidates.rows[part.keep(candidates, query, self.desk.kit)]))


@pytest.fixture
def shop(project):
    shop = Shop(project)
    yield shop
    shop.gatherer.close()
    shop.ingester.close()


def event(kind, video, user="stranger"):
    return {"type": kind, "user": user, "video": video}


def test_seen_drops_the_last_n(shop):
    part = shop.system.pipeline.filters[0]
    everything = shop.kept(part)
    assert len(everything) == 300
    shop.post([event("impression", v) for v in ("v1", "v2", "v3")])
    assert everything - shop.kept(part) == {"v1", "v2", "v3"}
    assert shop.kept(part, user="another") == everything


def test_hidden_drops_all_of_an_author(shop):
    part = shop.system.pipeline.filters[1]
    assert len(shop.kept(part)) == 300
    shop.post([event("hide", "v7")])
    authors = dict(shop.project.frame("video").select("video_id", "author").iter_rows())
    assert shop.kept(part) == {v for v, a in authors.items() if a != authors["v7"]}


def test_older_than_keeps_what_has_no_date(shop):
    shop.project.intake.rows("video", [{"video_id": "undated", "available": True}])
    shop.post([])
    shop.desk.refresh()
    uploaded = shop.system.labels.item.uploaded_at
    kept = shop.kept(filters.OlderThan(days(15), of=uploaded))
    dates = dict(shop.project.frame("video").select("video_id", "uploaded_at").iter_rows())
    edge = now_us() - 15 * 86_400_000_000
    expected = {v for v, at in dates.items() if at is None or at.timestamp() * 1e6 >= edge}
    assert "undated" in kept
    assert 0 < len(expected) < 301
    assert kept == expected


def test_what_was_shown_does_not_come_back(shop):
    first = {i.id for i in shop.desk.rank(RankRequest(user="u3")).items}
    shop.post([event("impression", v, user="u3") for v in first])
    second = {i.id for i in shop.desk.rank(RankRequest(user="u3")).items}
    assert not first & second
    assert len(second) == 20
