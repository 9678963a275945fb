"""Roles of keys: every route has its own, a key gets no further than they say, and old keys go on."""

import json
import re
from pathlib import Path

import pytest
from starlette.routing import Route
from starlette.testclient import TestClient

from winnow.cli.app import app as cli
from winnow.console import app as console
from winnow.core.errors import InputError, NotFound
from winnow.http import keys
from winnow.http.roles import ADMIN, NEEDS, OPEN, ROLES
from winnow.project import Project

PAGE = Path(__file__).resolve().parents[3] / "docs" / "reference" / "http.md"
HIDDEN = {"/docs", "/docs/oauth2-redirect", "/redoc"}  # described in words


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    project = Project.init(tmp_path_factory.mktemp("roles") / "shop")
    project.close()
    return project.folder


@pytest.fixture(scope="module")
def headers(folder):
    """Role → headers of a key that has it."""
    made = {role: keys.create(folder, role, [role]) for role in ROLES}
    return {role: {"x-api-key": key} for role, key in made.items()}


@pytest.fixture(scope="module")
def client(folder, headers):
    app = console.create(Project(folder))

    @app.get("/unlisted")
    def unlisted():
        return {}

    with TestClient(app, base_url="http://localhost", raise_server_exceptions=False) as client:
        yield client


def routes(router):
    for route in router.routes:
        if isinstance(route, Route):
            yield from ((method, route.path) for method in route.methods or ())
        elif inner := getattr(route, "original_router", None):
            yield from routes(inner)


def documented():
    """Method and path → roles, as the page says."""
    rows = re.findall(r"^\| `(GET|PUT|POST|DELETE) (/[^`]*)` \| ([^|]*) \|", PAGE.read_text(), re.MULTILINE)
    named = {"any": set(ROLES) - {ADMIN}, ADMIN: set()}
    return {(method, path): named.get(said, set(said.split(", "))) for method, path, said in rows if said != "none"}


def test_every_route_is_documented_with_its_role(client):
    served = {(m, p) for m, p in routes(client.app) if m != "HEAD" and p not in OPEN | {"/unlisted"}}
    found = documented()
    assert {route for route in served if route[1] not in HIDDEN} == set(found)
    assert {route: set(NEEDS.get(route, ())) for route in found} == found
    assert set(NEEDS) <= served


def test_a_key_gets_as_far_as_its_roles_and_no_further(client, headers):
    asked = [(method, path) for method, path in routes(client.app) if path not in OPEN]
    assert len(asked) > 45
    for method, path in asked:
        needed = NEEDS.get((method.replace("HEAD", "GET"), path), frozenset()) | {ADMIN}
        for role in ROLES:
            reply = client.request(method, re.sub(r"\{.*?\}", "x", path), headers=headers[role])
            assert (reply.status_code == 403) == (role not in needed), (method, path, role, reply.text)


def test_a_refusal_has_the_one_shape_and_names_the_role(client, headers):
    reply = client.put("/v1/systems/video_recommendation/config", headers=headers["read"], json={"weights": {}})
    error = reply.json()["error"]
    assert (reply.status_code, error["code"]) == (403, "not-allowed")
    assert set(error) == {"code", "message", "param", "fix", "request_id"}
    assert "needs the role `admin`" in error["message"]
    assert error["param"] == "PUT /v1/systems/video_recommendation/config"
    either = client.get("/v1/moderation/verify", headers=headers["read"]).json()["error"]["message"]
    assert "`write` or `review`" in either


def test_a_path_that_does_not_exist_is_not_found_whatever_the_role(client, headers):
    for role in ROLES:
        assert client.get("/v1/nothing", headers=headers[role]).status_code == 404
        assert client.delete("/v1/events", headers=headers[role]).status_code == 405
    assert client.get("/v1/nothing").status_code == 401


@pytest.mark.parametrize(
    "path", ["/v1/systems/a%2Fconfig/rank", "/v1/events/", "//v1/events", "/v1/Events", "/v1/events%00"]
)
def test_a_path_written_otherwise_opens_nothing(client, headers, path):
    assert client.post(path, headers=headers["review"], json=[]).status_code in (403, 404, 405)


def test_a_key_from_before_there_were_roles_does_everything(folder, client, monkeypatch):
    monkeypatch.setattr(keys, "_RECHECK_S", 0.0)
    key = keys.create(folder, "old")
    file = folder / keys.FILE
    known = json.loads(file.read_text())
    file.write_text(json.dumps(known | {"old": known["old"]["hash"]}))
    asked = {"headers": {"x-api-key": key}}
    assert keys.Keys(folder).holder(key).roles == {ADMIN}
    keys.grant(folder, "old", ["review"])
    holder = keys.Keys(folder).holder(key)
    assert (holder.name, holder.roles) == ("old", {"review"})
    assert client.get("/v1/systems", **asked).status_code in (401, 403)
    keys.revoke(folder, "old")


def test_a_role_must_exist_and_a_key_must_have_one(tmp_path):
    with pytest.raises(NotFound, match="did you mean `review`"):
        keys.create(tmp_path, "kim", ["reviw"])
    with pytest.raises(InputError, match="key-without-role"):
        keys.create(tmp_path, "kim", [])
    assert keys.names(tmp_path) == []


def test_keys_are_made_granted_and_listed_by_command(tmp_path, capsys):
    folder = Project.init(tmp_path / "shop").folder

    def run(*words):
        with pytest.raises(SystemExit) as ended:
            cli([*words, "--project", str(folder)])
        assert not ended.value.code
        return capsys.readouterr().out

    made = json.loads(run("key", "create", "kim", "--role", "review", "--json"))
    assert made["roles"] == ["review"]
    run("key", "create", "site")
    run("key", "grant", "kim", "--role", "read", "--role", "review")
    assert json.loads(run("key", "list", "--json")) == [
        {"name": "kim", "roles": "read review"}, {"name": "site", "roles": "read write"},
    ]  # fmt: skip
    assert keys.Keys(folder).holder(made["key"]).name == "kim"
