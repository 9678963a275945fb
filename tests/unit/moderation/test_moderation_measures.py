"""Prevalence, agreement and labels: what review tells beyond single posts."""

import math

import numpy as np
import pytest
from moderation_world import post
from test_moderation_review import found, settings

from winnow.data.intake import Intake
from winnow.data.log import SqliteLog
from winnow.data.schema import Events, Table, category, flag, number
from winnow.moderation.labels import reviewed
from winnow.moderation.prevalence import estimate, prevalence, wilson
from winnow.moderation.verdicts import cohen, counted, krippendorff, majority

# Prevalence


def test_wilson_is_what_the_books_say():
    """Worked example of Newcombe (1998), Statistics in Medicine 17: 81 of 263."""
    low, high = wilson(81, 263)
    assert (round(low, 4), round(high, 4)) == (0.2553, 0.3662)
    assert wilson(0, 0) == (0.0, 1.0)
    assert wilson(5, 5)[1] == 1.0


def test_posts_count_for_those_that_were_not_drawn():
    value, low, high = estimate([1, 0, 0, 0], [0.5, 0.1, 0.1, 0.1])
    assert value == pytest.approx(2 / 32)
    assert low < value < high
    assert math.isnan(estimate([], [])[0])


def test_the_estimate_is_unbiased_and_its_interval_covers():
    chance = np.random.default_rng(3)
    truth = (np.arange(20_000) % 25 == 0).astype(float)  # 4 %
    pi = np.where(np.arange(20_000) < 10_000, 0.02, 0.05)
    runs = [estimate(truth[d], pi[d]) for d in (chance.random(20_000) < pi for _ in range(400))]
    assert abs(np.mean([v for v, _, _ in runs]) - 0.04) < 0.001
    assert 0.92 < np.mean([low <= 0.04 <= high for _, low, high in runs]) < 0.98


def reviewed_world(make, *, share=0.5, posts=300):
    """Posts of which one in ten is harmful, though no judge sees half of those; a sample is reviewed."""
    court = make(settings(sample_share=share, sample_turn=1.0))
    harmful = {f"r{i}" for i in range(0, posts, 10)}
    seen = {f"r{i}" for i in range(0, posts, 20)}
    court.decide([post("grumble" if f"r{i}" in seen else "fine", f"r{i}") for i in range(posts)])
    return court, harmful


def review_sample(court, harmful):
    court.review._lanes = lambda: ["sample"]
    while item := court.review.next("kim"):
        court.review.verdict(item["task"], {"insult": item["task"] in harmful}, reviewer="kim")


def test_the_prevalence_counts_what_was_never_acted_on(make):
    court, harmful = reviewed_world(make)
    review_sample(court, harmful)
    seen = prevalence(court.ledger, "insult")
    assert seen.low < 0.1 < seen.high
    assert (seen.pending, seen.unanswered, seen.posts) == (0, 0, 300)
    assert seen.high < 0.25  # of the posts that are acted on all are harmful: they are not what is counted
    assert prevalence(court.ledger, "peril").value == 0.0


def test_reviewing_the_worst_first_does_not_bias_the_prevalence(make):
    court, harmful = reviewed_world(make)
    court.review._lanes = lambda: ["harm"]
    while item := court.review.next("kim"):
        court.review.verdict(item["task"], {"insult": True}, reviewer="kim")
    seen = prevalence(court.ledger, "insult")
    assert seen.pending > 100
    assert seen.reviewed < 10  # only the stretch without gaps counts
    assert seen.value < 0.5 or seen.reviewed < 3
    review_sample(court, harmful)
    assert prevalence(court.ledger, "insult").low < 0.1 < prevalence(court.ledger, "insult").high


def test_appeals_correct_the_prevalence(make):
    court, harmful = reviewed_world(make, share=1.0, posts=100)
    review_sample(court, harmful)
    assert prevalence(court.ledger, "insult").positives == 10
    court.appeals.decide(court.appeals.open("r0")["id"], "reversed", reviewer="lee")
    assert prevalence(court.ledger, "insult").positives == 9


def test_before_the_first_review_nothing_is_claimed(court):
    seen = prevalence(court.ledger, "insult")
    assert math.isnan(seen.value)
    assert (seen.low, seen.high, seen.posts, seen.until) == (0.0, 1.0, 0, "")


# Agreement


def test_cohen_is_what_the_books_say():
    """Fleiss, Levin and Paik, Statistical Methods for Rates and Proportions, table 18.1: three diagnoses, κ = .676."""
    cells = {(0, 0): 75, (0, 1): 1, (0, 2): 4, (1, 0): 5, (1, 1): 4, (1, 2): 1, (2, 0): 0, (2, 1): 0, (2, 2): 10}
    pairs = [pair for pair, n in cells.items() for _ in range(n)]
    assert round(cohen(*zip(*pairs, strict=True)), 3) == 0.676
    assert math.isnan(cohen([1, 1], [1, 1]))
    assert math.isnan(cohen([], []))
    assert cohen([0, 1], [0, 1]) == 1.0


def test_krippendorff_is_what_the_books_say():
    """Krippendorff, Computing Krippendorff's Alpha-Reliability (2011), example C: nominal, missing data, α = .743."""
    rows = [
        [1, 2, 3, 3, 2, 1, 4, 1, 2, None, None, None],
        [1, 2, 3, 3, 2, 2, 4, 1, 2, 5, None, 3],
        [None, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, None],
        [1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, None],
    ]
    units = [[row[i] for row in rows if row[i] is not None] for i in range(12)]
    assert round(krippendorff(units), 3) == 0.743
    assert krippendorff([[0, 1], [1, 0]]) < 0
    assert math.isnan(krippendorff([[1, 1]]))


def test_a_tie_is_no_majority_until_it_must_be():
    said = [{"a": 1}, {"a": 0}, {}]
    assert majority(said, ["a"]) is None
    assert majority(said, ["a"], final=True) == {"a": 1}
    assert majority([{}, {}], ["a"]) == {}


def test_agreement_counts_posts_that_several_have_reviewed(make):
    court = make(settings(double_share=1.0))
    court.decide([post(f"grumble {i}", f"r{i}") for i in range(4)])
    for i in range(4):
        found(court, f"r{i}", "insult", by="kim")
    for i in range(4):
        found(court, f"r{i}", *(["insult"] if i else []), by="lee")
    seen = counted(court.ledger)
    assert seen.posts == 4
    assert seen.kappa["kim", "lee"][1] == 4
    assert seen.alpha["insult"] == pytest.approx(0.0, abs=0.01)
    assert math.isnan(seen.alpha["peril"])


# Labels


def test_findings_become_events_that_the_intake_takes(make, tmp_path, clock):
    court = make(settings(sample_share=0.5))
    court.decide([post("grumble", "r1"), *(post("fine", f"f{i}") for i in range(20))])
    found(court, "r1", "insult")
    item = court.review.next("kim")
    court.review.verdict(item["task"], {}, reviewer="kim")
    assert court.labels().is_empty()  # both can still be taken back
    clock.pass_s(61)
    frame = court.labels()
    assert frame.select("weight", "insult", "peril").rows() == [(1.0, True, False), (2.0, False, False)]
    refs = {name: Table(name, key=f"{name}_id") for name in ("author", "post")}
    fields = {"reviewer": category, "weight": number, "insult": flag, "peril": flag}
    review = Events("review", refs=refs, fields=fields)
    intake = Intake(
        SqliteLog(tmp_path / "truth.db"), {t.name: t for t in refs.values()}, {"review": review}, clock=clock
    )
    receipt = intake.frame("review", frame.drop("seq"))
    assert (receipt.accepted, receipt.quarantined, receipt.problems) == (2, 0, ())
    assert intake.frame("review", court.labels().drop("seq")).duplicates == 2


def test_reviewed_posts_are_what_thresholds_rest_on(make):
    court = make(settings(sample_share=1.0))
    court.decide([post("grumble" if i < 15 else "fine", f"r{i}") for i in range(30)])
    while item := court.review.next("kim"):
        court.review.verdict(item["task"], {"insult": int(item["task"][1:]) < 14}, reviewer="kim")
    p, y, _ = reviewed(court.ledger)["insult"].known()
    assert (len(p), p[:15].min(), y.sum()) == (30, pytest.approx(0.7), 14)
