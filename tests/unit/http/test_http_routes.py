"""Every route of a running service, every bad input, one error shape."""

import json
import subprocess
import sys
import time

import httpx
import pytest

RANK = "/v1/systems/video_recommendation/rank"


def error(response, status):
    """The error of a response, after checking its shape."""
    assert response.status_code == status, response.text
    found = response.json()["error"]
    assert {"code", "message", "param", "fix", "request_id"} <= set(found)
    assert found["request_id"] == response.headers["x-request-id"]
    assert found["message"]
    return found


def test_rank_answers_with_a_list(service):
    reply = service.rank("u3", size=7, context={"surface": "home"}).json()
    assert len(reply["items"]) == 7
    assert [i["position"] for i in reply["items"]] == list(range(1, 8))
    assert reply["known_user"]
    assert reply["degraded"] == []
    assert set(reply) == {"recommendation_id", "release", "declaration", "arm", "as_of", "known_user", "items",
                          "degraded", "ms"}  # fmt: skip
    assert all(i["sources"] and i["id"].startswith("v") for i in reply["items"])


def test_an_unknown_user_is_served_as_new(service):
    reply = service.rank("somebody nobody knows").json()
    assert reply["known_user"] is False
    assert len(reply["items"]) == 20
    assert not any("CoWatched" in i["sources"] for i in reply["items"])


def test_exclude_filter_and_boost(service):
    plain = [i["id"] for i in service.rank("u3", exploration=0).json()["items"]]
    without = [i["id"] for i in service.rank("u3", exploration=0, exclude=plain[:5]).json()["items"]]
    assert not set(plain[:5]) & set(without)
    short = service.rank("u3", filter={"duration_s": {"at_most": 60}}, explain=True).json()
    assert short["items"]
    assert all(i["features"]["video_duration_s"] <= 60 for i in short["explanation"]["items"])
    authors = {i["features"]["video_author"] for i in short["explanation"]["items"]}
    wanted = sorted(authors)[:2]
    only = service.rank("u3", filter={"author": wanted}, explain=True).json()["explanation"]["items"]
    assert {i["features"]["video_author"] for i in only} <= set(wanted)
    lifted = service.rank("u3", exploration=0, diversity=0, boost={"author": {wanted[0]: 1000}}, explain=True).json()
    assert lifted["explanation"]["items"][0]["features"]["video_author"] == wanted[0]


def test_explain_adds_up(service):
    reply = service.rank("u3", explain=True).json()
    told = reply["explanation"]
    assert [i["id"] for i in told["items"]] == [i["id"] for i in reply["items"]]
    for item in told["items"]:
        assert sum(item["value_terms"].values()) == pytest.approx(item["value"], rel=1e-4)
        assert item["slate"][-1]["to"] == item["position"]
        assert item["sources"]
        assert "video_click_rate_ever" in item["features"]
    assert {"source", "filter", "features", "scorer", "value", "policy", "slate"} == {s["kind"] for s in told["stages"]}
    assert all(i["reasons"] for i in reply["items"])


@pytest.mark.parametrize(
    ("body", "code", "param"),
    [
        ({}, "bad-request", "user"),
        ({"user": None}, "bad-request", "user"),
        ({"user": "u1", "size": 0}, "bad-request", "size"),
        ({"user": "u1", "size": "many"}, "bad-request", "size"),
        ({"user": "u1", "size": 501}, "size-too-large", "size"),
        ({"user": "u1", "sise": 3}, "bad-request", "sise"),
        ({"user": "u1", "exploration": 2}, "bad-request", "exploration"),
        ({"user": "u1", "exclude": ["v1"] * 10_001}, "bad-request", "exclude"),
        ({"user": "u1", "context": {"surfce": "home"}}, "unknown-context", "context.surfce"),
        ({"user": "u1", "context": {"position": "first"}}, "bad-value", "context.position"),
        ({"user": "u1", "filter": {"autor": "a1"}}, "unknown-column", "filter.autor"),
        ({"user": "u1", "filter": {"title": "x"}}, "unknown-column", "filter.title"),
        ({"user": "u1", "filter": {"duration_s": "long"}}, "bad-value", "filter.duration_s"),
        ({"user": "u1", "filter": {"duration_s": {"above": 3}}}, "bad-value", "filter.duration_s"),
        ({"user": "u1", "boost": {"author": {"a1": -1}}}, "bad-request", "boost"),
    ],
)
def test_bad_rank_requests_name_the_parameter(service, body, code, param):
    found = error(service.client.post(RANK, json=body), 400)
    assert found["code"] == code
    assert found["param"].startswith(param)


def test_all_mistakes_of_a_rank_request_are_told_at_once(service):
    response = service.rank("u1", filter={"autor": "x"}, context={"surfce": "y"}, size=600)
    assert {p["param"] for p in error(response, 400)["problems"]} == {"filter.autor", "context.surfce", "size"}


@pytest.mark.parametrize("body", [b"", b"{", b'{"user": NaN}', b"\xff\xfe"])
def test_bad_json(service, body):
    assert error(service.client.post(RANK, content=body), 400)["code"] == "bad-json"
    assert error(service.client.post("/v1/events", content=body), 400)["code"] == "bad-json"


def event(**given):
    return {"type": "watch", "event_id": f"t{time.time_ns()}", "user": "u1", "video": "v1", "seconds": 3.0, **given}


@pytest.mark.parametrize(
    ("given", "param"),
    [
        ({"secnds": 3}, "secnds"),
        ({"seconds": "long"}, "seconds"),
        ({"seconds": -3}, "seconds"),
        ({"at": "2999-01-01"}, "at"),
        ({"at": "yesterday"}, "at"),
        ({"user": None}, "user"),
        ({"type": "wacth"}, "type"),
        ({"video": {"id": 3}}, "video"),
    ],
)
def test_bad_events_are_set_aside_and_good_ones_land(service, given, param):
    mixed = service.events([event(), event(**given)])
    assert mixed.status_code == 200
    assert (mixed.json()["accepted"], mixed.json()["quarantined"]) == (1, 1)
    assert param in mixed.json()["problems"][0]["param"]
    assert mixed.json()["problems"][0]["fix"]
    alone = service.events([event(**given)])
    assert param in error(alone, 400)["param"]
    assert alone.json()["quarantined"] == 1
    last = service.client.get("/v1/quarantine?limit=1000").json()["items"][-1]
    assert last["reason"]


def test_events_in_either_form_and_only_once(service):
    one = event()
    assert service.events([one]).json()["accepted"] == 1
    again = service.client.post("/v1/events", json={"events": [one, event()]})
    assert (again.json()["accepted"], again.json()["duplicates"]) == (1, 1)
    assert service.events([]).json()["accepted"] == 0
    assert error(service.client.post("/v1/events", json={"rows": []}), 400)["code"] == "not-a-batch"
    assert error(service.client.post("/v1/events", json="x"), 400)["code"] == "not-a-batch"


def test_an_event_without_an_id_is_refused(service):
    row = event()
    del row["event_id"]
    assert error(service.events([row]), 400)["param"].endswith("event_id")


def test_a_body_of_10_mb_is_refused(service):
    for body in (b"x" * 10_000_000, (b"x" * 100_000 for _ in range(100))):
        assert error(service.client.post("/v1/events", content=body), 413)["code"] == "body-too-large"
    assert service.rank().status_code == 200


def test_unknown_system_table_and_route(service):
    for method, path in (
        ("POST", "/v1/systems/vidio/rank"),
        ("GET", "/v1/systems/vidio"),
        ("GET", "/v1/systems/x/config"),
    ):
        assert error(service.client.request(method, path, json={}), 404)["code"] == "unknown-system"
    assert error(service.client.put("/v1/tables/vidio", json=[{}]), 404)["fix"] == "did you mean `video`?"
    assert error(service.client.get("/v2"), 404)["code"] == "unknown-route"
    assert error(service.client.get("/v1/events"), 405)["code"] == "method-not-allowed"
    assert error(service.client.get("/v1/quarantine?limit=many"), 422)["param"] == "limit"


@pytest.mark.parametrize("headers", [{}, {"X-API-Key": "wrong"}, {"Authorization": "Bearer wrong"}, {"X-API-Key": ""}])
def test_everything_but_health_needs_a_key(service, headers):
    with httpx.Client(base_url=service.url, headers=headers) as client:
        for path in ("/v1/systems", "/metrics", "/openapi.json", "/docs", "/nowhere"):
            assert error(client.get(path), 401)["code"] in ("missing-key", "unknown-key")
        assert error(client.post(RANK, json={"user": "u1"}), 401)
        assert error(client.post("/v1/events", json=[]), 401)
        assert client.get("/health/live").json() == {"live": True}
        assert client.get("/health/ready").json()["ready"] is True


def test_a_bearer_token_is_a_key_too(service):
    with httpx.Client(base_url=service.url, headers={"Authorization": f"Bearer {service.key}"}) as client:
        assert client.get("/v1/systems").status_code == 200


def test_systems_config_and_releases(service):
    listed = service.client.get("/v1/systems").json()["items"][0]
    assert listed["name"] == "video_recommendation"
    one = service.client.get("/v1/systems/video_recommendation").json()
    assert one["declaration"]["kind"] == "System"
    assert one["hash"] == listed["hash"]
    releases = service.client.get("/v1/systems/video_recommendation/releases").json()["items"]
    assert [r["id"] for r in releases if r["serves"]] == [listed["release"]]


def test_weights_can_be_changed_while_it_runs(service):
    path = "/v1/systems/video_recommendation/config"
    assert error(service.client.put(path, json={"weights": {"clik": 1}}), 400)["fix"] == "did you mean `click`?"
    assert error(service.client.put(path, json={"weights": {"click": 0}}), 400)["code"] == "no-weights"
    assert error(service.client.put(path, json={"weights": {"click": "much"}}), 422)
    version = service.client.put(path, json={"weights": {"click": -7.0}, "why": "a test"}).json()["version"]
    assert service.client.get(path).json()["weights"] == {"click": -7.0}
    until = time.monotonic() + 10
    while time.monotonic() < until:
        told = service.rank("u3", explain=True).json()["explanation"]
        if told["weights_version"] == version:
            break
        time.sleep(0.1)
    assert told["weights"] == {"click": -7.0}
    assert all(i["value"] == pytest.approx(-7 * i["heads"]["click"], rel=1e-4) for i in told["items"])


def test_a_click_changes_the_next_list_within_a_second(service):
    def past():
        return service.rank("u9", explain=True).json()["explanation"]["user"]["recent"]["user_watch_video_last50"]

    target = next(v for v in ("v7", "v8", "v9") if v not in past())
    service.events([event(user="u9", video=target)])
    start = time.monotonic()
    while target not in past():
        assert time.monotonic() - start < 1


def test_a_new_video_can_be_recommended_and_a_deleted_one_cannot(service):
    row = {"video_id": "brand new", "author": "a1", "tags": ["t1"], "uploaded_at": "2026-11-01", "available": True}
    recent = {**row, "uploaded_at": time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime())}
    assert service.client.put("/v1/tables/video", json=[recent]).json()["accepted"] == 1

    def shown():
        return "brand new" in [i["id"] for i in service.rank("u3", size=300, exploration=0).json()["items"]]

    def until(wanted):
        end = time.monotonic() + 15
        while shown() is not wanted:
            assert time.monotonic() < end
            time.sleep(0.1)

    until(True)
    service.client.put("/v1/tables/video", json=[{"video_id": "brand new", "available": False}])
    until(False)
    service.client.put("/v1/tables/video", json=[{"video_id": "brand new", "available": True}])
    until(True)
    service.client.put("/v1/tables/video", json={"rows": [{"video_id": "brand new", "deleted": True}]})
    until(False)
    assert error(service.client.put("/v1/tables/video", json=[{"video_id": "x", "duration_s": -1}]), 400)


def test_metrics_count_what_happened(service):
    service.rank()
    text = service.client.get("/metrics").text
    assert 'winnow_http_requests_total{route="/v1/systems/{name}/rank",status="200"}' in text
    assert 'winnow_rank_seconds_count{system="video_recommendation"}' in text
    assert 'winnow_http_requests_total{route="unknown",status="401"}' in text


def test_openapi_describes_every_route(service):
    described = service.client.get("/openapi.json").json()
    rank = "/v1/systems/{name}/rank"
    routes = {"/v1/events": "post", rank: "post", "/v1/tables/{name}": "put", "/v1/quarantine": "get"}
    for path, method in routes.items():
        assert method in described["paths"][path]
    text = json.dumps(described)
    assert all(f'"{name}"' in text for name in ("RankRequest", "RankReply", "ErrorReply"))
    for word in text.split('"#/components/schemas/')[1:]:
        assert word.split('"')[0] in described["components"]["schemas"]


def test_a_request_id_comes_back(service):
    assert service.client.get("/v1/systems", headers={"X-Request-ID": "mine-7"}).headers["x-request-id"] == "mine-7"
    odd = service.client.get("/v1/systems", headers={"X-Request-ID": "a b\tc"}).headers["x-request-id"]
    assert len(odd) == 32


def test_workers_never_import_torch(folder):
    code = (
        "import sys, winnow.http.worker, winnow.http.app\n"
        "from winnow.project import Project\nfrom winnow.serving.runtime import Runtime\n"
        f"project = Project({str(folder)!r}); runtime = Runtime.open(project)\n"
        "runtime.rank('video_recommendation', {'user': 'u1', 'explain': True}); runtime.close()\n"
        "winnow.http.app.create(project)\nsys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
