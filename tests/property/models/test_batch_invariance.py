"""What a candidate scores does not depend on which others are scored with it, in which order, or how many there are."""

import functools
import importlib
import pkgutil
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from world import world

import winnow.models
from winnow.features.batch import Recent
from winnow.models.action_transformer import ActionTransformer
from winnow.models.base import Ranker, Run, load_scorer
from winnow.models.behaviour import BehaviourAttention
from winnow.models.blend import Blend
from winnow.models.boosting import GradientBoosting
from winnow.models.dcn import DCN
from winnow.models.deepfm import DeepFM
from winnow.models.delayed import StreamDCN
from winnow.models.fm import FM
from winnow.models.formula import Formula
from winnow.models.ftrl import Ftrl
from winnow.models.fusion import CalibratedScores, ReciprocalRank
from winnow.models.graph_ranker import GraphSage
from winnow.models.multitask import MultiTask
from winnow.models.networks import actions
from winnow.models.networks.isolation import IsolatedLayer
from winnow.models.ple import PLE
from winnow.models.sampling import Sampled
from winnow.models.trees_linear import TreesAndLinear

SMALL = {"batch_size": 128, "learning_rate": 5e-3, "epochs": 1, "history_epochs": 1, "experts": 2, "hidden": 16,
         "least": 5}  # fmt: skip
TREES = GradientBoosting(epochs=20, learning_rate=0.1, least=10)
NETWORK, BRIEF = DCN(epochs=1, batch_size=128), {"epochs": 1, "batch_size": 128, "least": 5}
LINEAR = Ftrl(crosses=(), bits=14, epochs=1, batch_size=32)
FEED = ActionTransformer(history_learns=True, layers=2, history_size=16, attention_heads=2, **SMALL)
RANKERS = {
    type(model).__name__: model
    for model in (Formula("rate", heads=("click",)), TREES, NETWORK, Blend((TREES, NETWORK)), MultiTask(**SMALL),
                  PLE(**SMALL), FEED, FM(**BRIEF), DeepFM(**BRIEF), BehaviourAttention(**BRIEF), StreamDCN(**BRIEF),
                  LINEAR, Sampled(TREES, negatives=0.5), TreesAndLinear(TREES, LINEAR), GraphSage(**BRIEF),
                  ReciprocalRank(of=("words",)), CalibratedScores(of=("words",)))
}  # fmt: skip
EXACT = {"Formula", "GradientBoosting"}  # the others multiply matrices, whose kernels depend on the number of rows
TOLERANCE = 1e-6
MOST = 120


@functools.cache
def fitted(name):
    """The scorer of a fitted ranker, fitted once."""
    return scorer_of(RANKERS[name])


def rows(count, seed):
    """Rows of the world, of which a source called `words` has made something too."""
    found = world(count, seed)
    batch = found.features
    words = np.stack([batch.numeric[:, 0], np.abs(batch.numeric[:, 1]) * 10], axis=1)
    names = (*batch.numeric_names, "words_score", "words_rank")
    return replace(found, features=replace(batch, numeric=np.hstack([batch.numeric, words]), numeric_names=names))


def scorer_of(model):
    folder = Path(tempfile.mkdtemp())
    model.fit(rows(800, 1), rows(200, 2), Run(folder, threads=1, types={"seconds": "regression"}))
    return load_scorer(folder)


@functools.cache
def request(shared):
    """Candidates of one request, whose history all share, or rows with a history each."""
    batch = rows(MOST, 3).features
    if not shared:
        return batch
    one = {k: Recent(s.rows[:1], s.age_s[:1], {c: v[:1] for c, v in s.columns.items()})
           for k, s in batch.sequences.items()}  # fmt: skip
    return replace(batch, sequences=one)


def differs(scorer, company, shared):
    """By how much the worst score of some candidates differs from the score of each of them in the whole request."""
    batch = request(shared)
    return float(np.abs(scorer.score(batch.take(company)) - scorer.score(batch)[company]).max())


companies = st.lists(st.integers(0, MOST - 1), min_size=1, max_size=MOST).map(np.array)


def test_no_ranker_is_forgotten():
    for module in pkgutil.iter_modules(winnow.models.__path__):
        if not module.ispkg:
            importlib.import_module(f"winnow.models.{module.name}")
    ours = {n for n, m in Ranker.known().items() if m.__module__.startswith("winnow.models")}
    assert ours - {"Fusion"} == set(RANKERS)  # which fits nothing by itself


@pytest.mark.parametrize("name", RANKERS)
@given(company=companies, shared=st.booleans())
@settings(max_examples=40, deadline=None)
def test_a_score_does_not_depend_on_its_companions(name, company, shared):
    assert differs(fitted(name), company, shared) <= (0.0 if name in EXACT else TOLERANCE)


class Gregarious(IsolatedLayer):
    """The layer without isolation: candidates read one another as they read the history."""

    def judge(self, candidates, memory, allowed, bias):
        q, k, v = self._split(candidates)
        past = (q @ memory[0].transpose(-1, -2) + bias).masked_fill(~allowed[:, None], -1e9)
        weights = torch.softmax(torch.cat([past, q @ k.transpose(-1, -2)], -1), -1)
        steps = memory[1].shape[-2]
        return self._after(candidates, weights[..., :steps] @ memory[1] + weights[..., steps:] @ v)


def test_without_isolation_companions_are_noticed(monkeypatch):
    monkeypatch.setattr(actions, "IsolatedLayer", Gregarious)
    scorer, everyone = scorer_of(FEED), np.arange(MOST)
    assert differs(scorer, everyone[::2], True) > 100 * TOLERANCE
    assert differs(scorer, everyone[:1], True) > 100 * TOLERANCE
