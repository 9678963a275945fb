"""Clips come in by API and from a folder, are found by text, and the moment that suits it best comes back."""

import re
import sys
import time
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("av", reason="pip install 'winnow-engine[video]'")
sys.path.append(str(Path(__file__).parents[1] / "unit" / "media"))

from video_samples import clip

from winnow.core.errors import InputError, NotFound
from winnow.core.time import now_us
from winnow.media.video_reel import Reel, chosen
from winnow.project import Project
from winnow.serving.clips import moments, shown, watched

SYSTEM = """
import winnow as w
from winnow import days, hours, labels, ms, sources

query = w.Table("query", key="query_id", columns={"text": w.text})
clip = w.Table("clip", key="clip_id", columns={
    "file": w.video, "kind": w.category, "duration_s": w.number(at_least=0), "width": w.number, "height": w.number,
    "uploaded_at": w.time, "look": w.category})
both = {"query": query, "clip": clip}
seen = w.Events("impression", refs=both, fields={"surface": w.category, "position": w.number(at_least=0)})
click = w.Events("click", refs=both)
text = w.embed(query.text, encoder=w.HashedWords(size=256), size=256)
frames = w.embed(clip.file, encoder=w.Frames(frames=4), size=4 * w.ColourGrid().size)
model = dict(embedding_size=16, epochs=40, batch_size=64, learning_rate=5e-3, components=24, dropout=0.0)
system = w.System(
    "clips", w.Frame(business="people find the clip they mean", predict="what a text describes", p99=ms(500)),
    w.Labels(of=seen, within=hours(1), heads={"click": labels.any(click)}), [],
    retrieval=w.Ladder(L0=w.Popularity(), L1=w.Popularity(),
                       L2=w.TextVideo(text, frames, pool="attention", **model)),
    pipeline=w.Pipeline(sources=[sources.Nearest(limit=20)], candidates=20, size=5), retrain=w.Retrain(every=days(7)),
)
"""
COLOURS = ("red", "green", "blue", "grey")
DAY = 86_400_000_000


def two(first, second, *, each=5):
    """A clip of two scenes."""
    return clip([first, second], each=each, gop=each, size=(96, 64))


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """Clips of one colour and the words that people asked with before they clicked on them, trained and promoted."""
    root = tmp_path_factory.mktemp("clips")
    (root / "shop" / "systems").mkdir(parents=True)
    (root / "shop" / "systems" / "clips.py").write_text(SYSTEM)
    (root / "shop" / "winnow.toml").write_text("")
    for colour in COLOURS:
        (root / "films" / colour).mkdir(parents=True)
        for number in range(4):
            size = (96 + 16 * number, 64)
            (root / "films" / colour / f"{number}.mp4").write_bytes(clip([colour], each=4 + number, size=size))
    with Project(root / "shop") as project:
        start = now_us() - 12 * DAY
        for file in sorted((root / "films").rglob("[0-9].mp4")):  # as they would have come twelve days ago
            taken = project.collection.clips.take(file.read_bytes())
            row = {"clip_id": file.relative_to(root / "films").with_suffix("").as_posix(), "file": taken.file}
            row |= {"uploaded_at": start - DAY, "width": taken.width, "height": taken.height}
            assert project.intake.rows("clip", [row | {"changed_at": start - DAY}], backfill=True).accepted == 1
        _asked(project, start)
        outcome = project.train("clips", promote=True, threads=1)
        assert outcome is not None
        yield project


def _asked(project, start):
    """Ten days in which people asked for a colour and clicked on a clip of it."""
    rng = np.random.default_rng(0)
    texts = [f"{word} {c} {noun}" for c in COLOURS for word in ("a", "the", "very") for noun in ("clip", "thing")]
    texts = [text for text in texts if not re.fullmatch("very .* thing", text)]  # what the tests ask for
    asking = [{"query_id": f"q{i}", "text": text, "changed_at": start} for i, text in enumerate(texts)]
    project.intake.rows("query", asking, backfill=True)
    events = {"impression": [], "click": []}
    for number in range(400):
        place = int(rng.integers(len(texts)))
        colour, at = texts[place].split()[1], start + number * DAY // 40
        row = {"query": f"q{place}", "clip": f"{colour}/{rng.integers(4)}", "at": at}
        events["impression"].append(row | {"event_id": f"i{number}", "surface": "search", "position": 0})
        events["click"].append(row | {"event_id": f"c{number}", "at": at + 1000})
    for kind, rows in events.items():
        receipt = project.intake.events([{"type": kind} | row for row in rows], backfill=True)
        assert receipt.accepted == len(rows), receipt.problems


def asked(project, text, key, *, found):
    """The reply to a text that nobody has sent before, once its row is seen and the reply is as it should be."""
    project.intake.rows("query", [{"query_id": key, "text": text}])
    return _until(lambda: project.runtime.rank("clips", {"user": key, "size": 5}), found)


def _until(make, holds, seconds=30):
    began = time.monotonic()
    while not holds(found := make()):
        assert time.monotonic() - began < seconds
        time.sleep(0.05)
    return found


@pytest.mark.parametrize("colour", COLOURS)
def test_a_text_finds_its_clips(project, colour):
    def kinds(reply):
        return [item["id"].split("/")[0] for item in reply["items"][:4]]

    asked(project, f"very {colour} thing", f"new-{colour}", found=lambda reply: kinds(reply) == [colour] * 4)


def test_a_clip_is_found_soon_after_it_came_and_says_when_it_shows_what_was_asked_for(project):
    desk, table = project.runtime.desk("clips"), project.tables["clip"]
    began = time.monotonic()
    assert project.collection.put(table, "new/two", two("grey", "green"), columns={"kind": "two"}).accepted == 1
    reply = _until(
        lambda: project.runtime.rank("clips", {"user": "new-green", "size": 20}),
        lambda found: "new/two" in [item["id"] for item in found["items"]],
    )
    assert time.monotonic() - began < 60
    rows = project.log.ids.rows("clip", [item["id"] for item in reply["items"]])
    query = _query(project, "new-green")
    at = dict(zip([item["id"] for item in reply["items"]], moments(desk.clips, rows, query, desk.kit), strict=True))
    assert at["new/two"] >= 0.5  # the second scene
    early = moments(desk.clips, rows, _query(project, "new-grey"), desk.kit)[list(at).index("new/two")]
    assert early < 0.5
    assert np.isfinite(list(at.values())).all()


def _query(project, key):
    from winnow.serving.hydrate import hydrate
    from winnow.serving.request import RankRequest

    return hydrate(RankRequest(user=key), project.runtime.desk("clips").kit, project.log.ids)


def test_frames_can_be_looked_at_and_columns_are_set(project):
    desk = project.runtime.desk("clips")
    project.collection.put(project.tables["clip"], "new/seen", two("red", "blue"), columns={})
    _until(lambda: desk.row("new/seen"), lambda row: row >= 0 and project.log.ids.size("clip") > row)
    row = _until(lambda: _shown(desk, "new/seen"), lambda row: row is not None)
    seen = [desk.clips.clips.gallery.decode(watched(desk).thumbnail(row, at)) for at in (0.0, 0.9)]
    assert [int(frame.mean(axis=(0, 1)).argmax()) for frame in seen] == [0, 2]  # more red, then more blue
    assert desk.clips.thumbnail(row)[:2] == b"\xff\xd8"
    assert desk.clips.thumbnail(row, side=32) != desk.clips.thumbnail(row)


def _shown(desk, key):
    desk.catch_up()
    try:
        row = shown(desk, key)
        desk.clips.file(row)
        return row
    except NotFound:
        return None


def test_what_is_no_clip_leaves_no_row(project):
    with pytest.raises(InputError) as caught:
        project.collection.put(project.tables["clip"], "bad", b"nothing", columns={})
    assert caught.value.code == "video-unreadable"
    assert int(project.log.ids.rows("clip", ["bad"])[0]) == -1
    with pytest.raises(NotFound) as missing:
        shown(project.runtime.desk("clips"), "bad")
    assert missing.value.code == "unknown-video"


def test_a_folder_of_clips(project, tmp_path):
    (tmp_path / "red").mkdir()
    (tmp_path / "red" / "a.mp4").write_bytes(clip(["red"], each=3))
    (tmp_path / "red" / "broken.avi").write_bytes(b"RIFF nothing")
    (tmp_path / "red" / "notes.txt").write_text("none of these")
    told = project.import_data("videos", tmp_path, progress=False)
    assert (told.total.accepted, told.total.refused) == (1, 1)
    assert "video-unreadable" in {problem.code for problem in told.total.problems}


def test_nothing_of_the_file_is_kept_but_frames(project):
    file = project.collection.clips.take(clip(["red", "blue"], sound=True)).file
    data = project.collection.gallery.read(file)
    assert b"ftyp" not in data
    reel = Reel.open(data)
    assert (np.diff(reel.times) > 0).all()
    assert chosen(reel, 2) == sorted(chosen(reel, 2))
    assert project.collection.clips.take(clip(["red", "blue"], sound=True)).file.startswith("videos/")


def test_a_damaged_reel_is_an_error_and_no_crash():
    for data in (b"", b"PK\x05\x06" + bytes(18), b"nothing"):
        with pytest.raises(InputError):
            Reel.open(data)


def test_by_http(project):
    from fastapi.testclient import TestClient

    from winnow.http.app import create
    from winnow.http.keys import create as new_key

    headers = {"X-API-Key": new_key(project.folder, "tests")}
    other = Project(project.folder)  # the service closes its log in the end
    with TestClient(create(other), headers=headers, raise_server_exceptions=False) as client:
        route = "/v1/systems/clips/videos"
        sent = client.put(route, params={"id": "http/one", "kind": "sent"}, content=two("red", "blue"))
        assert (sent.status_code, sent.json()) == (200, {"id": "http/one", "accepted": 1})
        frame = _until(lambda: client.get(route, params={"id": "http/one", "at": 0.9}), lambda r: r.status_code == 200)
        assert frame.headers["content-type"] == "image/jpeg"
        assert client.get(route, params={"id": "nobody"}).json()["error"]["code"] == "unknown-video"
        bad = client.put(route, params={"id": "http/two"}, content=b"nothing")
        assert (bad.status_code, bad.json()["error"]["code"]) == (400, "video-unreadable")
        odd = client.put(route, params={"id": "http/two", "file": "../truth.db"}, content=two("red", "blue"))
        assert odd.json()["error"]["code"] == "unknown-field"
