"""What is a negative of a text and what is not, which negatives are hard, and how few examples are reduced."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from winnow.models.networks.text_video import Both, clashes, principal  # noqa: E402
from winnow.models.networks.text_video_hard import alike  # noqa: E402


def batch(text, video, owner, hard=()):
    count = len(video)
    hard = np.array(hard).reshape(count, -1) if len(hard) else np.empty((count, 0), np.int64)
    return {"text": torch.tensor(text, dtype=torch.float32), "video": torch.tensor(video), "owner": torch.tensor(owner),
            "hard": torch.from_numpy(hard.astype(np.int64)), "weight": torch.ones(count)}  # fmt: skip


def banned(**parts):
    given = batch(**parts)
    return clashes(given, torch.cat([given["video"], given["hard"].flatten()])).numpy()


APART = np.eye(3)


def test_other_captions_of_the_same_video_are_no_negatives():
    found = banned(text=APART, video=[7, 7, 8], owner=[0, 1, 2])
    assert found.tolist() == [[False, True, False], [True, False, False], [False, False, False]]


def test_other_videos_of_the_same_asker_are_no_negatives():
    found = banned(text=APART, video=[7, 8, 9], owner=[0, 0, 2])
    assert found.tolist() == [[False, True, False], [True, False, False], [False, False, False]]


def test_videos_of_texts_that_say_the_same_are_no_negatives():
    found = banned(text=[[1, 0], [0.999, 0.01], [0, 1]], video=[7, 8, 9], owner=[0, 1, 2])
    assert found[0].tolist() == [False, True, False]
    assert not found[2].any()


def test_hard_negatives_count_unless_they_are_the_video_itself_or_none():
    found = banned(text=APART, video=[7, 8, 9], owner=[0, 1, 2], hard=[[8, 7], [-1, 9], [7, 8]])
    assert found[:, 3:].tolist() == [[False, True, True, False, True, False], [True, False, True, False, False, True],
                                     [False, False, True, True, False, False]]  # fmt: skip


def test_the_loss_is_that_of_a_softmax_worked_out_by_hand():
    class Same(torch.nn.Module):
        def project(self, *parts):
            return parts[0].reshape(len(parts[0]), -1)

    both = Both.__new__(Both)
    torch.nn.Module.__init__(both)
    both.text = both.video = Same()
    both.heat, both.sizes = torch.nn.Parameter(torch.tensor(0.5).log()), [2]
    texts, frames = np.array([[1.0, 0], [0, 1.0]]), np.array([[[0.6, 0.8]], [[0, 1.0]]])
    items = {"frames": torch.tensor(frames), "rest": torch.zeros(2, 1)}
    given = batch(texts, [0, 1], [0, 1])
    logits = texts @ frames[:, 0].T / 0.5
    there = -np.log(np.exp(np.diag(logits)) / np.exp(logits).sum(axis=1)).mean()
    back = -np.log(np.exp(np.diag(logits)) / np.exp(logits).sum(axis=0)).mean()
    assert float(both.loss(given, items).detach()) == pytest.approx((there + back) / 2, abs=1e-5)


def test_hard_negatives_share_words_and_never_the_video():
    words = np.array([[1, 1, 0, 0], [1, 1, 0, 0], [1, 0, 1, 0], [0, 0, 0, 1]], np.float32)
    found = alike(words, np.array([5, 5, 6, 7]), 2)
    assert found.tolist() == [[6, -1], [6, -1], [5, -1], [-1, -1]]


def test_rare_words_weigh_more():
    words = np.array([[1, 1, 0]] + [[1, 0, 0]] * 8 + [[0, 1, 1]], np.float32)
    assert alike(words, np.arange(10), 1)[0].tolist() == [9]


def test_no_texts_have_no_hard_negatives():
    assert alike(np.zeros((0, 4), np.float32), np.zeros(0, np.int64), 2).shape == (0, 2)


@pytest.mark.parametrize("shape", [(30, 8), (8, 30)])
def test_principal_components_keep_distances_and_start_at_one(shape):
    values = np.random.default_rng(0).normal(size=shape).astype(np.float32) * np.linspace(3, 1, shape[1])
    mean, axes = principal(values.astype(np.float32), min(shape))
    reduced = (values - mean) @ axes
    assert reduced.std(axis=0)[0] == pytest.approx(1, abs=0.05)
    assert (np.diff(reduced.std(axis=0)) < 1e-6).all()
    far = np.linalg.norm(values[0] - values[1]) / np.linalg.norm(values[2] - values[3])
    assert np.linalg.norm(reduced[0] - reduced[1]) / np.linalg.norm(reduced[2] - reduced[3]) == pytest.approx(
        far, rel=1e-3
    )
