"""Fixtures of a project that moderates."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "unit" / "moderation"))

from moderation_world import clock, court, make  # noqa: F401
