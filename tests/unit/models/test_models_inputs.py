import numpy as np
import pytest
import torch
from world import ITEMS, TAGS, world

from winnow.core.errors import InputError
from winnow.features.batch import FeatureBatch, Recent
from winnow.models.artefact import Artefact
from winnow.models.inputs import Inputs, Numerics, Vocabulary, item_feature
from winnow.models.networks.export import export
from winnow.models.networks.history import HistoryNet, Past
from winnow.models.networks.optimiser import adamw, row_adagrad


def batch_of(*columns, names=None):
    x = np.stack(columns, axis=1).astype(np.float32)
    return FeatureBatch(x, tuple(names or (f"x{i}" for i in range(x.shape[1]))))


def test_numerics_become_normal_whatever_their_scale():
    rng = np.random.default_rng(0)
    x = np.exp(rng.normal(size=5_000) * 3)
    out = Numerics.fit(batch_of(x, x * 1e6, np.full(5_000, 7.0))).apply(batch_of(x, x * 1e6, np.full(5_000, 7.0)))
    assert np.abs(out[:, :2].mean(0)).max() < 0.05
    assert np.abs(out[:, :2].std(0) - 1).max() < 0.05
    assert np.corrcoef(out[:, 0], np.log(x))[0, 1] > 0.99
    assert (out[:, 2] == 0).all()


def test_numerics_far_from_training_stay_in_reach():
    rng = np.random.default_rng(0)
    numerics = Numerics.fit(batch_of(rng.normal(size=1_000)))
    out = numerics.apply(batch_of(np.array([-1e9, 1e9, np.nan])))
    assert np.isfinite(out).all()
    assert np.abs(out).max() <= 3.01


def test_vocabulary_knows_training_rows_only():
    vocabulary = Vocabulary.fit(np.array([5, 5, 9, -1, 2]), least=2)
    assert vocabulary.apply(np.array([5, 9, 2, -1, 0, 10**12])).tolist() == [1, 0, 0, 0, 0, 0]
    assert len(vocabulary) == 2


def test_steps_share_the_vocabulary_of_the_candidate_and_carry_marks():
    examples = world(200)
    assert item_feature(examples) == "video"
    inputs = Inputs.fit(examples, item="video")
    assert inputs.history.columns == {"kind": "video_kind", "tags": "video_tags"}
    feeds, watched = inputs.feed(examples.features), examples.features.sequences["watched"].rows
    assert (feeds["seq|row"] == np.where(watched >= 0, inputs.vocabularies["video"].apply(watched) + 1, 0)).all()
    assert (feeds["seq|marks"][..., 0] == ((watched >= 0) & (watched % 2 == 0))).all()
    assert feeds["seq|kind"].max() <= TAGS
    assert len(inputs.vocabularies["video"]) <= ITEMS + 1


def test_a_history_of_another_length_or_without_columns_is_read():
    examples = world(50)
    inputs = Inputs.fit(examples, item="video")
    for k in (0, 3, 20):
        recent = Recent(np.full((1, k), 4), np.ones((1, k), np.float32))
        feeds = inputs.feed(
            FeatureBatch(examples.features.numeric, examples.features.numeric_names, {}, {"watched": recent})
        )
        assert feeds["seq|row"].shape == (1, inputs.length)
        assert (feeds["seq|row"] > 0).sum() == min(k, inputs.length)


def test_inputs_are_the_same_after_saving(tmp_path):
    examples = world(200)
    inputs = Inputs.fit(examples, item="video")
    Artefact.write(tmp_path, model="x", inputs=inputs.save(tmp_path), files=["inputs.npz"])
    read, made = (i.feed(examples.features) for i in (Inputs.open(Artefact.open(tmp_path)), inputs))
    assert read.keys() == made.keys()
    assert all(np.array_equal(read[k], made[k]) for k in made)


def test_guessing_a_step_never_sees_the_step_or_newer_ones():
    torch.manual_seed(0)
    net = HistoryNet(20, {}, marks=2, size=8, steps=6, heads=2, dropout=0.0).eval()
    rows, marks = torch.arange(1, 7)[None], torch.randint(2, (1, 6, 2)).float()
    mask = rows > 0
    past = Past(net.vectors(rows, {}), marks, mask, torch.zeros(1, 6))
    before = net.guess(past)
    marks[0, 2] = 1 - marks[0, 2]
    after = net.guess(past)
    changed = (before != after).any(-1)[0]
    assert changed.tolist() == [True, True, False, False, False, False]  # newest first: only newer steps may know it


def test_an_export_that_differs_is_refused(tmp_path):
    class Baked(torch.nn.Module):
        def forward(self, batch):
            return batch["x"] + torch.ones(int(batch["x"].shape[0]), 1)  # tracing bakes the number of rows in

    sample = {"x": torch.arange(6.0).reshape(3, 2)}
    with pytest.raises(InputError) as error:
        export(Baked(), sample, tmp_path / "net.onnx", axes={"x": ("N",)})
    assert error.value.code == "export-differs"


def test_row_adagrad_touches_only_rows_of_the_batch():
    table = torch.nn.Embedding(5, 3, sparse=True)
    before = table.weight.detach().clone()
    table(torch.tensor([1, 3, 3])).sum().backward()
    with torch.no_grad():
        row_adagrad(table.weight, table.weight.grad, {}, 0.1)
    assert (table.weight != before).any(1).tolist() == [False, True, False, True, False]
    assert torch.allclose(before[1] - table.weight[1], torch.full((3,), 0.1))  # first step: gradient over its own size


def test_adam_equals_that_of_torch():
    torch.manual_seed(0)
    ours = torch.randn(4, 3)
    theirs = torch.nn.Parameter(ours.clone())
    optimiser, state = torch.optim.AdamW([theirs], lr=0.01, weight_decay=0.3), {}
    for _ in range(5):
        grad = torch.randn(4, 3)
        theirs.grad = grad.clone()
        optimiser.step()
        adamw(ours, grad, state, 0.01, 0.3)
    assert torch.allclose(ours, theirs, atol=1e-6)
