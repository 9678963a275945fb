"""Talks come in as videos to be searched."""

import pytest

import winnow as w
from winnow.core.errors import InputError
from winnow.data.importers import load
from winnow.data.importers.talks import Talks, talks
from winnow.data.intake import Intake
from winnow.data.log import SqliteLog

TABLE = """title,description,tags,speaker,duration,published_date,url
 A first talk ,About bread.,"['baking', 'slow food']",Ada Rye,600,1151367060,https://example.org/talks/ada_first
Another,,"science,space",Bo Oat,,1160000000,https://example.org/talks/bo_other
"""
VIDEO = w.Table("video", key="video_id", columns={
    "title": w.text, "description": w.text, "tags": w.categories, "speaker": w.category, "language": w.category,
    "duration_s": w.number, "published_at": w.time, "available": w.flag,
})  # fmt: skip


@pytest.fixture
def path(tmp_path):
    (tmp_path / "talks.csv").write_text(TABLE)
    return tmp_path


def test_a_table_becomes_videos(path):
    first, other = talks(path / "talks.csv").to_dicts()
    assert (first["video_id"], first["title"], first["tags"]) == ("ada_first", "A first talk", ["baking", "slow food"])
    assert (first["duration_s"], first["published_at"].year) == (600.0, 2006)
    assert (other["tags"], other["duration_s"]) == (["science", "space"], None)


def test_they_land_in_the_log_once(path):
    log = SqliteLog(path / "truth.db")
    intake = Intake(log, {"video": VIDEO}, {})
    assert load(Talks(), path, intake, progress=False).total.accepted == 2
    again = load(Talks(), path, intake, progress=False).total
    assert (again.accepted, again.duplicates) == (0, 2)
    log.close()


def test_a_table_of_something_else_is_refused(tmp_path):
    (tmp_path / "a.csv").write_text("name,age\nx,1\n")
    with pytest.raises(InputError, match=r"no column `title`.*\[wrong-columns\]"):
        talks(tmp_path / "a.csv")
