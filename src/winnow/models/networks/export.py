"""Networks to ONNX, with a check that onnxruntime computes what PyTorch does."""

import logging
import warnings
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import onnx
import torch
from torch import Tensor, nn

from winnow.core.errors import InputError, Problem
from winnow.models.session import Session

OPSET = 18
TOLERANCE = 1e-4


class _Named(nn.Module):
    """A network with its batch as separate arguments, in the order of `names`."""

    def __init__(self, net: nn.Module, names: list[str]):
        super().__init__()
        self.net, self.names = net, names

    def forward(self, *arrays: Tensor) -> Tensor:
        return self.net(dict(zip(self.names, arrays, strict=True)))  # type: ignore[no-any-return]


def export(net: nn.Module, sample: Mapping[str, Tensor], path: Path, *, axes: Mapping[str, tuple[str, ...]]) -> None:
    """Write a network as ONNX; inputs keep the names of the batch, the output is `out`.

    Args:
        net: in evaluation mode.
        sample: a batch with at least 2 along every dynamic axis; also what the check runs on.
        path: the file.
        axes: input → the names of its leading dynamic axes.

    Raises:
        InputError: `export-differs` when a prediction differs by more than 1e-4, relative to its size above 1.
    """
    names = list(sample)
    wrapped = _Named(net, names).eval()
    dynamic = {name: dict(enumerate(axes[name])) for name in names}
    dynamic["out"] = dict(enumerate(sorted(axes.values(), key=len)[-1]))
    level = logging.getLogger("torch.onnx").level
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # the tracing exporter warns that a newer one exists
        torch.onnx.export(
            wrapped, tuple(sample.values()), str(path), input_names=names, output_names=["out"], opset_version=OPSET,
            dynamic_axes=dynamic, dynamo=False,
        )  # fmt: skip
    logging.getLogger("torch.onnx").setLevel(level)
    _strip(path)
    one = {name: a[tuple(slice(1) for _ in axes[name])] for name, a in sample.items()}
    for batch in (sample, one):  # another size too: a size that tracing baked in would go unseen
        check(wrapped, batch, path)


def check(wrapped: nn.Module, batch: Mapping[str, Tensor], path: Path) -> None:
    """Compare PyTorch and onnxruntime on a batch.

    Raises:
        InputError: `export-differs`.
    """
    with torch.no_grad():
        expected = wrapped(*batch.values()).numpy()
    try:
        found = Session.open(path, threads=1).run({name: a.numpy() for name, a in batch.items()})
        if found.shape != expected.shape:
            raise ValueError(f"it gives shape {found.shape} instead of {expected.shape}")
        worst = float(np.max(np.abs(found - expected) / np.maximum(np.abs(expected), 1), initial=0))
    except Exception as error:
        raise _differs(path, f"cannot be run: {error}") from error
    if not worst <= TOLERANCE:
        raise _differs(path, f"differs from its network by {worst:.2g}")


def _differs(path: Path, detail: str) -> InputError:
    why, fix = "serving would not predict what was evaluated", "report the versions of torch and onnxruntime"
    return InputError(Problem("export-differs", f"{path.name} {detail}", str(path), why, fix))


def _strip(path: Path) -> None:
    """Drop intermediate shapes and notes: smaller files, and paths of the training machine do not travel."""
    model = onnx.load(path)
    del model.graph.value_info[:]
    for node in model.graph.node:
        node.doc_string = ""
    onnx.save(model, path)
