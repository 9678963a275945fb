"""Visual search through its life: pictures in, train, serve, change, learn from clicks, change the encoder."""

import base64
import dataclasses
import io
import re
import shutil
import threading
import time

import numpy as np
import polars as pl
import pytest

from winnow.core.errors import InputError, NotFound, WinnowError
from winnow.core.loading import load
from winnow.core.time import hours, now_us, to_us
from winnow.evaluation.report import pick
from winnow.project import Project
from winnow.serving.hydrate import hydrate
from winnow.serving.request import RankRequest
from winnow.serving.search import SearchRequest
from winnow.simulation import shapes

NAME = "visual_search"
EACH = 25
LADDER = "retrieval = w.Ladder(L0=w.Looks(), L1=w.Looks(side=32), L2=w.Looks(side=48))"


def quick(folder, ladder=LADDER):
    """The system in the box with a ladder that trains in no time."""
    (file,) = Project(folder).system_files
    text = re.sub(r"retrieval = w\.Ladder\(.*\)", ladder, file.read_text())
    file.write_text(text.replace("p99=ms(200)", "p99=ms(2000)"))
    return Project(folder)


@pytest.fixture(scope="module")
def grown(tmp_path_factory):
    """A trained project; not to be changed."""
    folder = tmp_path_factory.mktemp("pictures")
    shapes.write(folder / "shapes", EACH)
    Project.init(folder / "shop", NAME)
    project = quick(folder / "shop")
    project.import_data("pictures", folder / "shapes", progress=False)
    project.train(NAME)
    project.log.close()
    return folder / "shop"


@pytest.fixture
def project(grown, tmp_path):
    shutil.copytree(grown, tmp_path / "shop")
    project = Project(tmp_path / "shop")
    yield project
    project.close()


def found(project, *, size=5, **asked):
    return [item["id"] for item in project.search(NAME, size=size, **asked)["items"]]


def eventually(test, seconds=10.0):
    start = time.monotonic()
    while not (result := test()):
        assert time.monotonic() - start < seconds, "waited too long"
        time.sleep(0.01)
    return time.monotonic() - start, result


def a_new_one(kind="ring", seed=999, form="JPEG"):
    return shapes.encoded(shapes.picture(kind, seed), form)


def a_bomb():
    """A few bytes that would be 144 million pixels."""
    from PIL import Image

    out = io.BytesIO()
    Image.new("1", (12_000, 12_000)).save(out, "PNG")
    return out.getvalue()


def put(project, key, data, **columns):
    assert project.collection.put(project.tables["image"], key, data, columns=columns).accepted == 1


# The declaration


def test_the_system_in_the_box_is_sound_and_short(grown, tmp_path):
    project = Project.init(tmp_path / "p", NAME)
    (file,) = project.system_files
    assert not load(file).find_problems()
    assert len(file.read_text().splitlines()) <= 120


@pytest.mark.parametrize(
    ("old", "new", "code"),
    [
        ("relevance=image.kind", "relevance=image.width", "bad-relevance"),
        ("relevance=image.kind", "relevance=seen.surface", "bad-relevance"),
        ("sources=[", "value=w.Weighted(click=1), sources=[", "unpredicted-head"),
        ("retrieval=retrieval, relevance", "relevance", "no-models"),
        ("policy.Unless(image.unsafe)", "policy.Unless(image.kind)", "bad-column"),
        ("slate.Collapse(image.look)", "slate.Collapse(image.tags)", "bad-column"),
        ("slate.Collapse(image.look)", "slate.Collapse(image.look, within=2)", "bad-nearness"),
    ],
)
def test_a_mistake_is_found(tmp_path, old, new, code):
    (file,) = Project.init(tmp_path / "p", NAME).system_files
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new))
    assert code in {p.code for p in load(file).find_problems()}


# Evaluation


def test_every_rung_is_judged_with_intervals_and_again_to_the_last_digit(project):
    records = project.evaluate(NAME)
    assert {r["rung"] for r in records} == {"L0", "L1", "L2"}
    for metric in ("precision@10", "map", "recall@100", "ndcg@10"):
        for record in pick(records, metric=metric, head="kind"):
            assert 0 <= record["low"] <= record["value"] <= record["high"] <= 1
            assert record["n"] > 10
    assert project.evaluate(NAME) == records


def test_like_finds_like_better_than_chance(project):
    for record in pick(project.evaluate(NAME), metric="map"):
        assert record["value"] > 1.2 / len(shapes.KINDS)


@pytest.mark.heavy
def test_a_trained_rung_finds_twice_as_much_as_looks(grown, tmp_path):
    """Shapes of random colours: what they look like from afar says little, their kinds can be learned."""
    shutil.copytree(grown, tmp_path / "shop")
    shapes.write(tmp_path / "more", 2 * EACH)
    learned = "L1=w.ContrastivePictures(side=32, epochs=4), L2=w.MetricPictures(side=32, epochs=12))"
    project = quick(tmp_path / "shop", f"retrieval = w.Ladder(L0=w.Looks(), {learned}")
    project.import_data("pictures", tmp_path / "more", progress=False)
    outcome = project.train(NAME)
    map_of = {r["rung"]: r["value"] for r in pick(outcome.records, metric="map", head="kind")}
    assert map_of["L2"] >= 2 * map_of["L0"]
    assert outcome.verdict.passed
    reply = project.search(NAME, id="ring/ring-001", size=10)
    assert len(reply["items"]) == 10
    project.collection.close()
    project.runtime.close()
    project.log.close()


# Searching


def test_an_upload_finds_the_picture_it_is(project):
    data = shapes.encoded(shapes.picture("cross", 7), "JPEG")
    reply = project.search(NAME, picture=base64.b64encode(data).decode())
    assert reply["items"][0]["id"] == "cross/cross-007"
    assert reply["items"][0]["score"] > 0.95
    assert reply["query"].startswith("upload-")
    assert not reply["degraded"]
    assert reply["items"][0]["thumbnail"] == "/v1/systems/visual_search/pictures?id=cross%2Fcross-007"


def test_a_picture_of_the_collection_finds_others_and_never_itself(project):
    ids = found(project, id="disc/disc-001", size=100)
    assert len(ids) == 100
    assert len(set(ids)) == 100
    assert "disc/disc-001" not in ids
    sent = base64.b64encode(shapes.encoded(shapes.picture("disc", 1))).decode()
    other = found(project, picture=sent, size=100)
    assert other[0] == "disc/disc-001"
    assert len(set(other[:51]) & set(ids[:50])) >= 45  # what is kept is a JPEG, what was sent is not


def test_a_box_searches_for_the_part(project):
    whole = shapes.picture("square", 3)
    side = np.concatenate([whole, shapes.picture("stripes", 4)], axis=1)
    data = base64.b64encode(shapes.encoded(side)).decode()
    assert found(project, picture=data, box=[0, 0, 0.5, 1])[0] == "square/square-003"
    assert found(project, picture=data, box=[0.5, 0, 1, 1])[0] == "stripes/stripes-004"
    part = found(project, id="square/square-003", box=[0, 0, 0.5, 0.5], size=30)
    assert part != found(project, id="square/square-003", size=30)
    assert "square/square-003" not in part


def test_filters_and_explanations_work_as_in_any_list(project):
    reply = project.search(NAME, id="ring/ring-001", filter={"kind": ["disc", "dots"]}, explain=True, size=5)
    assert {item["id"].split("/")[0] for item in reply["items"]} <= {"disc", "dots"}
    stages = [(s["kind"], s["name"]) for s in reply["explanation"]["stages"]]
    wanted = [("source", "Nearest"), ("slate", "Collapse"), ("policy", "Unless private"), ("policy", "Unless unsafe")]
    assert [s for s in stages if s in wanted[:2]] == wanted[:2]
    assert set(wanted) <= set(stages)
    first = reply["explanation"]["items"][0]
    assert first["heads"]["score"] == pytest.approx(first["value"])
    assert reply["items"][0]["reasons"][0]["text"] == "looks like it"


@pytest.mark.parametrize(
    ("asked", "error", "code"),
    [
        ({"id": "nobody"}, NotFound, "unknown-picture"),
        ({}, InputError, "bad-request"),
        ({"id": "ring/ring-001", "picture": base64.b64encode(a_new_one()).decode()}, InputError, "bad-request"),
        ({"id": "ring/ring-001", "box": [0.5, 0, 0.2, 1]}, InputError, "bad-box"),
        ({"id": "ring/ring-001", "box": [0, 1]}, InputError, "bad-request"),
        ({"id": "ring/ring-001", "filter": {"king": "x"}}, InputError, "unknown-column"),
        ({"id": "ring/ring-001", "sice": 3}, InputError, "bad-request"),
        ({"picture": base64.b64encode(b"%PDF-1.7").decode()}, InputError, "image-unreadable"),
    ],
)
def test_a_bad_request_says_what_is_wrong(project, asked, error, code):
    with pytest.raises(error, match=code):
        project.search(NAME, **asked)


def test_the_command_searches_by_file_and_by_id(project, tmp_path, capsys):
    import json

    from winnow.cli.app import app

    file = tmp_path / "mine.jpg"
    file.write_bytes(shapes.encoded(shapes.picture("cross", 7), "JPEG"))
    for command in (f"{file} --box 0,0,1,1", "--id cross/cross-007"):
        with pytest.raises(SystemExit, match="0"):
            app(["search", NAME, *command.split(), "--size", "3", "--project", str(project.folder), "--json"])
        reply = json.loads(capsys.readouterr().out)
        assert len(reply["items"]) == 3
        assert (reply["items"][0]["id"] == "cross/cross-007") == ("--id" not in command)
    for command, code in (("nope.jpg", "no-such-path"), ("--id x --box left", "bad-box")):
        with pytest.raises(WinnowError, match=code):
            app(["search", NAME, *command.split(), "--project", str(project.folder)])


# Pictures come and go


def test_a_new_picture_is_found_within_a_second_and_a_deleted_one_gone(project):
    data = a_new_one()
    sent = base64.b64encode(data).decode()
    assert "new" not in found(project, picture=sent)
    put(project, "new", data, kind="ring")
    seconds, _ = eventually(lambda: found(project, picture=sent)[0] == "new")
    assert seconds < 1
    put(project, "new", a_new_one("stripes", 998))  # another picture under the same id
    assert eventually(lambda: "new" not in found(project, picture=sent, size=1))[0] < 1
    project.intake.rows("image", [{"image_id": "new", "deleted": True}])
    assert eventually(lambda: "new" not in found(project, picture=sent, size=100))[0] < 1
    space = project.runtime.desk(NAME).kit.bundle.vectors
    assert eventually(lambda: int(project.log.ids.rows("image", ["new"])[0]) not in space.index)[0] < 1
    with pytest.raises(NotFound, match="unknown-picture"):
        project.search(NAME, id="new")


@pytest.mark.parametrize("flag", ["private", "unsafe"])
def test_what_its_owner_hides_is_gone_with_the_next_request(project, flag):
    first, *_ = found(project, id="dots/dots-002")
    project.intake.rows("image", [{"image_id": first, flag: 1}])
    assert eventually(lambda: first not in found(project, id="dots/dots-002", size=100))[0] < 0.5
    with pytest.raises(NotFound, match="unknown-picture"):  # nor may one search by it
        project.search(NAME, id=first)
    project.intake.rows("image", [{"image_id": first, flag: 0}])
    assert eventually(lambda: found(project, id="dots/dots-002")[0] == first)[0] < 1


def test_a_picture_that_comes_again_stays_private(project, tmp_path):
    """Uploading or importing says nothing about privacy where somebody has said something."""
    data = a_new_one()
    sent = base64.b64encode(data).decode()
    project.intake.rows("image", [{"image_id": "mine", "private": 1}, {"image_id": "p1", "private": 1}])
    put(project, "mine", data)
    again = pl.DataFrame({"image_id": ["p1", "p2"], "picture": [data, a_new_one(seed=998)]})
    again.write_parquet(tmp_path / "a.parquet")
    project.import_data("pictures", tmp_path / "a.parquet", progress=False)
    said = {row["image_id"]: row["private"] for row in project.frame("image").to_dicts()}
    assert (said["mine"], said["p1"], said["p2"], said["ring/ring-001"]) == (1, 1, 0, 0)
    put(project, "other", a_new_one("dots", 996))
    eventually(lambda: "other" in found(project, picture=base64.b64encode(a_new_one("dots", 996)).decode()))
    assert not {"mine", "p1"} & set(found(project, picture=sent, size=100))
    project.intake.rows("image", [{"image_id": "mine", "deleted": True}])
    put(project, "mine", data)  # a new life of the row: nobody has said anything about it
    eventually(lambda: found(project, picture=sent)[0] == "mine")


def test_a_private_album_takes_no_place_of_others(project):
    """Of the nearest hundred ninety are hidden: a source that proposes thirty proposes thirty others."""
    near = found(project, id="dots/dots-002", size=100)
    project.intake.rows("image", [{"image_id": i, "private": 1} for i in near[:90]])
    desk = project.runtime.desk(NAME)
    few = dataclasses.replace(desk.system.pipeline.sources[0], limit=30)

    def proposed():
        query = hydrate(RankRequest(user="dots/dots-002"), desk.kit, project.log.ids)
        return project.log.ids.ids("image", few.propose(query, desk.kit)[0])

    eventually(lambda: not set(proposed()) & set(near[:90]))
    assert len(proposed()) == 30
    assert proposed()[:10] == near[90:]
    project.intake.rows("image", [{"image_id": near[0], "private": 0}])
    assert eventually(lambda: proposed()[0] == near[0])[0] < 1


def test_nothing_is_shown_when_privacy_cannot_be_told(project, monkeypatch):
    from winnow.serving.kit import Kit

    assert found(project, id="dots/dots-002")
    monkeypatch.setattr(Kit, "view", lambda *_: 1 / 0)
    with pytest.raises(NotFound):
        project.search(NAME, id="dots/dots-002")
    sent = base64.b64encode(a_new_one()).decode()
    told = project.search(NAME, picture=sent)
    assert told["items"] == []
    assert any(d["part"] == "Unless private" for d in told["degraded"])


def test_a_flood_of_near_duplicates_takes_one_place(project):
    rng = np.random.default_rng(5)
    scene = np.kron(rng.integers(0, 256, (6, 6, 3)), np.ones((32, 32, 1))).astype(np.uint8)
    for copy in range(6):
        data = shapes.encoded((scene * (1 - copy / 50)).astype(np.uint8), "JPEG" if copy % 2 else "PNG")
        put(project, f"copy-{copy}", data)
    sent = base64.b64encode(shapes.encoded(scene)).decode()
    eventually(lambda: found(project, picture=sent)[0].startswith("copy-"))
    rows = project.log.ids.rows("image", [f"copy-{copy}" for copy in range(6)])
    eventually(lambda: project.runtime.desk(NAME).kit.bundle.vectors.index.holds(rows).all())
    ids = found(project, picture=sent, size=100)
    assert sum(i.startswith("copy-") for i in ids) == 1


def test_pictures_that_cannot_be_read_are_counted_and_the_others_land(project, tmp_path):
    folder = tmp_path / "more"
    shapes.write(folder, 2)
    (folder / "ring" / "torn.jpg").write_bytes(a_new_one()[:300])
    (folder / "ring" / "none.png").write_bytes(b"")
    (folder / "notes.txt").write_text("no picture")
    told = project.import_data("pictures", folder, progress=False).to_data()
    (row,) = told["rows"]
    assert (row["accepted"], row["refused"]) == (2 * len(shapes.KINDS), 2)
    (problem,) = told["problems"]
    assert problem["code"] == "image-unreadable"
    assert "2 pictures" in problem["what"]
    assert problem["where"] == "ring/none"
    assert found(project, id="ring/ring-001")


def test_a_parquet_file_of_pictures_is_taken(project, tmp_path):
    rows = pl.DataFrame({
        "image_id": ["p1", "p2"], "picture": [a_new_one(), a_new_one(seed=998)], "kind": ["ring", None],
        "private": [0, 1],
    })  # fmt: skip
    rows.write_parquet(tmp_path / "pictures.parquet")
    assert project.import_data("pictures", tmp_path / "pictures.parquet", progress=False).total.accepted == 2
    sent = base64.b64encode(a_new_one()).decode()
    eventually(lambda: found(project, picture=sent)[0] == "p1")
    assert "p2" not in found(project, picture=base64.b64encode(a_new_one(seed=998)).decode(), size=100)


# Learning


def shown_and_clicked(project, *, lists, moment):
    """Somebody looks for pictures and clicks those of the same kind."""
    rng = np.random.default_rng(0)
    events = []
    for n in range(lists):
        kind = shapes.KINDS[n % len(shapes.KINDS)]
        query = f"{kind}/{kind}-{rng.integers(EACH):03d}"
        at = moment + n * to_us(hours(1)) // 4
        for place in range(5):
            other = shapes.KINDS[int(rng.integers(len(shapes.KINDS)))]
            image = f"{other}/{other}-{rng.integers(EACH):03d}"
            event = {"query": query, "image": image, "recommendation_id": f"r{n}"}
            events.append({"event_id": f"i{n}-{place}", "type": "impression", "at": at, "position": place, **event})
            if other == kind and image != query:
                events.append({"event_id": f"c{n}-{place}", "type": "click", "at": at + 10**6, **event})
    receipt = project.intake.events(events, backfill=True)
    assert receipt.accepted == len(events)


def test_clicks_become_pairs_to_learn_from_and_to_be_judged_by(project):
    from winnow.training import dataset

    shown_and_clicked(project, lists=400, moment=now_us() - to_us(hours(200)))
    outcome = project.train(NAME, seed=1)
    liked = pick(outcome.records, head="liked", metric="recall@100")
    assert {r["rung"] for r in liked} == {"L0", "L1", "L2"}
    assert all(r["n"] > 5 for r in liked)
    data = dataset.build(project, project.system(NAME), as_of=now_us())
    assert len(data.album.pairs) > 50
    kinds = {int(row): int(group) for row, group in zip(data.album.rows, data.album.groups, strict=True)}
    assert all(kinds[int(a)] == kinds[int(b)] for a, b in data.album.pairs)  # what was clicked, not what was shown
    verdict = outcome.verdict
    assert {(c.head, c.metric) for c in verdict.checks} == {("kind", "map"), ("liked", "map")}
    assert verdict.passed
    assert all(c.difference == 0 for c in verdict.checks)  # the same declaration again


def test_a_worse_encoder_does_not_pass_the_gate(project):
    """Its pictures are 2 pixels wide: it sees next to nothing."""
    changed = quick(project.folder, LADDER.replace("L2=w.Looks(side=48)", "L2=w.Looks(side=2)"))
    verdict = changed.train(NAME, promote=True).verdict
    assert not verdict.promoted
    assert "map is worse" in verdict.why


def test_a_change_of_encoder_mixes_no_answers(project):
    """Every answer during the change is wholly of one encoder, and the new one holds what came meanwhile."""
    sent = SearchRequest(picture=a_new_one(seed=997))
    runtime, replies, stop = project.runtime, [], threading.Event()
    before = runtime.search(NAME, sent)
    changed = quick(project.folder, LADDER.replace("L2=w.Looks(side=48)", "L2=w.Looks(side=64)"))
    release = changed.train(NAME, seed=2).verdict.candidate

    def ask():
        while not stop.is_set():
            replies.append(runtime.search(NAME, sent))

    put(project, "late", a_new_one(seed=997))  # after the release was made
    eventually(lambda: runtime.search(NAME, sent).items[0].id == "late")
    asking = threading.Thread(target=ask)
    asking.start()
    changed.promote(NAME, release, force=True)
    eventually(lambda: replies and replies[-1].release == release, 20)
    time.sleep(0.2)
    stop.set()
    asking.join()
    assert before.release != release
    by_release = {r.release: {i.id: i.score for i in r.items} for r in replies}
    assert set(by_release) == {before.release, release}
    for reply in replies:
        assert {i.id: i.score for i in reply.items} == by_release[reply.release]
        assert not reply.degraded
        assert reply.items[0].id == "late"
    versions = [project.registry.open(NAME, r).manifest.models["encoder"] for r in by_release]
    assert len(set(versions)) == 2
    changed.log.close()
    changed.registry.close()


def test_a_release_whose_index_is_of_another_encoder_is_not_served(project):
    from winnow.serving.bundle import load as bundle

    runtime = project.runtime
    files = runtime.desk(NAME).pictures
    release = project.registry.open(NAME, project.registry.champion(NAME))
    facts = release.folder / "retrieval" / "index" / "index.json"
    facts.write_text(re.sub(r'"encoder": "[0-9a-f]+"', '"encoder": "0123456789ab"', facts.read_text()))
    with pytest.raises(Exception, match="encoder-differs"):
        bundle(release, project.system(NAME), pictures=files)


def test_few_pictures_are_not_enough(tmp_path):
    Project.init(tmp_path / "p", NAME)
    project = quick(tmp_path / "p")
    shapes.write(tmp_path / "few", 1)
    project.import_data("pictures", tmp_path / "few", progress=False)
    with pytest.raises(InputError, match="too-few-pictures"):
        project.train(NAME)
    project.log.close()


# Over HTTP


@pytest.fixture(scope="module")
def client(grown, tmp_path_factory):
    """The service in this process, on a project of its own."""
    from starlette.testclient import TestClient

    from winnow.console import app as console
    from winnow.serving.ingester import Ingester

    folder = tmp_path_factory.mktemp("served") / "shop"
    shutil.copytree(grown, folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WINNOW_SERVER_AUTH", "off")
        project, stop = Project(folder), threading.Event()
        ingester = Ingester.of(project)
        thread = threading.Thread(target=ingester.run, args=(stop,), kwargs={"poll_s": 0.02})
        thread.start()
        with TestClient(console.create(project), base_url="http://localhost") as client:
            yield client
            stop.set()
            thread.join()
            ingester.close()
    project.collection.close()
    project.registry.close()


SEARCH, PICTURES = f"/v1/systems/{NAME}/search", f"/v1/systems/{NAME}/pictures"


def test_the_routes_take_pictures_in_search_and_show_them(client):
    from PIL import Image

    data = a_new_one()
    options = {"size": 3, "box": "[0, 0, 1, 1]", "filter": '{"kind": "ring"}'}
    reply = client.post(SEARCH, params=options, content=data, headers={"content-type": "image/jpeg"})
    assert reply.status_code == 200
    assert len(reply.json()["items"]) == 3
    made = client.put(PICTURES, params={"id": "a/new one", "kind": "ring", "tags": "x,y"}, content=data)
    assert made.json() == {"id": "a/new one", "accepted": 1}
    eventually(lambda: client.post(SEARCH, content=data).json()["items"][0]["id"] == "a/new one")
    first = client.post(SEARCH, content=data).json()["items"][0]
    small = client.get(first["thumbnail"])
    assert small.headers["content-type"] == "image/jpeg"
    assert "private" in small.headers["cache-control"]
    with Image.open(io.BytesIO(small.content)) as image:
        assert image.size == (96, 96)
    assert client.post(SEARCH, json={"id": "a/new one", "size": 2}).json()["query"] == "a/new one"
    client.put("/v1/tables/image", json=[{"image_id": "a/new one", "private": True}])
    eventually(lambda: client.get(first["thumbnail"]).status_code == 404)


@pytest.mark.parametrize(
    ("method", "path", "given", "told"),
    [
        ("POST", SEARCH, {"content": b"junk"}, "400 image-unreadable"),
        ("POST", SEARCH, {"content": b""}, "400 bad-request"),
        ("POST", SEARCH, {"json": {"id": "nobody"}}, "404 unknown-picture"),
        ("POST", SEARCH + "?box=left", {"content": a_new_one()}, "400 bad-request"),
        ("POST", "/v1/systems/other/search", {"content": a_new_one()}, "404 unknown-system"),
        ("PUT", PICTURES + "?id=x", {"content": b"<svg/>"}, "400 image-unreadable"),
        ("POST", SEARCH, {"content": a_bomb()}, "400 image-too-large"),
        ("PUT", PICTURES + "?id=x", {"content": a_bomb()}, "400 image-too-large"),
        ("PUT", PICTURES, {"content": a_new_one()}, "422 bad-request"),
        ("PUT", PICTURES + "?id=x&colour=red", {"content": a_new_one()}, "400 unknown-field"),
        ("PUT", PICTURES + "?id=x&file=../../etc/passwd", {"content": a_new_one()}, "400 unknown-field"),
        ("PUT", PICTURES + "?id=x&private=perhaps", {"content": a_new_one()}, "400 wrong-type"),
        ("PUT", PICTURES + "?id=x", {"content": bytes(26_000_000)}, "413 body-too-large"),
        ("GET", PICTURES + "?id=nobody", {}, "404 unknown-picture"),
    ],
)
def test_bad_requests_are_refused_with_the_reason(client, method, path, given, told):
    reply = client.request(method, path, **given)
    assert f"{reply.status_code} {reply.json()['error']['code']}" == told
    assert client.post(SEARCH, json={"id": "ring/ring-001"}).status_code == 200


def test_the_page_of_the_project_is_the_search(client):
    assert "Drop a picture here" in client.get("/").text
    assert "blob:" in client.get("/").headers["content-security-policy"]
