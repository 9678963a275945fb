"""The training loop: batches cut straight from arrays, early stopping, and resuming after a kill to the same bits."""

import hashlib
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from winnow.core.declare import Declared, digest
from winnow.models.base import Run
from winnow.models.examples import Examples
from winnow.models.networks import checkpoint
from winnow.models.networks.optimiser import Adam, rate

Arrays = Mapping[str, NDArray[Any]]
Batch = dict[str, Tensor]
Loss = Callable[[nn.Module, Batch], Tensor]


@dataclass(frozen=True)
class Options:
    """How to train.

    Args:
        epochs: at most so many passes.
        batch_size: rows a step.
        learning_rate: at its peak.
        reg: decoupled weight decay.
        patience: epochs without a better validation loss before it stops.
        final: keep the last weights rather than those with the best validation loss.
    """

    epochs: int
    batch_size: int
    learning_rate: float
    reg: float
    patience: int = 2
    final: bool = False


def train(
    net: nn.Module, arrays: Arrays, loss: Loss, *, options: Options, run: Run, key: str, judge: Callable[[], float]
) -> None:
    """Train a network in place; it ends with the weights of its best epoch.

    Args:
        net: built right after `seeded`, so that its first weights follow from the seed.
        arrays: name → array of R rows each.
        loss: mean loss of one batch.
        options: how.
        run: where checkpoints go; one of the same `key` is continued, and the end is the same to the bit as without
            the interruption.
        key: names what is trained.
        judge: the validation loss of the network as it is.
    """
    rows, size = len(next(iter(arrays.values()))), options.batch_size
    per_epoch = max(1, math.ceil(rows / size))
    optimiser = Adam(net, reg=options.reg)
    at, best = checkpoint.load(run.folder, checkpoint.Progress(key), net, optimiser)
    while not at.done:
        order = np.random.default_rng([run.seed, at.epoch]).permutation(rows)
        net.train()
        while at.step < per_epoch:
            chosen = np.sort(order[at.step * size : (at.step + 1) * size])
            done = (at.epoch * per_epoch + at.step) / (options.epochs * per_epoch)
            optimiser.zero_grad()
            loss(net, cut(arrays, chosen)).backward()  # type: ignore[no-untyped-call]
            optimiser.step(lr=options.learning_rate * rate(done))
            at.step += 1
            if at.step % run.checkpoint_every == 0:
                checkpoint.save(run.folder, at, net, optimiser, best)
                run.progress(key, done)
        net.eval()
        value = judge()
        at.epoch, at.step, at.worse = at.epoch + 1, 0, at.worse + 1
        if value < at.best or options.final:
            at.best, at.worse, best = value, 0, {k: v.clone() for k, v in net.state_dict().items()}
        at.done = at.epoch >= options.epochs or at.worse > options.patience
        checkpoint.save(run.folder, at, net, optimiser, best)
        run.progress(f"{key}: validation loss {value:.4f}", at.epoch / options.epochs)
    net.load_state_dict(best or net.state_dict())
    net.eval()


def declared_key(declared: Declared, examples: Examples) -> str:
    """Names a run by what it learns from: a checkpoint of another declaration or of other rows is not continued."""
    rows = hashlib.sha256(examples.at.tobytes() + examples.item.tobytes() + examples.features.numeric.tobytes())
    return f"{type(declared).__name__} {digest(declared)} {rows.hexdigest()[:12]}"


def cut(arrays: Arrays, rows: NDArray[np.int64] | slice) -> Batch:
    """The chosen rows as tensors."""
    return {name: torch.from_numpy(np.ascontiguousarray(a[rows])) for name, a in arrays.items()}


class seeded:  # noqa: N801 (reads as a statement)
    """Within it torch uses this many threads and draws from this seed; both are put back afterwards."""

    def __init__(self, run: Run, salt: int = 0):
        self.run, self.salt = run, salt

    def __enter__(self) -> None:
        self.threads, self.state = torch.get_num_threads(), torch.get_rng_state()
        torch.set_num_threads(self.run.threads)
        torch.manual_seed(self.run.seed * 1_000 + self.salt)

    def __exit__(self, *error: object) -> None:
        torch.set_num_threads(self.threads)
        torch.set_rng_state(self.state)
