"""The mirror shows current rows and latest events, follows the log, and keeps personal columns to itself."""

import pytest

from winnow.core.errors import InputError, NotFound
from winnow.data.intake import Intake
from winnow.data.log import SqliteLog
from winnow.data.schema import Events, Table, categories, category, flag, number, personal, text, time

person = Table("person", key="person_id", columns={"activity": category, "birth_year": personal(number())})
video = Table("video", key="video_id", columns={
    "title": text, "tags": categories, "duration_s": number(at_least=0), "available": flag, "uploaded_at": time,
})  # fmt: skip
watch = Events("watch", refs={"person": person, "video": video})
visit = Events("visit", refs={"person": person})
TABLES = {t.name: t for t in (person, video)}
EVENTS = {e.name: e for e in (watch, visit)}


@pytest.fixture
def store(tmp_path):
    log = SqliteLog(tmp_path / "truth.db")
    intake = Intake(log, TABLES, EVENTS)
    intake.rows("person", [
        {"person_id": "mira-okafor", "activity": "high", "birth_year": 1990},
        {"person_id": "omar-mira", "activity": "low"}, {"person_id": "712"},
    ])  # fmt: skip
    intake.rows("video", [
        {"video_id": "v1", "title": "Rye bread", "tags": ["baking", "slow"], "duration_s": 61.5, "available": True,
         "uploaded_at": "2026-01-01T00:00:00Z"},
        {"video_id": "v2", "title": "Night trains"},
    ])  # fmt: skip
    return log, intake


@pytest.fixture
def mirror(store):
    from winnow.console.mirror import Mirror

    return Mirror(store[0], TABLES, EVENTS)


def test_rows_come_decoded_in_the_order_asked(mirror):
    rows = mirror.rows("video", ["v2", "nobody", "v1"])
    assert [row["video_id"] for row in rows] == ["v2", "v1"]
    assert rows[1] == {
        "video_id": "v1", "title": "Rye bread", "tags": ["baking", "slow"], "duration_s": 61.5, "available": True,
        "uploaded_at": "2026-01-01T00:00:00+00:00",
    }  # fmt: skip
    assert rows[0] | {"title": ""} == {
        "video_id": "v2", "title": "", "tags": [], "duration_s": None, "available": None, "uploaded_at": None,
    }  # fmt: skip


def test_personal_columns_never_leave(mirror):
    assert mirror.rows("person", ["mira-okafor"]) == [{"person_id": "mira-okafor", "activity": "high"}]


def test_search_puts_ids_that_begin_with_the_words_first(mirror):
    def found(words, table="person"):
        return [row[TABLES[table].key] for row in mirror.search(table, words, limit=10)]

    assert found("mira") == ["mira-okafor", "omar-mira"]
    assert found("Mira Ok") == ["mira-okafor"]
    assert found("person 712") == ["712"]
    assert found("trains", "video") == ["v2"]
    assert found("nothing like it") == []
    assert len(mirror.search("person", "", limit=2)) == 2


def test_it_follows_changes_and_deletions(store, mirror):
    assert mirror.rows("video", ["v2"])[0]["title"] == "Night trains"
    store[1].rows("video", [{"video_id": "v2", "title": "Day trains"}, {"video_id": "v1", "deleted": True},
                            {"video_id": "v3", "title": "New here"}])  # fmt: skip
    assert [row["title"] for row in mirror.rows("video", ["v1", "v2", "v3"])] == ["Day trains", "New here"]
    assert [row["video_id"] for row in mirror.search("video", "trains", limit=5)] == ["v2"]
    assert mirror.search("video", "night", limit=5) == []


def test_latest_events_newest_first_whatever_the_order_of_arrival(store, mirror):
    def event(i, at, who, what):
        return {"event_id": f"e{i}", "type": "watch", "at": at, "person": who, "video": what}

    def watched():
        return [e["video"] for e in mirror.events_of("person", "712", "watch", limit=2)]

    assert watched() == []
    store[1].events([event(1, "2026-01-02", "712", "v1"), event(2, "2026-01-03", "omar-mira", "v1")])
    assert watched() == ["v1"]
    store[1].events([event(3, "2026-01-05", "712", "v2"), event(4, "2026-01-04", "712", "v1")])
    assert watched() == ["v2", "v1"]
    newest = mirror.events_of("video", "v1", "watch", limit=1)[0]
    assert newest == {"type": "watch", "at": "2026-01-04T00:00:00+00:00", "person": "712", "video": "v1"}


def test_unknown_names_say_what_is_known(mirror):
    with pytest.raises(NotFound, match="did you mean `video`"):
        mirror.rows("vide", ["v1"])
    with pytest.raises(NotFound, match="unknown event `look`"):
        mirror.events_of("person", "712", "look", limit=1)
    with pytest.raises(InputError, match="does not refer to `video`"):
        mirror.events_of("video", "v1", "visit", limit=1)
