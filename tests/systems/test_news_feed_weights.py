"""Weights as experiment arms, and what would move under others: in Python, on the command line and over HTTP."""

import json
import shutil

import numpy as np
import pytest
from feed_fixtures import NAME, Feed

from winnow.cli.whatif import parsed
from winnow.core.errors import InputError
from winnow.core.time import now_us
from winnow.experiments.assign import arm
from winnow.experiments.declare import Experiment
from winnow.serving.effects import ServedLog
from winnow.serving.value import check_trial
from winnow.serving.whatif import asked, finite, whatif

TALK = {"comment": 500.0}
HALF = Experiment("talk", {"control": 0.5, "talk": 0.5}, weights={"talk": TALK}, share=0.8)


@pytest.fixture(scope="module")
def logged(feed_template, tmp_path_factory):
    """A feed that logs what it serves."""
    folder = tmp_path_factory.mktemp("logged") / "feed"
    shutil.copytree(feed_template, folder)
    feed = Feed(folder)
    feed.desk._served = ServedLog(feed.project.log)
    yield feed
    feed.desk._served.close()
    feed.close()


def run(feed, experiment):
    data = check_trial(experiment, feed.system.labels.heads) if experiment else None
    declared = dict(feed.system.pipeline.value.weights)
    feed.project.registry.set_experiment(NAME, data, declared=declared, at=now_us(), who="test")
    feed.desk.refresh()


def test_people_get_the_weights_of_their_arm_and_the_reply_and_the_log_name_it(logged):
    declared = dict(logged.system.pipeline.value.weights)
    run(logged, HALF)
    arms = {}
    for who in logged.members()[:24]:
        reply = logged.rank(who, explain=True)
        mine = arm(HALF, who)
        assert reply.arm == ("champion" if mine is None else f"talk:{mine}")
        assert reply.explanation["weights"] == (TALK if mine == "talk" else declared)
        first = reply.explanation["items"][0]
        assert first["value"] == pytest.approx(sum(first["value_terms"].values()))
        arms[who] = reply.arm
    assert set(arms.values()) == {"champion", "talk:control", "talk:talk"}
    logged.desk._served.flush()
    served = logged.project.frame(f"{NAME}_served")
    assert dict(served.select("member", "arm").unique().iter_rows()) == arms
    run(logged, None)
    assert {logged.rank(who).arm for who in arms} == {"champion"}


def test_an_edit_of_the_weights_goes_to_all_but_the_arms_that_carry_their_own(logged):
    run(logged, HALF)
    edited = {"like": 7.0, "hide": -1.0}
    stored = logged.project.registry.set_weights(NAME, edited, at=now_us(), who="test")
    assert stored.experiment["name"] == "talk"
    logged.desk.refresh()
    for who in logged.members()[:24]:
        weights = logged.rank(who, explain=True).explanation["weights"]
        assert weights == (TALK if arm(HALF, who) == "talk" else edited)
    history = logged.project.registry.weights_history(NAME)
    assert [w.version for w in history] == list(range(1, len(history) + 1))
    logged.project.registry.set_weights(NAME, dict(logged.system.pipeline.value.weights), at=now_us(), who="test")
    run(logged, None)


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"weights": {"talk": {"coment": 1.0}}}, "unpredicted-head"),
        ({"weights": {"tlak": {"comment": 1.0}}}, "unknown-arm"),
        ({"weights": {"talk": {"comment": float("nan")}}}, "weight-not-finite"),
        ({"weights": {"talk": {"comment": 0.0}}}, "no-weights"),
        ({"weights": {}}, "no-weights"),
        ({"arms": {"control": 0.5, "talk": 0.6}}, "bad-arms"),
        ({"share": 0.0}, "bad-share"),
    ],
)
def test_an_experiment_that_cannot_run_is_refused(logged, change, code):
    experiment = Experiment("talk", **{"arms": HALF.arms, "weights": HALF.weights} | change)
    with pytest.raises(InputError) as error:
        check_trial(experiment, logged.system.labels.heads)
    assert code in {p.code for p in error.value.problems}


# What if


@pytest.fixture(scope="module")
def people(logged):
    for who in logged.members()[:15]:
        logged.rank(who)
    logged.desk._served.flush()
    return asked(logged.project.frame(f"{NAME}_served"), "member", 15)


def told(found):
    return {m.measure: m for m in found.moved}


def test_the_newest_logged_requests_are_asked_again_and_nothing_is_logged(logged, people):
    before = logged.project.log.last_seq()
    found = whatif(logged.desk, people, {"comment": 500.0})
    logged.desk._served.flush()
    assert (found.requests, found.people, found.skipped) == (15, 15, 0)
    assert sorted(people) == sorted(logged.members()[:15])
    assert logged.project.log.last_seq() == before
    assert logged.rank(people[0]).arm == "champion"
    assert found.now == dict(logged.system.pipeline.value.weights)
    assert found.then == {**found.now, "comment": 500.0}


def test_more_weight_on_a_reaction_brings_more_of_it(logged, people):
    for head, measure in (("comment", "comment per 1,000"), ("share", "share per 1,000")):
        moved = told(whatif(logged.desk, people, {head: 2_000.0}))[measure]
        assert moved.low > 0
        assert moved.then > moved.now
        assert moved.low < moved.then - moved.now < moved.high
    fewer = told(whatif(logged.desk, people, {"hide": -50_000.0}))["hide per 1,000"]
    assert fewer.then < fewer.now


def test_the_same_weights_move_nothing(logged, people):
    found = whatif(logged.desk, people, {"like": 5.0})
    assert all(m.now == m.then for m in found.moved)
    assert not any(found.movers.values())
    assert {"out of network, %", "age in hours, median", "items that stay, %"} <= set(told(found))
    assert told(found)["items that stay, %"].now == 100


def test_figures_are_those_of_the_lists(logged, people):
    """The mean prediction and the topics, from the lists themselves."""
    found = whatif(logged.desk, people, {"comment": 500.0}, size=10)
    lists = [logged.rank(who, size=10, exploration=0, explain=True) for who in people]
    mean = np.mean([[i["heads"]["like"] for i in reply.explanation["items"]] for reply in lists])
    assert told(found)["like per 1,000"].now == pytest.approx(1000 * mean)
    topics = dict(logged.project.frame("post").select("post_id", "topic").iter_rows())
    shown = [topics[i.id] for reply in lists for i in reply.items]
    for topic, (now, then) in found.movers["topic"].items():
        assert now == pytest.approx(shown.count(topic) / len(shown))
        assert now != then


def test_a_weight_for_an_unknown_head_is_refused(logged, people):
    with pytest.raises(InputError, match="unpredicted-head"):
        whatif(logged.desk, people, {"coment": 1.0})


def test_without_any_request_there_is_nothing_to_tell(logged):
    found = whatif(logged.desk, [], {"comment": 2.0})
    assert (found.requests, found.moved) == (0, ())
    json.dumps(finite(found), allow_nan=False)


def test_weights_as_they_are_written():
    assert parsed(("comment=12,like=1", "hide=-3.5")) == {"comment": 12, "like": 1, "hide": -3.5}
    for bad in ("comment", "comment=many", "=", "comment=1=2"):
        with pytest.raises(InputError, match="bad-weights"):
            parsed((bad,))


# Over HTTP and on the command line


@pytest.fixture(scope="module")
def client(feed_template, tmp_path_factory):
    from starlette.testclient import TestClient

    from winnow.http.app import create
    from winnow.project import Project
    from winnow.serving.ingester import Ingester

    folder = tmp_path_factory.mktemp("http") / "feed"
    shutil.copytree(feed_template, folder)
    (folder / "winnow.toml").write_text('[server]\nauth = "off"\n')
    project = Project(folder)
    ingester = Ingester.of(project)
    while ingester.step():
        pass
    with TestClient(create(project), base_url="http://127.0.0.1") as client:
        yield client
    ingester.close()


def test_an_experiment_over_http(client):
    body = {"experiment": {"name": "talk", "arms": {"a": 0.5, "b": 0.5}, "weights": {"b": TALK}}, "why": "to see"}
    made = client.put(f"/v1/systems/{NAME}/experiment", json=body)
    assert made.status_code == 200, made.text
    assert made.json()["experiment"]["weights"] == {"b": TALK}
    assert client.get(f"/v1/systems/{NAME}/config").json()["experiment"]["name"] == "talk"
    bad = body | {"experiment": body["experiment"] | {"weights": {"b": {"coment": 1}}}}
    refused = client.put(f"/v1/systems/{NAME}/experiment", json=bad)
    assert (refused.status_code, refused.json()["error"]["code"]) == (400, "unpredicted-head")
    assert client.delete(f"/v1/systems/{NAME}/experiment").json()["experiment"] is None
    assert client.get(f"/v1/systems/{NAME}/config").json()["experiment"] is None


def test_what_if_over_http(client):
    found = client.post(f"/v1/systems/{NAME}/whatif", json={"weights": {"comment": 12}, "requests": 5})
    assert found.status_code == 200, found.text
    assert found.json()["then"]["comment"] == 12
    refused = client.post(f"/v1/systems/{NAME}/whatif", json={"weights": {"coment": 12}})
    assert (refused.status_code, refused.json()["error"]["code"]) == (400, "unpredicted-head")


def test_what_if_on_the_command_line(logged, people, capsys):
    from winnow.cli.app import app

    logged.ingester.close()
    asks = ["--weights", "comment=500", "--requests", "5", "--project", str(logged.project.folder), "--json"]
    app(["whatif", NAME, *asks], result_action="return_value")
    found = json.loads(capsys.readouterr().out)
    assert found["requests"] == 5
    assert found["then"]["comment"] == 500
    assert any(m["measure"] == "comment per 1,000" and m["then"] > m["now"] for m in found["moved"])
