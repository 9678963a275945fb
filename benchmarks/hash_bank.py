"""Time of one look-up of everything within 31 of 256 bits among a million hashes, on one core, ours and peers.

Half of the queries are altered hashes of the bank (0 to 31 bits), half are drawn. A share of the bank's hashes are
crowds: copies of 200 hashes with up to 60 bits changed, as near-duplicates and blank pictures make them. Peers: the
binary indexes of faiss: `IndexBinaryFlat` compares every hash; `IndexBinaryMultiHash` with 16 maps of 16 bits and one
flipped bit, which is exact too.
"""

import os

os.environ |= {"OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE", "OPENBLAS_NUM_THREADS": "1"}  # as workers have it

import json
import platform
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import faiss
import numpy as np
from numpy.typing import NDArray

from winnow.media.bank import HashBank

DISTANCE, TARGET_MS = 31, 1.0
CENTRES, CROWD_SHARE = 200, 0.05

_lib: Any = faiss
Words = NDArray[np.uint64]
Find = Callable[[Words], NDArray[np.int64]]


def main(hashes: str = "1000000", queries: str = "2000") -> None:
    """Builds the bank, saves it, opens it and asks it, one query at a time.

    Args:
        hashes: in the bank.
        queries: of ours; peers are asked a tenth of them.
    """
    rng = np.random.default_rng(0)
    known = drawn(rng, int(hashes))
    asked = [
        altered(rng, known[rng.integers(len(known))], 31) if i % 2 else words(rng, 1)[0] for i in range(int(queries))
    ]
    began = time.perf_counter()
    bank = HashBank.build(known, ["known"] * len(known))
    built = time.perf_counter() - began
    with tempfile.TemporaryDirectory() as folder:
        bank.save(Path(folder))
        size = sum(path.stat().st_size for path in Path(folder).rglob("*.npy"))
        began = time.perf_counter()
        bank = HashBank.open(Path(folder))
        opened = time.perf_counter() - began
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:1])
        engines: dict[str, Find] = {"winnow": lambda hash: bank.within(hash, DISTANCE)[0]} | peers(known)
        found = {name: timed(find, asked if name == "winnow" else asked[::10]) for name, find in engines.items()}
        same = all(agree(engines, hash) for hash in asked[:100])
    best = min((name for name in found if name != "winnow"), key=lambda name: found[name]["p99_ms"])
    ours, peer = found["winnow"]["p99_ms"], found[best]["p99_ms"]
    report = {
        "name": "hash_bank", "ours": ours, "peer": peer, "ratio": round(ours / peer, 4),
        "unit": "ms of one core, p99 of a look-up", "peer_name": best, "target": TARGET_MS, "same_answers": same,
        "engines": found, "hashes": len(known), "queries": len(asked), "build_s": round(built, 2),
        "open_s": round(opened, 4), "mb": round(size / 1e6, 1), "machine": platform.machine(),
        "load": os.getloadavg()[0],
    }  # fmt: skip
    print(json.dumps(report))


def words(rng: np.random.Generator, count: int) -> Words:
    """Hashes of pictures that have nothing in common."""
    return rng.integers(0, 2**64, (count, 4), dtype=np.uint64)


def drawn(rng: np.random.Generator, count: int) -> Words:
    """The bank: mostly unrelated hashes, and crowds."""
    known, centres = words(rng, count), words(rng, CENTRES)
    for row in rng.choice(count, int(count * CROWD_SHARE), replace=False):
        known[row] = altered(rng, centres[rng.integers(CENTRES)], 60)
    return known


def altered(rng: np.random.Generator, hash: Words, most: int) -> Words:
    """A hash with up to so many bits turned over."""
    turned = np.zeros(256, np.uint8)
    turned[rng.choice(256, rng.integers(most + 1), replace=False)] = 1
    return hash ^ np.packbits(turned).view(np.uint64)


def peers(known: Words) -> dict[str, Find]:
    """The same look-up by faiss."""
    flat, multi = _lib.IndexBinaryFlat(256), _lib.IndexBinaryMultiHash(256, 16, 16)
    multi.nflip = 1
    octets = known.view(np.uint8)
    for index in (flat, multi):
        index.add(octets)
    return {
        "faiss IndexBinaryFlat": lambda hash: flat.range_search(hash[None].view(np.uint8), DISTANCE + 1)[2],
        "faiss IndexBinaryMultiHash": lambda hash: multi.range_search(hash[None].view(np.uint8), DISTANCE + 1)[2],
    }


def timed(find: Find, asked: list[Words]) -> dict[str, float]:
    """Milliseconds of a look-up, after every query was asked once: of the processor, and by the clock on the wall."""
    processor, wall = [], []
    for hash in asked:
        find(hash)
    for hash in asked:
        began, spent = time.perf_counter(), time.process_time()
        find(hash)
        processor.append((time.process_time() - spent) * 1e3)
        wall.append((time.perf_counter() - began) * 1e3)
    return {f"p{q}_{unit}": round(float(np.percentile(values, q)), 4)
            for unit, values in (("ms", processor), ("wall_ms", wall)) for q in (50, 99)}  # fmt: skip


def agree(engines: dict[str, Find], hash: Words) -> bool:
    """All find the same hashes."""
    return len({tuple(sorted(set(find(hash).tolist()))) for find in engines.values()}) == 1
