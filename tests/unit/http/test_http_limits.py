"""Bodies that are too large: refused while they arrive, with one answer, and never held."""

import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest
from starlette.testclient import TestClient

from winnow.http import app as http
from winnow.http.errors import TooLarge
from winnow.http.limits import Limited, Limits
from winnow.project import Project

SMALL, LARGE = 2_000, 20_000
SYSTEM = "/v1/systems/visual_search"
PLAIN = [
    ("POST", "/v1/events"), ("PUT", "/v1/tables/user"), ("POST", f"{SYSTEM}/rank"), ("PUT", f"{SYSTEM}/config"),
    ("POST", "/v1/moderation/decisions/batch"), ("PUT", "/v1/moderation/policies"), ("POST", "/v1/moderation/appeals"),
    ("POST", "/v1alpha1/comments:analyze"),
]  # fmt: skip
PICTURES = [
    ("PUT", f"{SYSTEM}/pictures?id=x"), ("POST", f"{SYSTEM}/search"), ("POST", "/v1/moderation/decisions"),
    ("POST", "/v1/moderations"),
]  # fmt: skip


@pytest.fixture(scope="module")
def client(tmp_path_factory):
    folder = Project.init(tmp_path_factory.mktemp("limits") / "shop", "visual_search").folder
    lines = ["[server]", 'auth = "off"', f"body_limit_bytes = {SMALL}", f"picture_limit_bytes = {LARGE}"]
    (folder / "winnow.toml").write_text("\n".join(lines))
    with TestClient(http.create(Project(folder)), raise_server_exceptions=False) as client:
        yield client


def pieces(size):
    """A body whose length is not told beforehand."""
    yield from (b" " * 500 for _ in range(size // 500))


def code(reply):
    """A door answers in the shape of the service that it stands for."""
    return reply.status_code, "body-too-large" if "analyze" in str(reply.url) else reply.json()["error"]["code"]


@pytest.mark.parametrize(("method", "path"), PLAIN + PICTURES)
@pytest.mark.parametrize("told", [True, False])
def test_a_body_over_the_limit_of_its_route_is_refused(client, method, path, told):
    limit = LARGE if (method, path) in PICTURES else SMALL
    content = b" " * (limit + 500) if told else pieces(limit + 500)
    headers = {"content-type": "application/json" if "config" in path else "image/jpeg"}
    reply = client.request(method, path, content=content, headers=headers)
    assert code(reply) == (413, "body-too-large"), reply.text
    assert f"{limit:,} bytes" in reply.json()["error"]["message"]
    within = client.request(method, path, content=pieces(limit - 500), headers=headers)
    assert within.status_code != 413


def test_an_error_is_counted_once(client):
    def count():
        lines = client.get("/metrics").text.splitlines()
        found = [line for line in lines if line.startswith('winnow_errors_total{code="body-too-large"}')]
        return float(found[0].split()[-1]) if found else 0.0

    for path, method in (("/v1/moderations", "POST"), (f"{SYSTEM}/config", "PUT"), ("/v1/events", "POST")):
        before = count()
        client.request(method, path, content=pieces(LARGE + 5_000), headers={"content-type": "application/json"})
        assert count() == before + 1, path


def test_a_flood_of_huge_bodies_restarts_nothing_and_is_not_held(service):
    """Eight at once of twice the limit, of which nobody says beforehand how long they are."""
    before = {pid: memory(pid) for pid in service.children("worker")}
    asked = {"params": {"id": "x"}, "headers": {"X-API-Key": service.key}, "timeout": 120}

    def send(_):
        body = (bytes(1 << 20) for _ in range(50))
        return httpx.put(f"{service.url}/v1/systems/video_recommendation/pictures", content=body, **asked).status_code

    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(send, range(8))) == {413}
    after = {pid: memory(pid) for pid in service.children("worker")}
    assert set(after) == set(before)
    assert all(after[pid] - before[pid] < 8 * 2.5 * 25 for pid in after)
    assert service.rank("u3").status_code == 200


def memory(pid):
    """Megabytes."""
    return int(re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())[1]) / 1024


def test_a_limit_for_pictures_below_the_other_changes_nothing():
    scope = {"method": "PUT", "path": f"{SYSTEM}/pictures"}
    assert Limits(5, 3).of(scope) == 5
    assert Limits(5, 30).of(scope) == 30
    assert Limits(5, 30).of(scope | {"method": "GET"}) == 5
    assert Limits(5, 30).of(scope | {"path": "/v1/events"}) == 5


@pytest.mark.anyio
async def test_what_is_refused_is_read_on_for_a_while_only():
    sent = 0

    async def endless():
        nonlocal sent
        sent += 1000
        return {"type": "http.request", "body": b"x" * 1000, "more_body": True}

    limited = Limited(endless, 5_000)
    for _ in range(5):
        await limited()
    with pytest.raises(TooLarge):
        await limited()
    assert 5_000 < sent <= 5_000 * 9 + 2_000


@pytest.fixture
def anyio_backend():
    return "asyncio"
