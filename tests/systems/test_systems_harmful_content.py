"""Harmful content through its life: posts and findings in, train, decide, review, and learn from that."""

import numpy as np
import polars as pl
import pytest

from winnow.core.loading import load
from winnow.evaluation.report import pick
from winnow.project import Project

NAME = "harmful_content"
DAYS = 60
BAD, FINE = ["zorp", "blarg", "grumble"], ["garden", "music", "lunch", "train", "window", "river", "paper", "cloud"]


def quick(folder):
    """The system in the box with encoders and networks that need no time."""
    (file,) = Project(folder).system_files
    text = file.read_text().replace("w.MiniLM()", "w.HashedWords()")
    file.write_text(text.replace("w.EarlyFusion()", "w.EarlyFusion(epochs=4, members=1, folds=2)"))
    return Project(folder)


def posts(count, *, seed=0, start="2026-01-01"):
    """Posts of some authors, one in four of them insulting; a third of the authors write nearly all of those.

    Whether `zorp` insults depends on who says it.
    """
    rng = np.random.default_rng(seed)
    author = rng.integers(0, 60, count)
    rude = author < 20
    bad = rng.random(count) < np.where(rude, 0.6, 0.05)
    words = [
        [*rng.choice(FINE, 5), *([rng.choice(BAD)] if b else []), *(["zorp"] if rng.random() < 0.1 else [])]
        for b in bad
    ]
    at = pl.datetime_range(pl.datetime(2026, 1, 1), pl.datetime(2026, 3, 1), interval="1s", eager=True, time_zone="UTC")
    step = len(at) // count
    return pl.DataFrame({
        "post_id": [f"p{seed}-{i}" for i in range(count)], "author": [f"a{a}" for a in author],
        "text": [" ".join(rng.permutation(w)) for w in words], "at": at.gather_every(step)[:count],
        "insult": [int(any(x in w for x in BAD[1:]) or ("zorp" in w and r)) for w, r in zip(words, rude, strict=True)],
    })  # fmt: skip


def bring(project, found):
    """Posts into the log, with what a reviewer found about four of five."""
    post = found.select("post_id", "text", "author", changed_at="at", posted_at="at")
    project.intake.frame("post", post, backfill=True)
    ids = found.with_row_index().select("post_id", "author", "at", "insult", "index").rename({"post_id": "post"})
    project.intake.frame(
        "posted", ids.select("author", "post", "at", event_id=pl.format("posted-{}", "post")), backfill=True
    )
    seen = ids.filter(pl.col("index") % 5 != 0).with_columns(pl.col("at") + pl.duration(hours=2))
    project.intake.frame(
        "review",
        seen.select("author", "post", "at", insult=pl.col("insult").cast(pl.Boolean), reviewer=pl.lit("ann"),
                    event_id=pl.format("review-{}", "post")),
        backfill=True,
    )  # fmt: skip


@pytest.fixture(scope="module")
def grown(tmp_path_factory):
    """A trained project; not to be changed."""
    folder = tmp_path_factory.mktemp("posts")
    Project.init(folder / "forum", NAME)
    project = quick(folder / "forum")
    bring(project, posts(3000))
    project.train(NAME, promote=True)
    project.close()
    return folder / "forum"


def test_the_system_in_the_box_is_sound(tmp_path):
    (file,) = Project.init(tmp_path / "p", NAME).system_files
    assert not load(file).find_problems()


def test_the_ladder_learns_and_the_author_helps(grown):
    project = Project(grown)
    records = project.evaluate(NAME)
    found = {r["rung"]: r for r in pick(records, metric="pr_auc", head="insult", slice="all")}
    print({k: (v["value"], v["low"], v["high"], v["n"]) for k, v in found.items()})
    assert found["L2"]["value"] > found["L0"]["value"]
    project.close()
