"""A network that goes on learning takes in what is new and keeps what was; ids that grew cold lose their place."""

from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest

from winnow.continual.replay import Replay, joined
from winnow.core.errors import InputError
from winnow.evaluation.metrics import auc
from winnow.features.batch import FeatureBatch
from winnow.models.base import Run, load_scorer
from winnow.models.dcn import DCN
from winnow.models.delayed import StreamDCN
from winnow.models.examples import Examples
from winnow.models.networks.online import Learner

DAY = 86_400_000_000
FORGOTTEN = 0.02  # AUC that old rows may lose
MODEL = StreamDCN(
    embedding_size=4, least=1, crosses=1, rank=4, hidden=(16,), input_dropout=0, dropout=0, reg=0, epochs=4,
    batch_size=128, learning_rate=1e-2, step=1.0,
)  # fmt: skip


def rows(count, *, era, seed):
    """Clicks whose chance rises with `x` in the old era and falls with it in the new one; each has ads of its own."""
    rng = np.random.default_rng([seed, era])
    x, ad = rng.normal(size=count), rng.integers(0, 20, count) + 100 * era
    taste = np.where(ad % 2, 0.7, -0.7)
    chance = 1 / (1 + np.exp(-(taste + (2 if era == 0 else -2) * x)))
    at = np.sort(rng.integers(era * 20 * DAY, (era * 20 + 5) * DAY, count))
    numbers = np.stack([x, np.full(count, 2.0 * era)], axis=1).astype(np.float32)
    batch = FeatureBatch(numbers, ("x", "era"), {"ad": ad})
    click = (rng.random(count) < chance).astype(np.float32)
    return Examples(batch, {"click": click}, np.ones(count, np.float32), at, np.arange(count), ad)


OLD, GOLDEN, NEW, LATER = rows(4_000, era=0, seed=1), rows(2_000, era=0, seed=2), rows(4_000, era=1, seed=3), rows(
    2_000, era=1, seed=4
)  # fmt: skip


@pytest.fixture(scope="module")
def champion(tmp_path_factory):
    folder = tmp_path_factory.mktemp("champion")
    MODEL.fit(OLD, OLD.take(slice(0, 500)), Run(folder, threads=1))
    return folder


def judged(scorer, part):
    return auc(part.labels["click"], scorer.score(part.features)[:, 0])


def went_on(champion, *, replay):
    """The champion after the new rows, some at a time."""
    learner, kept = Learner.open(champion, MODEL), Replay(1_000)
    kept.add(OLD)
    for start in range(0, len(NEW), 250):
        learner.learn(NEW.take(slice(start, start + 250)), kept.draw(250) if replay else None, passes=4)
    return learner


def test_it_begins_where_the_champion_stands(champion):
    learner = Learner.open(champion, MODEL)
    assert np.allclose(learner.score(GOLDEN.features), load_scorer(champion).score(GOLDEN.features), atol=1e-5)


def test_with_replay_it_learns_the_new_and_keeps_the_old(champion):
    before, learner = load_scorer(champion), went_on(champion, replay=True)
    assert judged(before, LATER) < 0.6
    assert judged(learner, LATER) > 0.85
    assert judged(learner, GOLDEN) > judged(before, GOLDEN) - FORGOTTEN


def test_without_replay_it_forgets(champion):
    """The fault that the test above is there for."""
    assert judged(went_on(champion, replay=False), GOLDEN) < judged(load_scorer(champion), GOLDEN) - FORGOTTEN


def test_what_it_writes_serves_the_same_and_can_go_on(champion, tmp_path):
    learner = went_on(champion, replay=True)
    learner.write(tmp_path)
    scorer = load_scorer(tmp_path)
    assert np.allclose(scorer.score(LATER.features), learner.score(LATER.features), atol=1e-5)
    again = Learner.open(tmp_path, MODEL)
    assert np.allclose(again.score(GOLDEN.features), learner.score(GOLDEN.features), atol=1e-5)
    again.learn(NEW.take(slice(0, 100)))
    for table in again.ids.values():
        table.check()


def test_new_ids_get_rows_of_their_own(champion):
    learner = Learner.open(champion, MODEL)
    assert (learner.ids["ad"].look_up(np.arange(100, 120)) == 0).all()
    learner.learn(NEW.take(slice(0, 500)))
    slots = learner.ids["ad"].look_up(np.concatenate([np.arange(20), np.arange(100, 120)]))
    assert len(np.unique(slots)) == 40
    assert (slots > 0).all()


def test_cold_ids_give_their_rows_to_new_ones(champion):
    learner = Learner.open(champion, replace(MODEL, expire=timedelta(days=10)))
    rows_before = learner.ids["ad"].size
    learner.learn(NEW.take(slice(0, 500)))
    assert (learner.ids["ad"].look_up(np.arange(20)) == 0).all()
    assert learner.ids["ad"].size == rows_before
    assert np.isfinite(learner.score(GOLDEN.features)).all()


def test_a_reused_row_begins_anew(champion):
    learner = Learner.open(champion, replace(MODEL, expire=timedelta(days=10)))
    place = learner.net.categories.names.index("ad")
    before = learner.net.categories.tables[place].weight.detach().clone()
    learner._admit(NEW.take(slice(0, 500)))
    slots = learner.ids["ad"].look_up(np.arange(100, 120))
    after = learner.net.categories.tables[place].weight.detach()
    assert np.abs(after[slots].numpy()).max() < 0.1 < np.abs(before[slots].numpy()).max()


def test_the_same_stream_gives_the_same_network(champion):
    one, two = (went_on(champion, replay=True) for _ in range(2))
    assert np.array_equal(one.score(LATER.features), two.score(LATER.features))


def test_a_copy_stands_still(champion):
    learner = Learner.open(champion, MODEL)
    copied = learner.copied()
    before = copied.score(GOLDEN.features)
    learner.learn(NEW.take(slice(0, 500)))
    assert np.array_equal(copied.score(GOLDEN.features), before)


def test_a_model_without_weights_is_refused(tmp_path):
    DCN(epochs=1, hidden=(4,), crosses=1, rank=2, least=1).fit(
        OLD.take(slice(0, 200)), OLD.take(slice(0, 50)), Run(tmp_path)
    )
    with pytest.raises(InputError) as error:
        Learner.open(tmp_path, MODEL)
    assert error.value.code == "not-online"


def test_replay_is_a_uniform_sample_of_all_that_came():
    kept = Replay(500, seed=1)
    for start in range(0, 4_000, 37):
        kept.add(OLD.take(slice(start, start + 37)))
    assert len(kept) == 500
    assert kept.seen == 4_000
    whole = Replay(500, seed=2)
    whole.add(OLD)
    for one in (kept, whole):
        place = np.searchsorted(OLD.at, one.rows.at)
        assert np.histogram(place, 4, (0, 4_000))[0].min() > 85  # 125 each, give or take four standard deviations
    assert len(kept.draw(10_000)) == 500
    assert Replay(5).draw(3) is None


def test_rows_can_be_joined():
    both = joined([OLD.take(slice(0, 3)), NEW.take(slice(0, 2))])
    assert len(both) == 5
    assert both.features.categorical["ad"].tolist() == [*OLD.item[:3], *NEW.item[:2]]
