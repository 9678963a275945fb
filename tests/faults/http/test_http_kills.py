"""Processes are killed under load: nothing acknowledged is lost, nothing counts twice, the service comes back."""

import os
import random
import signal
import socket
import threading
import time

import httpx
import numpy as np
import pytest
from benchmarks import shop
from benchmarks.service import Service

from winnow.features.aggregate import Aggregate
from winnow.features.live import LiveReader
from winnow.project import Project
from winnow.serving.ingester import LIVE

RANK = "/v1/systems/video_recommendation/rank"


class Load:
    """Posts batches of events and asks for lists until told to stop; remembers what was acknowledged."""

    def __init__(self, service, name, *, ranks=True):
        self.service, self.name, self.ranks = service, name, ranks
        self.acknowledged, self.failed, self.statuses = [], 0, {}
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._post)] + [threading.Thread(target=self._ask)] * ranks
        for thread in self._threads:
            thread.start()

    def _client(self):
        return httpx.Client(base_url=self.service.url, headers={"X-API-Key": self.service.key}, timeout=20)

    def _post(self):
        batch = 0
        with self._client() as client:
            while not self._stop.is_set():
                ids = [f"{self.name}-{batch}-{i}" for i in range(20)]
                rows = [
                    {"type": "click", "event_id": i, "user": f"u{n % 50}", "video": f"v{batch % 300}"}
                    for n, i in enumerate(ids)
                ]
                self._send(client, rows, ids)
                batch += 1

    def _send(self, client, rows, ids):
        """Sends a batch again until it is acknowledged, as a client must."""
        while not self._stop.is_set():
            try:
                reply = client.post("/v1/events", json=rows)
            except httpx.TransportError:
                self.failed += 1
                time.sleep(0.02)
                continue
            if reply.status_code == 200:
                assert reply.json()["accepted"] + reply.json()["duplicates"] == len(rows)
                self.acknowledged += ids
                return

    def _ask(self):
        with self._client() as client:
            while not self._stop.is_set():
                try:
                    status = client.post(RANK, json={"user": "u1"}).status_code
                except httpx.TransportError as error:
                    status = type(error).__name__
                self.statuses[status] = self.statuses.get(status, 0) + 1

    def stop(self):
        self._stop.set()
        for thread in self._threads:
            thread.join()


def logged(folder):
    """Every click in the log: how often each event id is there."""
    project, counts, after = Project(folder), {}, 0
    while chunks := project.log.read(after):
        after = chunks[-1].until
        for chunk in chunks:
            for event_id in chunk.texts("event_id") if chunk.name == "click" else ():
                counts[event_id] = counts.get(event_id, 0) + 1
    project.log.close()
    return counts


def running(service, victim, count):
    """The processes of a kind, once there are as many as there must be."""
    until = time.monotonic() + 30
    while len(found := service.children(victim)) != count:
        assert time.monotonic() < until, service.log()
        time.sleep(0.05)
    return found


@pytest.mark.parametrize(
    ("victim", "times"),
    [("worker", 4), ("ingester", 4), *(pytest.param(v, 30, marks=pytest.mark.heavy) for v in ("worker", "ingester"))],
)
def test_a_killed_process_loses_nothing_and_comes_back(folder, victim, times):
    with Service(folder, workers=2) as service:
        load = Load(service, victim)
        for _ in range(times):
            time.sleep(random.uniform(0.2, 1.2))
            killed = random.choice(running(service, victim, {"worker": 2, "ingester": 1}[victim]))
            os.kill(killed, signal.SIGKILL)
            while killed in running(service, victim, {"worker": 2, "ingester": 1}[victim]):
                time.sleep(0.05)
        time.sleep(1)
        load.stop()
        service.wait()
        assert load.acknowledged
        assert load.statuses.get(200)
        assert not {s for s in load.statuses if isinstance(s, int) and s >= 500}, (load.statuses, service.log())
    counts = logged(folder)
    assert all(counts.get(event_id) == 1 for event_id in load.acknowledged)
    assert all(n == 1 for n in counts.values())


def test_after_kills_of_the_ingester_live_state_equals_the_log(folder):
    with Service(folder, workers=1) as service:
        load = Load(service, "exact", ranks=False)
        for _ in range(5):
            time.sleep(random.uniform(0.1, 0.6))
            for child in service.children("ingester"):
                os.kill(child, signal.SIGKILL)
        load.stop()
        last = Project(folder).log.last_seq()
        until = time.monotonic() + 30
        while (reader := LiveReader(folder / LIVE)).applied_seq < last:
            assert time.monotonic() < until, service.log()
            time.sleep(0.1)
        assert reader.applied_seq >= last
    project = Project(folder)
    system = project.system("video_recommendation")
    everything = next(
        a for feature in system.features for a in feature.aggregates()
        if isinstance(a, Aggregate) and a.kind == "sum" and a.events.name == "click" and a.name.endswith("/video/ever")
    )  # fmt: skip
    rows = np.arange(project.log.ids.size("video"))
    live = LiveReader(folder / LIVE).consistently(lambda s: s.windows([everything], (rows,), np.array([s.as_of]))[0])
    expected, after = np.zeros(len(rows), np.int64), 0
    while chunks := project.log.read(after):
        after = chunks[-1].until
        for chunk in chunks:
            if chunk.name == "click":
                np.add.at(expected, chunk.ints("video"), 1)
    np.testing.assert_array_equal(live, expected)
    project.log.close()


def test_a_release_is_swapped_without_a_failed_request(folder):
    project = Project(folder)
    old = project.registry.champion("video_recommendation")
    with Service(folder, workers=2) as service:
        load = Load(service, "swap")
        new = shop.release(project, seed=3)
        until = time.monotonic() + 30
        seen = set()
        while seen != {new}:
            seen = {service.rank().json()["release"] for _ in range(20)}
            assert time.monotonic() < until, service.log()
        project.registry.rollback("video_recommendation", at=int(time.time() * 1e6), who="test")
        start = time.monotonic()
        while {service.rank().json()["release"] for _ in range(20)} != {old}:
            assert time.monotonic() - start < 5
        load.stop()
        assert set(load.statuses) == {200}
        assert load.failed == 0
    project.log.close()


def test_stopping_finishes_what_was_begun(folder):
    with Service(folder, workers=2) as service:
        load = Load(service, "stop")
        time.sleep(1)
        status = {}
        stopper = threading.Thread(
            target=lambda: status.update(code=service.process.send_signal(signal.SIGTERM) or service.process.wait(60))
        )
        stopper.start()
        stopper.join()
        load.stop()
        assert status["code"] == 0
        assert not {s for s in load.statuses if isinstance(s, int) and s >= 500}
        # What no worker ever read is cut: a request on the wire when its idle connection was closed, by either worker,
        # and one on a connection that was still waiting to be accepted.
        cut = sum(
            load.statuses.get(kind, 0) for kind in ("ReadError", "RemoteProtocolError", "ReadTimeout", "WriteError")
        )
        assert cut <= 3, load.statuses
    counts = logged(folder)
    assert all(counts.get(event_id) == 1 for event_id in load.acknowledged)


def test_a_request_that_has_begun_is_answered_though_the_service_stops(folder):
    """Its headers are read and half of its body is there when the service is told to stop; the rest comes then."""
    rows = [{"type": "click", "event_id": "half-way", "user": "u1", "video": "v1"}]
    with Service(folder, workers=2) as service:
        request = service.client.build_request("POST", "/v1/events", json=rows)
        lines = ["POST /v1/events HTTP/1.1", *(f"{k}: {v}" for k, v in request.headers.items()), "", ""]
        host, port = service.url.removeprefix("http://").split(":")
        with socket.create_connection((host, int(port)), timeout=30) as one:
            one.sendall("\r\n".join(lines).encode() + request.content[:10])
            time.sleep(0.5)
            service.process.send_signal(signal.SIGTERM)
            time.sleep(0.5)
            one.sendall(request.content[10:])
            reply = one.recv(65_536)
        assert service.process.wait(60) == 0
    assert reply.startswith(b"HTTP/1.1 200"), reply
    assert logged(folder)["half-way"] == 1


def test_workers_end_when_the_supervisor_is_killed(folder):
    with Service(folder, workers=1) as service:
        children = service.children("worker") + service.children("ingester")
        service.process.kill()
        service.process.wait()
        until = time.monotonic() + 30
        while any(_alive(child) for child in children):
            assert time.monotonic() < until
            time.sleep(0.1)


def _alive(pid):
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_auth_off_in_public_refuses_to_start(folder):
    with pytest.raises(RuntimeError, match="auth-off-in-public"):
        Service(folder, environment={"WINNOW_SERVER_AUTH": "off", "WINNOW_SERVER_HOST": "0.0.0.0"})


def test_auth_off_on_loopback_needs_no_key(folder):
    with (
        Service(folder, environment={"WINNOW_SERVER_AUTH": "off"}) as service,
        httpx.Client(base_url=service.url) as client,
    ):
        assert client.post(RANK, json={"user": "u1"}).status_code == 200


def test_a_taken_port_is_told(folder):
    with Service(folder) as service, pytest.raises(RuntimeError, match="port-taken"):
        Service(folder, environment={"WINNOW_SERVER_PORT": service.url.rpartition(":")[2]})
