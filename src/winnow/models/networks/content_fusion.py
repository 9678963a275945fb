"""Early fusion: modalities meet in a shared trunk, one head per harm.

N posts, D inputs, E units, H heads.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from winnow.features.batch import Floats
from winnow.models.base import Run
from winnow.models.networks.export import export
from winnow.models.networks.loop import Batch, Options, seeded, train

Blocks = Sequence[tuple[int, ...]]
_ANSWERS = ("ngrams", "sentence answers", "picture answers")  # a column for each head
_LEAN = 10.0
_STEPS = 100


class Fusion(nn.Module):
    """One network. What modalities say by themselves also reaches the heads directly, each head from its own.

    Args:
        widths: modality → columns of the inputs; the last says whether it is known.
        heads: H.
        hidden: E.
        dropout, left_out: as declared.
        start: how much each modality's own answer counts at first, and a bias, [A + 1, H].
    """

    def __init__(
        self, widths: Mapping[str, int], heads: int, *, hidden: int, dropout: float, left_out: float, start: Tensor
    ):
        super().__init__()
        self.widths, self.left_out = dict(widths), left_out
        self.into = nn.ModuleDict({name: nn.Linear(width, hidden) for name, width in widths.items()})
        self.trunk = nn.Sequential(
            nn.GELU(), nn.Dropout(dropout), nn.Linear(hidden, hidden), nn.GELU(), nn.Dropout(dropout)
        )
        self.heads = nn.Linear(hidden, heads)
        self.direct = nn.Parameter(start[:-1].clone())
        with torch.no_grad():  # the trunk begins by adding nothing to the mix
            self.heads.weight.zero_()
            self.heads.bias.copy_(start[-1])

    def forward(self, batch: Batch) -> Tensor:
        """Logits [N, H]."""
        parts = dict(zip(self.widths, torch.split(batch["x"], list(self.widths.values()), dim=1), strict=True))
        fused = torch.stack([self._met(name, part) for name, part in parts.items()]).sum(0)
        out: Tensor = self.heads(self.trunk(fused))
        return out + mixed(self.direct, answers(parts, out.shape[1]))

    def _met(self, name: str, part: Tensor) -> Tensor:
        """A modality's share of the trunk; in training it is now and then left out, so that none is relied on alone."""
        met: Tensor = self.into[name](part)
        if not self.training or not self.left_out:
            return met
        kept = torch.rand(len(met), 1) >= self.left_out
        return met * kept / (1 - self.left_out)


def answers(parts: Mapping[str, Tensor], heads: int) -> Tensor:
    """What each modality says by itself, [A, N, H]."""
    return torch.stack([part[:, :heads] for name, part in parts.items() if name in _ANSWERS])


def mixed(direct: Tensor, said: Tensor) -> Tensor:
    """The sum over the modalities, each head's from its own: [A, H] and [A, N, H] to [N, H]."""
    return (direct[:, None] * said).sum(0)


def best_mix(parts: Mapping[str, Tensor], loss: Callable[[Tensor], Tensor], heads: int) -> Tensor:
    """Weights of the answers and a bias for each head, [A + 1, H], of least loss.

    Weights lean towards equal shares of 1, as far as `_LEAN` posts do.

    Args:
        parts: modality → its columns, [N, D].
        loss: of logits [N, H].
        heads: H.
    """
    said = answers(parts, heads)
    equal = 1 / len(said)
    start = torch.cat([torch.full((len(said), heads), equal), torch.zeros(1, heads)]).requires_grad_()
    lean = _LEAN / (2 * heads * said.shape[1])
    optimiser = torch.optim.LBFGS([start], max_iter=_STEPS, line_search_fn="strong_wolfe")

    def closure() -> Tensor:
        optimiser.zero_grad()
        value = loss(mixed(start[:-1], said) + start[-1]) + lean * ((start[:-1] - equal) ** 2).sum()
        value.backward()  # type: ignore[no-untyped-call]
        return value

    optimiser.step(closure)  # type: ignore[no-untyped-call]
    return start.detach()


class Mean(nn.Module):
    """The mean of several networks' logits, less a shift, float [H]."""

    def __init__(self, members: Sequence[nn.Module], shift: Tensor):
        super().__init__()
        self.members, self.shift = nn.ModuleList(members), nn.Buffer(shift)

    def forward(self, batch: Batch) -> Tensor:
        """Logits [N, H]."""
        return torch.stack([member(batch) for member in self.members]).mean(0) - self.shift


def focal_loss(logits: Tensor, labels: Tensor, weight: Tensor, *, blocks: Blocks, gamma: float) -> Tensor:
    """Mean over the blocks of the weighted focal cross entropy, rows without labels left out.

    (1 − p)^gamma · cross entropy, p the probability of the truth.

    Args:
        logits, labels: [N, H]; labels NaN where unknown.
        weight: of each row for each head, [N, H].
        blocks: columns of which exactly one is true, or one alone.
        gamma: 0 for plain cross entropy.

    Source: Lin et al., "Focal loss for dense object detection", ICCV 2017.
    """
    losses = [_block_loss(logits[:, b], labels[:, b], weight[:, b[0]], gamma=gamma) for b in map(list, blocks)]
    return torch.stack(losses).mean()


def _block_loss(logits: Tensor, labels: Tensor, weight: Tensor, *, gamma: float) -> Tensor:
    known = ~labels.isnan().any(dim=1)
    y = labels.nan_to_num()
    if logits.shape[1] == 1:
        nats = nn.functional.binary_cross_entropy_with_logits(logits, y, reduction="none")[:, 0]
    else:
        nats = -(y * logits.log_softmax(dim=1)).sum(1)
    if gamma:
        nats = (1 - torch.exp(-nats)).clamp(min=1e-6) ** gamma * nats
    weight = weight * known
    return (weight * nats).sum() / weight.sum().clamp(min=1e-6)


def fit(
    rows: Mapping[str, tuple[Floats, Floats, Floats]], widths: Mapping[str, int], *, blocks: Blocks,
    settings: Mapping[str, float], run: Run, key: str, shift: Floats,
) -> Path:  # fmt: skip
    """Train the members, write their mean as `network.onnx`.

    Args:
        rows: `train` and `valid` → inputs [N, D], labels [N, H] and weights [N, H].
        widths: modality → columns of the inputs.
        blocks: columns of which exactly one is true, or one alone.
        settings: the numbers of the declaration.
        run: where and how.
        key: names what is trained.
        shift: taken off the logits in the end, float32 [H].
    """
    members = [_member(rows, widths, blocks, s=settings, run=run, key=f"{key} {i}", salt=i)
               for i in range(int(settings["members"]))]  # fmt: skip
    mean = Mean(members, torch.from_numpy(shift)).eval()
    sample = {"x": torch.from_numpy(np.ascontiguousarray(rows["train"][0][:3]))}
    if len(sample["x"]) < 2:
        sample = {"x": torch.cat([sample["x"]] * 2)}
    path = run.folder / "network.onnx"
    export(mean, sample, path, axes={"x": ("N",)})
    return path


def _member(
    rows: Mapping[str, tuple[Floats, Floats, Floats]], widths: Mapping[str, int], blocks: Blocks, *,
    s: Mapping[str, float], run: Run, key: str, salt: int,
) -> nn.Module:  # fmt: skip
    heads = rows["train"][1].shape[1]
    arrays, held_out = (dict(zip(("x", "y", "w"), rows[part], strict=True)) for part in ("train", "valid"))

    def loss(net: nn.Module, batch: Batch) -> Tensor:
        return focal_loss(net(batch), batch["y"], batch["w"], blocks=blocks, gamma=s["focal"])

    def judge() -> float:
        with torch.no_grad():
            batch = {name: torch.from_numpy(np.ascontiguousarray(a)) for name, a in held_out.items()}
            return float(loss(net, batch)) if len(batch["x"]) else 0.0

    own = Run(run.folder, run.seed + salt, run.threads, run.progress, 10**9, run.types)
    options = Options(int(s["epochs"]), int(s["batch_size"]), s["learning_rate"], s["reg"], patience=3)
    with seeded(own, salt):
        known = {name: torch.from_numpy(a) for name, a in arrays.items()}
        parts = dict(zip(widths, torch.split(known["x"], list(widths.values()), dim=1), strict=True))
        start = best_mix(parts, lambda z: focal_loss(z, known["y"], known["w"], blocks=blocks, gamma=s["focal"]), heads)
        net = Fusion(widths, heads, hidden=int(s["hidden"]), dropout=s["dropout"], left_out=s["left_out"], start=start)
        train(net, arrays, loss, options=options, run=own.part(f"member{salt}"), key=key, judge=judge)
    return net
