"""Policies: mistakes are told with field, reason and fix; versions are kept; nothing takes effect unseen."""

import copy

import pytest
from moderation_world import POLICY, post

from winnow.core.errors import Conflict, InputError, NotFound
from winnow.moderation.parsing import parse, parse_toml
from winnow.moderation.policy import ACTIONS
from winnow.moderation.ruling import Facts, rule
from winnow.moderation.targets import Sample, resolve

TOML = """
name = "community"
[harms.insult]
severity = 2.0
reason = "This insults somebody."
rules = [{ action = "demote", at = 0.6 }, { action = "remove", precision = 0.9 }]
[[exceptions]]
name = "news"
harms = ["insult"]
verified = ["news"]
at_most = "warn"
why = "Reports may quote."
"""


def changed(path, value):
    """The policy of these tests with one field set."""
    data = copy.deepcopy(POLICY)
    place = data
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = value
    return data


RULES = ("harms", "insult", "rules")


@pytest.mark.parametrize(
    ("path", "value", "code", "where"),
    [
        ((*RULES, 0, "action"), "romove", "unknown-action", "harms.insult.rules[0].action"),
        ((*RULES, 0, "at"), 1.5, "bad-policy", "harms.insult.rules[0].at"),
        ((*RULES, 0, "at"), "high", "bad-policy", "harms.insult.rules[0].at"),
        ((*RULES, 0), {"action": "demote"}, "no-threshold", "harms.insult.rules[0]"),
        ((*RULES, 0), {"action": "demote", "precision": 0.9, "cost": {"miss": 1.0, "false_alarm": 1.0}},
         "no-threshold", "harms.insult.rules[0]"),
        ((*RULES, 1, "at"), 0.3, "thresholds-out-of-order", "harms.insult.rules[1]"),
        ((*RULES, 1, "action"), "warn", "thresholds-out-of-order", "harms.insult.rules[1]"),
        (("harms", "insult", "reason"), "", "bad-policy", "harms.insult.reason"),
        (("harms", "insult", "severity"), -1, "bad-policy", "harms.insult.severity"),
        (("harms", "insult", "colour"), "red", "bad-policy", "harms.insult"),
        (("harms", "insult", "confirmed"), "delete", "unknown-action", "harms.insult.confirmed"),
        (("harms",), {}, "bad-policy", "harms"),
        (("order",), ["allow", "remove"], "bad-policy", "order"),
        (("order",), ["hold", *[a for a in ACTIONS if a != "hold"]], "bad-policy", "order"),
        (("exceptions", 0, "harms"), ["insolt"], "unknown-harm", "exceptions[0].harms"),
        (("exceptions", 0, "harms"), ["peril"], "exception-on-top-harm", "exceptions[0].harms"),
        (("exceptions", 0, "verified"), [], "bad-policy", "exceptions[0]"),
        (("exceptions", 0, "at_most"), "nothing", "unknown-action", "exceptions[0].at_most"),
        (("unseen",), "ignore", "unknown-action", "unseen"),
        (("review",), ["remove", "x"], "unknown-action", "review[1]"),
        (("name",), 3, "bad-policy", "name"),
    ],
)  # fmt: skip
def test_a_mistake_is_told_with_its_field_and_how_to_mend_it(path, value, code, where):
    with pytest.raises(InputError) as caught:
        parse(changed(path, value), file="policy.toml")
    problem = caught.value.problems[0]
    assert (problem.code, problem.where) == (code, f"policy.toml: {where}")
    assert problem.what
    assert problem.fix


def test_a_policy_that_is_no_table_or_no_toml_is_refused():
    for wrong in (None, [], "x"):
        with pytest.raises(InputError):
            parse(wrong)
    with pytest.raises(InputError) as caught:
        parse_toml("[harms", file="policy.toml")
    assert caught.value.problems[0].where == "policy.toml"


def test_toml_and_data_say_the_same():
    policy = parse_toml(TOML)
    assert policy.unresolved == ["harms.insult.rules[1]"]
    assert parse(policy.to_data()) == policy
    assert parse(policy.to_data()).hash == policy.hash


def test_an_unknown_action_names_the_closest():
    with pytest.raises(InputError) as caught:
        parse(changed((*RULES, 0, "action"), "romove"))
    assert caught.value.problems[0].fix == "did you mean `remove`?"


# Ruling


@pytest.mark.parametrize(
    ("scores", "action", "harm"),
    [
        ({"insult": 0.0, "peril": 0.0}, "allow", ""),
        ({"insult": 0.6, "peril": 0.0}, "demote", "insult"),
        ({"insult": 0.599, "peril": 0.0}, "allow", ""),
        ({"insult": 0.95, "peril": 0.6}, "escalate", "peril"),
        ({"insult": None, "peril": 0.0}, "demote", "insult"),
        ({"insult": 0.95, "peril": None}, "remove", "insult"),
        ({"insult": 0.0, "peril": None}, "hold", "peril"),
        ({}, "hold", "peril"),
    ],
)
def test_the_strongest_action_wins(scores, action, harm):
    found = rule(parse(POLICY), scores, Facts())
    assert (found.action, found.harm) == (action, harm)
    assert found.escalate == (scores.get("peril") is None or scores["peril"] >= 0.5)


def test_an_exception_fits_when_all_its_conditions_do():
    data = changed(("exceptions", 0), {"name": "x", "harms": ["insult"], "at_most": "warn", "languages": ["fr"],
                                       "authors": ["sam"]})  # fmt: skip
    policy, scores = parse(data), {"insult": 0.95, "peril": 0.0}
    assert rule(policy, scores, Facts("sam", (), "fr")).action == "warn"
    assert rule(policy, scores, Facts("sam", (), "en")).action == "remove"
    assert rule(policy, scores, Facts("kim", (), "fr")).action == "remove"


def test_an_exception_never_makes_an_action_stronger():
    policy = parse(changed(("exceptions", 0, "at_most"), "hold"))
    found = rule(policy, {"insult": 0.7, "peril": 0.0}, Facts(verified=("news",)))
    assert (found.action, found.exception) == ("demote", "")


def test_expected_harm_is_probability_times_reach_times_severity():
    found = rule(parse(POLICY), {"insult": 0.5, "peril": 0.2}, Facts(reach=100.0))
    assert found.expected == pytest.approx(0.2 * 100 * 10)


# Targets


def wish(**rule):
    return parse({"name": "x", "harms": {"insult": {"reason": "A.", "rules": [{"action": "hold", **rule}]}}})


def threshold(policy, probability, label, weight=None):
    found, told = resolve(policy, {"insult": Sample(probability, label, weight)})
    return found.harms["insult"].rules[0].at, told[0]


def test_precision_takes_the_lowest_threshold_that_keeps_it():
    p = [0.9] * 10 + [0.8] * 10 + [0.7] * 10
    y = [1] * 10 + [1] * 8 + [0] * 2 + [0] * 10
    assert threshold(wish(precision=0.9), p, y)[0] == 0.8
    assert threshold(wish(precision=0.95), p, y)[0] == 0.9
    at, told = threshold(wish(precision=0.6), p, y)
    assert (at, told.recall, told.rows) == (0.7, 1.0, 30)


def test_posts_of_the_same_probability_stand_or_fall_together():
    assert threshold(wish(precision=0.5), [0.9] * 20, [1] * 10 + [0] * 10)[0] == 0.9


def test_cost_takes_the_threshold_where_mistakes_cost_least():
    p, y = [0.9] * 10 + [0.5] * 10 + [0.1] * 10, [1] * 10 + [1] * 3 + [0] * 7 + [0] * 10
    assert threshold(wish(cost={"miss": 1.0, "false_alarm": 1.0}), p, y)[0] == 0.9
    assert threshold(wish(cost={"miss": 9.0, "false_alarm": 1.0}), p, y)[0] == 0.5


def test_weights_and_unknown_labels_count_as_said():
    p, y = [0.9] * 10 + [0.8] * 10 + [0.8], [1] * 10 + [0] * 10 + [float("nan")]
    assert threshold(wish(precision=0.9), p, y)[0] == 0.9
    assert threshold(wish(precision=0.9), p, y, [1.0] * 10 + [0.1] * 10 + [9.0])[0] == 0.8


@pytest.mark.parametrize(
    ("p", "y"), [([], []), ([0.9] * 5, [1] * 5), ([0.9] * 20, [0] * 20), ([0.9] * 20, [1, 0] * 10)]
)
def test_a_wish_that_cannot_be_kept_is_told(p, y):
    with pytest.raises(InputError) as caught:
        threshold(wish(precision=0.9), p, y)
    assert caught.value.code == "unreachable-target"
    assert caught.value.problems[0].where == "harms.insult.rules[0]"


# Versions, preview, activation


def test_the_same_document_is_the_same_version(court):
    before = court.book.in_force()
    assert court.book.put(parse(POLICY), who="kim").version == before.version
    assert (before.who, before.why) == ("ann", "")
    assert len(court.book.versions()) == 1


def test_a_version_needs_a_preview_against_the_one_in_force(court):
    milder = court.book.put(parse(changed((*RULES, 1, "at"), 0.97)), who="kim", why="too strict").version
    with pytest.raises(Conflict) as caught:
        court.book.activate(milder, who="kim")
    assert caught.value.code == "policy-not-previewed"
    court.book.preview(milder)
    assert court.book.activate(milder, who="kim").active
    stricter = court.book.put(parse(changed((*RULES, 1, "at"), 0.65)), who="kim").version
    court.book.preview(stricter)
    court.book.activate(1, who="kim", why="back", force=True)
    with pytest.raises(Conflict):  # it was previewed against another policy than the one in force now
        court.book.activate(stricter, who="kim")


def test_skipping_the_preview_needs_a_reason(court):
    version = court.book.put(parse(changed((*RULES, 1, "at"), 0.97)), who="kim").version
    with pytest.raises(InputError) as caught:
        court.book.activate(version, who="kim", force=True)
    assert caught.value.code == "no-reason"


def test_a_wish_without_a_number_is_not_put_in_force(court):
    version = court.book.put(wish(precision=0.9), who="kim").version
    for act in (court.book.preview, lambda v: court.book.activate(v, who="kim")):
        with pytest.raises(Conflict) as caught:
            act(version)
        assert caught.value.code == "policy-unresolved"


def test_a_version_that_is_not_there_is_not_found(court):
    with pytest.raises(NotFound) as caught:
        court.book.version(7)
    assert caught.value.code == "unknown-policy"


def test_a_preview_counts_by_harm_and_group_and_what_changes(court):
    court.decide([
        post("grumble", "a", language="en", country="DE", new_author=True), post("grumble", "b", language="fr"),
        post("blarg", "c", language="en"), post("zorp", "d"), post("fine", "e", language="en"),
    ])  # fmt: skip
    version = court.book.put(parse(changed((*RULES, 1, "at"), 0.65)), who="kim").version
    seen = court.book.preview(version)
    assert (seen.posts, seen.changed) == (5, 2)
    assert seen.changes == ({"from": "demote", "to": "remove", "posts": 2},)
    assert seen.actions["remove"] == {"would": 3, "does": 1}
    assert seen.harms["insult"]["demote"] == {"does": 2}
    assert seen.groups["language"]["en"] == {"posts": 3, "acted_would": 2, "acted_does": 2, "changed": 1}
    assert seen.groups["country"]["DE"]["changed"] == 1
    assert seen.groups["new_author"]["true"]["posts"] == 1
    assert seen.groups["language"]["unknown"]["posts"] == 1


def test_a_preview_rules_on_known_content_and_missing_judges_as_they_were(court, make):
    court.known.add("text:" + __import__("hashlib").sha256(b"fine").hexdigest(), "peril", who="ann")
    court.decide([post("fine", "a")])
    version = court.book.put(parse(changed((*RULES, 1, "at"), 0.65)), who="kim").version
    assert court.book.preview(version).actions == {"remove": {"would": 1, "does": 1}}
