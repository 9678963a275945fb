"""Rows a second of our training of a click model beside plain torch with dense Adam, one thread, at equal quality.

Rows are a made-up log with 1,000,000 ids of which few are frequent (`clicks/world.py`). Both train the same network
(DCN-v2 on embeddings) for one pass over batches of the same size, cut straight from columns. Plain torch: dense
gradients and `torch.optim.Adam` on everything. Ours: the loop, the schedule and the optimiser of Winnow, that is
row-wise Adagrad on the rows of the tables that a batch touched. Each takes the best of its learning rates on a tenth of
the rows. Quality is the log loss and AUC on rows that neither saw; the log loss of the true chances is told beside it.
Times are of the processor (all threads of the process), so that other work on the machine counts less.
"""

import os

os.environ |= {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}

import json
import platform
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from benchmarks.clicks.world import clicks
from torch import Tensor, nn

from winnow.evaluation.metrics import auc, log_loss
from winnow.models.base import Run
from winnow.models.dcn import DCN
from winnow.models.inputs import Inputs
from winnow.models.networks import ranking
from winnow.models.networks.dcn import built
from winnow.models.networks.loop import Options, cut, seeded

BATCH, TEST = 4_096, 200_000
TRIED, OUR_TRIED = (3e-3, 1e-2, 3e-2), (2.0, 4.0, 8.0)  # of Adam; of our embeddings
DECLARED = DCN(
    embedding_size=16, least=1, hidden=(64, 32), crosses=2, rank=16, input_dropout=0.0, dropout=0.0, reg=0.01,
    learning_rate=1e-2, embedding_rate=4.0, embedding_steady=100, epochs=1, batch_size=BATCH,
)  # fmt: skip
Arrays = dict[str, np.ndarray]


def main(rows: str = "2000000") -> None:
    """Trains both and prints one JSON object.

    Args:
        rows: to train on.
    """
    log = clicks(int(rows) + TEST)
    whole = log.examples()
    train, test = whole.take(slice(0, int(rows))), whole.take(slice(int(rows), None))
    inputs = Inputs.fit(train, least=1, history=())
    arrays, held_out = (ranking.arrays_of(inputs, part, {"click": "binary"}) for part in (train, test))
    tenth = {name: a[: int(rows) // 10] for name, a in arrays.items()}
    rate = min(TRIED, key=lambda lr: _plain(inputs, tenth, held_out, rate=lr)["log_loss"])
    ours_rate = min(OUR_TRIED, key=lambda lr: _ours(inputs, tenth, held_out, rate=lr)["log_loss"])
    ours, plain = _ours(inputs, arrays, held_out, rate=ours_rate), _plain(inputs, arrays, held_out, rate=rate)
    chance = log.chance[int(rows) :]
    best = float(-(chance * np.log(chance) + (1 - chance) * np.log1p(-chance)).mean())
    print(json.dumps({
        "name": "ctr_training", "ours": round(int(rows) / ours["seconds"]), "peer": round(int(rows) / plain["seconds"]),
        "ratio": round(plain["seconds"] / ours["seconds"], 2), "unit": "rows/s",
        "quality": {"ours": ours, "peer": plain, "log_loss_of_the_truth": round(best, 5)},
        "rates": {"ours": ours_rate, "peer": rate}, "rows": int(rows), "batch": BATCH,
        "ids": sum(inputs.sizes.values()),
        "torch": torch.__version__, "machine": platform.machine(), "load": round(os.getloadavg()[0], 1),
    }))  # fmt: skip


def _ours(inputs: Inputs, arrays: Arrays, held_out: Arrays, *, rate: float) -> dict[str, float]:
    declared = replace(DECLARED, embedding_rate=rate)
    with tempfile.TemporaryDirectory(prefix="winnow-") as folder:
        run = Run(Path(folder), threads=1, checkpoint_every=10**9)
        with seeded(run):
            net = built(declared, inputs, ("binary",))
            options = Options(1, BATCH, DECLARED.learning_rate, DECLARED.reg)
            few = {name: a[:BATCH] for name, a in held_out.items()}
            start = time.process_time()
            ranking.fit(net, arrays, few, options=options, run=run, key="ctr")
            return {"seconds": round(time.process_time() - start, 2), **_judged(net, held_out)}


def _plain(inputs: Inputs, arrays: Arrays, held_out: Arrays, *, rate: float) -> dict[str, float]:
    """The same network with dense tables."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    net = built(DECLARED, inputs, ("binary",))
    for table in _tables(net):
        table.sparse = False
    adam, count = torch.optim.Adam(net.parameters(), lr=rate), len(arrays["labels"])
    columns = {name: torch.from_numpy(a) for name, a in arrays.items()}
    order = torch.randperm(count)
    start = time.process_time()
    for at in range(0, count, BATCH):
        rows = order[at : at + BATCH]
        batch = {name: a[rows] for name, a in columns.items()}
        adam.zero_grad()
        loss = nn.functional.binary_cross_entropy_with_logits(net.logits(batch).flatten(), batch["labels"].flatten())
        loss.backward()  # type: ignore[no-untyped-call]
        adam.step()
    net.eval()
    return {"seconds": round(time.process_time() - start, 2), **_judged(net, held_out)}


def _tables(net: nn.Module) -> list[nn.Embedding]:
    return [m for m in net.modules() if isinstance(m, nn.Embedding)]


def _judged(net: Any, held_out: Arrays) -> dict[str, float]:
    with torch.no_grad():
        parts = [_chances(net, held_out, at) for at in range(0, len(held_out["labels"]), BATCH)]
    p, labels = torch.cat(parts).numpy(), held_out["labels"][:, 0]
    return {"log_loss": round(log_loss(labels, p), 5), "auc": round(auc(labels, p), 5)}


def _chances(net: Any, held_out: Arrays, at: int) -> Tensor:
    return net(cut(held_out, slice(at, at + BATCH))).flatten()  # type: ignore[no-any-return]
