"""What could not be chosen at a moment is no negative of what was chosen then."""

import numpy as np
import pytest
import torch

from winnow.models.networks.retrieval import Pair


class Vectors(torch.nn.Module):
    def __init__(self, vectors):
        super().__init__()
        self.vectors = vectors

    def forward(self, batch):
        return self.vectors[batch["id"]]


def loss(lives, at):
    torch.manual_seed(3)
    vectors = torch.randn(3, 4)
    catalogue = {"id": torch.arange(3)}
    pair = Pair(Vectors(vectors), Vectors(vectors), catalogue, log_q=1.0, negatives=8, lives=lives)  # type: ignore[arg-type]
    users, places = torch.randn(3, 4), torch.arange(3)
    return float(pair.loss(users, places, torch.arange(3), torch.full((3,), 1 / 3), torch.ones(3), at=at))


def test_items_that_lived_at_other_times_are_no_negatives():
    """Three items one after the other: nothing stands against any choice, so nothing is left to learn."""
    lives, at = torch.from_numpy(np.array([[0, 10], [10, 20], [20, 30]])), torch.tensor([5, 15, 29])
    assert loss(lives, at) == pytest.approx(0, abs=1e-6)
    assert loss(None, at) > 0.1
    assert loss(torch.tensor([[0, 30]] * 3), at) == pytest.approx(loss(None, at))


def test_the_end_is_no_moment_of_life():
    lives = torch.tensor([[0, 10], [10, 20], [20, 30]])
    assert loss(lives, torch.tensor([9, 10, 20])) == pytest.approx(0, abs=1e-6)
    assert loss(torch.tensor([[0, 11], [10, 20], [20, 30]]), torch.tensor([10, 10, 20])) > 0
