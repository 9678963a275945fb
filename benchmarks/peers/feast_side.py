"""Feast's half of the benchmark: runs in a virtual environment of its own, with nothing of Winnow in it.

Reads the Parquet files and `request.json` that the other half wrote into a folder, and leaves `answers.npz` there.
"""

import json
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from datetime import timedelta
from pathlib import Path

import numpy as np
import pandas as pd
from feast.types import Array, Float64, Int64

from feast import Entity, FeatureStore, FeatureView, Field, FileSource, ValueType

ITEM, USER, PAIR = "item", "user", "pair"
KEYS = {ITEM: ["item_id"], USER: ["user_id"], PAIR: ["user_id", "item_id"]}


def main(folder: str, redis: str = "") -> None:
    """Everything; prints one JSON object with seconds and milliseconds."""
    place = Path(folder)
    asked = json.loads((place / "request.json").read_text())
    told = {"historical_s": historical(place, asked)}
    told["sqlite"] = online(place, asked, {"type": "sqlite", "path": str(place / "online.db")}, "sqlite")
    if redis:
        told["redis"] = online(place, asked, {"type": "redis", "connection_string": redis}, "redis")
    print(json.dumps(told))


def store(place: Path, name: str, online_store: dict) -> FeatureStore:
    """A repository with its own registry."""
    repo = place / f"repo-{name}"
    shutil.rmtree(repo, ignore_errors=True)
    repo.mkdir()
    config = {
        "project": f"bench_{name}",
        "provider": "local",
        "registry": str(repo / "registry.db"),
        "online_store": online_store,
        "offline_store": {"type": "file"},
        "entity_key_serialization_version": 3,
    }
    (repo / "feature_store.yaml").write_text(json.dumps(config))  # JSON is YAML
    return FeatureStore(repo_path=str(repo))


def views(place: Path, kind: str, files: dict) -> list:
    """One feature view per key over the Parquet file of that key."""
    entities = {"user_id": Entity(name="user_id", value_type=ValueType.INT64),
                "item_id": Entity(name="item_id", value_type=ValueType.INT64)}  # fmt: skip
    made = list(entities.values())
    for key, columns in files.items():
        source = FileSource(path=str(place / f"{kind}_{key}.parquet"), timestamp_field="event_timestamp")
        schema = [Field(name=c, dtype=Array(Int64) if key == USER and kind == "online" else Float64) for c in columns]
        keys = [Field(name=k, dtype=Int64) for k in KEYS[key]]
        made.append(FeatureView(name=f"{kind}_{key}", entities=[entities[k] for k in KEYS[key]], ttl=timedelta(0),
                                schema=keys + schema, source=source))  # fmt: skip
    return made


def historical(place: Path, asked: dict) -> list:
    """Point-in-time join of the training rows with running totals; seconds of each run."""
    found = store(place, "offline", {"type": "sqlite", "path": str(place / "unused.db")})
    found.apply(views(place, "totals", asked["totals"]))
    names = [f"totals_{key}:{c}" for key, columns in asked["totals"].items() for c in columns]
    spent = []
    for _ in range(asked["historical_runs"]):
        start = time.perf_counter()
        rows = pd.read_parquet(place / "train.parquet")
        frame = found.get_historical_features(entity_df=rows, features=names).to_df()
        spent.append(time.perf_counter() - start)
    frame = frame.sort_values("row_id")
    columns = [c for columns in asked["totals"].values() for c in columns]
    np.savez(place / "historical.npz", **{c: frame[c].to_numpy(np.float64) for c in columns})
    return spent


def online(place: Path, asked: dict, online_store: dict, name: str) -> dict:
    """Look-ups in process and through the feature server; milliseconds of each."""
    found = store(place, name, online_store)
    found.apply(views(place, "online", asked["online"]))
    start = time.perf_counter()
    for key in asked["online"]:
        found.write_to_online_store(f"online_{key}", df=pd.read_parquet(place / f"online_{key}.parquet"))
    told = {"write_s": time.perf_counter() - start, "in_process_ms": []}
    names = [f"online_{key}:{c}" for key, columns in asked["online"].items() for c in columns]
    for number, request in enumerate(asked["requests"]):
        rows = [{"user_id": request["user"], "item_id": i} for i in request["items"]]
        start = time.perf_counter()
        answer = found.get_online_features(features=names, entity_rows=rows).to_dict()
        told["in_process_ms"].append((time.perf_counter() - start) * 1000)
        if number == 0:
            scalar = [c for key in (ITEM, PAIR) for c in asked["online"][key]]
            first = {c: np.array([np.nan if v is None else v for v in answer[c]], np.float64) for c in scalar}
            lists = {c: np.array(answer[c][0], np.int64) for c in asked["online"][USER]}
            np.savez(place / f"online_{name}.npz", **first, **lists)
    try:
        told["server_ms"] = served(place / f"repo-{name}", names, asked["requests"])
    except Exception as error:
        told["server_error"] = repr(error)
    return told


def served(repo: Path, names: list, requests: list) -> list:
    """The same look-ups over HTTP from its feature server on this machine; milliseconds of each."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [str(Path(sys.executable).parent / "feast"), "-c", str(repo), "serve", "-h", "127.0.0.1", "-p", str(port)]
    with (repo / "server.log").open("wb") as log:
        server = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        url = f"http://127.0.0.1:{port}"
        _wait(f"{url}/health")
        spent = []
        for request in requests[: max(len(requests) // 2, 3)]:
            entities = {"user_id": [request["user"]] * len(request["items"]), "item_id": request["items"]}
            body = json.dumps({"features": names, "entities": entities}).encode()
            post = urllib.request.Request(f"{url}/get-online-features", body, {"Content-Type": "application/json"})
            start = time.perf_counter()
            with urllib.request.urlopen(post, timeout=60) as reply:
                json.loads(reply.read())
            spent.append((time.perf_counter() - start) * 1000)
        return spent
    finally:
        server.terminate()
        server.wait(20)


def _wait(url: str) -> None:
    until = time.monotonic() + 60
    while True:
        try:
            urllib.request.urlopen(url, timeout=2).close()
            return
        except OSError:
            if time.monotonic() > until:
                raise
            time.sleep(0.2)


if __name__ == "__main__":
    main(*sys.argv[1:])
