"""Importers: a mapping of any file, and the two public data sets where they are at hand."""

import os
from pathlib import Path

import polars as pl
import pytest

from winnow.core.errors import InputError, NotFound
from winnow.core.time import parse_time
from winnow.data.history import History
from winnow.data.importers import KuaiRand, Mapped, MovieLens, load
from winnow.data.intake import Intake
from winnow.data.log import SqliteLog
from winnow.data.schema import Events, Table, categories, category, flag, number, text, time

DATA = Path(os.environ.get("WINNOW_DATA", Path(__file__).resolve().parents[4] / "shared" / "data"))

user = Table("user", key="user_id", columns={"activity": category, "register_days": number})
video = Table("video", key="video_id", columns={
    "author": category, "tags": categories, "duration_s": number(at_least=0), "uploaded_at": time, "title": text,
    "kind": category, "available": flag,
})  # fmt: skip
both = {"user": user, "video": video}
names = ("click", "like", "follow", "comment", "share", "hide")
events = {n: Events(n, refs=both) for n in names} | {
    "impression": Events("impression", refs=both, fields={"surface": category, "position": number}),
    "watch": Events("watch", refs=both, fields={"seconds": number(at_least=0), "long": flag}),
}


@pytest.fixture
def log(tmp_path):
    log = SqliteLog(tmp_path / "truth.db")
    yield log
    log.close()


@pytest.fixture
def intake(log):
    return Intake(log, both, events)


@pytest.fixture
def history(tmp_path, log):
    history = History(tmp_path / "history", both, events)

    def synced():
        history.sync(log)
        return history

    return synced


MAPPING = """
[[table]]
name = "video"
file = "items.csv"
time = { value = "2024-01-01" }

[table.columns]
video_id = "id"
title = "name"
tags = { column = "genres", split = "|" }
available = "on"
uploaded_at = "up"

[[event]]
name = "watch"
file = "log-*.csv"
time = { column = "ts", unit = "ms" }
id = ["uid", "vid", "ts"]
where = { action = ["play", "replay"] }
columns = { user = "uid", video = "vid", seconds = { column = "dur_ms", scale = 0.001 }, long = "long" }

[[event]]
name = "click"
file = "clicks.parquet"
time = { column = "when", unit = "s" }
id = ["key"]
columns = { user = "u", video = { value = "v1" } }
"""


@pytest.fixture
def files(tmp_path):
    folder = tmp_path / "in"
    folder.mkdir()
    (folder / "map.toml").write_text(MAPPING)
    (folder / "items.csv").write_text(
        "id,name,genres,on,up\nv1,One,a|b,1,2024-03-01T00:00:00Z\nv2,,,no,\nv3,Three,c,maybe,soon\n"
    )
    head = "uid,vid,ts,dur_ms,long,action\n"
    (folder / "log-1.csv").write_text(head + "u1,v1,1704067200000,1500,true,play\nu1,v2,1704067201000,5,1,skip\n")
    (folder / "log-2.csv").write_text(head + "u2,v1,1704067202000,-5,0,replay\nu3,v1,1704067203000,,,play\n")
    pl.DataFrame({"key": [1, 2], "u": ["u1", "u9"], "when": [1704067205.5, 1704067206.0]}).write_parquet(
        folder / "clicks.parquet"
    )
    return folder


def kinds(intake):
    return {name: intake.kinds(name) for name in (*both, *events)}


def test_any_file_by_a_mapping(files, intake, history, log):
    told = []
    mapped = Mapped.read(files / "map.toml", kinds(intake))
    summary = load(mapped, files, intake, progress=lambda *seen: told.append(seen))
    counts = {r["name"]: (r["accepted"], r["quarantined"]) for r in summary.rows()}
    assert counts == {"video": (2, 1), "watch": (2, 1), "click": (2, 0)}
    assert told[-1] == ("click", 2, None)
    assert [p.code for p in summary.total.problems] == ["wrong-type", "below-minimum"]
    video = history().decoded("video", log.ids)
    assert video["title"].to_list() == ["One", ""]
    assert video["tags"].to_list() == [["a", "b"], []]
    assert video["available"].to_list() == [1, 0]
    watch = history().events("watch").collect()
    assert watch["at"].to_list() == [parse_time("2024-01-01"), parse_time("2024-01-01T00:00:03")]
    assert watch["seconds"].to_list() == pytest.approx([1.5, float("nan")], nan_ok=True)
    assert watch["long"].to_list() == [1, -1]
    assert history().events("click").collect()["at"][0] == parse_time("2024-01-01T00:00:05.5")


def test_importing_twice_adds_nothing(files, intake, log):
    mapped = Mapped.read(files / "map.toml", kinds(intake))
    load(mapped, files, intake, progress=False)
    before = log.last_seq()
    again = load(mapped, files, intake, progress=False)
    assert (again.total.accepted, log.last_seq()) == (0, before)


@pytest.mark.parametrize(
    ("change", "hint"),
    [
        (('file = "items.csv"', 'file = "items.csv"\ncolour = 1'), "colour"),
        (('"uid"', '"person"'), "person"),
        (('unit = "ms"', 'unit = "weeks"'), "weeks"),
        (('id = ["key"]\n', ""), "has no `id`"),
        (("[[table]]", "[[table"), "wrong"),
    ],
)
def test_mistakes_in_a_mapping_are_told(files, intake, change, hint):
    (files / "map.toml").write_text(MAPPING.replace(*change))
    with pytest.raises(InputError, match=hint) as error:
        load(Mapped.read(files / "map.toml", kinds(intake)), files, intake, progress=False)
    assert error.value.code == "bad-mapping"


def test_missing_files_and_undeclared_things_are_told(tmp_path, files, intake, log):
    with pytest.raises(NotFound, match="no-such-path"):
        load(KuaiRand(), tmp_path / "nowhere", intake)
    with pytest.raises(NotFound, match=r"user_features\*\.csv"):
        load(KuaiRand(), files, intake, progress=False)
    bare = Intake(log, {}, {"other": Events("other", refs=both)})
    with pytest.raises(InputError, match="nothing-declared"):
        load(Mapped.read(files / "map.toml", {}), files, bare, progress=False)


def kuairand_files(folder):
    pl.DataFrame({
        "user_id": [0], "user_active_degree": ["full_active"], "is_video_author": [1],
        "follow_user_num_range": ["500+"], "fans_user_num_range": ["0"],
        "friend_user_num_range": ["0"], "register_days": [7],
    }).write_csv(folder / "user_features_pure.csv")  # fmt: skip
    pl.DataFrame({
        "video_id": [5], "author_id": [9], "video_type": ["NORMAL"], "upload_dt": ["2022-04-10"],
        "visible_status": [0.0], "video_duration": [2500.0], "music_id": [1], "tag": ["3,4"],
    }).write_csv(folder / "video_features_basic_pure.csv")  # fmt: skip
    log = {"user_id": [0, 0], "video_id": [5, 5], "time_ms": [1650900000000, 1650900001000], "tab": [1, 1],
           "play_time_ms": [0, 3000], "long_view": [0, 1], "is_click": [0, 1], "is_like": [0, 0], "is_follow": [0, 0],
           "is_comment": [0, 0], "is_forward": [0, 1], "is_hate": [0, 0]}  # fmt: skip
    pl.DataFrame({k: [*v, v[1]] for k, v in log.items()}).write_csv(folder / "log_standard_4_22_to_5_08_pure.csv")
    pl.DataFrame({
        "user_id": [0], "last_time_ms": [1650700000000], "watch_seq": [[5, 6]], "like_seq": [[6]],
        "long_watch_seq": [[6]],
    }).write_parquet(folder / "user_histories.parquet")  # fmt: skip


def test_kuairand_files_become_tables_and_events(tmp_path, intake, history, log):
    kuairand_files(tmp_path)
    summary = load(KuaiRand(), tmp_path, intake, progress=False)
    counts = {r["name"]: (r["accepted"], r["duplicates"]) for r in summary.rows()}
    assert counts["impression"] == (2, 1)
    assert counts["click"] == (1, 1)
    assert counts["share"] == (1, 1)
    assert set(summary.left_out) >= {"video.music", "user.creator"}
    watch = history().decoded("watch", log.ids)
    assert watch["video"].to_list() == ["5", "6", "5"]
    assert watch["long"].to_list() == [0, 1, 1]
    assert watch["seconds"].to_list() == pytest.approx([float("nan")] * 2 + [3.0], nan_ok=True)
    assert [t.timestamp() for t in watch["at"]] == [1650699999.0, 1650700000.0, 1650900001.0]
    video = history().decoded("video", log.ids)
    assert video.select("author", "duration_s", "available", "tags").row(0) == ("9", 2.5, 1, ["3", "4"])
    assert video["uploaded_at"][0].timestamp() == parse_time("2022-04-10T00:00:00+08:00") / 1e6


def test_movielens_files_become_tables_and_events(tmp_path, intake, history, log):
    films = 'movieId,title,genres\n1,Up (2009),A|B\n2,Old (1931),(no genres listed)\n3,"No, year",C\n'
    (tmp_path / "movies.csv").write_text(films)
    (tmp_path / "ratings.csv").write_text(
        "userId,movieId,rating,timestamp\n1,1,4.5,1000000000\n1,2,4.0,1000000001\n2,3,1,1000000002\n"
    )
    summary = load(MovieLens(), tmp_path, intake, progress=False)
    counts = {r["name"]: r["accepted"] for r in summary.rows()}
    assert counts == {"video": 3, "impression": 3, "click": 3, "watch": 3, "like": 1}
    video = history().decoded("video", log.ids)
    assert video["tags"].to_list() == [["A", "B"], [], ["C"]]
    assert [t and t.year for t in video["uploaded_at"]] == [2009, 1931, None]
    assert history().events("watch").collect()["long"].to_list() == [1, 1, 0]


def folder_of(name):
    folder = DATA / name
    if not folder.is_dir():
        pytest.skip(f"the data set `{name}` is not at hand: set WINNOW_DATA to the folder that holds it")
    return folder


@pytest.mark.data
def test_kuairand_real(intake, history, log):
    folder = folder_of("kuairand")
    summary = load(KuaiRand(), folder, intake, progress=False)
    counts = {r["name"]: (r["accepted"], r["duplicates"], r["quarantined"]) for r in summary.rows()}
    assert counts["user"] == (27_285, 0, 0)
    assert counts["video"] == (7_583, 0, 0)
    assert counts["impression"] == (91_805, 2_979, 0)  # 94,784 lines, of which 2,979 stand there twice
    assert summary.total.quarantined == 0
    before = history().events("watch").collect().filter(pl.col("seconds").is_nan())
    assert before["at"].max() < parse_time("2022-04-25T00:00:00+08:00")


@pytest.mark.data
def test_movielens_real(intake):
    summary = load(MovieLens(), folder_of("movielens_small"), intake, progress=False)
    assert {r["name"]: r["accepted"] for r in summary.rows()}["click"] == 100_836
