"""Harmful content through its life: posts and findings in, train, decide, review, and learn from that."""

import io
import shutil
import time
from contextlib import closing

import numpy as np
import polars as pl
import pytest

from winnow.core.loading import load
from winnow.core.time import days, hours, now_us, to_us
from winnow.evaluation.report import pick
from winnow.moderation.moderation import Moderation
from winnow.moderation.parsing import parse_toml
from winnow.moderation.post import Post
from winnow.moderation.released import ReleasedJudge
from winnow.project import Project
from winnow.project.moderating import Findings
from winnow.serving.judging import Reader

NAME = "harmful_content"
DAYS = 60
BAD, FINE = ["zorp", "blarg", "grumble"], ["garden", "music", "lunch", "train", "window", "river", "paper", "cloud"]


def quick(folder):
    """The system in the box with encoders and networks that need no time."""
    (file,) = Project(folder).system_files
    text = file.read_text().replace("w.MiniLM()", "w.HashedWords()")
    file.write_text(text.replace("w.EarlyFusion()", "w.EarlyFusion(epochs=10, members=1, folds=2)"))
    return Project(folder)


def painted(left, right="grey"):
    """A picture of two colours, as a file."""
    from PIL import Image

    out, whole = io.BytesIO(), Image.new("RGB", (96, 96), right)
    whole.paste(left, (0, 0, 48, 96))
    whole.save(out, "PNG")
    return out.getvalue()


def posts(count, *, seed=0):
    """Posts of the last two months, one in four of them insulting; a third of the authors write nearly all of those.

    Whether `zorp` insults depends on who says it. One in five has a picture, and a red one always insults.
    """
    rng = np.random.default_rng(seed)
    author = rng.integers(0, 60, count)
    rude = author < 20
    bad = rng.random(count) < np.where(rude, 0.6, 0.05)
    words = [
        [*rng.choice(FINE, 5), *([rng.choice(BAD)] if b else []), *(["zorp"] if rng.random() < 0.1 else [])]
        for b in bad
    ]
    colour = rng.choice(["", "red", "blue", "green"], count, p=[0.8, 0.06, 0.07, 0.07])
    at = now_us() - to_us(hours(3)) - np.linspace(to_us(days(DAYS)), 0, count).astype(np.int64)
    return pl.DataFrame({
        "post_id": [f"p{seed}-{i}" for i in range(count)], "author": [f"a{a}" for a in author],
        "text": [" ".join(rng.permutation(w)) for w in words],
        "at": pl.from_epoch(pl.Series(at), time_unit="us").dt.replace_time_zone("UTC"),
        "image": colour,
        "insult": [int(any(x in w for x in BAD[1:]) or ("zorp" in w and r) or c == "red")
                   for w, r, c in zip(words, rude, colour, strict=True)],
    })  # fmt: skip


def bring(project, found):
    """Posts into the log, with what a reviewer found about four of five."""
    files = {c: project.collection.gallery.take(painted(c, c)).file for c in ("red", "blue", "green")} | {"": None}
    image = pl.col("image").replace_strict(files, return_dtype=pl.String)
    post = found.select("post_id", "text", "author", image, changed_at="at", posted_at="at")
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
    assert found["L2"]["value"] > found["L0"]["value"]
    project.close()


POLICY = """
name = "community"
[harms.insult]
reason = "This insults somebody."
rules = [{ action = "demote", at = 0.4 }, { action = "remove", at = 0.8 }]
"""


@pytest.fixture
def project(grown, tmp_path):
    shutil.copytree(grown, tmp_path / "forum", ignore=shutil.ignore_patterns("live"))  # made again from the log
    how = "[review]\nundo_s = 0.001\ndouble_share = 0\nsample_share = 1\n"
    (tmp_path / "forum" / "moderation.toml").write_text(how)
    project = Project(tmp_path / "forum")
    long_ago = now_us() - to_us(days(50))
    with closing(Moderation(project.folder, judge=project.moderation.judge, clock=lambda: long_ago)) as court:
        court.book.put(parse_toml(POLICY), who="ann", why="the first")
        court.activate(1, who="ann", why="the first", force=True)
    yield project
    project.close()


def test_what_was_trained_decides(project):
    mild, rude = Post(text="lunch music river", author="a50"), Post(text="you blarg of a garden", author="a3")
    made = project.moderation.decide([mild, rude])
    assert [m["action"] for m in made] == ["allow", "remove"]
    release = project.releases(NAME)[0]["release"]
    assert made[0]["model"] == f"{NAME}-{release}"
    assert made[0]["scores"]["spam"] is None  # nobody has ever looked for it
    head, start, end, _ = made[1]["spans"][0]
    assert (head, rude.text[start:end]) == ("insult", "blarg")


def test_a_picture_counts_and_its_part_is_named(project):
    """The same words under pictures of two colours; the decision says where in the picture it is."""
    said = "lunch music river garden paper"
    grey, red = (Post(text=said, image=painted(colour), author="a50") for colour in ("blue", "red"))
    made = project.moderation.decide([grey, red])
    assert [m["action"] for m in made] == ["allow", "remove"]
    assert not made[0]["regions"]
    x0, _, x1, _, weight, head = made[1]["regions"][0]
    assert head == "insult"
    assert (x0 + x1) / 2 < 0.5
    assert 0 < weight <= 1


def test_the_author_counts_as_of_now(project):
    """The same words from somebody whose posts were found insulting, and from others."""
    said = [Post(text="zorp music river lunch garden paper", author=who) for who in ("a3", "a50", "nobody", "")]
    p = [m["scores"]["insult"] for m in project.moderation.decide(said)]
    assert p[0] > p[1] + 0.2
    assert p[2] == p[3]


def reviewed(project, count):
    """Posts of the last four weeks with a word that nobody knew, decided and reviewed as they came."""
    rng, clock = np.random.default_rng(7), [0]
    judge = ReleasedJudge(project.runtime.desk(NAME), Reader(project.log.ids, project.encodings))
    with closing(Moderation(project.folder, judge=judge, clock=lambda: clock[0])) as court:
        for i, ago in enumerate(np.linspace(28, 0.1, count)):
            clock[0] = now_us() - to_us(days(float(ago)))
            text = " ".join([*rng.choice(FINE, 4), *(["frotz"] if i % 2 else [])])
            court.decide([Post(request=f"n{i}", text=text, author=f"a{rng.integers(20, 60)}" if i % 3 else "")])
            court.review.verdict(court.review.next("kim")["task"], {"insult": i % 2 == 1}, reviewer="kim")


def test_findings_come_into_the_log_with_their_posts_once(project):
    reviewed(project, 30)
    before = len(project.frame("post"))
    findings = Findings(project)
    assert findings.follow().accepted == 3 * 30
    assert findings.follow().accepted == 0
    assert Findings(project).follow().accepted == 0  # as after a restart
    assert len(project.frame("post")) == before + 30
    assert project.frame("review").filter(pl.col("insult") == 1)["post"].str.starts_with("n").sum() == 15


def test_monitors_watch_what_was_decided(project):
    """Decisions are logged as served: with the features that the model saw, which history gives again to the bit."""
    posts = [Post(text=f"lunch {i} garden blarg", author=f"a{i % 7}" if i % 3 else "") for i in range(60)]
    for batch in (posts[:20], posts[20:40], posts[40:]):
        project.moderation.decide(batch)
        while item := project.moderation.review.next("kim"):
            project.moderation.review.verdict(item["task"], {"insult": True}, reviewer="kim")
        time.sleep(0.1)
        Findings(project).follow()
        time.sleep(0.5)  # until the next batch sees what the last one brought
    project.runtime.served.flush()
    found = {f.monitor: f for f in project.monitor(NAME) if f.subject in ("insult", "author_review_count_90d")}
    assert found["Skew"].n == 60
    assert found["Skew"].ok
    assert found["Calibration"].n == 60


@pytest.mark.heavy
def test_findings_teach_the_next_model(project):
    """A new word comes up. Reviewers find what it means; the next release knows it without any other data."""
    new = [Post(text="frotz lunch garden paper river", author="a50")]
    assert project.moderation.judge.judge(new).scores(0)["insult"] < 0.3
    reviewed(project, 300)
    Findings(project, backfill=True).follow()
    outcome = project.train(NAME, promote=True)
    assert outcome.verdict.promoted
    project.close()  # what is used from here on is opened again
    made = project.moderation.decide(new)[0]
    assert made["model"] == f"{NAME}-{outcome.verdict.candidate}"
    assert made["scores"]["insult"] > 0.6
