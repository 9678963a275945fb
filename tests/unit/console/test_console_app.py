"""The page needs no key and its data does; without keys only this machine's own pages and programs are served."""

import asyncio
import re

import httpx
import pytest

from winnow.console.app import create
from winnow.core.errors import WinnowError
from winnow.http import keys
from winnow.project import Project

HERE = "http://127.0.0.1:8000"


class Client:
    """Requests to an application in this process, its lifespan around them."""

    def __init__(self, app):
        self._runner, self._life = asyncio.Runner(), app.router.lifespan_context(app)
        self._client = httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url=HERE)

    def __enter__(self):
        self._runner.run(self._life.__aenter__())
        return self

    def __exit__(self, *_):
        self._runner.run(self._life.__aexit__(None, None, None))
        self._runner.close()

    def __getattr__(self, method):
        return lambda path, **options: self._runner.run(self._client.request(method.upper(), path, **options))


@pytest.fixture(scope="module")
def project(tmp_path_factory) -> Project:
    made = Project.init(tmp_path_factory.mktemp("console") / "shop")
    made.intake.rows("user", [{"user_id": "mira-okafor", "activity": "high"}])
    made.intake.rows("video", [{"video_id": "v1", "title": "Rye bread", "tags": ["baking"]}])
    made.intake.events([{"event_id": "e1", "type": "watch", "user": "mira-okafor", "video": "v1", "seconds": 3}])
    return made


@pytest.fixture(scope="module")
def locked(project):
    with Client(create(project)) as client:
        yield client


@pytest.fixture(scope="module")
def open_(project):
    (project.folder / "winnow.toml").write_text('[server]\nauth = "off"\n')
    with Client(create(Project(project.folder))) as client:
        yield client


def test_the_page_and_all_that_it_loads_are_served_without_a_key(locked):
    page = locked.get("/")
    assert page.status_code == 200
    assert page.headers["content-type"].startswith("text/html")
    loaded = set(re.findall(r'"(/console/[^"]+)"', page.text))
    assert {"/console/app.js", "/console/style.css"} <= loaded
    while loaded:
        file = locked.get(loaded.pop())
        assert file.status_code == 200
        assert file.headers["x-content-type-options"] == "nosniff"
        loaded |= {f"/console/{name}" for name in re.findall(r'from "\./([^"]+)"', file.text)}
    policy = page.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy


def test_the_page_is_html_without_inline_code_or_foreign_addresses(locked):
    text = locked.get("/").text
    assert not re.search(r"<script(?![^>]*src=)|\son\w+=|style=|https?://", text)


@pytest.mark.parametrize("path", ["/console/../app.py", "/console/%2e%2e/app.py", "/console/nothing.js", "/console/"])
def test_nothing_but_the_listed_files_is_served(locked, path):
    assert locked.get(path).status_code in (401, 404)


def test_data_needs_a_key(locked, project):
    asked = "/v1/tables/user?query=mira"
    assert locked.get(asked).status_code == 401
    key = keys.create(project.folder, "page")
    reply = locked.get(asked, headers={"authorization": f"Bearer {key}"})
    assert reply.status_code == 200, reply.text
    assert [row["user_id"] for row in reply.json()["items"]] == ["mira-okafor"]


def test_reading_routes(open_):
    rows = open_.post("/v1/tables/video/rows", json={"ids": ["v1", "v2"]}).json()["items"]
    assert [(row["title"], row["tags"]) for row in rows] == [("Rye bread", ["baking"])]
    (event,) = open_.get("/v1/tables/user/mira-okafor/events?type=watch").json()["items"]
    assert (event["type"], event["user"], event["video"]) == ("watch", "mira-okafor", "v1")


def test_mistakes_are_told_in_the_one_shape(open_):
    for path, status, code in (
        ("/v1/tables/usr", 404, "unknown-table"),
        ("/v1/tables/user/x/events?type=look", 404, "unknown-event"),
        ("/v1/tables/user?limit=0", 422, "bad-request"),
    ):
        reply = open_.get(path)
        assert (reply.status_code, reply.json()["error"]["code"]) == (status, code)
        assert set(reply.json()["error"]) == {"code", "message", "param", "fix", "request_id"}


def test_writing_still_goes_to_the_api(open_):
    assert open_.put("/v1/tables/video", json=[{"video_id": "v9", "title": "New"}]).json()["accepted"] == 1
    assert open_.get("/v1/tables/video?query=new").json()["items"][0]["video_id"] == "v9"


def test_the_routes_are_described(open_):
    paths = open_.get("/openapi.json").json()["paths"]
    assert "put" in paths["/v1/tables/{name}"]
    assert "get" in paths["/v1/tables/{name}/{row}/events"]


@pytest.mark.parametrize("headers", [
    {"origin": "http://evil.example", "sec-fetch-site": "cross-site"},
    {"sec-fetch-site": "cross-site"},
    {"sec-fetch-site": "same-site"},
    {"origin": "null"},
    {"origin": "http://127.0.0.1:9000"},
    {"host": "evil.example:8000"},
    {"host": "evil.example"},
])  # fmt: skip
def test_other_sites_are_refused_without_keys(open_, locked, headers):
    events = [{"event_id": "e2", "type": "hide", "user": "mira-okafor", "video": "v1"}]
    reply = open_.post("/v1/events", json=events, headers=headers)
    assert reply.status_code == 403
    assert reply.json()["error"]["code"] in ("foreign-origin", "foreign-host")
    assert open_.get("/", headers=headers).status_code == 403
    assert locked.get("/", headers=headers).status_code == 200


@pytest.mark.parametrize("headers", [
    {}, {"origin": HERE, "sec-fetch-site": "same-origin"}, {"sec-fetch-site": "none"}, {"host": "localhost:8000"},
    {"host": "[::1]:8000"}, {"host": "[::1]"}, {"host": "LOCALHOST"},
])  # fmt: skip
def test_own_pages_and_programs_pass(headers):
    from winnow.console.origin import check_origin

    check_origin({b"host": b"127.0.0.1:8000"} | {k.encode(): v.encode() for k, v in headers.items()})


def test_refusals_are_errors_of_ours():
    from winnow.console.origin import Forbidden

    assert issubclass(Forbidden, WinnowError)
    assert Forbidden.status == 403
