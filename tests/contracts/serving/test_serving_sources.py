"""What every source owes the pipeline, and what the vector source owes new and deleted items."""

import json
import time
from dataclasses import replace

import numpy as np
import pytest

from winnow.features.live import LiveReader
from winnow.serving import sources
from winnow.serving.desk import Desk
from winnow.serving.gather import Gatherer
from winnow.serving.hydrate import hydrate
from winnow.serving.ingester import LIVE, Ingester
from winnow.serving.renew import Renewal
from winnow.serving.request import RankRequest

NAME = "video_recommendation"


@pytest.fixture
def ingester(project):
    made = Ingester(
        project.log, project.folder / LIVE, project.systems.values(), tables=project.tables.values(), rows=50_000
    )
    while made.step():
        pass
    yield made
    made.close()


@pytest.fixture
def desk(project, ingester):
    gatherer, live = Gatherer(), LiveReader(project.folder / LIVE)
    system, ids = project.system(NAME), project.log.ids
    desk = Desk(system, Renewal(system, registry=project.registry, live=live, ids=ids), ids, gatherer=gatherer)
    desk.refresh()
    yield desk
    gatherer.close()


class SourceContract:
    """Four lines make a subclass: a source by its name in the pipeline."""

    name: str

    @pytest.fixture
    def source(self, desk):
        return next(s for s in desk.system.pipeline.sources if s.name == self.name)

    def ask(self, desk, source, user="u3", **given):
        query = hydrate(RankRequest(user=user), desk.kit, desk._ids)
        return source.propose(replace(query, **given), desk.kit)

    def test_rows_are_distinct_and_fit_the_limit(self, desk, source):
        for limit in (1, 7, source.limit):
            rows, scores = self.ask(desk, replace(source, limit=limit))
            assert 1 <= len(rows) <= limit
            assert len(np.unique(rows)) == len(rows) == len(scores)
            assert rows.dtype == np.int64
            assert np.isfinite(scores).all()

    def test_the_best_come_first(self, desk, source):
        assert (np.diff(self.ask(desk, source)[1].astype(np.float64)) <= 1e-6).all()

    def test_the_same_question_has_the_same_answer(self, desk, source):
        first, second = self.ask(desk, source), self.ask(desk, source)
        assert np.array_equal(first[0], second[0])

    def test_what_the_request_rules_out_is_not_proposed(self, desk, source):
        rows, _ = self.ask(desk, source)
        allowed = np.zeros(len(desk.kit.catalogue.exists), bool)
        allowed[rows[::2]] = True
        only, _ = self.ask(desk, source, allowed=allowed, exclude=rows[:2])
        assert set(only) <= set(rows[2::2].tolist())
        assert set(only) or len(rows) < 3

    def test_what_filters_drop_makes_room_for_others(self, desk, source):
        few = replace(source, limit=5)
        rows, _ = self.ask(desk, few)
        others, _ = self.ask(desk, few, skip=np.sort(rows))
        assert not set(rows) & set(others)
        assert len(others) == len(rows)

    def test_a_stranger_gets_a_list_or_none_but_no_error(self, desk, source):
        rows, _ = self.ask(desk, source, user="nobody")
        assert len(np.unique(rows)) == len(rows)

    def test_it_tells_why(self, desk, source):
        query = hydrate(RankRequest(user="u3"), desk.kit, desk._ids)
        rows, _ = source.propose(query, desk.kit)
        told = source.tell(rows, query, desk.kit)
        assert len(told) == len(rows)
        assert all(t.text for t in told)

    def test_it_is_canonical_json(self, source):
        assert json.loads(json.dumps(source.to_data()))["kind"] == type(source).__name__


class TestNearest(SourceContract):
    name = "Nearest"

    def test_new_items_are_found_and_deleted_ones_are_not(self, project, ingester, desk):
        query = hydrate(RankRequest(user="u3"), desk.kit, desk._ids)
        everything = replace(next(s for s in desk.system.pipeline.sources if s.name == "Nearest"), limit=1000)
        row = {"video_id": "new", "author": "a1", "tags": ["t1"], "available": True, "duration_s": 30.0}

        def found():
            while ingester.step():
                pass
            desk.refresh()
            rows, _ = everything.propose(query, desk.kit)
            return project.log.ids.rows("video", ["new"])[0] in rows

        assert not found()
        project.intake.rows("video", [row])
        assert found()
        project.intake.rows("video", [{"video_id": "new", "deleted": True}])
        assert not found()
        project.intake.rows("video", [row])
        assert found()


class TestCoWatched(SourceContract):
    name = "CoWatched"

    def test_reasons_name_an_item_that_was_watched(self, desk):
        source = next(s for s in desk.system.pipeline.sources if s.name == self.name)
        query = hydrate(RankRequest(user="u3"), desk.kit, desk._ids)
        rows, _ = source.propose(query, desk.kit)
        past = desk.kit.recent(source.aggregates()[0], query)
        assert {t.item for t in source.tell(rows, query, desk.kit)} <= set(past.tolist())


class TestPopular(SourceContract):
    name = "Popular"

    def test_the_order_is_that_of_the_counts(self, project, desk):
        rows, scores = desk.kit.catalogue.lists["Popular"]
        frame = project.frame("watch")
        start = time.time() - 7 * 86_400
        recent = frame.filter(frame["at"].dt.timestamp("ms") / 1000 > start + 86_400)["video"].value_counts()
        counts = dict(recent.iter_rows())
        top = project.log.ids.ids("video", rows[:5])
        assert all(counts.get(i, 0) <= s for i, s in zip(top, scores[:5], strict=True))


class TestFresh(SourceContract):
    name = "Fresh"

    def test_items_of_the_future_wait(self, project, ingester, desk):
        project.intake.rows("video", [{"video_id": "later", "available": True, "uploaded_at": "2100-01-01"}])
        while ingester.step():
            pass
        desk.refresh()
        assert project.log.ids.rows("video", ["later"])[0] not in desk.kit.catalogue.lists["Fresh"][0]


def test_an_index_of_another_encoder_is_never_searched(project, ingester):
    """Two releases, and the index of one put into the other: that source is left out, the rest serves."""
    folder = project.registry.root / NAME / project.registry.champion(NAME)
    facts = folder / "retrieval" / "index" / "index.json"
    facts.chmod(0o644)
    facts.write_text(json.dumps(json.loads(facts.read_text()) | {"encoder": "another"}))
    live, ids, gatherer = LiveReader(project.folder / LIVE), project.log.ids, Gatherer()
    system = project.system(NAME)
    desk = Desk(system, Renewal(system, registry=project.registry, live=live, ids=ids), ids, gatherer=gatherer)
    desk.refresh()
    reply = desk.rank(RankRequest(user="u3"))
    assert {"retrieval", "Nearest"} == {d["part"] for d in reply.degraded}
    assert len(reply.items) == 20
    gatherer.close()


def test_every_source_has_a_contract():
    tested = {c.name for c in SourceContract.__subclasses__()}
    assert tested == {n for n, kind in sources.Source.known().items() if kind.__module__ == sources.__name__}
