"""The index of words: what is found, by which filters, how it follows the log, and what a kill leaves behind."""

import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

import winnow as w
from winnow.core.errors import Unavailable
from winnow.data.chunk import Chunk
from winnow.data.intake import Intake
from winnow.data.log import SqliteLog
from winnow.retrieval.conditions import Between, OneOf
from winnow.retrieval.lexical import Layout, LexicalIndex
from winnow.retrieval.lexical_follow import LexicalFollower, whole
from winnow.retrieval.lexical_text import fold, parse, words_of
from winnow.retrieval.lexical_writer import LexicalWriter, position

VIDEO = w.Table("video", key="video_id", columns={
    "title": w.text, "notes": w.text, "tags": w.categories, "language": w.category, "length": w.number, "up": w.time,
    "ok": w.flag,
})  # fmt: skip
LAYOUT = Layout.of(VIDEO, {"title": 3.0, "notes": 1.0, "tags": 2.0}, language="language")
ROWS = [
    {"video_id": "run", "title": "Running through the Ocean", "language": "en", "length": 3, "ok": True,
     "tags": ["sea"]},
    {"video_id": "cheval", "title": "Des océans et des chevaux", "language": "fr", "length": 30,
     "tags": ["animals", "sea"]},
    {"video_id": "twice", "title": "Ocean, ocean", "notes": "currents of the sea", "length": 300, "ok": False,
     "up": "2026-01-05T00:00:00Z"},
    {"video_id": "bread", "title": "Bread", "notes": "an ocean of flour", "length": 9, "up": "2025-01-05T00:00:00Z"},
]  # fmt: skip


class Place:
    """A log with videos, and an index that follows it."""

    def __init__(self, folder):
        self.folder, self.log = folder, SqliteLog(folder / "truth.db")
        self.intake = Intake(self.log, {"video": VIDEO}, {})
        self.follower = LexicalFollower(self.log, folder, LAYOUT)

    def put(self, *rows):
        assert self.intake.rows("video", rows).accepted == len(rows)
        self.follower.catch_up(self.log.last_seq())

    def find(self, text, k=10, **how):
        rows, scores = self.follower.words.search(parse(text), k, **how)
        assert (np.diff(scores) <= 0).all()
        return self.log.ids.ids("video", rows)

    def only(self, column, *values):
        return OneOf(column, self.log.ids.rows(f"video.{column}", list(values)))


@pytest.fixture
def place(tmp_path):
    place = Place(tmp_path)
    place.put(*ROWS)
    yield place
    place.follower.close()
    place.log.close()


# What words are


def test_what_people_do_not_type_makes_no_difference():
    assert words_of("Ｃｒème  BRÛLÉE, l'été") == words_of("creme brulee l'ete") == ["creme", "brulee", "lete"]
    assert fold("STRASSE") == fold("straße")


def test_scripts_without_spaces_are_words_sign_by_sign():
    assert words_of("東京 tower") == ["東", "京", "tower"]


@pytest.mark.parametrize(
    "text", ["", "  ", '"', '""', "-", "--", '-"', "\x00", "((", 'a"b', "AND OR NOT", "*:*", "title:x^9"]
)
def test_nothing_that_is_typed_is_a_mistake(place, text):
    place.find(text)
    assert parse(parse(text).text) == parse(text)


# What is found


def test_a_word_is_found_in_its_forms_and_the_title_counts_most(place):
    assert place.find("oceans")[:2] == ["twice", "run"]
    assert set(place.find("oceans")) == {"twice", "run", "bread", "cheval"}
    assert place.find("runs") == ["run"]


def test_each_item_is_stemmed_in_its_own_language(place):
    assert place.find("cheval", language="fr") == ["cheval"]
    assert place.find("running", language="fr") == []


def test_a_phrase_stands_as_it_is(place):
    assert place.find('"the ocean"') == ["run"]
    assert place.find('"ocean the"') == []
    assert place.find('bread "through the ocean"') == ["run"]


def test_a_minus_leaves_out(place):
    assert "run" not in place.find("ocean -running")
    assert place.find("-ocean") == []


def test_tags_are_words(place):
    assert place.find("animals", language="fr") == ["cheval"]
    assert place.find("sea")[0] == "run"


def test_filters_narrow_what_is_searched(place):
    assert set(place.find("ocean", conditions=[Between("length", 5, 50)])) == {"bread", "cheval"}
    assert place.find("ocean", conditions=[place.only("tags", "animals", "nothing")]) == ["cheval"]
    assert place.find("ocean", conditions=[place.only("language", "en")]) == ["run"]
    assert place.find("ocean", conditions=[OneOf("ok", np.array([1]))]) == ["run"]
    assert place.find("ocean", conditions=[OneOf("ok", np.array([0]))]) == ["twice"]
    new_year = 1_767_225_600_000_000
    assert place.find("ocean", conditions=[Between("up", new_year)]) == ["twice"]
    assert place.find("ocean", conditions=[Between("up", None, new_year)]) == ["bread"]
    assert place.find("ocean", conditions=[place.only("tags", "unheard of")]) == []
    assert place.find('"the ocean"', conditions=[Between("length", 2, 4)]) == ["run"]
    assert place.find('"the ocean"', conditions=[Between("length", 5)]) == []
    assert place.find("ocean -currents", conditions=[Between("length", 5)]) == place.find("ocean -currents -running")


def test_a_filter_never_thins_out_what_was_found(place):
    """k results come back whenever k items fit, however good the others are."""
    place.put(*({"video_id": f"good-{i}", "title": "ocean", "length": 1} for i in range(50)))
    place.put({"video_id": "last", "title": "a long title that names one ocean among very many words", "length": 77})
    assert "last" not in place.find("ocean", k=5)
    assert place.find("ocean", k=5, conditions=[Between("length", 70, 80)]) == ["last"]


def test_words_that_nearly_all_items_have_are_left_out_beside_rarer_ones(place):
    place.put(*({"video_id": f"the-{i}", "title": f"the thing number {i}"} for i in range(20)))
    assert place.find("the bread", k=100) == ["bread"]
    assert len(place.find("the", k=100)) == 22


# How it follows the log


def test_a_change_of_one_column_keeps_the_others(place):
    place.put({"video_id": "run", "length": 77})
    assert place.find("running", conditions=[Between("length", 70, 80)]) == ["run"]
    place.put({"video_id": "run", "title": "Walking"})
    assert place.find("running") == []
    assert place.find("walking", conditions=[Between("length", 70, 80)]) == ["run"]


def test_what_is_deleted_is_gone_and_can_come_back(place):
    place.put({"video_id": "run", "deleted": True})
    assert place.find("running") == []
    place.put({"video_id": "run", "title": "Running again"})
    assert place.find("running") == ["run"]


def test_one_process_writes_and_another_goes_on_after_it(place):
    other = LexicalFollower(place.log, place.folder, LAYOUT)
    other.catch_up(place.log.last_seq())
    assert (place.follower.writes, other.writes) == (True, False)
    place.put({"video_id": "new", "title": "zebra"})
    other.catch_up(place.log.last_seq())
    assert len(other.words.search(parse("zebra"), 5)[0]) == 1
    place.follower.close()
    other.catch_up(place.log.last_seq())
    assert other.writes
    other.close()


def test_until_it_has_caught_up_it_says_so(place):
    fresh = LexicalFollower(place.log, place.folder, Layout.of(VIDEO, {"title": 1.0}))
    with pytest.raises(Unavailable, match="words-not-ready"):
        _ = fresh.words
    assert len(whole(fresh, place.log.last_seq())) == len(ROWS)
    fresh.close()


def test_a_damaged_index_is_made_again_from_the_log(place):
    place.follower.close()
    folder = place.folder / "words" / LAYOUT.identity
    (folder / "meta.json").write_text("{")
    place.follower = LexicalFollower(place.log, place.folder, LAYOUT)
    whole(place.follower, place.log.last_seq())
    assert place.find("runs") == ["run"]


KILLED = """
import sys, pathlib
from test_retrieval_lexical import LAYOUT, chunk
from winnow.retrieval.lexical_writer import LexicalWriter
writer = LexicalWriter(pathlib.Path(sys.argv[1]), LAYOUT)
for batch in range(1_000_000):
    writer.take([chunk(batch)], seq=batch)
    print(batch, flush=True)
"""


def chunk(batch, each=20):
    rows = np.arange(each) + (batch % 50) * each  # from the 50th batch on rows change
    texts = [f"title{row} batch{batch}" for row in rows.tolist()]
    return Chunk("row", "video", {"row": rows, "seq": rows, "deleted": np.zeros(each, np.int64), "title": texts})


def test_after_a_kill_at_any_moment_it_goes_on_from_where_it_was(tmp_path):
    folder, rng = tmp_path / "index", np.random.default_rng(0)
    env = os.environ | {"PYTHONPATH": os.pathsep.join([os.path.dirname(__file__), *sys.path])}
    for _ in range(3):
        child = subprocess.Popen([sys.executable, "-c", KILLED, str(folder)], stdout=subprocess.PIPE, env=env)
        child.stdout.readline()
        time.sleep(float(rng.uniform(0.05, 0.5)))
        child.send_signal(signal.SIGKILL)
        child.communicate()
    told = position(folder)
    assert told >= 0
    writer = LexicalWriter(folder, LAYOUT)
    for batch in range(told + 1, told + 3):
        writer.take([chunk(batch)], seq=batch)
    writer.close()
    words = LexicalIndex(folder, LAYOUT).words
    for row in range(0, min((told + 1) * 20, 1_000), 37):
        assert words.search(parse(f"title{row}"), 5)[0].tolist() == [row]
    assert len(words.search(parse(f"batch{told + 2}"), 100)[0]) == 20
