"""A training run on disk: weights, optimiser, random state and counters in one file, replaced atomically."""

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

NAME = "checkpoint.safetensors"


@dataclass
class Progress:
    """Where a run stands.

    Args:
        key: what is being trained; a checkpoint of anything else is ignored.
        epoch: the running epoch.
        step: steps done in it.
        best: lowest validation loss so far.
        worse: epochs since then.
        done: whether training has ended.
    """

    key: str
    epoch: int = 0
    step: int = 0
    best: float = float("inf")
    worse: int = 0
    done: bool = False


Loaded = tuple[Progress, dict[str, Tensor]]


def save(folder: Path, at: Progress, net: nn.Module, optimiser: torch.optim.Optimizer, best: dict[str, Tensor]) -> None:
    """Write everything that the next step depends on."""
    tensors = {f"net|{k}": v for k, v in net.state_dict().items()}
    tensors |= {f"best|{k}": v for k, v in best.items()}
    for place, state in optimiser.state_dict()["state"].items():
        tensors |= {f"opt|{place}|{k}": torch.as_tensor(v) for k, v in state.items()}
    tensors["random"] = torch.get_rng_state()
    draft = folder / f".{NAME}"
    copies = {k: v.detach().clone().contiguous() for k, v in tensors.items()}
    save_file(copies, draft, metadata={"progress": json.dumps(asdict(at))})
    with draft.open("rb") as file:
        os.fsync(file.fileno())
    os.replace(draft, folder / NAME)


def load(folder: Path, fresh: Progress, net: nn.Module, optimiser: torch.optim.Optimizer) -> Loaded:
    """Continue from a checkpoint: net, optimiser and random state are set to it.

    Returns:
        where the run stands, and the best weights so far; `fresh` and none if there is no checkpoint of this run.
    """
    try:
        with safe_open(folder / NAME, framework="pt") as file:
            at = Progress(**json.loads(file.metadata()["progress"]))
            tensors = {k: file.get_tensor(k) for k in file.keys()}  # noqa: SIM118 (not a dict)
    except (OSError, SafetensorError, ValueError, KeyError, TypeError):
        return fresh, {}
    if at.key != fresh.key:
        return fresh, {}
    net.load_state_dict(_part(tensors, "net"))
    known = optimiser.state_dict()
    state: dict[int, dict[str, Tensor]] = {}
    for name, value in _part(tensors, "opt").items():
        place, _, key = name.partition("|")
        state.setdefault(int(place), {})[key] = value
    optimiser.load_state_dict({**known, "state": state})
    torch.set_rng_state(tensors["random"])
    return at, _part(tensors, "best")


def _part(tensors: dict[str, Tensor], name: str) -> dict[str, Tensor]:
    return {k.partition("|")[2]: v for k, v in tensors.items() if k.startswith(f"{name}|")}
