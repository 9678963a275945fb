"""What is known about the systems in the box: one small file for each, written from what a command printed.

    winnow train video_recommendation --project P --json > records.json
    python -m benchmarks evidence video_recommendation records=records.json metric=recall@100 \\
        data="KuaiRand, 30 April 2022" command="winnow train video_recommendation" p99_ms=40

`records` holds what `winnow train --json` or `winnow evaluate --json` printed; the models of a rung that are given no
name in `models` are the first of each. Results of other shapes give their rungs themselves:

    python -m benchmarks evidence visual_search metric=mAP data="clothing, 372 test photos" \\
        L0=.147,.138,.156 L1=.218,.200,.235 L2=.825,.796,.854 n=372 command="python -m benchmarks visual"

The last rung is the headline. `python -m benchmarks table` puts the files into the README.
"""

import json
import os
import platform
import subprocess
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "docs" / "evidence"
FIELDS = ("data", "metric", "command")
RUNGS = ("L0", "L1", "L2")
Rung = dict[str, Any]


def main(system: str, *given: str) -> None:
    """Writes `docs/evidence/<system>.json`.

    Args:
        system: in the box.
        given: `name=value`: data, metric, command; records (and head, stage, slice) or L0, L1, L2 as `value,low,high`;
            n, p99_ms, note, at, machine, commit.
    """
    facts = dict(part.split("=", 1) for part in given)
    if missing := [f for f in FIELDS if f not in facts]:
        raise SystemExit(f"also give {', '.join(f'{m}=...' for m in missing)}")
    rungs = _picked(facts) if "records" in facts else {r: _told(facts[r]) for r in RUNGS if r in facts}
    print(json.dumps(write(system, rungs, facts)))


def write(system: str, rungs: Mapping[str, Rung], facts: Mapping[str, Any]) -> dict[str, Any]:
    """Writes the evidence of a system, with the commit and the machine; a benchmark calls this with what it measured.

    Args:
        system: in the box.
        rungs: rung → `value`, `low`, `high` and perhaps `model`; the last is the headline.
        facts: data, metric, command; perhaps n, p99_ms, note, and at, machine, commit of a run of the past.
    """
    best = [*rungs.values()][-1]
    found = {
        "system": system, "data": facts["data"], "metric": facts["metric"], "rungs": dict(rungs),
        **{k: best.get(k) for k in ("value", "low", "high")}, "n": _number(facts.get("n", best.get("n"))),
        "p99_ms": _number(facts.get("p99_ms")), "command": facts["command"], "note": facts.get("note", ""),
        "commit": facts.get("commit") or _commit(), "machine": facts.get("machine") or _machine(),
        "at": facts.get("at") or datetime.now(UTC).date().isoformat(),
    }  # fmt: skip
    FOLDER.mkdir(exist_ok=True)
    (FOLDER / f"{system}.json").write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n")
    return found


def _picked(facts: Mapping[str, str]) -> dict[str, Rung]:
    """The rungs of an evaluation: over all rows, of one metric and head, the first model of each."""
    said = json.loads(Path(facts["records"]).read_text())
    records = said["evaluation"] if isinstance(said, dict) else said
    wanted = {"metric": facts["metric"], "slice": facts.get("slice", "all")}
    wanted |= {k: facts[k] for k in ("head", "stage") if k in facts}
    rungs: dict[str, Rung] = {}
    for r in records:
        if all(r[k] == v for k, v in wanted.items()):
            rungs.setdefault(r["rung"], {k: _short(r[k]) for k in ("model", "value", "low", "high", "n")})
    if not rungs:
        raise SystemExit(f"no record with {wanted}")
    return dict(sorted(rungs.items()))


def _told(text: str) -> Rung:
    value, *span = (float(part) for part in text.split(","))
    return {"value": value, "low": span[0] if span else None, "high": span[1] if span else None}


def _short(value: Any) -> Any:
    return round(value, 4) if isinstance(value, float) else value


def _number(value: Any) -> Any:
    return value if value is None or not isinstance(value, str) else float(value) if "." in value else int(value)


def _commit() -> str:
    found = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    return found.stdout.strip()


def _machine() -> str:
    return f"{platform.machine()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}"
