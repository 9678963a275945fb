"""`winnow data infer` and `winnow data check`, on a project."""

import json

import numpy as np
import polars as pl
import pytest
from expectations_world import DAY, HOUR, SECOND, START, event, people, videos

from winnow.cli import printing
from winnow.cli.app import app
from winnow.core.errors import WinnowError
from winnow.project import Project


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    project = Project.init(tmp_path_factory.mktemp("shop"))
    rng = np.random.default_rng(5)
    for name, frame in {"video": videos(rng), **people(rng, 60)}.items():
        project.intake.frame(name, frame, backfill=True)
    return project


@pytest.fixture
def run(project, monkeypatch, capsys):
    monkeypatch.setattr(printing.out, "_width", 160, raising=False)

    def run(*command):
        try:
            app([*command, "--project", str(project.folder)])
        except SystemExit as end:
            return end.code, capsys.readouterr().out
        except WinnowError as error:
            return error, ""
        return 0, capsys.readouterr().out

    return run


def test_the_life_of_expectations(project, run):
    error, _ = run("data", "check")
    assert error.code == "no-expectations"
    assert "winnow data infer" in error.problems[0].fix

    code, printed = run("data", "infer", "--to", "2026-03-05")
    assert code == 0
    assert "Read it, edit it" in printed
    assert run("data", "infer")[0].code == "expectations-exist"
    assert run("data", "infer", "--force", "--to", "2026-03-05")[0] == 0

    code, printed = run("data", "check")  # nothing came since: everything is looked at
    assert code == 0
    assert "all met" in printed
    assert "impression" in printed

    again = Project(project.folder)
    rng = np.random.default_rng(6)
    frames = people(rng, 60, first=4)
    frames["watch"] = frames["watch"].with_columns(seconds=pl.col("seconds") * 4)
    crawler = (START + 5 * DAY + np.sort(rng.integers(0, HOUR, 4000))).tolist()
    items = pl.Series([f"v{i % 400}" for i in range(4000)])
    shown = event("impression", 4000, at=crawler, user="crawler", video=items, surface=pl.lit("home"))
    frames["impression"] = pl.concat([frames["impression"], shown], how="diagonal")
    storm = event("click", 30, at=[START + 5 * DAY + i * SECOND for i in range(30)], user="u1", video="v1")
    frames["click"] = pl.concat([frames["click"], storm], how="diagonal")
    for name, frame in frames.items():
        again.intake.frame(name, frame.select(pl.exclude("kind")), backfill=True)

    code, printed = run("data", "check")
    assert code == 1
    assert "broken" in printed
    assert "watch.seconds" in printed
    assert "crawler" in printed
    assert "storms" in printed
    assert pl.read_parquet(project.folder / "flags.parquet")["reason"].to_list() == ["per_hour"]

    code, printed = run("data", "check", "--json")
    found = json.loads(printed)
    assert (code, found["verdict"]) == (1, "broken")
    assert [u["user"] for u in found["users"]] == ["crawler"]
    assert [(s["user"], s["copies"]) for s in found["storms"]] == [("u1", 30)]
    assert {f["name"] for f in found["findings"] if f["verdict"] == "broken"} == {"watch"}

    code, printed = run("data", "check", "--since", "2026-03-08T12:00:00Z", "--everything")
    assert "limit" in printed
    assert run("data", "check", "--since", "1d")[0] == 0


def test_a_time_that_is_none(run):
    error, _ = run("data", "check", "--since", "yesterday")
    assert error.code == "bad-time"
    assert error.problems[0].where == "--since"


def test_an_empty_project(tmp_path, capsys):
    empty = Project.init(tmp_path / "empty")
    with pytest.raises(WinnowError) as error:
        app(["data", "infer", "--project", str(empty.folder)])
    assert error.value.code == "empty-period"
