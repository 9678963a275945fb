"""Processes killed while they charge: what was acknowledged is charged, once; no budget is overspent."""

import random
import signal
import sqlite3
import subprocess
import sys
import time

import pytest

from winnow.market.budget import DAY_US, Budget
from winnow.market.ledger import Click, Ledger, Quote

PRICE, BUDGET = 7, 20_000

CHARGER = """
import sys
from winnow.market.ledger import Click, Ledger, Quote

path, name, start = sys.argv[1], sys.argv[2], int(sys.argv[3])
ledger = Ledger(path)
for i in range(start, 1_000_000):
    shown = [f"{name}-{i}-{j}" for j in range(3)]
    given = {"campaign": "c", "price": 7, "currency": "EUR", "at": 1, "expires_at": 9, "firm": i % 2 == 0}
    ledger.quote([Quote(showing=s, **given) for s in shown])
    print("quoted", i, flush=True)
    # Every batch repeats one click of the batch before, as a client that is not sure would.
    again = [f"{name}-{i - 1}-0"] if i else []
    for outcome, s in zip(ledger.charge([Click("e" + s, s, 2) for s in shown + again]), shown):
        print(outcome.replace(" ", "_"), s, flush=True)
"""


def started(path, name, start):
    arguments = [sys.executable, "-c", CHARGER, str(path), name, str(start)]
    return subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True)


def killed_after(processes, seconds):
    """Lets processes work from when all have begun, kills them, and gives the whole lines that they had said."""
    firsts = [process.stdout.readline() for process in processes]
    time.sleep(seconds)
    for process in processes:
        process.send_signal(signal.SIGKILL)
    rest = [process.communicate()[0].rpartition("\n")[0] for process in processes]
    return [(first + more).splitlines() for first, more in zip(firsts, rest, strict=True)]


def rounds(path, count, seconds):
    """Chargers killed over and over; each goes on where it was, not knowing how its last batch ended."""
    charged, start = set(), dict.fromkeys("xyz", 0)
    for _ in range(count):
        processes = {name: started(path, name, start[name]) for name in start}
        said = killed_after(list(processes.values()), random.uniform(0.5, 1.5) * seconds)
        for name, lines in zip(processes, said, strict=True):
            words = [line.split() for line in lines]
            charged |= {showing for outcome, showing in words if outcome == "charged"}
            start[name] = max([start[name], *(int(i) for outcome, i in words if outcome == "quoted")])
    return charged, start


def check(path, charged, least):
    ledger = Ledger(path)
    assert ledger.mistakes() == []
    with sqlite3.connect(path) as connection:
        paid = connection.execute("SELECT event_id, charged FROM charge WHERE charged > 0").fetchall()
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    assert len(charged) > least, "the processes did too little for this to mean anything"
    assert {"e" + showing for showing in charged} <= {event for event, _ in paid}
    assert sum(amount for _, amount in paid) == ledger.spent("c") <= BUDGET
    return ledger


def test_killed_at_any_moment_they_neither_lose_nor_repeat_a_charge(tmp_path):
    path = tmp_path / "market.db"
    ledger = Ledger(path)
    ledger.fund([Budget(campaign="c", currency="EUR", lifetime=BUDGET)])
    ledger.close()
    charged, start = rounds(path, 2, 0.3)
    ledger = check(path, charged, 30)
    before = ledger.spent("c")
    # Everything sent again: nothing moves but the batches that nobody had an answer for.
    clicks = [
        Click(f"e{n}-{i}-{j}", f"{n}-{i}-{j}", 2) for n, last in start.items() for i in range(last) for j in range(3)
    ]
    assert "charged" not in ledger.charge(clicks)
    assert ledger.spent("c") == before
    ledger.close()


@pytest.mark.heavy
def test_killed_fifty_times_they_spend_the_budget_to_the_last_click_and_no_more(tmp_path):
    path = tmp_path / "market.db"
    ledger = Ledger(path)
    ledger.fund([Budget(campaign="c", currency="EUR", lifetime=BUDGET)])
    ledger.close()
    charged, _ = rounds(path, 50, 0.3)
    ledger = check(path, charged, 300)
    ledger.expire(DAY_US)
    shown = [f"rest-{i}" for i in range(BUDGET // PRICE)]
    late = {"currency": "EUR", "at": 1, "expires_at": 9, "price": PRICE, "campaign": "c"}
    ledger.quote([Quote(showing=s, **late) for s in shown])
    ledger.charge([Click(f"e{s}", s, 2) for s in shown])
    assert ledger.spent("c") == BUDGET // PRICE * PRICE
    assert ledger.mistakes() == []
