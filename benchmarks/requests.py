"""How long a request takes: every system with a demo, served by one worker, asked over HTTP, one request after another.

`python -m benchmarks requests [FOLDER [SYSTEM ...]]`: demos are built in FOLDER where they are not there yet. Of 330
requests by different people (or texts) the first 30 warm up.
"""

import json
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from benchmarks.service import Service

from winnow.cli.demonstration import run
from winnow.project import Project
from winnow.serving.search_text import by_text
from winnow.simulation.importer import WORLDS

WARM, TIMED = 30, 300
PEOPLE, ITEMS = 300, 400


def main(folder: str = "", *systems: str) -> None:
    """Prints one JSON object on its last line."""
    base = Path(folder or tempfile.mkdtemp())
    found = {}
    for system in systems or [world.system for world in WORLDS]:
        place = base / system
        if not place.exists():
            run(place, system=system, port=0, serve=False, people=PEOPLE, items=ITEMS)
        found[system] = measured(place, system)
        print(system, found[system], file=sys.stderr)
    print(json.dumps({"name": "requests", "systems": found}))


def measured(folder: Path, system: str) -> dict[str, float]:
    """Median and 99th percentile of a project's replies, in milliseconds as the client sees them."""
    bodies, route = asked(folder, system)
    with Service(folder) as service:
        took, cut = [], 0
        for i in range(WARM + TIMED):
            start = time.perf_counter()
            reply = service.client.post(f"/v1/systems/{system}/{route}", json=bodies[i % len(bodies)])
            took.append(1000 * (time.perf_counter() - start))
            cut += bool(reply.raise_for_status().json()["degraded"])
    p50, p99 = np.percentile(took[WARM:], [50, 99])
    return {"p50_ms": round(float(p50), 1), "p99_ms": round(float(p99), 1), "degraded": cut}


def asked(folder: Path, system: str) -> tuple[list[dict[str, str]], str]:
    """The bodies of requests, and the route that takes them."""
    with Project(folder) as project:
        declared = project.system(system)
        table = declared.labels.user
        project.history.sync(project.log)
        rows = project.history.table_at(table.name)
        if by_text(declared):
            return [{"text": text} for text in rows["text"].to_list() if text][: WARM + TIMED], "search"
        return [{"user": one} for one in project.log.ids.ids(table.name, rows["row"].to_list()[: WARM + TIMED])], "rank"
