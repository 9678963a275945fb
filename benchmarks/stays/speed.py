"""How fast skip-gram learns beside a plain loop, and calendars of five million listings are asked."""

import time
from typing import Any

import numpy as np
from rich.console import Console

from winnow.data.nights import date_of, day_of, written
from winnow.features.nights import Nights
from winnow.models.attributes import Attributes
from winnow.models.sessions import Journeys, Sessions
from winnow.models.skipgram import SkipGram

LISTINGS, NUMBERS, BATCH, NEGATIVES = 100_000, 32, 1_024, 5
SESSIONS, STEPS = 20_000, 6
PLAIN = 40  # batches of the plain loop: they all cost the same
CALENDARS, WRITTEN = 5_000_000, 200_000
TIMES = 3


def race(sessions: Sessions, console: Console) -> dict[str, Any]:
    """Pairs a second on one core: ours, and a plain torch loop with dense and with sparse gradients, turn by turn."""
    rng = np.random.default_rng(0)
    markets = rng.integers(0, 50, LISTINGS)
    of = np.argsort(markets, kind="stable")
    start = np.searchsorted(markets[of], np.arange(51))
    market = np.repeat(rng.integers(0, 50, SESSIONS), STEPS)
    items = of[start[market] + (rng.random(len(market)) * np.diff(start)[market]).astype(np.int64)]
    none, ones = np.full(SESSIONS, -1), np.ones(len(items), np.float32)
    journeys = Journeys(items, np.arange(SESSIONS + 1) * STEPS, ones, none, none, none, none, markets)
    turns = [(_ours(sessions, journeys), _plain(journeys), _plain(journeys, sparse=True)) for _ in range(TIMES)]
    ours, dense, sparse = (float(x) for x in np.median(turns, axis=0))
    told = {"ours": ours, "dense": dense, "sparse": sparse, "ratio": ours / dense, "ratio_to_sparse": ours / sparse}
    console.print(f"skip-gram, {LISTINGS:,} listings x {NUMBERS}, one core: {told}")
    return told


def _ours(sessions: Sessions, journeys: Journeys) -> float:
    import tempfile
    from pathlib import Path

    from winnow.models.base import Run
    from winnow.models.networks.skipgram import fit

    declared = SkipGram(sessions, Attributes(), epochs=1, batch_size=BATCH, negatives=NEGATIVES)
    pairs = len(journeys.pairs(declared.window)[0])
    with tempfile.TemporaryDirectory() as folder:
        began = time.perf_counter()
        fit(declared, journeys, LISTINGS, Run(Path(folder), threads=1))
        return pairs / (time.perf_counter() - began)


def _plain(journeys: Journeys, *, sparse: bool = False) -> float:
    """As one would write it: two embeddings, negatives for each pair, a loss, backward, an optimiser."""
    import torch
    from torch import nn

    torch.set_num_threads(1)
    torch.manual_seed(0)
    centre, context, _, _ = journeys.pairs(5)
    one, two = (nn.Embedding(LISTINGS, NUMBERS, sparse=sparse) for _ in range(2))
    optimiser = torch.optim.Adagrad([*one.parameters(), *two.parameters()], lr=0.1)
    order = torch.randperm(len(centre))
    began = time.perf_counter()
    for batch in range(PLAIN):
        rows = order[batch * BATCH : (batch + 1) * BATCH]
        x = one(torch.from_numpy(centre)[rows])
        y, z = two(torch.from_numpy(context)[rows]), two(torch.randint(LISTINGS, (len(rows), NEGATIVES + 2)))
        near = nn.functional.logsigmoid((x * y).sum(1))
        far = nn.functional.logsigmoid(-(z @ x[:, :, None])[:, :, 0]).sum(1)
        optimiser.zero_grad()
        (-(near + far).mean()).backward()
        optimiser.step()
    return PLAIN * BATCH / (time.perf_counter() - began)


def calendars(console: Console) -> dict[str, Any]:
    """Memory, the time of a question and of a change, with calendars of a year."""
    rng, today = np.random.default_rng(0), day_of("2026-07-01")
    kept = Nights(clock=lambda: today * 86_400_000_000)
    texts = [written(date_of(today), rng.random(365) < 0.6) for _ in range(1_000)]
    began = time.perf_counter()
    for start in range(0, WRITTEN, 10_000):
        rows = (
            np.sort(rng.choice(CALENDARS, 10_000, replace=False)) if start else np.arange(CALENDARS - 10_000, CALENDARS)
        )
        kept.put(rows, [texts[i % 1_000] for i in range(10_000)])
    put = (time.perf_counter() - began) / WRITTEN
    asked, changed = [], []
    for turn in range(60):
        first = today + int(rng.integers(0, 300))
        began = time.perf_counter()
        kept.free(first, first + 5, CALENDARS)
        asked.append(time.perf_counter() - began)
        began = time.perf_counter()
        kept.put(rng.integers(0, CALENDARS, 1), [texts[turn]])
        changed.append(time.perf_counter() - began)
    told = {
        "listings": CALENDARS, "megabytes": kept.bytes / 1e6, "ask_5_nights_ms": float(np.median(asked) * 1e3),
        "ask_5_nights_p99_ms": float(np.quantile(asked, 0.99) * 1e3),
        "change_one_us": float(np.median(changed) * 1e6), "fill_us_each": put * 1e6,
    }  # fmt: skip
    console.print(told)
    return told
