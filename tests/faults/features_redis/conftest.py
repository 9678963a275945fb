"""The server, the logs and the comparisons of the other tests of features serve here too."""

import sys
from pathlib import Path

for part in ("contracts", "property"):
    sys.path.insert(0, str(Path(__file__).parents[2] / part / "features"))
sys.path.insert(0, str(Path(__file__).resolve().parents[3]))

from benchmarks.fixtures import folder, project, service, template  # noqa: E402, F401
