"""Slate steps: exact propensities by enumeration, permutations, and greedy choices against a slow reference."""

import itertools
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from winnow.core.candidates import Candidates
from winnow.data.schema import Table, categories, category
from winnow.serving import slate
from winnow.serving.query import Query
from winnow.serving.trace import Trace

video = Table("video", key="video_id", columns={"author": category, "tags": categories})


@dataclass
class Columns:
    """A kit of columns alone: what slate steps ask of one."""

    author: np.ndarray
    tags: np.ndarray

    def view(self, query, rows):
        self.rows = rows
        return self

    def path(self, path):
        return getattr(self, path.columns[-1])[self.rows]


def query(size=5, recommendation_id="r", **given):
    return Query(recommendation_id, "u", 0, 0, size, 0.0, **given)


@st.composite
def valued(draw, most=12):
    """Candidates with values, best first, and their columns."""
    size = draw(st.integers(1, most))
    score = draw(arrays(np.float64, size, elements=st.floats(-3, 3, width=32)))
    kit = Columns(
        draw(arrays(np.int64, size, elements=st.integers(-1, 3))),
        draw(arrays(np.int64, (size, 3), elements=st.integers(-1, 4))),
    )
    return Candidates.of(np.arange(size)).by(score), kit


@pytest.mark.parametrize(("size", "slots", "share"), [(1, 1, 0.3), (3, 2, 0.25), (4, 3, 0.5), (4, 4, 1.0), (3, 3, 0.0)])
def test_propensities_are_the_exact_probability_of_every_list(size, slots, share):
    probability, logged = {}, {}
    for explores in itertools.product([True, False], repeat=slots):
        for picks in itertools.product(*[range(size - s) if e else [0] for s, e in enumerate(explores)]):
            chances = np.array(
                [(share / 2 if e else (1 + share) / 2, (p + 0.5) / (size - s))
                 for s, (e, p) in enumerate(zip(explores, picks, strict=True))]
            )  # fmt: skip
            if share in (0.0, 1.0) and any(e != bool(share) for e in explores):
                continue  # a path of probability 0
            order, propensity = slate.draw(size, share=share, chances=chances)
            weight = np.prod([share / (size - s) if e else 1 - share for s, e in enumerate(explores)])
            key = tuple(order[:slots])
            probability[key] = probability.get(key, 0.0) + weight
            logged.setdefault(key, float(np.prod(propensity)))
            assert np.isclose(logged[key], np.prod(propensity))
            assert sorted(order) == list(range(size))
    assert sum(probability.values()) == pytest.approx(1)
    for key, exact in probability.items():
        assert logged[key] == pytest.approx(exact)


@given(valued(), st.sampled_from([slate.RepeatDecay(video.author), slate.Mmr(video.tags, strength=0.7),
                                  slate.Mmr(video.author), slate.Explore(share=0.5)]))  # fmt: skip
def test_a_step_keeps_a_permutation(made, step):
    candidates, kit = made
    arranged = step.arrange(candidates, query(), kit)
    assert sorted(arranged.rows) == sorted(candidates.rows)
    if not isinstance(step, slate.Explore):
        assert (np.diff(arranged.order_score) <= 1e-9).all()
        assert (arranged.propensity == 1).all()


@given(valued(), st.floats(0.05, 1))
def test_repeat_decay_is_the_greedy_choice(made, factor):
    candidates, kit = made
    arranged = slate.RepeatDecay(video.author, factor=factor).arrange(candidates, query(), kit)
    left, chosen, seen = list(range(len(candidates))), [], []
    while left:

        def worth(i):
            author, score = kit.author[candidates.rows[i]], candidates.order_score[i]
            return score - abs(score) * (1 - factor ** (seen.count(author) if author >= 0 else 0))

        best = max(left, key=lambda i: (worth(i), -i))
        chosen.append(worth(best))
        seen.append(kit.author[candidates.rows[best]])
        left.remove(best)
    np.testing.assert_allclose(arranged.order_score, chosen, atol=1e-9)


@given(valued(), st.floats(0.05, 1))
def test_mmr_is_the_greedy_choice(made, strength):
    candidates, kit = made
    size = len(candidates)
    arranged = slate.Mmr(video.tags, strength=strength).arrange(candidates, query(size=size), kit)
    score, tags = candidates.order_score, [set(kit.tags[r]) - {-1} for r in candidates.rows]
    spread, left, chosen = score[0] - score[-1], list(range(size)), []
    alike = [[len(a & b) / len(a | b) if a | b else 0 for b in tags] for a in tags]
    gained = []
    while left:
        marginal = [score[i] - strength * spread * max([alike[i][j] for j in chosen], default=0) for i in left]
        best = int(np.argmax(marginal))
        gained.append(marginal[best])
        chosen.append(left.pop(best))
    if size > 1:
        np.testing.assert_allclose(arranged.order_score, gained, atol=1e-5)


@given(st.text(), st.integers(0, 5))
def test_the_same_request_explores_the_same_way(seed, slots):
    assert np.array_equal(slate.chances(seed, slots), slate.chances(seed, slots))


def test_explore_takes_its_share():
    candidates = Candidates.of(np.arange(50)).by(-np.arange(50.0))
    step, moved = slate.Explore(share=0.2), 0
    for i in range(300):
        shown = step.arrange(candidates, query(10, f"request {i}"), None).take(slice(0, 10))
        moved += int((shown.propensity < 0.5).sum())
    assert moved == pytest.approx(300 * 10 * 0.2 * 0.975, rel=0.1)


def test_a_failing_step_leaves_the_order_and_says_so():
    class Broken(slate.Step):
        def arrange(self, candidates, query, kit):
            raise RuntimeError("no")

    candidates, trace = Candidates.of(np.arange(3)), Trace()
    assert slate.arrange([Broken()], candidates, query(), None, trace) is candidates
    assert trace.degraded[0]["part"] == "Broken"


@pytest.mark.parametrize("answer", ["raise", "ints", "short", "floats"])
def test_policy_fails_closed_whatever_a_rule_gives(answer):
    from winnow.serving import policy

    class Broken(policy.Rule):
        def admit(self, candidates, query, kit):
            if answer == "raise":
                raise RuntimeError("no")
            return {"ints": np.ones(3, np.int64), "short": np.ones(2, bool), "floats": np.ones(3)}[answer]

    trace = Trace()
    shown = trace.sift("policy", "Broken", Broken().admit, Candidates.of(np.arange(3)), query(), None,
                       open_=False, told="nothing may be shown")  # fmt: skip
    assert len(shown) == 0
    assert trace.degraded == [{"stage": "policy", "part": "Broken", "effect": "nothing may be shown"}]
