"""Feedback that comes late: what each method learns from, its loss, and what it makes of a stream of known truth."""

from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest
import torch

from winnow.core.errors import InputError
from winnow.core.time import MICROS, parse_time
from winnow.features.batch import FeatureBatch
from winnow.models.base import Run, load_scorer
from winnow.models.delayed import METHODS, WAITED, Delay, StreamDCN, as_known, prepared
from winnow.models.examples import Examples
from winnow.models.networks.delayed import loss_of, survival, weighted
from winnow.simulation.delays import HEAD, Size, Stream

HOUR = 3_600
WINDOW, LONGEST = timedelta(hours=1), timedelta(hours=2)


def clicks(hours, after_h, *, as_of_h=10.0, data_until_h=None):
    """Rows at these hours whose conversions take so long, as known at `as_of_h`; a second head was seen at once."""
    at = (np.array(hours) * HOUR * MICROS).astype(np.int64)
    n = len(at)
    batch = FeatureBatch(np.arange(n, dtype=np.float32)[:, None], ("x",))
    labels = {HEAD: np.zeros(n, np.float32), "visit": np.ones(n, np.float32)}
    rows = Examples(batch, labels, np.ones(n, np.float32), at, np.arange(n), np.arange(n))
    until = None if data_until_h is None else int(data_until_h * HOUR * MICROS)
    as_of = int(as_of_h * HOUR * MICROS)
    return as_known(rows, HEAD, np.array(after_h) * HOUR, as_of=as_of, data_until=until)


def by(method):
    return Delay(head=HEAD, method=method, window=WINDOW, longest=LONGEST)


def test_what_was_known_at_a_moment():
    rows = clicks([0, 2, 9, 11], [1, 20, np.nan, 1])
    assert len(rows) == 3  # the last is later than the moment
    assert rows.labels[HEAD].tolist() == [1, 0, 0]  # the second converts, but later
    assert rows.features.training_only[WAITED].tolist() == [10 * HOUR, 8 * HOUR, HOUR]
    assert np.isnan(rows.features.training_only["conversion_after_s"]).tolist() == [False, True, True]


def test_nobody_waits_beyond_the_end_of_the_log():
    rows = clicks([0, 2], [9, np.nan], data_until_h=4)
    assert rows.labels[HEAD].tolist() == [0, 0]
    assert rows.features.training_only[WAITED].tolist() == [4 * HOUR, 2 * HOUR]


def test_naive_believes_what_came_within_the_window_and_nothing_before_it_has_passed():
    label = prepared(clicks([0, 2, 4, 9.5, 9.6], [0.5, 3, np.nan, np.nan, 0.1]), by("naive")).labels[HEAD]
    assert label[:3].tolist() == [1, 0, 0]
    assert np.isnan(
        label[3:]
    ).all()  # one that converted fast is no positive either: the slow ones of its age are missing


@pytest.mark.parametrize("method", ["weighted", "calibrated"])
def test_every_row_comes_as_a_negative_and_again_with_its_conversion(method):
    rows = prepared(clicks([0, 2, 3, 5], [4, 1, np.nan, 100]), by(method))
    arrivals = list(zip(rows.features.numeric[:, 0].astype(int).tolist(), rows.labels[HEAD].tolist(), strict=True))
    # row 0 was shown before the log had run for `longest`, but its conversion (at 4) came after
    assert arrivals == [(1, 0), (2, 0), (1, 1), (0, 1), (3, 0)]
    assert np.isnan(rows.labels["visit"]).tolist() == [False, False, True, True, False]


@pytest.mark.parametrize("method", METHODS)
def test_a_censored_label_teaches_nothing(method):
    """What the joiner calls unknown stays unknown: it is nobody's negative, and no conversion of its own comes back."""
    rows = clicks([0, 4, 5, 6], [np.nan, 0.5, np.nan, np.nan])
    rows = replace(rows, labels=rows.labels | {HEAD: np.array([0, np.nan, np.nan, 0], np.float32)})
    learned = prepared(rows, by(method))
    unknown = np.isin(learned.features.numeric[:, 0], (1, 2))
    assert unknown.sum() == 2
    pull = pulls(learned, method)
    assert (pull[unknown] == 0).all()
    assert (pull[~unknown] > 0).all()


@pytest.mark.parametrize("method", ["naive", "survival"])
def test_a_row_that_has_not_waited_teaches_nothing(method):
    learned = prepared(clicks([0, 9.9999], [np.nan, np.nan], as_of_h=10), by(method))
    pull = pulls(learned, method)
    assert pull[1] < 1e-3 < pull[0]


def pulls(learned, method):
    """How strongly each row moves its own prediction."""
    z = torch.zeros(len(learned), 2, requires_grad=True)
    only = learned.features.training_only
    times = {"after": np.nan_to_num(only["conversion_after_s"]), "waited": only[WAITED]}
    batch = {name: torch.from_numpy(a / np.float32(WINDOW.total_seconds())) for name, a in times.items()}
    batch |= {"labels": torch.from_numpy(learned.labels[HEAD][:, None]), "weight": torch.ones(len(learned))}
    loss_of(by(method), (HEAD,), ("binary",))(_Fixed(z), batch).backward()
    return z.grad[:, 0].abs().numpy()


class _Fixed(torch.nn.Module):
    """A network whose outputs are given."""

    def __init__(self, z):
        super().__init__()
        self.z = z

    def logits(self, batch):
        return self.z


def test_losses_are_what_their_papers_say():
    z, rate = torch.randn(50, dtype=torch.float64), torch.randn(50, dtype=torch.float64)
    y = (torch.rand(50) < 0.5).double()
    after, waited = torch.rand(50).double() * 3, torch.rand(50).double() * 3
    p, pace = z.sigmoid(), rate.exp()
    by_hand = -torch.where(y > 0, (p * pace * (-pace * after).exp()).log(), (1 - p + p * (-pace * waited).exp()).log())
    assert torch.allclose(survival(z, y, rate, after=after, waited=waited), by_hand)
    by_hand = -torch.where(y > 0, (1 + p) * p.log(), (1 - p) * (1 + p) * (1 - p).log())
    assert torch.allclose(weighted(z, y), by_hand)


def test_the_optimum_of_the_weighted_loss_is_the_true_chance():
    """Of N rows pN convert: the stream has N negatives and pN positives; the gradient vanishes at p."""
    true = 0.2
    z = torch.tensor([np.log(true / (1 - true))] * 2, requires_grad=True)
    (weighted(z, torch.tensor([0.0, 1.0])) * torch.tensor([1.0, true])).sum().backward()
    assert float(z.grad.sum()) == pytest.approx(0, abs=1e-6)


@pytest.fixture(scope="module")
def biases(tmp_path_factory):
    """Method → mean prediction over mean truth, less 1, for the clicks after the log."""
    stream = Stream.make(Size(rows=60_000, advertisers=10), seed=3)
    moment = int(30 * 86_400 * MICROS)
    later = stream.rows.at >= moment
    window = timedelta(seconds=stream.window_s(0.7))
    found = {}
    for method in METHODS:
        model = StreamDCN(
            delay=Delay(head=HEAD, method=method, window=window, longest=timedelta(days=12)), embedding_size=4,
            hidden=(16,), crosses=1, rank=4, input_dropout=0, dropout=0, reg=0, epochs=3, batch_size=256,
            learning_rate=3e-3,
        )  # fmt: skip
        known, folder = stream.as_of(moment), tmp_path_factory.mktemp(method)
        few = np.arange(len(known)) % 10 == 0
        model.fit(known.take(~few), known.take(few), Run(folder, threads=1))
        p = load_scorer(folder).score(stream.rows.features.take(later))[:, 0]
        found[method] = float(p.mean() / stream.chance[later].mean() - 1)
    return found


def test_naive_loses_what_comes_after_the_window(biases):
    assert biases["naive"] == pytest.approx(-0.7, abs=0.05)


@pytest.mark.parametrize("method", ["weighted", "calibrated", "survival"])
def test_the_others_are_right_on_average(biases, method):
    assert abs(biases[method]) < 0.06  # chance alone is 1.7 % with so few rows


def test_rows_that_do_not_say_when_conversions_came_are_refused():
    rows = clicks([0], [np.nan])
    bare = replace(rows, features=replace(rows.features, training_only={}))
    with pytest.raises(InputError) as error:
        prepared(bare, by("naive"))
    assert error.value.code == "no-delays"


@pytest.mark.parametrize(
    ("delay", "code"),
    [
        (Delay(head=HEAD, method="guess"), "unknown-delay"),
        (Delay(head=HEAD, window=timedelta(0)), "bad-delay"),
        (Delay(head=HEAD, window=timedelta(days=2), longest=timedelta(days=1)), "bad-delay"),
    ],
)
def test_mistakes_in_the_declaration(delay, code):
    with pytest.raises(InputError) as error:
        prepared(clicks([0], [np.nan]), delay)
    assert error.value.code == code


def test_a_stream_is_what_it_says():
    stream = Stream.make(Size(rows=50_000), seed=1, law="lognormal")
    assert np.array_equal(
        stream.after_s, Stream.make(Size(rows=50_000), seed=1, law="lognormal").after_s, equal_nan=True
    )
    assert stream.eventual().mean() == pytest.approx(stream.chance.mean(), rel=0.05)
    late = stream.after_s[~np.isnan(stream.after_s)] > stream.window_s(0.7)
    assert late.mean() == pytest.approx(0.7, abs=0.001)
    known = stream.as_of(parse_time("1970-01-20T00:00:00Z"))
    assert known.labels[HEAD].mean() < stream.chance[: len(known)].mean()
