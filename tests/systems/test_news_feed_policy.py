"""Whom one must not see, one does not see: not by any source, mode or step, however many ties there are."""

from dataclasses import replace

import numpy as np
import pytest
from feed_fixtures import NAME, Feed, a_post, reaction, tie
from staged import opened

from winnow.core.errors import DeclarationError
from winnow.core.time import now_us
from winnow.project import Project
from winnow.serving import policy
from winnow.serving.slate import Step

MODES = ({}, {"mode": "chronological"}, {"personal": False}, {"mode": "chronological", "personal": False})


def broken(feed, blocks, mutes, who):
    """Posts that reach somebody from whom they should be kept, by any source alone or in any mode."""
    authors, found = feed.authors(), []
    apart = {b for a, b in blocks if a == who} | {a for a, b in blocks if b == who} | {b for a, b in mutes if a == who}
    for options in MODES:
        found += [p for p in feed.shown(who, size=300, **options) if authors[p] in apart]
    for post in (p for p, author in authors.items() if author in apart):
        found += [p for p in feed.shown(who, filter={"author": [authors[post]]}, size=300) if authors[p] in apart]
        break
    return found


def kept_apart(feed, seed, rounds=12):
    """Random blocks, mutes and what ends them, each followed by the next request of both who are concerned."""
    rng, m = np.random.default_rng(seed), feed.world.members
    before = {(m.ids[a], m.ids[b]) for a, b in zip(*np.nonzero(m.blocks), strict=True)}
    blocks, mutes = feed.kept.setdefault("blocks", before), feed.kept.setdefault("mutes", set())
    people = rng.choice(m.ids, 8, replace=False).tolist()
    feed.post(*(tie("follow", who, other) for who in people for other in people if other != who))  # much to keep from
    for _ in range(rounds):
        one, two = rng.choice(people, 2, replace=False).tolist()
        kind = str(rng.choice(["block", "unblock", "mute", "unmute"], p=[0.4, 0.2, 0.25, 0.15]))
        feed.post(tie(kind, one, two))
        pairs = blocks if "block" in kind else mutes
        pairs.discard((one, two)) if kind.startswith("un") else pairs.add((one, two))
        for who in (one, two):
            if found := broken(feed, blocks, mutes, who):
                return found
    return []


def test_a_blocked_pair_never_meets(feed):
    assert kept_apart(feed, seed=1) == []


@pytest.mark.heavy
@pytest.mark.parametrize("seed", range(10, 16))
def test_a_blocked_pair_never_meets_whatever_happens(feed, seed):
    assert kept_apart(feed, seed, rounds=150) == []


def test_the_test_sees_a_rule_that_admits_everybody(feed, monkeypatch):
    monkeypatch.setattr(policy.Apart, "admit", lambda self, candidates, query, kit: np.ones(len(candidates), bool))
    assert kept_apart(feed, seed=2) != []


def test_the_test_sees_a_rule_that_looks_one_way_only(feed, monkeypatch):
    real = policy.Apart.admit
    one_way = lambda self, *given: real(replace(self, either=False), *given)  # noqa: E731
    monkeypatch.setattr(policy.Apart, "admit", one_way)
    assert kept_apart(feed, seed=3) != []


def feed_of(feed, who):
    return {feed.author(p) for p in feed.shown(who, size=300)}


def of(who):
    return f"post-of-{who}"


@pytest.fixture
def strangers(feed, ann, bob):
    """Two who follow each other, each with a post."""
    feed.post(post=[a_post(of(ann), ann), a_post(of(bob), bob)])
    feed.post(tie("follow", ann, bob), tie("follow", bob, ann))
    feed.desk.refresh()


@pytest.mark.usefixtures("strangers")
def test_a_block_holds_from_the_next_request_and_for_both(feed, ann, bob):
    assert of(bob) in feed.shown(ann, size=300)
    assert of(ann) in feed.shown(bob, size=300)
    feed.post(tie("block", ann, bob))
    assert bob not in feed_of(feed, ann)
    assert ann not in feed_of(feed, bob)
    feed.post(tie("unblock", ann, bob))
    assert of(bob) in feed.shown(ann, size=300)


@pytest.mark.usefixtures("strangers")
def test_own_times_decide_and_of_one_moment_the_block_holds(feed, ann, bob):
    at = now_us() - 10_000_000
    feed.post(tie("block", ann, bob, at=at))
    feed.post(tie("unblock", ann, bob, at=at - 1_000_000))  # came late: it was done before
    assert of(bob) not in feed.shown(ann, size=300)
    feed.post(tie("unblock", ann, bob, at=at))
    assert of(bob) not in feed.shown(ann, size=300)
    feed.post(tie("unblock", ann, bob, at=at + 1))
    assert of(bob) in feed.shown(ann, size=300)


@pytest.mark.usefixtures("strangers")
def test_a_mute_holds_one_way(feed, ann, bob):
    feed.post(tie("mute", ann, bob))
    assert of(bob) not in feed.shown(ann, size=300)
    assert of(ann) in feed.shown(bob, size=300)


@pytest.mark.usefixtures("strangers")
def test_any_number_of_blocks_is_remembered(feed, ann, bob):
    """More than any list of the latest would hold; the first of them still holds."""
    feed.post(tie("block", ann, bob, at=now_us() - 60_000_000))
    feed.post(*(tie("block", ann, f"nuisance-{i}") for i in range(3_000)))
    assert bob not in feed_of(feed, ann)


def test_when_state_of_pairs_was_lost_nothing_is_shown(feed_folder):
    """Live tables with room for a few pairs: what was evicted cannot be told any more, and that is known."""
    with opened(Feed, feed_folder, pairs=128) as small:
        who = small.members()[0]
        assert small.shown(who)
        small.post(*(tie("block", "ann", f"nuisance-{i}") for i in range(200)))
        small.desk.refresh()
        reply = small.rank(who)
        assert reply.items == []
        assert {"stage": "policy", "part": "Apart block author", "effect": "nothing may be shown"} in reply.degraded


@pytest.mark.parametrize("rule", ["Apart block author", "Apart mute author", "Unless removed", "OfAge"])
def test_every_rule_fails_closed(feed, monkeypatch, rule):
    part = next(r for r in feed.system.pipeline.policy if r.name == rule)
    real = type(part).admit

    def fails(self, *given):
        return 1 / 0 if self.name == rule else real(self, *given)

    monkeypatch.setattr(type(part), "admit", fails)
    reply = feed.rank(feed.members()[0])
    assert reply.items == []
    assert {"stage": "policy", "part": rule, "effect": "nothing may be shown"} in reply.degraded


def test_a_post_that_names_no_author_is_not_shown(feed):
    feed.post(post=[{**a_post("nobodys", "x"), "author": None}])
    feed.post(reaction("like", feed.members()[0], "nobodys"))
    feed.desk.refresh()
    assert all("nobodys" not in feed.shown(who, size=300) for who in feed.members()[:5])


def test_removed_posts_go_at_once(feed):
    who = feed.members()[0]
    first = feed.shown(who)[0]
    feed.post(post=[{"post_id": first, "removed": True}])
    assert first not in feed.shown(who, size=300)


@pytest.mark.parametrize(("born", "shown"), [(1990, True), (2020, False), (None, False)])
def test_posts_for_grown_ups_need_a_known_age(feed, ann, bob, born, shown):
    year = None if born is None else float(born)
    feed.post(post=[a_post(of(bob), bob, least_age=18.0)], member=[{"member_id": ann, "birth_year": year}])
    feed.post(tie("follow", ann, bob))
    feed.desk.refresh()
    assert (of(bob) in feed.shown(ann, size=300)) is shown
    assert of(bob) not in feed.shown("a stranger", size=300)


def test_the_birthday_of_a_year_counts_as_its_last_day(feed, bob):
    year = np.datetime64(now_us(), "us").astype("datetime64[Y]").astype(int) + 1970
    feed.post(post=[a_post(of(bob), bob, least_age=18.0)])
    for name, born in (("just", year - 18), ("safely", year - 19)):
        feed.post(tie("follow", name, bob), member=[{"member_id": name, "birth_year": float(born)}])
    feed.desk.refresh()
    assert of(bob) not in feed.shown("just", size=300)
    assert of(bob) in feed.shown("safely", size=300)


class Smuggler(Step):
    """Puts a post on top that nobody proposed."""

    def arrange(self, candidates, query, kit):
        rows = candidates.rows.copy()
        rows[0] = self.row
        return replace(candidates, rows=rows)


@pytest.mark.usefixtures("strangers")
def test_policy_has_the_last_word_over_the_slate(feed, monkeypatch, ann, bob):
    feed.post(tie("block", ann, bob))
    step = Smuggler()
    object.__setattr__(step, "row", int(feed.ids.rows("post", [of(bob)])[0]))
    monkeypatch.setitem(feed.desk.kit.system.pipeline.__dict__, "slate", (step,))
    assert of(bob) not in feed.shown(ann)
    assert of(bob) in feed.shown("somebody else")


@pytest.mark.parametrize(
    ("old", "new", "code"),
    [
        ("policy.Apart(blocked, by=post.author)", "policy.Apart(blocked, by=post.topic)", "unlike-ends"),
        ("policy.Apart(blocked, by=post.author)", "policy.Apart(joined, by=post.group)", "unlike-ends"),
        ("Circle(joined, by=post.group)", "Circle(joined, by=post.author)", "unlike-ends"),
        ("policy.OfAge(post.least_age", "policy.OfAge(post.topic", "bad-column"),
        ("like=5,", "lik=5,", "unpredicted-head"),
        ("newest=post.created_at)", "newest=post.topic)", "bad-column"),
        ("half_life=days(2), floor=0.6", "half_life=days(2), floor=1.6", "bad-factor"),
        ("slate.Strangers(circles, share=0.5)", "slate.Strangers(circles, share=1.5)", "bad-share"),
        ("within=0.9)", "within=1.9)", "bad-nearness"),
    ],
)
def test_what_cannot_work_is_refused(tmp_path, old, new, code):
    project = Project.init(tmp_path / "feed", NAME)
    (file,) = project.system_files
    text = file.read_text()
    assert old in text
    before, _, after = text.rpartition(old)
    file.write_text(f"{before}{new}{after}")
    with pytest.raises(DeclarationError) as error:
        Project(tmp_path / "feed").system(NAME)
    assert code in {p.code for p in error.value.problems}
