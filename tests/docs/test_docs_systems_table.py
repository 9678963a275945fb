"""The table of the systems in the README is what the evidence and the files of the systems make."""

import json
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from benchmarks import evidence, table

from winnow import systems

README = Path(__file__).resolve().parents[2] / "README.md"


def test_the_readme_holds_the_table_that_the_evidence_makes():
    text = README.read_text()
    assert table.put(text) == text, "run `python -m benchmarks table`"


@pytest.mark.parametrize("name", systems.names())
def test_line_counts_are_true_and_no_system_is_longer_than_120_lines(name):
    path = Path(systems.__file__).parent / f"{name}.py"
    count = path.read_text().count("\n")
    rows = (line.split(" | ") for line in README.read_text().splitlines() if line.startswith("| "))
    assert str(count) in [cells[1] for cells in rows if name.replace("_", " ") in cells[0]]
    assert count <= 120


@pytest.mark.parametrize("path", sorted(evidence.FOLDER.glob("*.json")), ids=lambda p: p.stem)
def test_evidence_is_whole(path):
    known = json.loads(path.read_text())
    assert known["system"] == path.stem in systems.names()
    assert all(known[field] for field in (*evidence.FIELDS, "commit", "machine", "at", "rungs"))
    best = [*known["rungs"].values()][-1]
    assert known["value"] == best["value"]
    assert known["low"] is None or known["low"] <= known["value"] <= known["high"]


def test_records_of_an_evaluation_become_evidence(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(evidence, "FOLDER", tmp_path)
    record = {"stage": "ranking", "head": "click", "slice": "all", "metric": "auc", "low": 0.6, "high": 0.8, "n": 9}
    records = [
        record | {"rung": "L1", "model": "B", "value": 0.71234}, record | {"rung": "L0", "model": "A", "value": 0.6},
        record | {"rung": "L1", "model": "C", "value": 0.9}, record | {"rung": "L1", "slice": "new user", "value": 0.1},
    ]  # fmt: skip
    (tmp_path / "records.json").write_text(json.dumps({"evaluation": records}))
    evidence.main("shop", f"records={tmp_path / 'records.json'}", "metric=auc", "data=d", "command=c", "p99_ms=12.5")
    known = json.loads((tmp_path / "shop.json").read_text())
    assert {r: v["value"] for r, v in known["rungs"].items()} == {"L0": 0.6, "L1": 0.7123}
    assert (known["value"], known["low"], known["n"], known["p99_ms"]) == (0.7123, 0.6, 9, 12.5)
    assert json.loads(capsys.readouterr().out) == known
    with pytest.raises(SystemExit, match="data"):
        evidence.main("shop", "metric=auc", "command=c")
