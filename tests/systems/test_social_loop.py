"""A feed is worth more to members than the newest posts of their circle, and never shows what it must not.

The world's truth is known, so this is measured on expected values rather than on the service's own predictions.
"""

import time

import pytest
from feed_fixtures import NAME, quick_feed
from test_simulation_loop import serving, told

from winnow.core.time import now_us
from winnow.project import Project
from winnow.simulation.importer import FILE
from winnow.simulation.social_driver import FeedDriver
from winnow.simulation.social_history import social_events, social_tables
from winnow.simulation.social_world import SocialSize, SocialWorld

WINDOW_S = 2


def driver_of(world, url, impressions):
    driver = FeedDriver(world, url, at_once=4)
    driver.remember(impressions["member"].to_list(), impressions["post"].to_list())
    return driver


@pytest.mark.timeout(300)
def test_a_ranked_feed_is_worth_more_than_a_chronological_one(feed_folder, tmp_path):
    world = SocialWorld.read(feed_folder / FILE)
    with Project(feed_folder) as project:
        impressions = project.frame("impression")
    with serving(feed_folder, tmp_path / "serve.log") as url:
        driver = driver_of(world, url, impressions)
        newest = driver.round(1, 60, mode="chronological")
        driver.put_up(30)
        time.sleep(2.5)  # until the background has looked at the new posts
        ranked = driver.round(2, 100)
        unknown = driver.round(3, 40, personal=False)
    print(newest, ranked, unknown, sep="\n")
    assert newest.value == pytest.approx(newest.chronological, rel=0.2)  # the mode is what it is called
    assert ranked.low > ranked.chronological
    assert ranked.value > 1.2 * ranked.chronological
    assert ranked.chance < unknown.value < ranked.oracle
    assert newest.forbidden == ranked.forbidden == unknown.forbidden == 0
    assert newest.degraded + ranked.degraded + unknown.degraded <= 2, (tmp_path / "serve.log").read_text()[-3000:]


@pytest.mark.heavy
@pytest.mark.timeout(1800)
def test_three_rounds_of_the_loop_keep_the_feed_worth_more(tmp_path):
    """Serve, collect, retrain, promote: a label window of two seconds, since members here react at once."""
    size = SocialSize(members=400, posts=3_000, later=400, topics=10, days=6, impressions=30_000)
    world = SocialWorld.make(size, until=now_us() - 10_000_000, seed=11)
    project = Project.init(tmp_path / "feed", NAME)
    (file,) = project.system_files
    text = quick_feed()
    assert "within=hours(1)" in text
    file.write_text(text.replace("within=hours(1)", f"within=w.seconds({WINDOW_S})"))
    project = Project(project.folder)
    for name, frame in [*social_tables(world), *social_events(world, pace=0.001)]:
        assert project.intake.frame(name, frame, backfill=True).accepted == len(frame)
    project.train(NAME, seed=1, promote=True, progress=told)
    rounds = []
    with serving(project.folder, tmp_path / "serve.log") as url:
        driver = driver_of(world, url, project.frame("impression"))
        for number in range(1, 4):
            rounds.append(driver.round(number, 400))
            driver.put_up(size.later // 4)
            time.sleep(WINDOW_S + 1)  # until the labels of this round are final
            project.train(NAME, seed=number, promote=True, progress=told)
        rounds.append(driver.round(4, 400))
    print(*rounds, sep="\n")
    # 1.6 to 2.0 in one run. The share of the best that is reached falls (.39 to .34): what is left to show gets worse.
    assert all(r.low > 1.4 * r.chronological for r in rounds)
    assert all(r.chance < r.value < r.oracle for r in rounds)
    assert not any(r.forbidden for r in rounds)
