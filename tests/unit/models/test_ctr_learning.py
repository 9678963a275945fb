"""FTRL, hashing, sampling and the sparse optimiser: what they promise, on numbers that can be worked out."""

import json
from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch
from torch import nn

from winnow.core.errors import InputError
from winnow.features.batch import FeatureBatch
from winnow.models.artefact import Artefact
from winnow.models.base import Ranker, Run
from winnow.models.examples import Examples
from winnow.models.ftrl import Ftrl, LinearScorer
from winnow.models.ftrl_kernel import Proximal, Rates, batches, loss
from winnow.models.ftrl_places import Places
from winnow.models.inputs import Inputs
from winnow.models.networks.optimiser import Adam, row_adagrad, table_adagrad
from winnow.models.sampling import Sampled, SampledScorer, kept, restored
from winnow.models.vocabulary import Hashing, Vocabulary

RATES = Rates(alpha=0.1, beta=1.0, l1=0.5, l2=0.1)


def examples(ids, labels, *, heads=("click",), numeric=None):
    rows = np.arange(len(ids))
    numbers = np.zeros((len(ids), 0), np.float32) if numeric is None else numeric.astype(np.float32)[:, None]
    names = () if numeric is None else ("number",)
    features = FeatureBatch(numbers, names, {f"f{i}": c for i, c in enumerate(np.asarray(ids).T)})
    told = {h: np.asarray(y, np.float32) for h, y in zip(heads, np.atleast_2d(labels), strict=True)}
    return Examples(features, told, np.ones(len(ids), np.float32), rows, rows, rows)


def one_by_one(rows, labels, rates, places):
    """FTRL-proximal as the paper writes it: one row, one coordinate after the other."""
    z, n, out = np.zeros(places), np.zeros(places), []
    for row, y in zip(rows, labels, strict=True):
        w = {
            i: 0.0
            if abs(z[i]) <= rates.l1
            else -(z[i] - np.sign(z[i]) * rates.l1) / ((rates.beta + np.sqrt(n[i])) / rates.alpha + rates.l2)
            for i in row
        }
        p = 1 / (1 + np.exp(-sum(w.values())))
        out.append(p)
        for i in row:
            g = p - y
            z[i] += g - (np.sqrt(n[i] + g * g) - np.sqrt(n[i])) / rates.alpha * w[i]
            n[i] += g * g
    return z, n, np.array(out)


def test_row_by_row_it_is_the_algorithm_of_the_paper():
    rng = np.random.default_rng(0)
    at = np.stack([rng.permutation(12)[:4] for _ in range(300)])
    labels = (rng.random(300) < 0.3).astype(np.float32)
    state = Proximal.empty(12, RATES)
    told = state.run(at, labels, np.ones(300, np.float32), batch_size=1)
    z, n, p = one_by_one(at, labels, RATES, 12)
    assert told == pytest.approx(p, abs=1e-5)
    assert state.z[:-1] == pytest.approx(z, abs=1e-4)
    assert state.n[:-1] == pytest.approx(n, abs=1e-4)


def test_a_place_twice_in_a_batch_counts_twice_and_nothing_never_learns():
    state = Proximal.empty(3, Rates(alpha=1.0, beta=1.0, l1=0.0, l2=0.0))
    state.learn(np.array([[0, 3], [0, 1], [2, 3]]), np.array([1, 1, np.nan], np.float32), np.ones(3, np.float32))
    assert state.z.tolist() == [-1.0, -0.5, 0, 0]  # -0.5 each; the row without a label teaches nothing
    assert state.n.tolist() == [1.0, 0.25, 0, 0]
    assert state.weights()[-1] == 0


def test_batches_begin_small_and_cover_all_rows():
    cuts = [(c.start, c.stop) for c in batches(100, 64)]
    assert cuts == [(0, 16), (16, 48), (48, 100)]
    assert [c.stop for c in batches(100, 64, grown=True)] == [64, 100]


def test_strong_l1_leaves_rare_places_at_zero():
    rng = np.random.default_rng(1)
    at = np.column_stack([np.zeros(2000, int), 1 + rng.integers(500, size=2000)])
    labels = (rng.random(2000) < 0.5).astype(np.float32)
    state = Proximal.empty(501, replace(RATES, l1=3.0))
    state.run(at, labels, np.ones(2000, np.float32), batch_size=64)
    assert (state.weights()[1:] == 0).mean() > 0.95


def test_loss_of_known_labels_only():
    assert loss(np.array([1, np.nan], np.float32), np.array([0.5, 0.1], np.float32), binary=True) == pytest.approx(
        np.log(2)
    )
    assert loss(np.array([3.0], np.float32), np.array([1.0], np.float32), binary=False) == 2.0
    assert loss(np.array([np.nan], np.float32), np.array([1.0], np.float32), binary=False) == 0.0


def xor_world(rows, seed):
    rng = np.random.default_rng(seed)
    ids = rng.integers(2, size=(rows, 2))
    labels = rng.random(rows) < np.where(ids[:, 0] == ids[:, 1], 0.8, 0.2)
    return examples(ids, labels)


def test_only_a_cross_can_tell_equal_from_different(tmp_path):
    train, test = xor_world(4000, 0), xor_world(1000, 1)
    spread = {}
    for name, crosses in (("with", (("f0", "f1"),)), ("without", ())):
        folder = tmp_path / name
        folder.mkdir()
        model = Ftrl(crosses=crosses, bits=12, learning_rate=0.5)
        model.fit(train, test, Run(folder))
        spread[name] = float(Ftrl.open(Artefact.open(folder), 1).score(test.features).std())
    assert spread["with"] > 0.25
    assert spread["without"] < 0.05


def test_a_cross_of_nothing_is_named(tmp_path):
    with pytest.raises(InputError, match="did you mean `f1`") as error:
        Ftrl(crosses=(("f0", "f11"),)).fit(xor_world(50, 0), xor_world(5, 1), Run(tmp_path))
    assert error.value.code == "unknown-feature"


def test_learning_on_is_as_learning_all_at_once(tmp_path):
    train = xor_world(3000, 0)
    once, first, then = (tmp_path / n for n in ("once", "first", "then"))
    for folder in (once, first, then):
        folder.mkdir()
    model = Ftrl(bits=12, batch_size=1)
    model.fit(train, train, Run(once))
    model.fit(train.take(slice(0, 2000)), train, Run(first))
    model.learn_on(first, train.take(slice(2000, None)), Run(then))
    scores = [Ftrl.open(Artefact.open(f), 1).score(train.features) for f in (once, then, first)]
    assert np.array_equal(scores[0], scores[1])
    assert not np.array_equal(scores[0], scores[2])
    losses = json.loads((then / "meta.json").read_text())["losses"]
    assert losses["click"] < np.log(2)  # on fresh rows before they were learned


def test_what_was_learned_before_helps_on_what_comes(tmp_path):
    first, then = tmp_path / "first", tmp_path / "then"
    first.mkdir(), then.mkdir()
    model = Ftrl(bits=12)
    model.fit(xor_world(4000, 0), xor_world(10, 1), Run(first))
    fresh = xor_world(300, 5)
    model.learn_on(first, fresh, Run(then))
    warm = json.loads((then / "meta.json").read_text())["losses"]["click"]
    model.fit(fresh, fresh, Run(first))
    assert warm < json.loads((first / "meta.json").read_text())["losses"]["click"] - 0.02


def test_places_tell_features_values_and_order_apart():
    batch = FeatureBatch(np.array([[1.0], [9.0]], np.float32), ("x",), {
        "a": np.array([3, 4]), "b": np.array([4, 3]), "many": np.array([[1, -1], [1, 2]]),
    })  # fmt: skip
    read = Places.fit(batch, (("a", "b"), ("a", "many"), ("b", "a")), buckets=2, bits=40)
    at = read.read(batch)
    assert at.shape == (2, 1 + (1 + 1 + 2 + 1) + (1 + 2 + 1))
    nothing = at == len(read)
    assert nothing.sum() == 2  # padding, alone and in its cross
    assert at[0, 0] == at[1, 0]
    known = at[~nothing]
    assert len(np.unique(known)) == len(known) - 2  # the constant, and the tag 1 that both rows have
    assert np.array_equal(Places.of(json.loads(json.dumps(read.to_data()))).read(batch), at)


def test_a_hash_spreads_evenly():
    batch = FeatureBatch(np.zeros((20_000, 0), np.float32), (), {"a": np.arange(20_000)})
    counts = np.bincount(Places.fit(batch, (), buckets=2, bits=6).read(batch)[:, 1], minlength=64)
    assert ((counts - 20_000 / 64) ** 2 / (20_000 / 64)).sum() < 110  # chi-squared of 63, 99.98 %


def test_ids_beyond_the_vocabulary_share_rows():
    seen = np.array([5] * 10 + [6] * 10 + list(range(20, 60)))
    vocabulary = Vocabulary.fit(seen, least=5, hashing=Hashing(bits=10, hashes=3))
    ids = vocabulary.apply(np.array([5, 6, -1, 20, 21, 10**9]))
    assert ids[:3].tolist() == [[1] * 3, [2] * 3, [0] * 3]
    assert len(vocabulary) == 3 + 1024
    assert (ids[3:] >= 3).all()
    assert (ids[3:] < len(vocabulary)).all()
    assert len({tuple(row) for row in ids[3:].tolist()}) == 3
    many = vocabulary.apply(np.arange(1000, 6000))
    assert len(np.unique(many[:, 0])) < 1024.5
    assert len(np.unique(many, axis=0)) == 5000  # one hash collides, three together do not
    assert Vocabulary.fit(seen, least=1, hashing=Hashing()).hashing is None  # all have an id of their own


def test_hashed_inputs_keep_their_shape_and_survive_a_file(tmp_path):
    rng = np.random.default_rng(0)
    train = examples(np.stack([rng.integers(2, size=400), rng.integers(300, size=400)], 1), rng.integers(2, size=400))
    many = rng.integers(300, size=(400, 2))
    train = replace(train, features=replace(train.features, categorical=train.features.categorical | {"many": many}))
    inputs = Inputs.fit(train, least=3, history=(), hashed=Hashing(bits=4, hashes=2))
    assert inputs.widths == {"f0": 0, "f1": 2, "many": 4}
    feed = inputs.feed(train.features)
    assert feed["cat|many"].shape == (400, 4)
    facts = inputs.save(tmp_path)
    Artefact.write(tmp_path, model="x", files=["inputs.npz"], inputs=facts)
    again = Inputs.open(Artefact.open(tmp_path)).feed(train.features)
    assert all(np.array_equal(feed[name], again[name]) for name in feed)
    lacking = inputs.feed(replace(train.features, categorical={}))
    assert lacking["cat|many"].shape == (400, 4)


@pytest.mark.parametrize("share", [1.0, 0.1, 0.003])
def test_putting_back_is_exact(share):
    q = np.array([1e-6, 0.01, 0.5, 0.99, 1.0, 0.0])
    sampled = q / (q + share * (1 - q))
    assert restored(sampled, share) == pytest.approx(q, rel=1e-9)


def test_rows_are_kept_as_asked():
    labels = np.array([1, 0, np.nan] * 20_000, np.float32)
    rows = kept(labels, 0.1, seed=[3])
    assert (labels[rows] == 1).sum() == 20_000
    assert 1_850 < (labels[rows] == 0).sum() < 2_150
    assert not np.isnan(labels[rows]).any()
    assert (np.diff(rows) > 0).all()


@dataclass(frozen=True, kw_only=True)
class Told:
    """A scorer that answers what the sampled world would show for known chances."""

    heads: tuple[str, ...] = ("click", "buy", "spent")
    share: float

    def score(self, batch):
        q = batch.numeric[:, 0].astype(np.float64)
        every = q + self.share * (1 - q)
        return np.stack([q / every, 0.3 * q / every, 7 * q / every], 1).astype(np.float32)


def test_heads_that_need_the_click_are_put_back_too():
    q = np.linspace(0.001, 0.9, 50).astype(np.float32)
    batch = FeatureBatch(q[:, None], ("q",))
    scorer = SampledScorer(Told(share=0.05), ["binary", "binary", "regression"], "click", 0.05)
    assert scorer.score(batch) == pytest.approx(np.stack([q, 0.3 * q, 7 * q], 1), rel=1e-4)


def test_means_stay_unbiased_when_a_tenth_of_the_negatives_is_kept(tmp_path):
    rng = np.random.default_rng(0)
    ids = rng.integers(6, size=(60_000, 1))
    chance = np.array([0.01, 0.02, 0.03, 0.05, 0.08, 0.2])[ids[:, 0]]
    click = (rng.random(60_000) < chance).astype(np.float32)
    both = np.stack([click, click * (rng.random(60_000) < 0.5)])
    train = examples(ids, both, heads=("click", "buy"))
    rest = Ftrl(crosses=(), bits=10, learning_rate=0.3, l1=0.0, reg=0.0, epochs=20)
    Sampled(rest, negatives=0.1).fit(train, train.take(slice(0, 100)), Run(tmp_path))
    scores = Sampled.open(Artefact.open(tmp_path), 1).score(train.features)
    for head, truth in enumerate(both):
        assert scores[:, head].mean() == pytest.approx(truth.mean(), rel=0.03)
        for place in range(6):
            of = ids[:, 0] == place
            assert scores[of, head].mean() == pytest.approx(truth[of].mean(), rel=0.25, abs=2e-3)
    raw = Sampled.open(Artefact.open(tmp_path), 1).model.score(train.features)
    assert raw[:, 0].mean() > 4 * click.mean()  # without putting back it would be far off


def test_sampling_refuses_what_it_cannot_put_back(tmp_path):
    ids = np.zeros((4, 1), np.int64)
    train = examples(ids, [[1, 0, 0, 1], [0, 1, 0, 0]], heads=("click", "hide"))
    for model, code in (
        (Sampled(Ftrl(), of="click"), "sampling-not-exact"), (Sampled(Ftrl(), of="buy"), "unknown-head"),
        (Sampled(Ftrl(), negatives=0.0), "bad-share"), (Sampled(Ftrl(), negatives=1.5), "bad-share"),
    ):  # fmt: skip
        with pytest.raises(InputError) as error:
            model.fit(train, train, Run(tmp_path))
        assert error.value.code == code


def test_sparse_and_dense_row_adagrad_are_the_same_step():
    torch.manual_seed(0)
    start, ids = torch.randn(50, 4), torch.tensor([3, 7, 3, 3, 9])
    results = []
    for sparse in (True, False):
        table = nn.Embedding(50, 4, sparse=sparse)
        table.weight.data.copy_(start)
        state = {}
        for _ in range(3):
            table.zero_grad()
            table(ids).square().sum().backward()
            with torch.no_grad():
                step = row_adagrad if sparse else table_adagrad
                step(table.weight, table.weight.grad, state, 0.1)
        results.append(table.weight.detach().clone())
    assert torch.allclose(results[0], results[1], atol=1e-6)
    untouched = [i for i in range(50) if i not in (3, 7, 9)]
    assert torch.equal(results[0][untouched], start[untouched])
    assert not torch.equal(results[0][3], start[3])


@pytest.mark.parametrize("sparse", [True, False])
def test_a_penalty_on_tables_draws_rows_towards_zero(sparse):
    net = nn.Sequential(nn.Embedding(10, 3, sparse=sparse))
    net.row_factor, net.table_reg = 1.0, 5.0
    before = net[0].weight.detach().clone()
    optimiser = Adam(net, reg=0.0)
    (net(torch.tensor([1])) * 0).sum().backward()
    optimiser.step(lr=0.1)
    assert (net[0].weight[1].norm() < before[1].norm()).item()
    assert torch.equal(net[0].weight[2], before[2]) == sparse  # only touched rows, where gradients are sparse


def test_scores_of_weights_add_up():
    batch = FeatureBatch(np.zeros((3, 0), np.float32), (), {"a": np.array([0, 1, -1])})
    read = Places.fit(batch, (), buckets=2, bits=8)
    weights = np.arange(257, dtype=np.float32) / 1000
    found = LinearScorer(("click",), read, {"click": weights}, {"click": "binary"}).score(batch)
    expected = 1 / (1 + np.exp(-weights[read.read(batch)].sum(1)))
    assert found[:, 0] == pytest.approx(expected, rel=1e-5)
    assert issubclass(Sampled, Ranker)
