"""A trained shop for the tests of this folder."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from acquaint_fixtures import people, people_folder, people_outcome, people_template  # noqa: F401
from benchmarks.fixtures import folder, project, template  # noqa: F401
from evening_fixtures import evening_template, town  # noqa: F401
from feed_fixtures import ann, bob, feed, feed_folder, feed_template  # noqa: F401
