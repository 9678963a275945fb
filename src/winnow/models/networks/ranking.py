"""What training the ranking networks has in common: arrays, loss over masked heads, validation, the exported graph."""

from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from winnow.features.batch import Floats
from winnow.models.artefact import Artefact
from winnow.models.base import HeadType, Run
from winnow.models.examples import Examples
from winnow.models.inputs import FILE, Inputs
from winnow.models.networks.export import export
from winnow.models.networks.layers import head_losses
from winnow.models.networks.loop import Batch, Loss, Options, cut, train

GRAPH = "network.onnx"
AMOUNT_WEIGHT = 0.1  # of a squared error in log(1 + amount) beside a log loss
_JUDGED_AT_ONCE = 4_096
_POSITION_SCALE = 3.0


class Network(Protocol):
    """What the loss needs of a ranking network."""

    types: tuple[HeadType, ...]

    def logits(self, batch: Mapping[str, Tensor]) -> Tensor: ...


def arrays_of(inputs: Inputs, examples: Examples, heads: Mapping[str, HeadType]) -> dict[str, NDArray[Any]]:
    """Inputs shaped [N, 1, ...], histories [N, K, ...], `labels` [N, H], `weight` [N]."""
    feeds = inputs.shaped(inputs.feed(examples.features), each=True)
    feeds["labels"] = np.stack([examples.labels[h] for h in heads], axis=1).astype(np.float32)
    feeds["weight"] = examples.weight.astype(np.float32)
    for position in list(examples.features.training_only.values())[:1]:
        feeds["position"] = position_of(position)
    return feeds


def position_of(position: Floats) -> Floats:
    """Position as the network reads it, [N, 1, 2]: its size and whether it is known."""
    known = ~np.isnan(position)
    size = np.log1p(np.maximum(np.nan_to_num(position), 0)) / _POSITION_SCALE
    return np.stack([size * known, known], axis=-1).astype(np.float32)[:, None]


def loss(net: nn.Module, batch: Batch) -> Tensor:
    """Weighted mean over rows of the sum over heads; a head without a label adds nothing."""
    types: tuple[HeadType, ...] = net.types  # type: ignore[assignment]
    logits = net.logits(batch)  # type: ignore[operator]
    losses = head_losses(logits.flatten(0, -2), batch["labels"], types)
    scale = torch.tensor([1.0 if t == "binary" else AMOUNT_WEIGHT for t in types])
    return ((losses * scale).sum(1) * batch["weight"]).sum() / batch["weight"].sum().clamp(min=1e-6)


def fit(net: nn.Module, arrays: dict[str, NDArray[Any]], valid: dict[str, NDArray[Any]], *, options: Options, run: Run,
        key: str) -> None:  # fmt: skip
    """Train a ranking network, judged by its loss on the validation rows."""
    held_out = {name: a for name, a in valid.items() if name != "position"}
    if "remembered" in arrays:
        arrays, held_out = ({k: a for k, a in d.items() if not k.startswith("seq|")} for d in (arrays, held_out))
    train(net, arrays, loss, options=options, run=run, key=key, judge=lambda: mean_loss(net, held_out, loss))


def mean_loss(net: nn.Module, arrays: dict[str, NDArray[Any]], of: Loss, *, at_once: int = _JUDGED_AT_ONCE) -> float:
    """The loss over all rows, batch by batch; 0 without rows."""
    rows = len(next(iter(arrays.values())))
    total = 0.0
    with torch.no_grad():
        for start in range(0, rows, at_once):
            part = slice(start, min(start + at_once, rows))
            total += float(of(net, cut(arrays, part))) * (part.stop - part.start)
    return total / max(rows, 1)


def write(model: str, net: nn.Module, inputs: Inputs, arrays: dict[str, NDArray[Any]], *,
          heads: Mapping[str, HeadType], run: Run) -> None:  # fmt: skip
    """Export a ranking network with everything that serves it."""
    sample = _sample(arrays)
    axes: dict[str, tuple[str, ...]] = {n: ("B",) if n.startswith("seq|") else ("B", "C") for n in sample}
    export(net, sample, run.folder / GRAPH, axes=axes)
    facts = inputs.save(run.folder)
    files, types = [GRAPH, FILE], list(heads.values())
    Artefact.write(run.folder, model=model, files=files, heads=list(heads), types=types, inputs=facts)


def _sample(arrays: dict[str, NDArray[Any]]) -> dict[str, Tensor]:
    """Three histories with two candidates each, made of the first rows."""
    reads = {k: a for k, a in arrays.items() if k == "numeric" or k.startswith(("cat|", "seq|"))}
    out = {}
    for name, a in reads.items():
        rows = np.resize(a, (6, *a.shape[1:]))
        out[name] = torch.from_numpy(rows[:3] if name.startswith("seq|") else rows.reshape(3, 2, *a.shape[2:]).copy())
    return out
