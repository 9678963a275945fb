"""The oracle and the logs of the property tests serve here too."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2] / "property" / "features"))
