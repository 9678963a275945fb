"""Where posts of the feed come from, and the two modes that ask for less: order of time, and no profile."""

from dataclasses import replace

import numpy as np
import pytest
from feed_fixtures import Feed, a_post, reaction, tie
from staged import opened

from winnow.core.errors import InputError
from winnow.core.time import now_us
from winnow.serving.request import RankRequest
from winnow.serving.slate import Strangers

HOUR = 3_600_000_000


def followed(feed, who):
    """Ids of those whom a member follows, by the world."""
    m = feed.world.members
    return {m.ids[i] for i in np.flatnonzero(m.follows[m.ids.index(who)])}


def friends(feed, who):
    m = feed.world.members
    return {m.ids[i] for i in np.flatnonzero(m.friends[m.ids.index(who)])}


def somebody(feed, test=lambda feed, who: followed(feed, who) and friends(feed, who)):
    return next(who for who in feed.members() if test(feed, who))


def test_every_source_proposes_and_every_head_is_predicted(feed):
    who = somebody(feed)
    reply = feed.rank(who, explain=True)
    assert reply.degraded == []
    assert len(reply.items) == 30
    told = reply.explanation
    assert set(told["items"][0]["heads"]) == {"click", "like", "comment", "share", "visit", "hide", "skip", "dwell_s"}
    found = {s["name"]: s["out"] for s in told["stages"] if s["kind"] == "source"}
    assert set(found) == {"Of_follow", "Of_befriend", "Of_join", "Discussed", "Nearest", "Popular"}
    assert all(found[name] for name in ("Of_follow", "Of_befriend", "Nearest", "Popular"))
    assert {r.kind for i in reply.items for r in i.reasons} & {"tie", "taste", "popular"}


def test_posts_of_those_one_follows_newest_first_and_nobody_elses(feed):
    who = somebody(feed)
    posts = feed.proposed("Of_follow", who)
    authors = feed.authors()
    assert {authors[p] for p in posts} <= followed(feed, who)
    assert feed.created(posts) == sorted(feed.created(posts), reverse=True)
    p, m = feed.world.posts, feed.world.members
    me = m.ids.index(who)
    living = ~p.removed & (p.created_at <= feed.desk.kit.catalogue.at) & ~m.apart(me, p.authors)
    expected = set()
    for author in np.flatnonzero(m.follows[me]):
        written = np.flatnonzero(living & (p.authors == author))
        newest = written[np.argsort(-p.created_at[written], kind="stable")][: feed.source("Of_follow").depth]
        expected |= {p.ids[i] for i in newest}
    assert set(posts) == expected


def test_following_and_leaving_off_are_honoured_at_once(feed):
    who = somebody(feed)
    author = next(a for a in sorted(followed(feed, who)) if a in {*map(feed.author, feed.proposed("Of_follow", who))})
    feed.post(tie("unfollow", who, author))
    assert author not in {*map(feed.author, feed.proposed("Of_follow", who))}
    feed.post(tie("follow", who, author))
    assert author in {*map(feed.author, feed.proposed("Of_follow", who))}


def test_friends_count_both_ways_and_either_ends_it(feed):
    feed.post(post=[a_post("of-one", "one"), a_post("of-two", "two")])
    feed.post(tie("befriend", "one", "two"))
    feed.desk.refresh()
    assert feed.proposed("Of_befriend", "one") == ["of-two"]
    assert feed.proposed("Of_befriend", "two") == ["of-one"]
    feed.post(tie("unfriend", "two", "one"))
    assert feed.proposed("Of_befriend", "one") == feed.proposed("Of_befriend", "two") == []


def test_a_new_post_of_a_friend_is_there_with_the_next_look(feed):
    who = somebody(feed)
    friend = sorted(friends(feed, who))[0]
    feed.post(post=[a_post("brand-new", friend)])
    feed.desk.refresh()
    assert feed.proposed("Of_befriend", who)[0] == "brand-new"
    assert "brand-new" in feed.shown(who, size=300)


def test_posts_of_the_future_wait(feed):
    who = somebody(feed)
    friend = sorted(friends(feed, who))[0]
    feed.post(post=[a_post("tomorrow", friend, at=now_us() + 24 * HOUR)])
    feed.desk.refresh()
    assert "tomorrow" not in feed.proposed("Of_befriend", who)


def test_groups_one_joined_until_one_leaves(feed):
    m = feed.world.members
    who = next(i for i, row in zip(m.ids, m.belongs, strict=True) if row.any())
    group = m.group_ids[int(np.flatnonzero(m.belongs[m.ids.index(who)])[0])]
    feed.post(post=[a_post("in-group", "somebody-new", group=group)])
    feed.desk.refresh()
    assert "in-group" in feed.proposed("Of_join", who)
    feed.post(tie("leave", who, group))
    assert "in-group" not in feed.proposed("Of_join", who)


def test_a_seen_post_comes_back_when_others_comment_on_it_and_not_when_oneself_does(feed):
    who, other = feed.members()[:2]
    post = feed.shown(who)[0]
    at = now_us()
    feed.post(reaction("impression", who, post, at=at - 3_000_000))
    assert post not in feed.shown(who)
    assert post not in feed.proposed("Discussed", who)
    feed.post(reaction("comment", who, post, at=at - 2_000_000))
    assert post not in feed.proposed("Discussed", who)
    feed.post(reaction("comment", other, post, at=at - 1_000_000))
    assert feed.proposed("Discussed", who)[0] == post
    assert post in feed.shown(who, size=200)
    feed.post(reaction("impression", who, post, at=at))
    assert post not in feed.proposed("Discussed", who)
    assert post not in feed.shown(who, size=200)


def test_strangers_keep_within_their_share_of_every_beginning_of_the_list(feed):
    step = next(s for s in feed.system.pipeline.slate if isinstance(s, Strangers))
    m, of, before = feed.world.members, dict(feed.project.frame("post").select("post_id", "group").iter_rows()), 0
    for who in feed.members()[:10]:
        look = feed.desk.look(RankRequest(user=who))
        arranged = replace(step, share=0.1).arrange(look.ranking.valued, look.query, look.kit)
        groups = {m.group_ids[g] for g in np.flatnonzero(m.belongs[m.ids.index(who)])}
        mine = followed(feed, who) | friends(feed, who)

        def bounds(rows, mine=mine, groups=groups):
            """Whether strangers keep within a tenth wherever there are others left."""
            posts = feed.ids.ids("post", rows)
            far = np.array([feed.author(p) not in mine and of[p] not in groups for p in posts])
            allowed = np.ceil(0.1 * np.arange(1, len(far) + 1) - 1e-9)
            others_left = (~far).cumsum() < (~far).sum()
            return (far.cumsum() <= allowed)[others_left].all()

        assert sorted(arranged.rows) == sorted(look.ranking.valued.rows)
        assert bounds(arranged.rows)
        before += not bounds(look.ranking.valued.rows)
    assert before  # the step has something to do


# Modes


def test_order_of_time_is_that_of_ones_circle_newest_first(feed):
    who = somebody(feed)
    shown = feed.shown(who, mode="chronological", size=200)
    assert feed.created(shown) == sorted(feed.created(shown), reverse=True)
    m = feed.world.members
    groups = {m.group_ids[g] for g in np.flatnonzero(m.belongs[m.ids.index(who)])}
    of = dict(feed.project.frame("post").select("post_id", "group").iter_rows())
    authors = feed.authors()
    assert all(authors[p] in followed(feed, who) | friends(feed, who) or of[p] in groups for p in shown)
    assert shown != feed.shown(who, size=200)


def test_a_system_without_a_time_column_refuses_order_of_time(feed, monkeypatch):
    value = feed.desk.kit.system.pipeline.value
    monkeypatch.setitem(value.__dict__, "newest", None)
    with pytest.raises(InputError, match="no-order-of-time"):
        feed.rank(feed.members()[0], mode="chronological")


def test_without_a_profile_nothing_depends_on_what_is_known_of_a_member(feed):
    lists = {w: feed.shown(w, personal=False, exploration=0, size=200) for w in ("a stranger", *feed.members()[:8])}
    allowed = {}
    m, p = feed.world.members, feed.world.posts
    for who, shown in lists.items():
        apart = {m.ids[a] for a in np.flatnonzero(m.apart(m.ids.index(who), np.arange(len(m))))} if who in m.ids else ()
        young = who not in m.ids or 2026 - m.birth_year[m.ids.index(who)] - 1 < 18
        assert not any(feed.author(post) in apart for post in shown)
        assert not (young and any(p.least_age[feed.world.post_rows[i]] for i in shown if i in feed.world.post_rows))
        allowed[who] = apart, shown
    personal = {tuple(feed.shown(w, exploration=0)) for w in feed.members()[:8]}
    assert len(personal) == 8  # with a profile all differ
    tops = [set(shown[:20]) for shown in lists.values()]
    assert all(len(top & tops[0]) >= 15 for top in tops)  # without one, only what policy takes out


def test_without_a_profile_the_features_are_those_of_nobody(feed):
    who = somebody(feed)
    told = feed.rank(who, personal=False, explain=True, exploration=0).explanation["items"][0]["features"]
    assert told["member"] is None
    assert told["member_x_post_author_befriend_tenure_d"] == -1
    assert told["member_x_post_author_impression_count_90d"] == 0
    known = feed.rank(who, explain=True, exploration=0).explanation["items"][0]["features"]
    assert known["member"] == who


def test_when_nothing_can_be_predicted_the_list_is_in_order_of_time_and_says_so(feed, monkeypatch):
    for rung in feed.desk.kit.bundle.rungs:
        monkeypatch.setattr(type(rung.scorer), "score", lambda *given: 1 / 0)
    reply = feed.rank(somebody(feed))
    assert {
        "stage": "value",
        "part": "Weighted",
        "effect": "items are in order of time, newest first",
    } in reply.degraded
    times = feed.created([i.id for i in reply.items])
    assert len(times) == 30
    assert times == sorted(times, reverse=True)


def test_what_was_served_is_what_history_says_to_the_bit(feed_folder):
    """Features of ties and all others, served and computed again from history."""
    from winnow.serving.effects import ServedLog

    with opened(Feed, feed_folder) as feed:
        feed.desk._served = ServedLog(feed.project.log)
        for who in feed.members()[:5]:
            feed.rank(who)
        feed.desk._served.close()
        found = feed.project.feature_skew("news_feed", sample=150)
        told = dict(found.select("feature", "different").iter_rows())
        assert {"member_x_post_author_follow_tied", "member_x_post_author_befriend_mutual"} <= set(told)
        assert not any(told.values()), {name: n for name, n in told.items() if n}
        assert found["rows"].max() >= 100
