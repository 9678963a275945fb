"""The commands of `winnow features` on a trained project."""

import json
import re
import xml.etree.ElementTree as ET

import numpy as np
import polars as pl
import pytest
from benchmarks import shop

from winnow.core.time import now_us, parse_time
from winnow.features.live import LiveReader
from winnow.features.plan import Plan
from winnow.project import Project
from winnow.project.features import importance
from winnow.serving.ingester import Ingester

SYSTEM = "video_recommendation"
SVG = "{http://www.w3.org/2000/svg}"


def data(ran):
    status, printed = ran
    assert status == 0, printed
    return json.loads(printed)


def test_list_has_a_row_for_every_column(run, project):
    rows = data(run(f"features list {SYSTEM} --json -p {project.folder}"))
    declared = Plan.of(project.system(SYSTEM).features, project.system(SYSTEM).labels)
    assert [row["name"] for row in rows] == list(declared.names)
    rate = next(row for row in rows if row["name"] == "video_click_rate_1d")
    assert (rate["kind"], rate["key"], rate["window"], rate["default"]) == ("rate", "video", "1d", 0.0)
    assert rate["systems"] == [SYSTEM]
    assert rate["releases"] == [project.registry.champion(SYSTEM)]
    assert rate["coverage"] is None


def test_importance_is_the_share_of_gain_in_the_trees_of_the_champion(run, project):
    rows = data(run(f"features list {SYSTEM} --json -p {project.folder}"))
    shares = {row["name"]: row["importance"] for row in rows if row["importance"] is not None}
    assert sum(shares.values()) == pytest.approx(1)
    folder = importance.trees_of(project.registry.open(SYSTEM).folder)
    gains = [split_gains(path.read_text()) for path in sorted(folder.glob("trees_*.txt"))]
    names = json.loads((folder / "meta.json").read_text())["columns"]["numeric"]
    place = names.index("user_click_rate_ever")
    expected = np.mean([g.get(place, 0.0) / sum(g.values()) for g in gains if g])
    assert shares["user_click_rate_ever"] == pytest.approx(expected, rel=1e-3)


def split_gains(text):
    """Feature → gain of all its splits, read from the model file by hand."""
    found = {}
    for tree in text.split("\nTree=")[1:]:
        lines = dict(line.split("=", 1) for line in tree.splitlines() if "=" in line)
        for feature, gain in zip(
            lines.get("split_feature", "").split(), lines.get("split_gain", "").split(), strict=True
        ):
            found[int(feature)] = found.get(int(feature), 0.0) + float(gain)
    return found


def test_measured_figures_are_kept_for_the_next_list(run, project):
    measured = data(run(f"features list {SYSTEM} --measure --sample 200 --json -p {project.folder}"))
    found = {row["name"]: row for row in measured}
    assert found["user_activity"]["coverage"] == 0.0  # the shop sends no such column
    assert found["user_activity"]["default_share"] == 1.0
    assert found["video_author"]["coverage"] == 1.0
    assert found["request_hour"]["default_share"] is None
    assert 0 < found["user_x_video_watch_count_ever"]["default_share"] < 1
    assert all(row["us_per_1k"] > 0 for row in measured)
    assert data(run(f"features list {SYSTEM} --json -p {project.folder}")) == measured


def test_default_share_is_the_share_of_rows_without_a_past(run, project):
    name = "user_x_video_watch_count_ever"
    card = data(run(f"features show {name} --json --sample 4000 -p {project.folder}"))
    shown, watched = (project.history.events(e).collect() for e in ("impression", "watch"))
    met = shown.join(watched.select("user", "video", watched_at="at"), on=["user", "video"], how="left")
    before = met.group_by("seq").agg((pl.col("watched_at") < pl.col("at")).any())
    assert card["measured"]["rows"] == len(shown)
    assert card["measured"]["default_share"] == pytest.approx(1 - before["watched_at"].fill_null(False).mean())


def test_show_tells_a_sentence_the_lineage_and_the_state(run, project):
    status, printed = run(f"features show video_click_rate_1d --sample 100 -p {project.folder}")
    assert status == 0
    for told in ("clicks over impressions of the video in the last day, smoothed as if 20 impressions with 9 clicks",
                 "number of impressions, by the video", "click.video", "24", "µs for 1000 rows", "% of the gain",
                 "1 release"):  # fmt: skip
        assert told in printed


@pytest.mark.parametrize("command", ["show {}", "explain {} --user u1"])
def test_a_wrong_name_gets_a_suggestion(run, project, command):
    status, printed = run(f"features {command.format('video_clik_rate_1d')} -p {project.folder}")
    assert status == 2
    assert "unknown-feature" in printed
    assert "did you mean `video_click_rate_1d`?" in printed


def test_explain_tells_which_key_is_missing_and_which_id_is_unknown(run, project):
    status, printed = run(f"features explain user_x_video_watch_count_7d --user u1 -p {project.folder}")
    assert (status, "add --item ID" in printed) == (2, True)
    status, printed = run(f"features explain user_click_rate_1d --user u1x -p {project.folder}")
    assert (status, "unknown-row" in printed) == (2, True)
    assert "did you mean `u1" in printed
    status, printed = run(f"features explain user_click_rate_1d --key user -p {project.folder}")
    assert (status, "bad-key" in printed) == (2, True)
    status, printed = run(f"features explain user_click_rate_1d --user u1 --from 2050-01-01 -p {project.folder}")
    assert (status, "bad-span" in printed) == (2, True)


@pytest.mark.parametrize(
    ("name", "keys"),
    [("user_click_rate_1d", "--user u1"), ("user_x_video_tags_watch_count_7d", "--user u1 --item v3"),
     ("video_author_watch_seconds_mean_ever", "--item v3"), ("user_watch_since_d", "--user u1"),
     ("video_author", "--item v3"), ("video_tags", "--item v3"), ("user_watch_video_last50", "--user u1"),
     ("request_hour", ""), ("video_uploaded_at_age_d", "--item v3")],
)  # fmt: skip
def test_explain_draws_a_whole_picture_of_every_kind_of_feature(run, project, name, keys):
    told = data(run(f"features explain {name} {keys} --json -p {project.folder}"))
    picture = ET.parse(told["picture"]).getroot()
    texts = [t.text for t in picture.iter(f"{SVG}text")]
    assert picture.tag == f"{SVG}svg"
    assert texts[0] == name
    assert any(text == told["now"] or text.rstrip("…") in told["now"] for text in texts[2:])
    assert not [e for e in picture.iter() if "nan" in "".join(e.attrib.values()).split()]
    assert run(f"features explain {name} {keys} -p {project.folder}")[0] == 0


def test_the_value_explained_is_the_one_that_training_computes_and_its_events_are_those_that_count(project):
    """A count over all time is the number of events that are said to count."""
    at = now_us()
    for name in ("user_x_video_tags_watch_count_ever", "user_x_video_author_impression_count_ever",
                 "video_tags_impression_count_1d"):  # fmt: skip
        told = project.feature_story(name, {"user": "u1", "video": "v3"}, end=at, listed=10_000)
        assert told.story.now == told.events["counts"].sum(), name


def test_a_story_may_end_in_the_past(run, project):
    newest = project.history.events("watch").select(pl.col("at").max()).collect().item()
    then = parse_time("2000-01-01") if newest is None else newest - 3 * 86_400_000_000
    told = project.feature_story("user_watch_count_ever", {"user": "u1"}, end=then)
    now = project.feature_story("user_watch_count_ever", {"user": "u1"})
    assert told.story.now < now.story.now
    assert told.story.at[-1] == then


def test_skew_is_zero_on_what_was_served(run, project):
    project.rank(SYSTEM, user="u1", context={"surface": "home"})
    project.rank(SYSTEM, user="u2")
    project.runtime.close()
    rows = data(run(f"features skew {SYSTEM} --everything --json -p {project.folder}"))
    assert {row["rows"] for row in rows if not row["feature"].startswith("request_position")} == {40}
    assert not any(row["different"] for row in rows)
    assert "✓ no difference in 40 served rows" in run(f"features skew {SYSTEM} -p {project.folder}")[1]
    assert "has served nothing" in run(f"features skew {SYSTEM} --since 2090-01-01 -p {project.folder}")[1]


def test_skew_reports_one_tampered_value_with_its_example(run, project, monkeypatch):
    from winnow.serving import effects

    real, name = effects.matrix, "user_impression_count_1d"

    def tampered(prefix, names, values):
        if prefix == "feature_":
            values = values.copy()
            values[4, names.index(name)] += 1
        return real(prefix, names, values)

    monkeypatch.setattr(effects, "matrix", tampered)
    reply = project.rank(SYSTEM, user="u1")
    project.runtime.close()
    status, printed = run(f"features skew {SYSTEM} --json -p {project.folder}")
    (found,) = json.loads(printed)
    assert status == 1
    assert (found["feature"], found["rows"], found["different"]) == (name, 20, 1)
    assert found["request"] == reply["recommendation_id"]
    assert (found["user"], found["item"]) == ("u1", reply["items"][4]["id"])
    assert found["served"] == found["recomputed"] + 1
    assert parse_time(found["at"]) == parse_time(reply["as_of"])
    status, printed = run(f"features skew {SYSTEM} -p {project.folder}")
    assert (status, "✗ 1 of" in printed, name in printed) == (1, True, True)


def test_size_predicts_what_the_live_tables_really_take(run, tmp_path):
    """A log that is large enough for memory pages not to matter, applied to live tables: within 15 %."""
    sizes = shop.Sizes(users=4_000, videos=8_000, authors=1_000, tags=50, impressions=80_000)
    project = shop.made(tmp_path / "shop", sizes=sizes, train=False)
    found, place = project.system(SYSTEM), project.folder / "live"
    ingester = Ingester(project.log, place, [found], tables=project.tables.values(), rows=50_000)
    ingester.step()
    real = LiveReader(place).stats()["bytes"]
    project.history.sync(project.log)
    events = sum(len(project.history.events(e).collect()) for e in ("impression", "click", "watch", "like"))
    told = data(run(f"features size {SYSTEM} --users {sizes.users} --items {sizes.videos} --events {events} --json "
                    f"-p {project.folder}"))  # fmt: skip
    assert told["measured"]
    assert told["bytes"] == pytest.approx(real, rel=0.15)
    assert told["bytes"] == sum(table["bytes"] for table in told["tables"])


def test_size_without_a_history_is_an_upper_bound_and_says_so(run, tmp_path):
    folder = Project.init(tmp_path / "shop").folder
    given = "--users 1000 --items 2000 --events 50000"
    told = data(run(f"features size {SYSTEM} {given} --json -p {folder}"))
    assert not told["measured"]
    assert told["pairs"]["user*video"] == 50_000
    status, printed = run(f"features size {SYSTEM} {given} -p {folder}")
    assert status == 0
    assert re.search(r"live tables of \w+: [\d.]+ [KMG]iB", printed)
    assert "at most" in printed


def test_help_of_every_command_says_what_it_is_for(run):
    for command in ("list", "show", "explain", "size", "skew"):
        status, printed = run(f"features {command} --help")
        assert status == 0
        assert len(printed.split()) > 60
