"""`python -m benchmarks NAME` runs one benchmark; its last line is one JSON object."""

import importlib
import sys
from pathlib import Path

HELPERS = {"__main__", "shop", "service", "vector_peers", "__init__"}
HELPERS |= {f"harm_{part}" for part in ("data", "attacks", "memes", "spans", "speed")}


def main() -> None:
    """Runs the `main` of the module that is named, with the arguments that follow."""
    known = sorted(p.stem for p in Path(__file__).parent.glob("*.py") if p.stem not in HELPERS)
    if len(sys.argv) < 2 or sys.argv[1] not in known:
        sys.exit(f"usage: python -m benchmarks NAME; NAME is one of {', '.join(known)}")
    importlib.import_module(f"benchmarks.{sys.argv[1]}").main(*sys.argv[2:])


main()
