"""A trained news feed over a small social world, made once per test run, and a desk over a copy of it."""

import shutil
from itertools import count

import pytest
from staged import Staged, opened, with_rungs

from winnow import systems
from winnow.core.time import now_us
from winnow.data.importers import load
from winnow.project import Project
from winnow.simulation.importer import FILE, SocialImporter
from winnow.simulation.social_world import SocialSize, SocialWorld

NAME = "news_feed"
SIZE = SocialSize(members=120, posts=800, later=60, topics=5, days=4, impressions=9_000)
_made, _numbers = {}, count()


def quick_feed():
    """The system in the box with models that train in seconds, and a deadline that a busy machine meets."""
    text = systems.source(NAME).replace("p99=ms(200)", "p99=ms(5000)").replace("within=hours(6)", "within=hours(1)")
    rungs = {
        "retrieval": "L0=w.Popularity(), L1=w.Popularity(), L2=w.TwoTower(epochs=1)",
        "ranking": 'L0=w.Formula("post_like_rate_1d"), L1=w.Formula("post_like_rate_30d"), '
        "L2=w.GradientBoosting(epochs=40, learning_rate=0.1)",
    }
    return with_rungs(text, rungs)


@pytest.fixture(scope="session")
def feed_template(tmp_path_factory):
    """A trained project; not to be changed."""
    if "folder" not in _made:
        folder = tmp_path_factory.mktemp("feed") / "feed"
        Project.init(folder, NAME).system_files[0].write_text(quick_feed())
        with Project(folder) as project:
            SocialWorld.make(SIZE, until=now_us() - 60_000_000, seed=5).write(folder / FILE)
            assert load(SocialImporter(), folder, project.intake, progress=False).total.quarantined == 0
            project.train(NAME, threads=1)
        _made["folder"] = folder
    return _made["folder"]


@pytest.fixture
def feed_folder(feed_template, tmp_path):
    """A trained project of one's own."""
    shutil.copytree(feed_template, tmp_path / "feed")
    return tmp_path / "feed"


class Feed(Staged):
    """A feed that is served."""

    system_name = NAME

    def __init__(self, folder, **options):
        self.kept, self.world = {}, SocialWorld.read(folder / FILE)
        super().__init__(folder, **options)

    def post(self, *events, **rows):
        self._authors = self._created = None
        super().post(*events, **rows)

    def members(self):
        return self.world.members.ids

    def author(self, post):
        return self.authors()[post]

    def authors(self):
        if self._authors is None:
            self._authors = dict(self.project.frame("post").select("post_id", "author").iter_rows())
        return self._authors

    def created(self, posts):
        """When each post was written."""
        if self._created is None:
            self._created = dict(self.project.frame("post").select("post_id", "created_at").iter_rows())
        return [self._created[p] for p in posts]


@pytest.fixture(scope="module")
def feed(feed_template, tmp_path_factory):
    """One feed for the tests of a module: whom they write about has a name of their own."""
    folder = tmp_path_factory.mktemp("feed") / "feed"
    shutil.copytree(feed_template, folder)
    with opened(Feed, folder) as found:
        yield found


@pytest.fixture
def ann():
    """The id of somebody whom no other test knows."""
    return f"ann-{next(_numbers)}"


@pytest.fixture
def bob():
    return f"bob-{next(_numbers)}"


def tie(kind, one, other, **more):
    role = "group" if kind in ("join", "leave") else "author"
    return {"type": kind, "member": one, role: other, **more}


def reaction(kind, member, post, **more):
    return {"type": kind, "member": member, "post": post, **more}


def a_post(post, author, at=None, **more):
    """A row of the post table."""
    row = {"post_id": post, "author": author, "text": f"{post} by {author}: something of its own", "topic": "chess",
           "created_at": at or now_us() - 1_000_000, "removed": False, "least_age": 0}  # fmt: skip
    return row | more
