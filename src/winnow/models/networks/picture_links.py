"""Which pictures people clicked together, as training asks for it. B pictures of a batch."""

import numpy as np
import torch
from torch import Tensor

from winnow.models.picture_retrieval import Pictures


class Linked:
    """Who was clicked together with whom.

    Args:
        pictures: whose pairs count in both directions.
    """

    def __init__(self, pictures: Pictures):
        pairs, count = pictures.pairs.reshape(-1, 2).astype(np.int64), len(pictures)
        both = np.unique(np.concatenate([pairs, pairs[:, ::-1]]), axis=0)
        self._to = torch.from_numpy(both[:, 1].copy())
        self._first = torch.from_numpy(np.searchsorted(both[:, 0], np.arange(count + 1)))
        self._keys, self._count = torch.from_numpy(both @ np.array([count, 1])), count

    def partners(self, places: Tensor) -> Tensor:
        """One partner of each picture, drawn at random, or the picture itself, int64 [B]."""
        if not len(self._to):
            return places
        first, number = self._first[places], self._first[places + 1] - self._first[places]
        drawn = first + (torch.rand(len(places)) * number).long()
        return torch.where(number > 0, self._to[drawn.clamp(max=len(self._to) - 1)], places)

    def between(self, places: Tensor) -> Tensor:
        """Which pictures of a batch were clicked together, bool [B, B]."""
        return torch.isin(places[:, None] * self._count + places, self._keys)
