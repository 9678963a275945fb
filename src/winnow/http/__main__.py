"""`python -m winnow.http FOLDER` serves a project; the environment overrides its settings."""

import sys
from pathlib import Path

from winnow.http.supervisor import serve

serve(Path(sys.argv[1]))
