"""A charger that is killed over and over leaves the ledger that one leaves which nobody disturbs."""

import signal
import sqlite3
import subprocess
import sys
import time

import numpy as np
import pytest

from winnow.core.loading import load
from winnow.data.batch import Batch, Draft
from winnow.market.ledger import FILE, Ledger
from winnow.project import Project
from winnow.serving.charging import Charger, Market
from winnow.serving.effects import served_events
from winnow.simulation.ads_tables import table_rows
from winnow.simulation.ads_world import AdSize, AdWorld

NAME, AT = "ad_click", 1_700_000_000_000_000
REPLIES = 90

CHARGER = """
import sys
from winnow.market.ledger import Ledger
from winnow.project import Project
from winnow.serving.charging import Charger, Market

project = Project(sys.argv[1])
ledger = Ledger(sys.argv[2])
markets = [Market.of(project.system("ad_click"))]
charger = Charger(project.log, ledger, markets, clock=lambda: int(sys.argv[3]), chunks=2)
print("ready", flush=True)
while charger.step():
    pass
print("done", flush=True)
"""


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A log in which replies, clicks, repeated clicks and changes of budgets lie between one another."""
    project = Project.init(tmp_path_factory.mktemp("killed") / "market", NAME)
    world, rng = AdWorld.make(AdSize(people=50, advertisers=5)), np.random.default_rng(1)
    for table, rows in table_rows(world, at=AT):
        project.intake.rows(table, rows, backfill=True)
    system = load(project.system_files[0])
    shown = [rng.choice(world.ads, 3, replace=False) for _ in range(REPLIES)]
    for i, ads in enumerate(shown):
        if i % 10 == 0:  # several replies are logged at once, as they are under load
            some = [(j, shown[j]) for j in range(i, min(i + 10, REPLIES))]
            drafts = [served(system, f"r{j}", a, 3 * (j - i), world=world, project=project) for j, a in some]
            project.log.append(Batch(drafts))
        clicks = [
            {
                "type": "click",
                "event_id": f"e{i}-{j}-{k}",
                "user": "p1",
                "ad": f"a{a}",
                "recommendation_id": f"r{i}",
                "at": AT + 5,
            }
            for j, a in enumerate(ads.tolist())
            for k in range(int(rng.integers(0, 3)))
        ]
        project.intake.events(clicks)
        if i % 40 == 7:
            project.intake.rows("campaign", [{"campaign_id": f"c{i % 5}", "daily": 100 + i}])
    yield project
    project.close()


def served(system, reply, ads, start, *, world, project):
    ids = project.log.ids
    payers = ids.rows("campaign", [f"c{c}" for c in world.campaign[ads]])
    columns = {
        "recommendation_id": [reply] * 3, "user": ids.rows("user", ["p1"] * 3),
        "ad": ids.rows("ad", [f"a{a}" for a in ads]), "price": np.array([90_000.0, 50_000.0, 30_000.0]),
        "payer": payers.astype(float), "expected": np.full(3, 1_000.0),
    }  # fmt: skip
    return Draft("event", served_events(system, ()).name, start + np.arange(3), np.full(3, AT), columns)


def sums(path):
    with sqlite3.connect(path) as connection:
        tables = {
            "account": "SELECT campaign, charged, held, daily FROM account ORDER BY 1",
            "charge": "SELECT event_id, showing, price, charged FROM charge ORDER BY 1",
            "traffic": "SELECT * FROM traffic ORDER BY 1, 2",
            "spend": "SELECT * FROM spend ORDER BY 1, 2",
        }
        return {name: connection.execute(sql).fetchall() for name, sql in tables.items()}


def test_a_charger_killed_over_and_over_charges_as_one_that_is_not(project, tmp_path):
    calm = Ledger(tmp_path / FILE)
    charger = Charger(project.log, calm, [Market.of(project.system(NAME))], clock=lambda: AT + 10)
    while charger.step():
        pass
    assert calm.mistakes() == []
    path, kills = tmp_path / "killed.db", 0
    for seconds in (0.03, 0.1, 60):
        arguments = [sys.executable, "-c", CHARGER, str(project.folder), str(path), str(AT + 10)]
        process = subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True)
        assert process.stdout.readline() == "ready\n"
        until = time.monotonic() + seconds
        while process.poll() is None and time.monotonic() < until:
            time.sleep(0.01)
        kills += process.poll() is None
        process.send_signal(signal.SIGKILL)
        process.communicate()
    assert kills >= 2, "it was never killed at work"
    assert Ledger(path).mistakes() == []
    assert sums(path) == sums(tmp_path / FILE)
    with sqlite3.connect(path) as connection:
        known = connection.execute("SELECT showing FROM quote UNION SELECT showing FROM charge").fetchall()
    assert len(known) == 3 * REPLIES
    assert sum(c[3] > 0 for c in sums(path)["charge"]) > 20
