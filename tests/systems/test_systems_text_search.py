"""Text to video search through its life: import, train, serve, search, change, learn from what people chose."""

import re
import shutil
import time

import numpy as np
import pytest

from winnow.continual.skew import skew
from winnow.core.errors import InputError
from winnow.core.loading import load as declared
from winnow.core.time import now_us
from winnow.data.importers import load
from winnow.evaluation.report import pick
from winnow.project import Project
from winnow.simulation.importer import FILE, SearchImporter
from winnow.simulation.search_visitors import visit
from winnow.simulation.search_world import SearchSize, SearchWorld

NAME = "text_to_video_search"
SIZE = SearchSize(videos=300, texts=150, lists=900)


def quick(folder, serve="L2"):
    """The system in the box with an encoder and rungs that need no package and train in no time."""
    (file,) = Project(folder).system_files
    text = file.read_text().replace("w.MiniLM()", "w.HashedWords(size=384)").replace("p99=ms(200)", "p99=ms(3000)")
    near = "w.SameSpace(asked, items=(titled, told))"
    ladder = f"retrieval = w.Ladder(L0={near}, L1={near}, L2={near})"
    text = re.sub(r"retrieval = w\.Ladder\(.*?\n\)  # fmt: skip", ladder, text, flags=re.DOTALL)
    trees = f"L2=w.GradientBoosting(epochs=120), serve={serve!r}"
    file.write_text(text.replace("L2=w.GradientBoosting()", trees))
    return Project(folder)


@pytest.fixture(scope="module")
def world():
    return SearchWorld(SIZE, 1, now_us())


@pytest.fixture(scope="module")
def grown(tmp_path_factory, world):
    """A trained project; not to be changed."""
    folder = tmp_path_factory.mktemp("search") / "p"
    Project.init(folder, NAME)
    project = quick(folder)
    world.write(folder / FILE)
    assert not load(SearchImporter(), folder, project.intake, progress=False).total.quarantined
    project.train(NAME)
    project.log.close()
    return folder


@pytest.fixture
def project(grown, tmp_path):
    shutil.copytree(grown, tmp_path / "p")
    project = Project(tmp_path / "p")
    yield project
    project.close()


def found(project, text, *, size=10, **asked):
    return [item["id"] for item in project.search(NAME, text=text, size=size, **asked)["items"]]


def eventually(test, seconds=10.0):
    start = time.monotonic()
    while not test():
        assert time.monotonic() - start < seconds, "waited too long"
        time.sleep(0.02)
    return time.monotonic() - start


# The declaration


def test_the_system_in_the_box_is_sound_and_short(tmp_path):
    (file,) = Project.init(tmp_path / "p", NAME).system_files
    assert not declared(file).find_problems()
    assert len(file.read_text().splitlines()) <= 120


@pytest.mark.parametrize(
    ("old", "new", "code"),
    [
        ("words.Lexical(query.text", "words.Lexical(video.title", "wrong-column"),
        ("words.Lexical(query.text", "words.Lexical(query.language", "wrong-column"),
        ("video.title: 3", "video.duration_s: 3", "wrong-column"),
        ("video.title: 3", "video.title: 0", "bad-weight"),
        ("fields=spelt", "fields={}", "no-fields"),
        ("language=video.language", "language=video.title", "wrong-column"),
        ('BOTH = ("Lexical", "Nearest")', 'BOTH = ("Lexical", "Nearby")', "unknown-source"),
        ("*map(w.rank_of, BOTH), ", "", "unknown-feature"),
    ],
)
def test_a_mistake_is_found(tmp_path, old, new, code):
    (file,) = Project.init(tmp_path / "p", NAME).system_files
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new))
    assert code in {p.code for p in declared(file).find_problems()}


# Training


def test_every_rung_is_judged_and_what_both_sources_said_tells_what_people_choose(project):
    records = project.evaluate(NAME)
    auc = {r["rung"]: r for r in pick(records, metric="auc", head="click", stage="ranking")}
    assert auc.keys() == {"L0", "L1", "L2"}
    assert auc["L0"]["low"] > 0.55
    assert auc["L2"]["value"] > auc["L0"]["value"]
    assert project.evaluate(NAME) == records


@pytest.mark.heavy
def test_the_trained_rung_raises_what_is_truly_right_over_the_heuristic(tmp_path, world):
    means = {}
    for serve in ("L0", "L2"):
        Project.init(tmp_path / serve, NAME)
        project = quick(tmp_path / serve, serve)
        world.write(tmp_path / serve / FILE)
        load(SearchImporter(), tmp_path / serve, project.intake, progress=False)
        project.train(NAME)
        visits = visit(world, lambda project=project, **asked: project.search(NAME, **asked), count=150, seed=3)
        means[serve] = np.array([v.ndcg for v in visits])
        project.close()
    apart = means["L2"] - means["L0"]
    assert apart.mean() > 2 * apart.std() / len(apart) ** 0.5


# Serving


def test_what_is_asked_for_comes_first_also_with_a_slip(project, world):
    reply = project.search(NAME, text="sourduogh", size=5)
    assert reply["corrected"] == ({"typed": "sourduogh", "searched": "sourdough"},)
    assert not reply["degraded"]
    rows = [int(item["id"].removeprefix("video-")) for item in reply["items"]]
    wanted = next(w for w in world.texts(10_000, seed=9) if w.text == "sourdough")
    assert world.truth(wanted)[rows[:3]].min() == 2
    as_typed = project.search(NAME, text="sourduogh", correct=False)
    assert as_typed["corrected"] == ()
    assert as_typed["unknown"] == ("sourduogh",)


def test_the_id_of_a_text_is_that_of_its_words(project):
    one, other = (project.search(NAME, text=text)["query"] for text in ("  Puff   PASTRY ", "puff pastry"))
    assert one == other != project.search(NAME, text="rye bread")["query"]


def test_a_filter_narrows_both_sources(project):
    long = set(found(project, "bread", size=50, filter={"duration_s": {"at_least": 600}}))
    rows = [int(i.removeprefix("video-")) for i in long]
    assert rows
    assert (SearchWorld.read(project.folder / FILE).videos.length_s[rows] >= 600).all()


def test_nothing_found_is_explained(project):
    none = project.search(NAME, text="sourdough", filter={"duration_s": {"at_least": 1e8}})
    assert [(cause["what"], cause["name"]) for cause in none["why_empty"]] == [("filter", "duration_s")]
    assert none["why_empty"][0]["items"] > 0
    none = project.search(NAME, text="qwertyq", filter={"duration_s": {"at_least": 1e8}})
    assert none["why_empty"][0]["what"] == "words"


@pytest.mark.parametrize(
    ("asked", "code"),
    [
        ({"text": "  "}, "empty-text"), ({"text": "-bread"}, "empty-text"), ({}, "empty-text"),
        ({"text": "a", "id": "video-00001"}, "bad-request"), ({"text": "a" * 1_001}, "bad-request"),
        ({"id": "video-00001"}, "not-a-picture-search"), ({"text": "a", "filter": {"nothing": 1}}, "unknown-column"),
        ({"text": "a", "words": 1}, "bad-request"),
    ],
)  # fmt: skip
def test_a_bad_search_is_refused(project, asked, code):
    with pytest.raises(InputError) as refused:
        project.search(NAME, **asked)
    assert refused.value.code == code


def test_a_rank_request_may_tell_the_text_itself(project):
    reply = project.runtime.rank(NAME, {"user": "somebody", "about": {"text": "rye bread"}}, log=False)
    assert {"Lexical"} <= set(reply["items"][0]["sources"])
    with pytest.raises(InputError, match="has no column `age` to tell"):
        project.runtime.rank(NAME, {"user": "x", "about": {"age": 3}})
    told = project.runtime.explain(NAME, {"user": "somebody", "about": {"text": "rye bread"}})
    features = told["explanation"]["items"][0]["features"]
    assert features["lexical_rank"] == 1
    assert features["query_text_similarity_video_title"] > 0.2


def test_new_changed_hidden_and_deleted_videos_are_seen_within_a_second(project):
    project.intake.rows("video", [{"video_id": "new", "title": "Zabaglione at dawn", "available": True}])
    assert eventually(lambda: "new" in found(project, "zabaglione")) < 5
    project.intake.rows("video", [{"video_id": "new", "title": "Xylophones"}])
    eventually(lambda: found(project, "xylophones")[:1] == ["new"])
    project.intake.rows("video", [{"video_id": "new", "available": False}])
    eventually(lambda: "new" not in found(project, "xylophones"))
    project.intake.rows("video", [{"video_id": "new", "available": True}])
    eventually(lambda: "new" in found(project, "xylophones"))
    project.intake.rows("video", [{"video_id": "new", "deleted": True}])
    eventually(lambda: "new" not in found(project, "xylophones"))


def test_copies_collapse_and_unsafe_ones_never_show(project):
    rows = [{"video_id": f"copy-{i}", "title": "Zabaglione", "copy_of": "one", "available": True} for i in range(3)]
    project.intake.rows("video", [*rows, {"video_id": "bad", "title": "Zabaglione", "unsafe": True}])
    eventually(lambda: any(i.startswith("copy") for i in found(project, "zabaglione")))
    ids = found(project, "zabaglione", size=50)
    assert sum(i.startswith("copy") for i in ids) == 1
    assert "bad" not in ids


# Learning


def test_texts_are_logged_once_as_they_were_served_and_never_when_that_is_declined(project, world):
    visit(world, lambda **asked: project.search(NAME, **asked), count=5, seed=1, send=project.intake.events, slips=0)
    kept = project.search(NAME, text="a text that nobody asked")["query"]
    gone = project.search(NAME, text="another that nobody asked", remember=False)["query"]
    project.runtime.served.flush()
    rows = project.log.ids.rows("query", [kept, gone])
    assert rows[0] >= 0 > rows[1]
    project.history.sync(project.log)
    texts = project.history.rows("query").collect().filter(row=int(rows[0]))["text"].to_list()
    assert texts == ["a text that nobody asked"]
    apart = skew(project, project.systems[NAME])
    assert apart["different"].sum() == 0
    assert "query_text_similarity_video_title" in apart["feature"].to_list()
    assert "lexical_score" not in apart["feature"].to_list()


# The command


@pytest.fixture
def command(project, capsys, monkeypatch):
    """Runs `winnow search` with a text; gives what it prints."""
    from rich.console import Console

    from winnow.cli import printing
    from winnow.cli.app import app

    def run(*words):
        app(
            ["search", NAME, *words, "--project", str(project.folder)],
            exit_on_error=False,
            result_action="return_value",
        )
        return capsys.readouterr().out

    project.log.close()
    monkeypatch.setattr(printing, "out", Console(width=160))
    return run


def test_a_text_is_searched_for_on_the_command_line(command):
    told = command("gardn", "--size", "3")
    assert "searched for garden in place of gardn" in told
    assert "video-" in told
    assert "in place of" not in command("gardn", "--no-correct")
    assert "close in meaning to what you asked for" in command("garden", "--explain").replace("\n", " ")
