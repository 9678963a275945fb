"""Winnow and Feast on the same look-ups: 500 entities x 50 features as of now, and an as-of training set.

Feast stores feature values; it does not compute them. It is therefore given what Winnow computed, and looks it up,
while Winnow computes the same values from its state in the time that is measured. For the training set Feast is given
running totals per key, one row per event, and joins them; Winnow starts from the bare events. Both must give the same
values. Feast lives in a virtual environment of its own under the cache folder, made on the first run.
"""

import json
import os
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import venv
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from winnow.core.time import FOREVER, MICROS, days, hours
from winnow.data.chunk import Chunk
from winnow.data.schema import Events, Table, number
from winnow.features.batch import FeatureBatch
from winnow.features.history import HistoryState
from winnow.features.live import Caps, LiveReader, LiveWriter
from winnow.features.past import Count, Sum
from winnow.features.plan import Plan
from winnow.features.recent import Last
from winnow.features.view import Moments

USERS, ITEMS, EVENTS, TRAIN = 1_000, 2_000, 200_000, 20_000
CANDIDATES, REQUESTS, ASKED_USERS, RUNS, WARM = 500, 40, 10, 3, 5
START = 1_760_000_000 * MICROS
PEER = Path(__file__).parent / "peers" / "feast_side.py"
CACHE = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "winnow-benchmarks" / "feast"
ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}

user, item = Table("user", key="user_id"), Table("item", key="item_id")
watch = Events("watch", refs={"user": user, "item": item}, fields={"seconds": number})
WINDOWS = [*map(hours, (1, 2, 3, 6, 12)), *map(days, (1, 2, 3, 4, 5, 6, 7, 14, 30)), FOREVER]
ROLES = {"user": "user", "item": "item"}
LONG, LEAST_S = WINDOWS[-8:], (5, 15, 30, 60)
ONLINE = {
    "item": (Count(watch, by=item, window=WINDOWS), Sum(watch.seconds, by=item, window=WINDOWS)),
    "pair": (Count(watch, by=(user, item), window=LONG), Sum(watch.seconds, by=(user, item), window=LONG[1:])),
    "user": (
        Last(watch.item, by=user, k=50),
        *(Last(watch.item, (watch.seconds >= least,), by=user, k=50) for least in LEAST_S),
    ),
}
TOTALS = {
    key: (Count(watch, by=by), Sum(watch.seconds, by=by))
    for key, by in {"item": item, "user": user, "pair": (user, item)}.items()
}


class Log:
    """The events as a history source, read from a Parquet file."""

    def __init__(self, path: Path):
        frame = pl.read_parquet(path)
        self._columns = {c: frame[c].to_numpy() for c in frame.columns}

    def events(self, _: str) -> Mapping[str, Any]:
        return self._columns

    def rows(self, _: str) -> Mapping[str, Any]:
        return {c: np.empty(0, np.int64) for c in ("seq", "at", "known_at", "row", "deleted")}


def main(events: str = str(EVENTS), train: str = str(TRAIN)) -> None:
    """Runs both and prints one JSON object; where Feast cannot be installed, why.

    Args:
        events: how many events.
        train: rows of the training set.
    """
    python = installed()
    if isinstance(python, str):
        print(json.dumps({"name": "feast", "skipped": python}))
        return
    with tempfile.TemporaryDirectory(prefix="winnow-feast-") as name, redis() as address:
        place = Path(name)
        rng = np.random.default_rng(0)
        log = made(place, rng, int(events))
        requests = asked(rng)
        train_rows = training(place, rng, int(train))
        prepare(place, log, requests)
        ours = {"historical_s": historical(place, train_rows), **live(log, requests)}
        theirs = peer(python, place, address)
        print(json.dumps(compared(place, ours, theirs, redis=bool(address))))


def installed() -> Path | str:
    """The Python of Feast's environment, made when it is not there; or why there is none."""
    python = CACHE / "bin" / "python"
    ready = CACHE / "ready"
    if ready.exists():
        return python
    try:
        venv.EnvBuilder(with_pip=True, clear=True).create(CACHE)
        subprocess.run([str(python), "-m", "pip", "install", "-q", "feast[redis]"], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError) as error:
        told = getattr(error, "stderr", b"") or str(error).encode()
        return f"Feast cannot be installed: {told.decode(errors='replace').strip().splitlines()[-1:]}"
    ready.touch()
    return python


@contextmanager
def redis() -> Iterator[str]:
    """The address of a Redis server of our own; empty where there is none on this machine."""
    binary = shutil.which("redis-server")
    if binary is None:
        yield ""
        return
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [binary, "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    try:
        yield f"127.0.0.1:{port}"
    finally:
        server.terminate()
        server.wait(20)


def made(place: Path, rng: np.random.Generator, events: int) -> Path:
    """The events as a Parquet file: no two at one moment, so that "before" and "not after" mean the same."""
    step = 30 * 86_400 * MICROS // events
    at = START + np.arange(events) * step + rng.integers(0, step // 2, events)
    frame = {
        "seq": np.arange(1, events + 1),
        "at": at,
        "known_at": at,
        "user": rng.integers(0, USERS, events),
        "item": (rng.beta(1, 3, events) * ITEMS).astype(np.int64),
        "seconds": np.round(rng.gamma(2, 12, events), 3),
    }
    pl.DataFrame(frame).write_parquet(place / "events.parquet")
    return place / "events.parquet"


def asked(rng: np.random.Generator) -> list[dict[str, Any]]:
    """Who is asked about which 500 items."""
    return [
        {"user": int(n % ASKED_USERS), "items": rng.choice(ITEMS, CANDIDATES, replace=False).tolist()}
        for n in range(REQUESTS)
    ]


def training(place: Path, rng: np.random.Generator, rows: int) -> pl.DataFrame:
    """Training rows: pairs that have met, at moments when nothing happens."""
    events = pl.read_parquet(place / "events.parquet").sample(rows, seed=1).sort("at")
    at = events["at"].to_numpy() + 1  # of all moments the most telling: just after an event
    frame = pl.DataFrame({"row_id": np.arange(rows), "user_id": events["user"], "item_id": events["item"],
                          "event_timestamp": pl.Series(at).cast(pl.Datetime("us", "UTC"))})  # fmt: skip
    frame.write_parquet(place / "train.parquet")
    return frame


def moments(request: Mapping[str, Any], at: int) -> Moments:
    """One request as of a moment."""
    refs = {"user": np.array([request["user"]], np.int64), "item": np.asarray(request["items"], np.int64)}
    return Moments(np.array([at], np.int64), refs)


def end_of(log: Path) -> int:
    """The moment just after the last event."""
    return int(pl.scan_parquet(log).select(pl.col("at").max()).collect().item()) + 1


def prepare(place: Path, log: Path, requests: list[dict[str, Any]]) -> None:
    """What Feast is given: values as of the end for its online store, running totals for its offline store."""
    state, end = HistoryState(Log(log)), end_of(log)
    stamp = pl.lit(end).cast(pl.Datetime("us", "UTC")).alias("event_timestamp")
    users = sorted({r["user"] for r in requests})
    events = pl.read_parquet(log)
    pairs = events.filter(pl.col("user").is_in(users)).select("user", "item").unique().sort("user", "item")
    for key, keys in {"item": pl.DataFrame({"item": np.arange(ITEMS)}), "pair": pairs}.items():
        refs = {role: keys[role].to_numpy() for role in keys.columns}
        batch = Plan(ONLINE[key], ROLES).compute(Moments(np.array([end], np.int64), refs), state)
        values = pl.DataFrame(batch.numeric.astype(np.float64), schema=list(batch.numeric_names), orient="row")
        named = keys.rename({role: f"{role}_id" for role in keys.columns})
        pl.concat([named, values], how="horizontal").with_columns(stamp).write_parquet(place / f"online_{key}.parquet")
    batch = Plan(ONLINE["user"], ROLES).compute(Moments(np.array([end], np.int64), {"user": np.array(users)}), state)
    lists = {n: s.rows.tolist() for n, s in batch.sequences.items()}
    pl.DataFrame({"user_id": users} | lists).with_columns(stamp).write_parquet(place / "online_user.parquet")
    running(place, events)
    files = {
        "online": {key: [n for f in features for n in f.names] for key, features in ONLINE.items()},
        "totals": {key: [n for f in features for n in f.names] for key, features in TOTALS.items()},
        "requests": requests,
        "historical_runs": RUNS,
    }
    (place / "request.json").write_text(json.dumps(files))


def running(place: Path, events: pl.DataFrame) -> None:
    """Totals per key after each event, as a pipeline in front of Feast would have to make them."""
    stamp = pl.col("at").cast(pl.Datetime("us", "UTC")).alias("event_timestamp")
    for key, by in {"item": ["item"], "user": ["user"], "pair": ["user", "item"]}.items():
        count, total = (n for f in TOTALS[key] for n in f.names)
        frame = events.sort("at").select(
            *(pl.col(c).alias(f"{c}_id") for c in by),
            stamp,
            pl.int_range(1, pl.len() + 1).over(by).cast(pl.Float64).alias(count),
            pl.col("seconds").cum_sum().over(by).alias(total),
        )
        frame.write_parquet(place / f"totals_{key}.parquet")


def historical(place: Path, train: pl.DataFrame) -> list[float]:
    """The training set from the bare events: seconds of each run, from reading the files to the matrix."""
    plan = Plan(tuple(f for features in TOTALS.values() for f in features), ROLES)
    spent = []
    for _ in range(RUNS):
        start = time.perf_counter()
        rows = pl.read_parquet(place / "train.parquet")
        refs = {"user": rows["user_id"].to_numpy(), "item": rows["item_id"].to_numpy()}
        at = rows["event_timestamp"].to_physical().to_numpy()
        batch = plan.compute(Moments(at, refs), HistoryState(Log(place / "events.parquet")))
        spent.append(time.perf_counter() - start)
    np.savez(place / "ours_historical.npz", **{n: batch.column(n) for n in batch.numeric_names})
    return spent


def live(log: Path, requests: list[dict[str, Any]]) -> dict[str, Any]:
    """Look-ups in live tables: milliseconds of each, and the values of the first."""
    plan, end = Plan(tuple(f for features in ONLINE.values() for f in features), ROLES), end_of(log)
    events = pl.read_parquet(log)
    chunk = Chunk("event", "watch", {c: events[c].to_numpy() for c in events.columns}, len(events))
    caps = Caps(domains={"user": USERS, "item": ITEMS})
    with tempfile.TemporaryDirectory() as folder:
        writer = LiveWriter(folder, plan.aggregates, [user, item], replay=lambda _: [], caps=caps)
        start = time.perf_counter()
        writer.apply([chunk])
        writer.advance(end)
        write_s, reader, spent = time.perf_counter() - start, LiveReader(folder), []
        for request in [*requests[:WARM], *requests]:
            asked_for = moments(request, end)
            start = time.perf_counter()
            found = reader.consistently(lambda s, m=asked_for: plan.compute(m, s))
            spent.append((time.perf_counter() - start) * 1000)
            if len(spent) == WARM + 1:
                first = found
        writer.close()
    return {"write_s": write_s, "in_process_ms": spent[WARM:], "first": first}


def peer(python: Path, place: Path, address: str) -> dict[str, Any]:
    """Feast's half, in its own process."""
    environment = {**os.environ, **ONE_THREAD, "FEAST_USAGE": "False"}
    command = [str(python), "-P", "-W", "ignore", str(PEER), str(place), *([address] if address else [])]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    if done.returncode:
        sys.exit(f"Feast's half failed:\n{done.stderr[-4000:]}")
    told: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return told


def compared(place: Path, ours: dict[str, Any], theirs: dict[str, Any], *, redis: bool) -> dict[str, Any]:
    """The report: medians, ratios, and in how many values the two agree."""
    stores = ["sqlite", *["redis"] * redis]
    look_up: dict[str, Any] = {"winnow_in_process_ms": _ms(ours["in_process_ms"])}
    look_up["winnow_apply_all_events_s"] = round(ours["write_s"], 2)
    for name in stores:
        told = theirs[name]
        look_up[f"feast_{name}_ms"] = _ms(told["in_process_ms"][WARM:])
        look_up[f"feast_{name}_server_ms"] = told.get("server_error") or _ms(told["server_ms"][1:])
        look_up[f"feast_{name}_write_all_values_s"] = round(told["write_s"], 2)
        look_up[f"feast_{name}_values_equal"] = online_agreement(place, ours["first"], name)
    as_of = {"winnow_s": round(statistics.median(ours["historical_s"]), 3),
             "feast_s": round(statistics.median(theirs["historical_s"]), 3),
             "values_equal": historical_agreement(place)}  # fmt: skip
    best = min(look_up[f"feast_{name}_ms"]["p50"] for name in stores)
    return {
        "name": "feast",
        "ours": look_up["winnow_in_process_ms"]["p50"],
        "peer": best,
        "ratio": round(best / look_up["winnow_in_process_ms"]["p50"], 1),
        "unit": "ms for 500 entities x 50 features, in process, p50",
        "look_up": look_up,
        "as_of": as_of | {"ratio": round(as_of["feast_s"] / as_of["winnow_s"], 1)},
        "events": pl.scan_parquet(place / "events.parquet").select(pl.len()).collect().item(),
        "train_rows": pl.scan_parquet(place / "train.parquet").select(pl.len()).collect().item(),
    }


def _ms(spent: list[float]) -> dict[str, float]:
    return {f"p{q}": round(float(np.percentile(spent, q)), 3) for q in (50, 99)}


def online_agreement(place: Path, first: FeatureBatch, name: str) -> str:
    """Of the first look-up: values that are equal; what Feast does not know is 0 with us."""
    theirs = np.load(place / f"online_{name}.npz")
    pairs = [(first.column(n), np.nan_to_num(theirs[n], nan=0.0).astype(np.float32)) for n in first.numeric_names]
    pairs += [(s.rows[0], theirs[n]) for n, s in first.sequences.items()]
    return _equal(pairs)


def historical_agreement(place: Path) -> str:
    """Of the training set: values that are equal to a millionth (Feast was given sums of binary fractions)."""
    ours, theirs = (np.load(place / name) for name in ("ours_historical.npz", "historical.npz"))
    return _equal([(ours[n].astype(np.float64), theirs[n].astype(np.float32).astype(np.float64)) for n in ours.files])


def _equal(pairs: list[tuple[Any, Any]]) -> str:
    same = sum(int(np.isclose(a, b, rtol=1e-6, atol=0).sum()) for a, b in pairs)
    return f"{same:,} of {sum(len(a) for a, _ in pairs):,}"
