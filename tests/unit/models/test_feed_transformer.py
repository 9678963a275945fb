"""The parts of the feed's ranker: isolation, what is encoded once, what teaches nothing, and resuming."""

import json

import numpy as np
import pytest
import torch
from world import world

from winnow.models.action_transformer import ActionTransformer
from winnow.models.base import Run
from winnow.models.networks.actions import ActionMemory
from winnow.models.networks.balance import balanced
from winnow.models.networks.history import Past
from winnow.models.networks.isolation import IsolatedLayer
from winnow.models.ple import PLE

STEPS, SIZE, MARKS, DAY = 6, 8, 2, 86_400.0


@pytest.fixture
def memory():
    torch.manual_seed(0)
    made = ActionMemory(20, {}, marks=MARKS, context=3, size=SIZE, steps=STEPS, layers=2, heads=2, dropout=0.0).eval()
    with torch.no_grad():
        for weight in made.parameters():
            weight.normal_(0, 0.5)
    return made


def past(memory, marks=None, *, after_s=0.0):
    """One history of five steps, the newest an hour ago, and one place of padding."""
    rows = torch.tensor([[5, 4, 3, 2, 1, 0]])
    seconds = (torch.arange(1.0, STEPS + 1) ** 2 * 3_600 + after_s)[None]
    marks = torch.ones(1, STEPS, MARKS) if marks is None else marks
    return Past(memory.vectors(rows, {}), marks, rows > 0, seconds.log1p() / 10)


def test_no_gradient_flows_from_one_candidate_to_another():
    torch.manual_seed(0)
    layer = IsolatedLayer(SIZE, 2, 0.0)
    steps, candidates = torch.randn(1, STEPS, SIZE), torch.randn(1, 4, SIZE, requires_grad=True)
    allowed = torch.ones(1, STEPS, STEPS, dtype=torch.bool)
    _, kept = layer.remember(steps, allowed, torch.zeros(2, STEPS, STEPS))
    out = layer.judge(candidates, kept, allowed[:, :1], torch.zeros(1, 2, 1, STEPS))
    out[0, 2].square().sum().backward()
    assert (candidates.grad[0].abs().sum(-1) > 0).tolist() == [False, False, True, False]


def test_guessing_a_step_never_sees_the_step_or_newer_ones(memory):
    marks = torch.ones(1, STEPS, MARKS)
    before = memory.guess(past(memory, marks))
    marks[0, 2] = 0
    changed = (before != memory.guess(past(memory, marks))).any(-1)[0]
    assert changed.tolist() == [True, True, False, False, False, False]  # newest first


def test_padding_says_nothing(memory):
    marks = torch.ones(1, STEPS, MARKS)
    candidates, context = torch.randn(1, 3, SIZE), torch.randn(1, 3, 3)
    before = memory(candidates, context, past(memory, marks))
    marks[0, -1] = 0
    assert torch.equal(memory(candidates, context, past(memory, marks)), before)


def test_the_encoded_history_stays_the_same_until_the_member_acts_again(memory):
    now, tomorrow = (memory.encode(past(memory, after_s=s)) for s in (0.0, DAY))
    for one, other in zip(now, tomorrow, strict=True):
        assert all(torch.allclose(a, b, atol=1e-5) for a, b in zip(one, other, strict=True))
    candidates, context = torch.randn(1, 3, SIZE), torch.zeros(1, 3, 3)
    scores = [memory(candidates, context, past(memory, after_s=s)) for s in (0.0, DAY)]
    assert (scores[0] - scores[1]).abs().max() > 1e-3  # but candidates know how long ago it was


def test_the_history_is_encoded_once_for_all_candidates(memory, monkeypatch):
    encoded, whole = [], IsolatedLayer.remember

    def watched(self, steps, *rest):
        encoded.append(tuple(steps.shape))
        return whole(self, steps, *rest)

    monkeypatch.setattr(IsolatedLayer, "remember", watched)
    assert memory(torch.randn(1, 500, SIZE), torch.randn(1, 500, 3), past(memory)).shape == (1, 500, memory.width)
    assert encoded == [(1, STEPS, SIZE)] * 2  # once a layer


class Constant(torch.nn.Module):
    """A network whose outputs are its weights."""

    def __init__(self, outputs):
        super().__init__()
        self.outputs = torch.nn.Parameter(outputs)

    def logits(self, batch):
        return self.outputs[:, None]


def of(labels, outputs, power=0.5):
    """The balanced loss of given outputs, with its gradient, and where the heads begin."""
    start, weight = torch.nn.Parameter(torch.zeros(labels.shape[1])), np.ones(len(labels), np.float32)
    loss = balanced(start, {"labels": labels, "weight": weight}, ("binary", "binary", "regression"), power=power)
    net = Constant(outputs.clone())
    value = loss(net, {"labels": torch.from_numpy(labels), "weight": torch.from_numpy(weight)})
    value.backward()
    return value.item(), net.outputs.grad, start.detach().numpy()


@pytest.fixture
def labels():
    rng = np.random.default_rng(0)
    return np.stack([rng.random(400) < 0.5, rng.random(400) < 0.02, rng.exponential(9, 400)], 1).astype(np.float32)


def test_masked_and_delayed_labels_teach_nothing(labels):
    outputs = torch.randn(400, 3)
    labels[100:200, 1], labels[200:] = np.nan, np.nan  # one head of some rows, and rows that are still to be decided
    value, gradient, _ = of(labels, outputs)
    assert (gradient[100:200, 1] == 0).all()
    assert (gradient[200:] == 0).all()
    assert (gradient[:100] != 0).all()
    outputs[200:] = 1e6  # what is predicted there does not matter
    again, other, _ = of(labels, outputs)
    assert again == value
    assert torch.equal(gradient, other)


def test_heads_begin_at_their_base_rates(labels):
    rates = 1 / (1 + np.exp(-of(labels, torch.zeros(400, 3))[2][:2]))
    assert rates == pytest.approx(labels[:, :2].mean(0), abs=2e-3)
    assert of(labels, torch.zeros(400, 3))[2][2] == pytest.approx(np.log1p(labels[:, 2]).mean(), abs=1e-4)


def test_a_head_without_labels_is_harmless(labels):
    labels[:, 1] = np.nan
    value, gradient, start = of(labels, torch.randn(400, 3))
    assert np.isfinite(value)
    assert (gradient[:, 1] == 0).all()
    assert start[1] == 0


def test_rare_heads_are_raised(labels):
    plain, raised = (of(labels, torch.zeros(400, 3), power)[1].abs().sum(0) for power in (0.0, 1.0))
    assert raised[0] / plain[0] == pytest.approx(1, abs=0.01)
    assert raised[1] / plain[1] > 5  # ln 2 over the entropy of about 2 %


class Killed(BaseException):
    """A process that ends."""


@pytest.mark.parametrize("kind", [PLE, ActionTransformer])
def test_broken_off_and_resumed_ends_the_same(kind, tmp_path):
    small = {"epochs": 2, "history_epochs": 2, "batch_size": 64, "experts": 2, "hidden": 8, "least": 5}
    model = kind(history_size=8, attention_heads=2, **small)
    train, valid = world(600, 1), world(200, 2)
    told = []

    def die(what, share):
        told.append(share)
        if share > 0.7:
            raise Killed

    def fit(folder, progress=lambda what, share: None):
        folder.mkdir(exist_ok=True)
        model.fit(train, valid, Run(folder, seed=7, threads=1, progress=progress, checkpoint_every=3))
        return json.loads((folder / "meta.json").read_text())["files"]

    with pytest.raises(Killed):
        fit(tmp_path / "broken", die)
    assert not (tmp_path / "broken" / "meta.json").exists()
    assert fit(tmp_path / "broken") == fit(tmp_path / "whole")
    assert max(told) < 1
