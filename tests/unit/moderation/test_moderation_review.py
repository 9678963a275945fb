"""Review: who looks at what, what follows, and what can be taken back. Appeals: somebody else looks again."""

import random

import pytest
from moderation_world import SETTINGS, Fixed, post

from winnow.core.errors import Conflict, InputError, NotFound
from winnow.moderation.appeals import deciders
from winnow.moderation.deciding import find, listed, strikes, told
from winnow.moderation.judge import Panel
from winnow.moderation.post import Post


def settings(**changes):
    lines = {"double_share": 0.0, "sample_share": 0.0, "sample_turn": 0.0, "golden_share": 0.0} | changes
    values = "\n".join(f"{k} = {str(v).lower()}" for k, v in lines.items())
    return f'[judge]\nwords = "words.toml"\n[review]\n{values}\n'


def found(court, task, *harms, by="kim"):
    """A reviewer takes the next post, which is this one, and finds these harms in it."""
    while (item := court.review.next(by))["task"] != task:
        court.review.skip(item["task"], reviewer=by)
    return court.review.verdict(task, {h: h in harms for h in ("insult", "peril")}, reviewer=by)


def action(court, decision):
    return told(court.ledger, decision)["action"]


# Whose turn


def test_the_most_expected_harm_comes_first(court):
    court.decide([
        post("grumble", "low", reach=1.0), post("grumble", "wide", reach=1000.0), post("zorp", "grave", reach=500.0),
        post("fine", "none"),
    ])  # fmt: skip
    seen = []
    while item := court.review.next("kim"):
        seen.append(item["task"])
        court.review.skip(item["task"], reviewer="kim")
    assert seen == ["grave", "wide", "low"]


def test_two_reviewers_never_hold_the_same_post(court):
    court.decide([post("grumble", f"r{i}") for i in range(3)])
    assert len({court.review.next(who)["task"] for who in ("kim", "lee", "mia")}) == 3
    assert court.review.next("noa") is None


def test_asking_again_gives_the_same_post(court):
    court.decide([post("grumble", f"r{i}") for i in range(3)])
    assert court.review.next("kim")["task"] == court.review.next("kim")["task"]


def test_a_post_comes_back_when_the_lease_of_a_vanished_reviewer_ends(court, clock):
    court.decide([post("grumble", "r1")])
    court.review.next("kim")
    assert court.review.next("lee") is None
    clock.pass_s(301)
    assert court.review.next("lee")["task"] == "r1"


def test_a_late_verdict_counts_if_nobody_else_took_over(court, clock):
    court.decide([post("grumble", "r1")])
    court.review.next("kim")
    clock.pass_s(301)
    court.review.verdict("r1", {"insult": True}, reviewer="kim")
    assert action(court, "r1") == "remove"


def test_a_late_verdict_is_refused_when_somebody_else_took_over(court, clock):
    court.decide([post("grumble", "r1")])
    court.review.next("kim")
    clock.pass_s(301)
    court.review.next("lee")
    with pytest.raises(Conflict) as caught:
        court.review.verdict("r1", {"insult": True}, reviewer="kim")
    assert caught.value.code == "claim-lost"


def test_nobody_reviews_what_they_wrote(court):
    court.decide([post("grumble", "r1", author="kim")])
    assert court.review.next("kim") is None
    assert court.review.next("lee")["task"] == "r1"


def test_without_a_claim_there_is_no_verdict_and_no_content(court):
    court.decide([post("grumble", "r1")])
    for act in (lambda: court.review.verdict("r1", {}, reviewer="kim"),
                lambda: court.review.content("r1", reviewer="kim")):  # fmt: skip
        with pytest.raises(Conflict) as caught:
            act()
        assert caught.value.code == "claim-lost"


def test_content_goes_when_its_time_is_up(court, clock):
    court.decide([post("grumble", "r1")])
    court.review.next("kim")
    assert court.review.content("r1", reviewer="kim") == ("grumble", None)
    clock.pass_s(31 * 86_400)
    with pytest.raises(NotFound) as caught:
        court.review.content("r1", reviewer="kim")
    assert caught.value.code == "content-gone"
    assert court.held.purge(now=clock()) == 1
    court.held.close()
    assert b"grumble" not in (court.ledger.folder / "held.db").read_bytes()


def test_content_that_is_due_goes_with_the_next_that_comes(court, clock):
    court.decide([post("grumble", "r1")])
    clock.pass_s(31 * 86_400)
    court.decide([post("grumble too", "r2")])
    assert court.held.purge(now=clock()) == 0


# What follows


def test_a_confirmed_harm_is_removed_and_a_wrong_action_ends(court):
    court.decide([post("grumble one", "r1"), post("grumble two", "r2")])
    found(court, "r1", "insult")
    found(court, "r2")
    assert (action(court, "r1"), action(court, "r2")) == ("remove", "allow")
    assert told(court.ledger, "r2")["reversed"]
    assert strikes(court.ledger, "sam") == 1
    assert court.ledger.verify().ok


def test_a_verdict_sent_twice_counts_once(court):
    court.decide([post("grumble", "r1")])
    first = found(court, "r1", "insult")
    assert court.review.verdict("r1", {"insult": True}, reviewer="kim") == first
    assert len(list(court.ledger.records(kind="verdict"))) == 1


def test_a_harm_that_the_policy_does_not_know_is_refused(court):
    court.decide([post("grumble", "r1")])
    court.review.next("kim")
    with pytest.raises(NotFound) as caught:
        court.review.verdict("r1", {"insolt": True}, reviewer="kim")
    assert caught.value.code == "unknown-harm"


def test_double_review_waits_for_a_second_reviewer(make):
    court = make(settings(double_share=1.0))
    court.decide([post("grumble", "r1")])
    found(court, "r1", "insult")
    assert action(court, "r1") == "demote"
    assert court.review.next("kim") is None
    found(court, "r1", "insult", by="lee")
    assert action(court, "r1") == "remove"


def test_two_who_disagree_call_for_a_third(make):
    court = make(settings(double_share=1.0))
    court.decide([post("grumble", "r1")])
    found(court, "r1", "insult")
    found(court, "r1", by="lee")
    assert action(court, "r1") == "demote"
    found(court, "r1", by="mia")
    assert action(court, "r1") == "allow"


def test_those_who_cannot_tell_do_not_count(court):
    court.decide([post("grumble", "r1")])
    court.review.next("kim")
    court.review.verdict("r1", None, reviewer="kim")
    assert action(court, "r1") == "demote"
    assert court.review.counts()["waiting"] == 0
    assert court.labels().is_empty()


def test_what_was_found_is_known_wherever_it_is_posted_again(court):
    court.decide([post("grumble", "r1")])
    found(court, "r1", "insult")
    made = court.decide([post("grumble", "r2", author="kim")])[0]
    assert (made["action"], made["model"]) == ("remove", "known")
    assert find(court.ledger, "r2").data["source"] == "r1"


def test_spreading_can_be_switched_off(make):
    court = make(settings(spread=False))
    court.decide([post("grumble", "r1")])
    found(court, "r1", "insult")
    assert court.decide([post("grumble", "r2")])[0]["action"] == "demote"


# Undo


def test_an_undo_takes_everything_back(court):
    court.decide([post("grumble", "r1")])
    made = found(court, "r1", "insult")
    court.decide([post("grumble", "copy")])
    assert action(court, "copy") == "remove"
    court.review.undo(made["verdict"], reviewer="kim")
    assert (action(court, "r1"), action(court, "copy")) == ("demote", "allow")
    assert court.decide([post("grumble", "later")])[0]["action"] == "demote"
    assert court.review.next("kim")["task"] == "r1"
    assert court.ledger.verify().ok
    found(court, "r1")
    assert action(court, "r1") == "allow"


def test_an_undone_reversal_restores_what_rested_on_it(court):
    court.decide([post("grumble", "r1")])
    found(court, "r1", "insult")
    court.decide([post("grumble", "copy")])
    with court.ledger.writing() as writer:  # somebody opens it again for another look
        writer.add("dispute", "x", {"task": "r1", "need": 2, "because": 0})
        writer.add("undo", "x", {"verdict": 0, "task": "r1", "reviewer": "ann", "need": 1})
        writer.add("dispute", "y", {"task": "r1", "need": 3, "because": 0})
    found(court, "r1", by="lee")
    made = found(court, "r1", by="mia")
    assert (action(court, "r1"), action(court, "copy")) == ("allow", "allow")
    court.review.undo(made["verdict"], reviewer="mia")
    assert (action(court, "r1"), action(court, "copy")) == ("remove", "remove")
    assert court.decide([post("grumble", "later")])[0]["action"] == "remove"
    assert court.ledger.verify().ok


def test_an_undo_has_its_time_and_its_owner(court, clock):
    court.decide([post("grumble", "r1")])
    made = found(court, "r1", "insult")["verdict"]
    with pytest.raises(NotFound) as caught:
        court.review.undo(made, reviewer="lee")
    assert caught.value.code == "unknown-verdict"
    clock.pass_s(61)
    with pytest.raises(Conflict) as caught:
        court.review.undo(made, reviewer="kim")
    assert caught.value.code == "undo-too-late"


def test_an_undo_does_not_overrule_an_appeal(court):
    court.decide([post("grumble", "r1")])
    made = found(court, "r1", "insult")["verdict"]
    court.appeals.decide(court.appeals.open("r1")["id"], "reversed", reviewer="lee")
    with pytest.raises(Conflict) as caught:
        court.review.undo(made, reviewer="kim")
    assert caught.value.code == "undo-too-late"
    assert action(court, "r1") == "allow"


# Golden posts and the sample


def test_golden_posts_are_reviewed_once_by_each_and_change_nothing(make):
    court = make(settings(golden_share=1.0))
    task = court.add_golden(Post(text="blarg"), {"insult": True}, who="ann")
    for who in ("kim", "lee"):
        found(court, task, "insult", by=who)
    assert court.review.next("kim") is None
    assert court.labels().is_empty()
    assert listed(court.ledger) == []
    assert court.ledger.verify().ok


def test_the_sample_is_drawn_whatever_was_decided(make):
    court = make(settings(sample_share=0.5))
    court.decide([post("fine" if i % 2 else "blarg", f"r{i}") for i in range(400)])
    with court.ledger.reading() as connection:
        drawn = connection.execute("SELECT action, COUNT(*) FROM decision WHERE sample > 0 GROUP BY action").fetchall()
    assert all(70 < n < 130 for _, n in drawn)
    assert dict(drawn).keys() == {"allow", "remove"}


def test_turns_go_to_the_sample_oldest_first(make):
    court = make(settings(sample_share=1.0, sample_turn=1.0))
    court.decide([post("fine", "old"), post("zorp", "grave")])
    assert court.review.next("kim")["task"] == "old"


def test_lanes_are_drawn_with_their_shares(make):
    court = make(settings(golden_share=0.25, sample_turn=0.5))
    court.review._chance = random.Random(7)
    drawn = [court.review._lanes() for _ in range(2000)]
    assert 420 < sum(lanes[0] == "golden" for lanes in drawn) < 580
    assert 900 < sum(lanes[-1] == "harm" for lanes in drawn) < 1100


# Appeals


def test_a_reviewer_does_not_decide_about_their_own_verdict(court):
    court.decide([post("grumble", "r1")])
    found(court, "r1", "insult")
    appeal = court.appeals.open("r1")["id"]
    with pytest.raises(Conflict) as caught:
        court.appeals.decide(appeal, "reversed", reviewer="kim")
    assert caught.value.code == "same-reviewer"
    assert action(court, "r1") == "remove"


def test_an_appeal_shows_post_and_statement_to_those_who_may_decide_it(court):
    court.decide([post("grumble", "r1")])
    found(court, "r1", "insult")
    appeal = court.appeals.open("r1", statement="It is the name of my cat.")["id"]
    for who in ("kim", "sam"):  # who decided before, and who wrote it
        with pytest.raises(Conflict) as caught:
            court.appeals.case(appeal, reviewer=who)
        assert caught.value.code == "same-reviewer"
    case = court.appeals.case(appeal, reviewer="lee")
    assert (case.text, case.image, case.statement) == ("grumble", None, "It is the name of my cat.")
    assert [a["yours"] for who in ("kim", "lee") for a in court.appeals.listed(reviewer=who)] == [False, True]
    assert "yours" not in court.appeals.listed()[0]
    court.appeals.decide(appeal, "upheld", reviewer="lee")
    with pytest.raises(Conflict) as caught:
        court.appeals.case(appeal, reviewer="mia")
    assert caught.value.code == "appeal-decided"


def test_a_statement_that_was_changed_where_it_is_kept_is_not_shown(court):
    court.decide([post("blarg", "r1")])
    appeal = court.appeals.open("r1", statement="please")["id"]
    court.held.keep({f"appeal:{appeal}": post("bribe", "x")}, until=court.ledger.clock() + 10**9, now=0)
    assert court.appeals.case(appeal, reviewer="lee").statement == ""


def test_a_statement_has_an_end_and_a_refused_appeal_leaves_nothing(court):
    court.decide([post("blarg", "r1"), post("fine", "r2")])
    with pytest.raises(InputError, match="statement-too-long"):
        court.appeals.open("r1", statement="a" * 10_001)
    with pytest.raises(Conflict, match="nothing-to-appeal"):
        court.appeals.open("r2", statement="please", post=post("fine", "r2"))
    with pytest.raises(NotFound):
        court.held.read("r2", now=court.ledger.clock())


def test_an_author_is_told_the_reason_and_what_became_of_the_appeal(court):
    reasons = {"insult": "This insults somebody.", "peril": "This puts somebody in danger."}
    told = lambda key: court.appeals.notice(key, reasons=reasons)  # noqa: E731
    court.decide([post("blarg", "r1"), post("fine", "r2"), post("grumble", "r3")])
    before = told("r1")
    assert set(before) == {"id", "at", "action", "reason", "appeal", "may_appeal", "content_kept"}
    assert (before["action"], before["may_appeal"], before["appeal"]) == ("remove", True, None)
    assert before["reason"] == court.ledger.find("decision", "r1").data["reason"]
    assert (told("r2")["action"], told("r2")["reason"], told("r2")["may_appeal"]) == ("allow", "", False)
    assert told("r3")["content_kept"]
    found(court, "r3", "peril")  # somebody has found another harm than the judge
    assert told("r3")["reason"] == reasons["peril"]
    appeal = court.appeals.open("r1")["id"]
    assert (told("r1")["may_appeal"], told("r1")["appeal"]["state"]) == (False, "open")
    court.appeals.decide(appeal, "reversed", reviewer="lee")
    after = told("r1")
    assert (after["action"], after["reason"], after["may_appeal"], after["appeal"]["state"]) == (
        "allow", "", False, "reversed",
    )  # fmt: skip
    assert "lee" not in str(after)


def test_nobody_decides_a_second_appeal_about_the_same(court):
    court.decide([post("blarg", "r1")])
    court.appeals.decide(court.appeals.open("r1")["id"], "upheld", reviewer="kim")
    again = court.appeals.open("r1")["id"]
    with pytest.raises(Conflict):
        court.appeals.decide(again, "reversed", reviewer="kim")
    court.appeals.decide(again, "reversed", reviewer="lee")
    assert action(court, "r1") == "allow"


def test_who_wrote_it_does_not_decide_the_appeal(court):
    court.decide([post("blarg", "r1", author="sam")])
    with pytest.raises(Conflict):
        court.appeals.decide(court.appeals.open("r1")["id"], "reversed", reviewer="sam")


def test_who_decided_about_the_source_does_not_decide_about_what_rests_on_it(court):
    court.decide([post("grumble", "r1")])
    found(court, "r1", "insult")
    court.decide([post("grumble", "copy", author="mia")])
    with court.ledger.reading() as connection:
        assert deciders(connection, "copy") == {"kim"}
    with pytest.raises(Conflict):
        court.appeals.decide(court.appeals.open("copy")["id"], "reversed", reviewer="kim")


def test_reversing_the_source_reverses_everything_that_rests_on_it(court):
    court.decide([post("grumble", "r1")])
    found(court, "r1", "insult")
    court.decide([post("grumble", "copy", author="mia"), post("grumble", "copy2", author="mia")])
    assert (strikes(court.ledger, "sam"), strikes(court.ledger, "mia")) == (1, 2)
    made = court.appeals.decide(court.appeals.open("r1")["id"], "reversed", reviewer="lee")
    assert made["changed"] == ["r1", "copy", "copy2"]
    assert (strikes(court.ledger, "sam"), strikes(court.ledger, "mia")) == (0, 0)
    assert court.decide([post("grumble", "later")])[0]["action"] == "demote"
    changes = [r.data["strikes"] for r in court.ledger.records(kind="change")]
    assert changes[-1] == {"author": "mia", "before": 1, "after": 0}
    assert court.ledger.verify().ok


def test_reversing_a_copy_leaves_the_source_unless_asked(court):
    court.decide([post("grumble", "r1")])
    found(court, "r1", "insult")
    court.decide([post("grumble", "copy", author="mia"), post("grumble", "copy2", author="noa")])
    court.appeals.decide(court.appeals.open("copy")["id"], "reversed", reviewer="lee")
    assert [action(court, d) for d in ("r1", "copy", "copy2")] == ["remove", "allow", "remove"]
    court.appeals.decide(court.appeals.open("copy2")["id"], "reversed", reviewer="lee", source_too=True)
    assert [action(court, d) for d in ("r1", "copy", "copy2")] == ["allow", "allow", "allow"]


def test_labels_of_a_reversed_decision_are_corrected(court, clock):
    court.decide([post("grumble", "r1")])
    found(court, "r1", "insult")
    court.appeals.decide(court.appeals.open("r1")["id"], "reversed", reviewer="lee")
    clock.pass_s(61)
    rows = court.labels().select("reviewer", "insult").rows()
    assert rows == [("kim", True), ("lee", False)]


def test_nothing_is_ever_deleted_or_changed_by_an_appeal(court):
    court.decide([post("blarg", "r1")])
    before = list(court.ledger.records())
    court.appeals.decide(court.appeals.open("r1", statement="please")["id"], "reversed", reviewer="lee")
    assert list(court.ledger.records())[: len(before)] == before
    assert "please" not in "".join(r.body for r in court.ledger.records())


def test_what_cannot_be_appealed_is_refused(court):
    court.decide([post("fine", "r0"), post("blarg", "r1")])
    with pytest.raises(NotFound):
        court.appeals.open("nope")
    with pytest.raises(Conflict) as caught:
        court.appeals.open("r0")
    assert caught.value.code == "nothing-to-appeal"
    appeal = court.appeals.open("r1")["id"]
    with pytest.raises(Conflict) as caught:
        court.appeals.open("r1")
    assert caught.value.code == "appeal-open"
    with pytest.raises(InputError) as caught:
        court.appeals.decide(appeal, "perhaps", reviewer="lee")
    assert caught.value.code == "bad-outcome"
    court.appeals.decide(appeal, "upheld", reviewer="lee")
    with pytest.raises(Conflict) as caught:
        court.appeals.decide(appeal, "reversed", reviewer="mia")
    assert caught.value.code == "appeal-decided"


def test_an_appeal_may_bring_the_content_again_but_no_other(court):
    court.decide([post("blarg", "r1")])
    with pytest.raises(InputError) as caught:
        court.appeals.open("r1", post=Post(text="mxyzptlk"))
    assert caught.value.code == "another-post"
    assert "mxyzptlk" not in str(caught.value)
    court.appeals.open("r1", post=Post(text="blarg"))
    assert court.held.read("r1", now=court.ledger.clock()).text == "blarg"


def test_a_reversed_post_stays_whatever_a_late_review_finds(court):
    court.decide([post("grumble", "r1")])
    court.appeals.decide(court.appeals.open("r1")["id"], "reversed", reviewer="lee")
    found(court, "r1", "insult")
    assert action(court, "r1") == "allow"


def test_the_settings_of_these_tests_are_those_of_the_world(make):
    assert make(settings()).config == make(SETTINGS).config
    assert Panel([Fixed(["a"], [0.1])]).heads == ("a",)


def test_nothing_is_derived_from_what_was_reversed_a_moment_ago(court):
    """The content stops being known after it was looked up and before the decision is recorded."""
    court.decide([post("grumble", "r1")])
    found(court, "r1", "insult")
    exact = court.known.match

    def slow(posts):
        seen = exact(posts)
        if court.appeals.listed() == [] and action(court, "r1") == "remove":
            court.appeals.decide(court.appeals.open("r1")["id"], "reversed", reviewer="lee")
        return seen

    court.known.match = slow
    assert court.decide([post("grumble", "copy")])[0]["action"] == "demote"
    assert find(court.ledger, "copy").data["source"] == ""
