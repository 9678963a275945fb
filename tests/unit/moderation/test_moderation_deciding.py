"""Decisions: known content first, then judges, then the policy; and what happens when nobody can judge."""

import hashlib
import logging

import numpy as np
import pytest
from moderation_world import POLICY, Broken, Fixed, post

from winnow.core.errors import Conflict, InputError
from winnow.moderation.deciding import listed, strikes, told
from winnow.moderation.judge import Panel
from winnow.moderation.post import Post
from winnow.moderation.words import WordJudge

INSULT = WordJudge({"insult": {"blarg": 0.95}})


def one(court, given):
    return court.decide([given])[0]


def test_a_harmless_post_is_allowed_and_recorded(court):
    made = one(court, post("a fine day", "r1"))
    assert (made["action"], made["reason"], made["harm"]) == ("allow", "", "")
    assert made["scores"] == {"insult": 0.0, "peril": 0.0}
    assert made["record"]["seq"] == court.ledger.head().seq
    assert court.ledger.verify().ok


@pytest.mark.parametrize(("text", "action"), [("you grumble", "demote"), ("you blarg", "remove"), ("zorp", "escalate")])
def test_the_strongest_action_wins_and_says_why(court, text, action):
    made = one(court, post(text))
    assert made["action"] == action
    assert made["reason"] == POLICY["harms"][made["harm"]]["reason"]


def test_spans_point_into_the_original_text_whatever_disguise(court):
    text = "well, b.l.a.r.g it"
    made = one(court, post(text))
    ((head, start, end, _),) = made["spans"]
    assert (head, text[start:end]) == ("insult", "b.l.a.r.g")


def test_an_exception_makes_an_action_milder_and_is_recorded(court):
    made = one(court, post("he said blarg", "r1", verified=("news",)))
    assert made["action"] == "warn"
    assert told(court.ledger, "r1")["made"]["exception"] == "news"


def test_a_request_is_decided_once(court):
    first, again = one(court, post("you blarg", "r1")), one(court, post("you blarg", "r1"))
    assert first == again
    assert len(listed(court.ledger)) == 1


def test_a_request_id_stands_for_one_post(court):
    one(court, post("you blarg", "r1"))
    with pytest.raises(Conflict) as caught:
        one(court, post("something else", "r1"))
    assert caught.value.code == "request-reused"


def test_two_posts_under_one_id_in_a_batch_are_refused(court):
    with pytest.raises(Conflict):
        court.decide([post("one", "r1"), post("two", "r1")])


def test_without_a_policy_nothing_is_decided(make):
    with pytest.raises(Conflict) as caught:
        one(make(policy=None), post("you blarg"))
    assert caught.value.code == "no-policy"


def test_without_a_judge_the_error_says_what_to_write(make):
    with pytest.raises(Conflict) as caught:
        one(make(settings=""), post("you blarg"))
    assert caught.value.code == "no-judge"
    assert "words.toml" in caught.value.problems[0].fix


# When nobody can judge


def test_the_gravest_harm_fails_closed_when_its_judge_is_down(make):
    court = make(judge=Panel([INSULT, Broken(["peril"], [0.0])]))
    made = one(court, post("a fine day"))
    assert (made["action"], made["escalate"], made["not_evaluated"]) == ("hold", True, ["peril"])


def test_other_harms_fail_open_with_demotion(make):
    court = make(judge=Panel([Broken(["insult"], [0.0]), Fixed(["peril"], [0.0])]))
    made = one(court, post("a fine day"))
    assert (made["action"], made["escalate"], made["not_evaluated"]) == ("demote", False, ["insult"])


def test_a_word_list_does_not_speak_for_a_model_that_is_down(make):
    """Both know the head: the list finds nothing, but the list is not the whole of what was to be asked."""
    court = make(judge=Panel([Fixed(["peril", "insult"], [0.0, 0.0]), Broken(["peril"], [0.0])]))
    assert one(court, post("a fine day"))["action"] == "hold"


def test_what_a_word_list_finds_counts_though_the_model_is_down(make):
    court = make(judge=Panel([INSULT, Broken(["insult"], [0.0]), Fixed(["peril"], [0.0])]))
    assert one(court, post("you blarg"))["action"] == "remove"


@pytest.mark.parametrize("said", [np.nan, np.inf, -0.1, 1.1])
def test_what_is_no_probability_counts_as_not_judged(make, said):
    court = make(judge=Panel([Fixed(["insult", "peril"], [0.0, said])]))
    assert one(court, post("a fine day"))["action"] == "hold"


def test_a_judge_without_a_panel_may_fail_too(make):
    made = one(make(judge=Broken(["insult", "peril"], [0.0, 0.0])), post("a fine day"))
    assert (made["action"], made["escalate"]) == ("hold", True)


def test_a_judge_that_hangs_is_left_behind(make):
    class Slow(Fixed):
        def judge(self, posts):
            import time

            time.sleep(2)

    made = one(make(judge=Panel([INSULT, Slow(["peril"], [0.0])], deadline_s=0.05)), post("a fine day"))
    assert made["action"] == "hold"


def test_a_judge_that_hangs_for_good_is_asked_no_more(make):
    import threading

    gate, asked = threading.Event(), []

    class Stuck(Fixed):
        def judge(self, posts):
            asked.append(posts)
            gate.wait(30)
            return super().judge(posts)

    court = make(judge=Panel([INSULT, Stuck(["peril"], [0.0])], deadline_s=0.01))
    actions = [one(court, post("a fine day"))["action"] for _ in range(20)]
    assert set(actions) == {"hold"}
    assert len(asked) == 8
    gate.set()
    for thread in threading.enumerate():
        if thread.name == "judge":
            thread.join()
    court.judge.__dict__["deadline_s"] = 5.0
    assert one(court, post("a fine day"))["action"] == "allow"  # it is asked again once it answers


def test_a_bare_image_is_not_judged_by_its_missing_text(court):
    made = one(court, Post(image=b"\x89PNG", author="sam"))
    assert (made["action"], made["not_evaluated"]) == ("hold", ["insult", "peril"])


def test_a_bank_that_does_not_answer_may_hold_the_gravest(court):
    class Down:
        def match(self, posts):
            raise OSError("no disk")

    court.bench._matchers = [Down()]
    assert one(court, post("a fine day"))["action"] == "hold"


def test_the_log_names_no_content_when_a_judge_fails(make, caplog):
    marker = "mxyzptlk"
    with caplog.at_level(logging.DEBUG):
        one(make(judge=Panel([Broken(["insult", "peril"], [0.0, 0.0])])), post(f"say {marker}"))
    assert caplog.records
    assert marker not in caplog.text


# Known content


def test_known_content_comes_before_any_judge(court):
    picture = b"a picture"
    court.known.add(f"image:{hashlib.sha256(picture).hexdigest()}", "insult", who="ann")
    made = one(court, Post(text="a fine day", image=picture, author="sam"))
    assert (made["action"], made["harm"], made["model"]) == ("remove", "insult", "known")


def test_the_author_of_the_gravest_known_content_is_told_no_details(court):
    digest = hashlib.sha256(b"a picture").hexdigest()
    court.known.add(f"image:{digest}", "peril", who="ann")
    made = one(court, Post(request="r1", image_sha256=digest, author="sam"))
    assert (made["action"], made["escalate"], made["reason"]) == ("remove", True, "This is not allowed here.")
    assert (made["harm"], made["scores"], made["spans"], made["not_evaluated"], made["model"]) == ("", {}, [], [], "")
    assert told(court.ledger, "r1")["made"]["match"]["harm"] == "peril"


def test_content_can_be_forgotten(court):
    key = f"text:{hashlib.sha256(b'a fine day').hexdigest()}"
    court.known.add(key, "insult", who="ann")
    assert one(court, post("a fine day"))["action"] == "remove"
    court.known.withdraw(key, who="ann", why="a mistake")
    assert one(court, post("a fine day"))["action"] == "allow"


@pytest.mark.parametrize("key", ["", "image:", "image:XYZ", "picture:" + "0" * 64, "0" * 64])
def test_a_key_that_is_none_is_refused(court, key):
    with pytest.raises(InputError) as caught:
        court.known.add(key, "insult", who="ann")
    assert caught.value.code == "bad-known-key"


# What comes in


@pytest.mark.parametrize(
    "bad",
    [
        {"reach": float("nan")}, {"reach": -1.0}, {"image_sha256": "xyz"}, {"author": "a\nb"}, {"author": "a" * 201},
        {"reactions": {"report": float("inf")}}, {"request": "r\x00"}, {"text": "a" * 2_000_001},
        {"image": b"x", "image_sha256": "0" * 64},
    ],
)  # fmt: skip
def test_a_bad_post_is_refused_without_saying_what_it_holds(court, bad):
    with pytest.raises(InputError) as caught:
        one(court, Post(**({"text": "mxyzptlk"} | bad)))
    assert caught.value.code == "bad-post"
    assert "mxyzptlk" not in str(caught.value)


GREETINGS = [
    "hello", "hallo", "bonjour", "hola", "ciao", "olá", "привет", "здравей", "γειά", "שלום", "مرحبا", "سلام", "नमस्ते",
    "হ্যালো", "வணக்கம்", "హలో", "ನಮಸ್ಕಾರ", "ഹലോ", "สวัสดี", "ສະບາຍດີ", "မင်္ဂလာပါ", "გამარჯობა", "բարեւ", "你好",
    "こんにちは", "안녕하세요", "xin chào", "merhaba", "ahoj", "tere", "ሰላም", "ជំរាបសួរ",
]  # fmt: skip
ODD = ["", " ", "\u200b", "🙂🙂🙂", "👩‍👩‍👧‍👦" * 50, "\u202eabc", "é" * 1000, "\ud83d", "a\x00b"]


@pytest.mark.parametrize("text", GREETINGS + ODD)
def test_any_text_gets_a_decision(court, text):
    assert one(court, post(text, reach=3.5))["action"] == "allow"
    assert court.ledger.verify().ok


def test_a_megabyte_of_text_gets_a_decision(court):
    made = one(court, post("fine day " * 120_000 + "blarg"))
    assert made["action"] == "remove"


def test_too_many_posts_at_once_are_refused(court):
    with pytest.raises(InputError) as caught:
        court.decide([post("a")] * 1001)
    assert caught.value.code == "too-many-posts"


def test_the_log_never_holds_the_content(court):
    marker = "mxyzptlk"
    court.decide([post(f"{marker} zorp blarg", "r1"), post(f"{marker} fine", "r2")])
    court.ledger.close()
    files = [p for p in court.ledger.folder.iterdir() if p.name.startswith("decisions.")]
    assert {"decisions.db", "decisions.seals"} <= {p.name for p in files}
    assert not [p.name for p in files if marker.encode() in p.read_bytes()]


def test_strikes_are_what_is_removed_now(court):
    court.decide([post("blarg", "r1"), post("blarg again", "r2"), post("grumble", "r3")])
    assert strikes(court.ledger, "sam") == 2
    assert strikes(court.ledger, "") == 0


def test_decisions_are_listed_newest_first_and_by_action(court):
    court.decide([post("fine", "r1"), post("blarg", "r2"), post("grumble", "r3", author="kim")])
    assert [d["id"] for d in listed(court.ledger)] == ["r3", "r2", "r1"]
    assert [d["id"] for d in listed(court.ledger, author="sam", action="remove")] == ["r2"]
    last = listed(court.ledger, limit=1)[0]["seq"]
    assert [d["id"] for d in listed(court.ledger, before=last)] == ["r2", "r1"]
