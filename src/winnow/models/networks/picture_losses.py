"""What picture encoders learn from. Shapes: B pictures, D numbers a vector, G groups."""

import torch
from torch import Tensor, nn

_FAR = -1e9


def contrast(vectors: Tensor, same: Tensor, other: Tensor, *, temperature: float, hardness: float = 0.0) -> Tensor:
    """InfoNCE over a batch: each picture's positives against its negatives, the hard ones weighing more.

    L = mean over i and p in P(i) of −log( e^{s_ip} / (e^{s_ip} + Σ_n w_in e^{s_in}) ), s = cosine / temperature,
    w_in ∝ e^{hardness · s_in} with mean 1 over the negatives of i. Pictures without a positive count for nothing.

    Args:
        vectors: float [B, D], of any length.
        same: which are positives of which, bool [B, B].
        other: which are negatives of which, bool [B, B].
        temperature: above 0.
        hardness: 0 for equal weights.

    Source: van den Oord et al. 2018; Chen et al., ICML 2020; Robinson et al., ICLR 2021 for the weights.
    """
    unit = nn.functional.normalize(vectors.float(), dim=1)
    scores = unit @ unit.T / temperature
    tilt = (hardness * scores.detach()).masked_fill(~other, _FAR)
    count = other.sum(1, keepdim=True).clamp(min=1)
    weight = tilt - tilt.logsumexp(1, keepdim=True) + count.log()
    against = (scores + weight).masked_fill(~other, _FAR).logsumexp(1, keepdim=True)
    losses = torch.logaddexp(scores, against) - scores
    return (losses * same).sum() / same.sum().clamp(min=1)


def proxies(
    vectors: Tensor, centres: Tensor, groups: Tensor, *, sizes: tuple[int, ...], temperature: float, smoothing: float
) -> Tensor:
    """Softmax over one learned vector a group, by cosine, for every size that vectors may be cut to.

    Args:
        vectors: float [B, D].
        centres: float [G, D].
        groups: int64 [B]; rows of -1 count for nothing.
        sizes: prefixes of D, which count the same.
        temperature: above 0.
        smoothing: share of the target that is spread over all groups.

    Source: Zhai and Wu, BMVC 2019; Kusupati et al., NeurIPS 2022 for the prefixes.
    """
    total = vectors.new_zeros(())
    known = groups >= 0
    if not known.any():
        return total
    for size in sizes:
        near, far = (nn.functional.normalize(v[:, :size].float(), dim=1) for v in (vectors[known], centres))
        scores = near @ far.T / temperature
        total = total + nn.functional.cross_entropy(scores, groups[known], label_smoothing=smoothing)
    return total / len(sizes)


def unquantised(vectors: Tensor) -> Tensor:
    """How far numbers are from being -1 or 1: the mean of (|v| − 1)².

    Source: Liu et al., Deep supervised hashing for fast image retrieval, CVPR 2016.
    """
    return (vectors.abs() - 1).square().mean()


def views(n: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """`same` and `other` of `contrast` for two views of n pictures, one after the other: bool [2n, 2n]."""
    picture = torch.arange(n, device=device).repeat(2)
    equal = picture[:, None] == picture
    return equal & ~torch.eye(2 * n, dtype=torch.bool, device=device), ~equal


def judged(vectors: Tensor, same: Tensor) -> float:
    """Mean average precision of finding what belongs together among all others of a set, by cosine.

    Args:
        vectors: float [B, D].
        same: what belongs together, bool [B, B].

    Returns:
        a value in [0, 1]; NaN where nothing belongs together.
    """
    unit = nn.functional.normalize(vectors.float(), dim=1)
    scores = (unit @ unit.T).fill_diagonal_(-torch.inf)
    order = scores.argsort(1, descending=True)[:, :-1]
    hit = same.gather(1, order).double()
    rank = torch.arange(1, hit.shape[1] + 1, device=hit.device)
    precision = (hit * hit.cumsum(1) / rank).sum(1) / hit.sum(1).clamp(min=1)
    asked = hit.sum(1) > 0
    return float(precision[asked].mean()) if asked.any() else float("nan")
