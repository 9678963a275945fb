"""A transformer layer in which candidates read a history and themselves, and never one another.

There is no matrix of candidates by candidates that a mask would have to hide: a candidate's scores are those of the K
steps and its own. What the layer says of a candidate therefore cannot depend on its companions, and the history is
encoded once however many candidates there are. Shapes: B histories, C candidates for each, K steps newest first, E
width, H attention heads.
"""

import torch
from torch import Tensor

from winnow.models.networks.towers import Block

_FAR = -1e9
Kept = tuple[Tensor, Tensor]  # keys and values of the history, [B, H, K, E / H] each


class IsolatedLayer(Block):
    """A transformer layer; history and candidates go through the same weights."""

    def remember(self, steps: Tensor, allowed: Tensor, bias: Tensor) -> tuple[Tensor, Kept]:
        """The steps after this layer, [B, K, E], and what candidates read of them.

        Args:
            steps: [B, K, E].
            allowed: which steps each step reads, [B, K, K].
            bias: added to the attention scores, [H, K, K].
        """
        q, k, v = self._split(steps)
        scores = (q @ k.transpose(-1, -2) + bias).masked_fill(~allowed[:, None], _FAR)
        return self._after(steps, torch.softmax(scores, -1) @ v), (k, v)

    def judge(self, candidates: Tensor, memory: Kept, allowed: Tensor, bias: Tensor) -> Tensor:
        """The candidates after this layer, [B, C, E].

        Args:
            candidates: [B, C, E].
            memory: of the history in this layer.
            allowed: which steps a candidate may read, [B, C or 1, K].
            bias: added to the attention scores, [B or 1, H, C or 1, K].
        """
        q, own_key, own_value = self._split(candidates)
        past = (q @ memory[0].transpose(-1, -2) + bias).masked_fill(~allowed[:, None], _FAR)
        itself = (q * own_key).sum(-1, keepdim=True)
        weights = torch.softmax(torch.cat([past, itself], -1), -1)
        return self._after(candidates, weights[..., :-1] @ memory[1] + weights[..., -1:] * own_value)

    def _split(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Queries (scaled), keys and values, [B, H, N, E / H] each."""
        q, k, v = (p.unflatten(-1, (self.heads, -1)).transpose(1, 2) for p in self.qkv(self.first(x)).chunk(3, -1))
        return q * q.shape[-1] ** -0.5, k, v

    def _after(self, x: Tensor, read: Tensor) -> Tensor:
        x = x + self.drop(self.out(read.transpose(1, 2).flatten(-2)))
        return x + self.drop(self.feed(self.second(x)))  # type: ignore[no-any-return]
