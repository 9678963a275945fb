"""Makes this folder's parts importable from here."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
