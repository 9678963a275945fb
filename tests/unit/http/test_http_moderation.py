"""Routes about content: the whole way of a post over HTTP, in the shapes of ours, Perspective's and OpenAI's."""

import base64
import hashlib
import json
import logging
import sys
from pathlib import Path

import pytest
from starlette.testclient import TestClient

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "moderation"))

from moderation_world import POLICY, SETTINGS, WORDS, Broken

from winnow.http import app as http
from winnow.http import keys
from winnow.moderation.judge import Panel
from winnow.moderation.moderation import Moderation
from winnow.project import Project

MARKER = "mxyzptlk"


@pytest.fixture
def folder(tmp_path):
    project = Project.init(tmp_path / "shop")
    (project.folder / "winnow.toml").write_text('[server]\nauth = "off"\n')
    (project.folder / "moderation.toml").write_text(SETTINGS)
    (project.folder / "words.toml").write_text(WORDS)
    return project.folder


@pytest.fixture
def serve(folder):
    """Starts the service of a project, with the routes about content."""
    opened = []

    def serve():
        app = http.create(Project(folder))
        client = TestClient(app, raise_server_exceptions=False)
        client.__enter__()
        opened.append(client)
        return client

    yield serve
    for client in opened:
        if found := getattr(client.app.state, "moderation", None):
            found.close()
        client.__exit__(None, None, None)


@pytest.fixture
def client(serve):
    client = serve()
    in_force(client)
    return client


def in_force(client, policy=POLICY, **headers):
    version = ok(client.put("/v1/moderation/policies", json={"policy": policy}, **headers))["version"]
    ok(client.post(f"/v1/moderation/policies/{version}/preview", **headers))
    return ok(client.post(f"/v1/moderation/policies/{version}/activate", **headers))


def ok(reply):
    assert reply.status_code == 200, reply.text
    return reply.json()


def refused(reply, status, code):
    assert reply.status_code == status, reply.text
    error = reply.json()["error"]
    assert set(error) >= {"code", "message", "param", "fix", "request_id"}
    assert error["code"] == code
    return error


def decide(client, text="you blarg", **more):
    return client.post("/v1/moderation/decisions", json={"text": text, "author": "sam"} | more)


# Decisions


def test_a_post_is_decided_once_and_found_again(client):
    made = ok(decide(client, request="r1"))
    assert (made["action"], made["harm"]) == ("remove", "insult")
    assert ok(decide(client, request="r1")) == made
    found = ok(client.get("/v1/moderation/decisions/r1"))
    assert found["made"]["inputs"]
    assert found["action"] == "remove"
    listed = ok(client.get("/v1/moderation/decisions", params={"author": "sam"}))
    assert ([d["id"] for d in listed["items"]], listed["strikes"]) == (["r1"], 1)


def test_a_batch_is_decided_in_order(client):
    sent = {"posts": [{"text": "fine", "request": "a"}, {"text": "zorp", "request": "b"}]}
    made = ok(client.post("/v1/moderation/decisions/batch", json=sent))["items"]
    assert [(m["id"], m["action"]) for m in made] == [("a", "allow"), ("b", "escalate")]


def test_decisions_are_counted_by_action_and_harm(client):
    def count() -> float:
        name = 'winnow_decisions_total{action="remove",harm="insult"} '
        lines = client.get("/metrics").text.splitlines()
        return sum(float(line.removeprefix(name)) for line in lines if line.startswith(name))

    before = count()
    ok(decide(client))
    assert count() == before + 1


def test_an_image_comes_in_base64_and_is_known_by_its_bytes(client):
    picture = b"a picture"
    key = f"image:{hashlib.sha256(picture).hexdigest()}"
    ok(client.put("/v1/moderation/known", json={"key": key, "harm": "peril"}))
    refused(client.put("/v1/moderation/known", json={"key": key, "harm": "perl"}), 404, "unknown-harm")
    made = ok(decide(client, "look", image=base64.b64encode(picture).decode()))
    assert (made["action"], made["escalate"], made["harm"], made["scores"]) == ("remove", True, "", {})
    ok(client.delete(f"/v1/moderation/known/{key}"))
    refused(client.delete(f"/v1/moderation/known/{key}"), 404, "unknown-content")


def test_the_log_is_checked_over_http(client):
    made = ok(decide(client))
    whole = ok(client.get("/v1/moderation/verify", params=made["record"]))
    assert (whole["ok"], whole["first_bad"]) == (True, None)
    other = ok(client.get("/v1/moderation/verify", params={"seq": made["record"]["seq"], "hash": "0" * 64}))
    assert not other["ok"]


def test_what_does_not_exist_is_not_found(client):
    refused(client.get("/v1/moderation/decisions/nope"), 404, "unknown-decision")
    refused(client.post("/v1/moderation/policies/9/preview"), 404, "unknown-policy")
    refused(client.post("/v1/moderation/appeals/nope/decide", json={"outcome": "upheld", "reviewer": "kim"}),
            404, "unknown-appeal")  # fmt: skip


def test_the_service_describes_what_it_takes(client):
    paths = ok(client.get("/openapi.json"))["paths"]
    bodies = {
        path: one["post"]["requestBody"]["content"]["application/json"]["schema"]
        for path, one in paths.items()
        if "requestBody" in one.get("post", {})
    }
    assert "reach" in bodies["/v1/moderation/decisions"]["properties"]
    assert "requestedAttributes" in bodies["/v1alpha1/comments:analyze"]["properties"]
    assert {"/v1/moderations", "/v1/moderation/appeals", "/v1/moderation/review/next"} <= set(bodies)
    assert "$ref" not in json.dumps([schema for path, schema in bodies.items() if "moderation" in path])


# Policies


def test_a_policy_must_be_previewed(client):
    ok(decide(client, "you grumble"))
    strict = json.loads(json.dumps(POLICY))
    strict["harms"]["insult"]["rules"][1]["at"] = 0.65
    version = ok(client.put("/v1/moderation/policies", json={"policy": strict, "why": "stricter"}))["version"]
    refused(client.post(f"/v1/moderation/policies/{version}/activate"), 409, "policy-not-previewed")
    seen = ok(client.post(f"/v1/moderation/policies/{version}/preview"))
    assert seen["changes"] == [{"from": "demote", "to": "remove", "posts": 1}]
    assert ok(client.post(f"/v1/moderation/policies/{version}/activate"))["active"]
    assert ok(decide(client, "you grumble"))["action"] == "remove"
    assert [v["active"] for v in ok(client.get("/v1/moderation/policies"))["items"]] == [True, False]


def test_every_mistake_of_a_policy_is_told_with_its_field(client):
    harms = {"a": {"reason": "A.", "rules": [{"action": "romove", "at": 0.5}]}, "b": {"rules": [{"at": 2}]}}
    error = refused(
        client.put("/v1/moderation/policies", json={"policy": {"name": "x", "harms": harms}}), 400, "bad-policy"
    )
    assert error["param"].startswith("harms.b")
    harms["b"] = {"reason": "B.", "rules": [{"action": "remove"}]}
    error = refused(
        client.put("/v1/moderation/policies", json={"policy": {"name": "x", "harms": harms}}), 400, "unknown-action"
    )
    assert [p["param"] for p in error["problems"]] == ["harms.a.rules[0].action", "harms.b.rules[0]"]


def test_wishes_become_thresholds_on_a_sample(client):
    wish = {"name": "x", "harms": {"insult": {"reason": "A.", "rules": [{"action": "hold", "precision": 0.9}]}}}
    sample = {"insult": {"probability": [0.9] * 18 + [0.2] * 20, "label": [1] * 17 + [0] * 21}}
    found = ok(client.put("/v1/moderation/policies", json={"policy": wish, "samples": sample}))
    assert found["policy"]["harms"]["insult"]["rules"][0]["at"] == 0.9
    assert found["resolutions"][0]["precision"] == pytest.approx(17 / 18)


def test_a_harm_that_no_judge_knows_is_refused(client):
    version = ok(
        client.put("/v1/moderation/policies", json={"policy": {"name": "x", "harms": {"gloom": {"reason": "G."}}}})
    )
    refused(client.post(f"/v1/moderation/policies/{version['version']}/activate"), 409, "harm-without-head")


# Review and appeals


def test_a_post_is_reviewed_taken_back_and_appealed(client):
    ok(decide(client, "you grumble", request="r1"))
    item = ok(client.post("/v1/moderation/review/next", json={"reviewer": "kim"}))["item"]
    assert item["task"] == "r1"
    assert "text" not in item
    assert ok(client.post("/v1/moderation/review/r1/content", json={"reviewer": "kim"}))["text"] == "you grumble"
    refused(client.post("/v1/moderation/review/r1/content", json={"reviewer": "lee"}), 409, "claim-lost")
    found = ok(client.post("/v1/moderation/review/r1/verdict", json={"heads": {"insult": True}, "reviewer": "kim"}))
    assert ok(client.get("/v1/moderation/decisions/r1"))["action"] == "remove"
    ok(client.post("/v1/moderation/review/undo", json={"verdict": found["verdict"], "reviewer": "kim"}))
    assert ok(client.get("/v1/moderation/decisions/r1"))["action"] == "demote"
    ok(client.post("/v1/moderation/review/r1/verdict", json={"heads": {"insult": True}, "reviewer": "kim"}))
    appeal = ok(client.post("/v1/moderation/appeals", json={"decision": "r1", "statement": "please"}))["id"]
    path = f"/v1/moderation/appeals/{appeal}/decide"
    refused(client.post(path, json={"outcome": "reversed", "reviewer": "kim"}), 409, "same-reviewer")
    assert ok(client.post(path, json={"outcome": "reversed", "reviewer": "lee"}))["changed"] == ["r1"]
    assert ok(client.get("/v1/moderation/decisions/r1"))["action"] == "allow"
    assert ok(client.get("/v1/moderation/verify"))["ok"]
    assert ok(client.get("/v1/moderation/appeals", params={"state": "reversed"}))["items"][0]["id"] == appeal


def test_an_author_sees_the_reason_and_a_reviewer_the_post(client):
    ok(decide(client, "you grumble", request="r1"))
    told = ok(client.get("/v1/moderation/decisions/r1/notice"))
    assert (told["action"], told["reason"], told["may_appeal"]) == ("demote", "This insults somebody.", True)
    assert not {"harm", "scores", "spans", "model", "made"} & set(told)
    refused(client.get("/v1/moderation/decisions/nope/notice"), 404, "unknown-decision")
    appeal = ok(client.post("/v1/moderation/appeals", json={"decision": "r1", "statement": "my cat"}))["id"]
    listed = ok(client.get("/v1/moderation/appeals", params={"reviewer": "lee"}))["items"]
    assert [(a["id"], a["yours"]) for a in listed] == [(appeal, True)]
    seen = ok(client.post(f"/v1/moderation/appeals/{appeal}/content", json={"reviewer": "lee"}))
    assert seen == {"text": "you grumble", "image": None, "unshown": False, "statement": "my cat", "kept": True}
    refused(client.post(f"/v1/moderation/appeals/{appeal}/content", json={"reviewer": "sam"}), 409, "same-reviewer")
    refused(client.post("/v1/moderation/appeals/nope/content", json={"reviewer": "lee"}), 404, "unknown-appeal")


def test_the_queue_tells_its_counts_and_the_prevalence(client):
    ok(decide(client, "you grumble"))
    counts = ok(client.get("/v1/moderation/review", params={"reviewer": "kim"}))
    assert (counts["waiting"], counts["done"], counts["agreement"]["posts"]) == (1, 0, 0)
    found = ok(client.get("/v1/moderation/prevalence"))["items"][0]
    assert (found["head"], found["value"], found["low"], found["high"]) == ("insult", None, 0.0, 1.0)


def test_a_golden_post_looks_like_any_other(client, monkeypatch):
    sent = {"post": {"text": "blarg"}, "truth": {"insult": True}}
    task = ok(client.post("/v1/moderation/review/golden", json=sent))["task"]
    monkeypatch.setattr(client.app.state.moderation.review, "_lanes", lambda: ["golden"])
    item = ok(client.post("/v1/moderation/review/next", json={"reviewer": "kim"}))["item"]
    assert item["task"] == task
    assert "golden" not in json.dumps(item)
    ok(client.post(f"/v1/moderation/review/{task}/verdict", json={"heads": {}, "reviewer": "kim"}))
    marks = ok(client.get("/v1/moderation/review"))["agreement"]["golden"]
    assert [(m["name"], m["right"], m["answers"]) for m in marks] == [("kim", 0, 1)]


def test_a_service_without_keys_asks_who_reviews(client):
    refused(client.post("/v1/moderation/review/next"), 400, "no-reviewer")


def test_with_keys_the_reviewer_is_whoever_holds_the_key(serve, folder):
    (folder / "winnow.toml").write_text("")
    ann, kim = (
        {"authorization": f"Bearer {keys.create(folder, name, [role])}"}
        for name, role in (("ann", "admin"), ("kim", "review"))
    )
    client = serve()
    refused(client.post("/v1/moderation/review/next"), 401, "missing-key")
    in_force(client, headers=ann)
    assert ok(client.get("/v1/moderation/policies", headers=kim))["items"][0]["who"] == "ann"
    sent = {"json": {"text": "you grumble", "request": "r1"}, "headers": ann}
    ok(client.post("/v1/moderation/decisions", **sent))
    refused(client.post("/v1/moderation/review/next", json={"reviewer": "ann"}, headers=kim), 409, "not-your-name")
    assert ok(client.post("/v1/moderation/review/next", headers=kim))["item"]["task"] == "r1"
    ok(client.post("/v1/moderation/review/r1/verdict", json={"heads": {"insult": True}}, headers=kim))
    assert ok(client.get("/v1/moderation/decisions/r1", headers=ann))["changes"][0]["who"] == "kim"


# Doors


def analyze(client, text="you blarg", attributes=("INSULT",), **more):
    asked = {"comment": {"text": text}, "requestedAttributes": {name: {} for name in attributes}}
    return client.post("/v1alpha1/comments:analyze", json=asked | more)


def test_a_comment_is_scored_as_perspective_does(client):
    found = ok(analyze(client, languages=["en"], clientToken="t1", doNotStore=True))
    assert found["languages"] == ["en"]
    assert found["clientToken"] == "t1"
    score = found["attributeScores"]["INSULT"]
    assert score["summaryScore"] == {"value": pytest.approx(0.95), "type": "PROBABILITY"}
    assert score["spanScores"] == [{"begin": 0, "end": 9, "score": score["summaryScore"]}]
    spans = ok(analyze(client, spanAnnotations=True))["attributeScores"]["INSULT"]["spanScores"]
    assert [(s["begin"], s["end"]) for s in spans] == [(4, 9)]


def test_a_score_below_the_threshold_is_left_out(client):
    asked = {"comment": {"text": "fine"}, "requestedAttributes": {"INSULT": {"scoreThreshold": 0.5}}}
    assert ok(client.post("/v1alpha1/comments:analyze", json=asked))["attributeScores"] == {}


@pytest.mark.parametrize(
    ("asked", "message", "kind"),
    [
        ({"attributes": ["TOXICITY"]}, "Unknown requested attribute: TOXICITY", None),
        ({"attributes": []}, "requested_attributes is empty", None),
        ({"text": " "}, "Comment must be non-empty.", "COMMENT_EMPTY"),
        ({"text": "a" * 1_048_577}, "Comment text too long.", "COMMENT_TOO_LONG"),
    ],
)
def test_perspectives_errors_are_perspectives(client, asked, message, kind):
    reply = analyze(client, **asked)
    error = reply.json()["error"]
    assert (reply.status_code, error["code"], error["status"], error["message"]) == (
        400,
        400,
        "INVALID_ARGUMENT",
        message,
    )
    assert [d["errorType"] for d in error.get("details", [])] == ([kind] if kind else [])


def test_attributes_are_mapped_by_the_settings(serve, folder):
    (folder / "moderation.toml").write_text(SETTINGS + '[doors]\nperspective = { TOXICITY = "insult" }\n')
    client = serve()
    assert ok(analyze(client, attributes=["TOXICITY"]))["attributeScores"]["TOXICITY"]["summaryScore"]["value"] > 0.9
    assert ok(client.get("/v1/moderation/doors"))["perspective"] == {
        "INSULT": "insult", "PERIL": "peril", "TOXICITY": "insult",
    }  # fmt: skip


def test_moderations_are_scored_as_openai_does(serve, folder):
    (folder / "moderation.toml").write_text(SETTINGS + '[doors]\nopenai = { harassment = "insult" }\n')
    client = serve()
    in_force(client)
    found = ok(client.post("/v1/moderations", json={"model": "omni", "input": ["you blarg", "fine"]}))
    assert [r["flagged"] for r in found["results"]] == [True, False]
    first = found["results"][0]
    assert first["categories"]["harassment"] is True
    assert first["category_scores"]["harassment"] == pytest.approx(0.95)
    assert first["category_applied_input_types"]["harassment"] == ["text"]


def test_a_category_without_a_head_is_not_evaluated_rather_than_fine(client):
    result = ok(client.post("/v1/moderations", json={"input": "you blarg"}))["results"][0]
    assert len(result["not_evaluated"]) == 13
    assert set(map(tuple, result["category_applied_input_types"].values())) == {()}
    assert result["categories"]["illicit"] is None
    assert result["flagged"] is True  # by a head that has no category


def test_scores_of_categories_without_a_head_can_be_null(serve, folder):
    (folder / "moderation.toml").write_text(SETTINGS + '[doors]\nunmapped = "null"\n')
    result = ok(serve().post("/v1/moderations", json={"input": "fine"}))["results"][0]
    assert set(result["category_scores"].values()) == {None}


def test_a_door_says_so_when_nobody_can_judge(client):
    client.app.state.moderation.__dict__["judge"] = Broken(["insult"], [0.0])
    refused(client.post("/v1/moderations", json={"input": MARKER}), 500, "moderation-failed")
    client.app.state.moderation.__dict__["judge"] = Panel([Broken(["insult"], [0.0])])
    refused(client.post("/v1/moderations", json={"input": "fine"}), 503, "not-judged")
    assert analyze(client).json()["error"]["status"] == "UNAVAILABLE"


def test_an_image_alone_is_not_judged_by_a_list_of_words(client):
    link = "data:image/png;base64," + base64.b64encode(b"x").decode()
    parts = [{"type": "image_url", "image_url": {"url": link}}]
    refused(client.post("/v1/moderations", json={"input": parts}), 503, "not-judged")


def test_addresses_are_refused_unless_allowed(client):
    parts = [{"type": "image_url", "image_url": {"url": f"https://example.org/{MARKER}"}}]
    error = refused(client.post("/v1/moderations", json={"input": parts}), 400, "address-refused")
    assert MARKER not in json.dumps(error)
    refused(decide(client, image_url="http://127.0.0.1/x"), 400, "address-refused")


# Content stays out of errors and logs

BAD_BODIES = [
    b"{" + MARKER.encode(),
    b"\xff" + MARKER.encode(),
    {"text": [MARKER]},
    {"text": {"inner": MARKER}},
    {MARKER: 1, "text": MARKER},
    {"text": MARKER, "image": MARKER + "!"},
    {"text": MARKER, "reactions": {MARKER: MARKER}},
    {"text": MARKER, "author": MARKER + "\n"},
    {"text": MARKER, "reach": -1},
    {"text": MARKER, "image_sha256": MARKER},
    {"text": MARKER, "image_url": f"ftp://{MARKER}"},
    {"text": MARKER, "image_url": f"data:{MARKER}"},
    {"text": MARKER, "verified": MARKER},
    [MARKER],
    MARKER,
]
BODIED = [
    "/v1/moderation/decisions", "/v1/moderation/decisions/batch", "/v1/moderation/appeals", "/v1/moderations",
    "/v1alpha1/comments:analyze", "/v1/moderation/review/golden", "/v1/moderation/review/x/verdict",
]  # fmt: skip


@pytest.mark.parametrize("path", BODIED)
def test_content_never_appears_in_errors_or_logs(client, caplog, capfd, path):
    with caplog.at_level(logging.DEBUG):
        for body in BAD_BODIES:
            nested = [body, {"posts": [body]}, {"input": body}, {"comment": body}, {"comment": {"text": body}}]
            nested += [{"decision": "r1", "post": body}, {"post": body, "truth": {}}, {"input": [{"type": MARKER}]}]
            for sent in nested if not isinstance(body, bytes) else [body]:
                given = {"content": sent} if isinstance(sent, bytes) else {"json": sent}
                reply = client.post(path, **given)
                if reply.status_code >= 400:
                    assert MARKER not in reply.text, sent
    out = capfd.readouterr()
    assert MARKER not in caplog.text + out.out + out.err


def test_content_is_not_in_the_log_of_an_unexpected_fault(client, caplog, monkeypatch):
    def fail(self, posts):
        raise RuntimeError(f"cannot read {posts[0].text}")

    monkeypatch.setattr(Moderation, "decide", fail)
    with caplog.at_level(logging.DEBUG):
        reply = decide(client, MARKER)
    refused(reply, 500, "moderation-failed")
    assert "RuntimeError" in caplog.text
    assert MARKER not in caplog.text + reply.text


@pytest.mark.parametrize("text", ["", "🙂🙂", "\u202eabc", "word " * 200_000, "שלום", "مرحبا"])
def test_any_text_is_answered(client, text):
    assert ok(decide(client, text))["action"] == "allow"
    assert ok(client.post("/v1/moderations", json={"input": text}))["results"][0]["flagged"] is False
