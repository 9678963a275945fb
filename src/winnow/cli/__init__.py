"""The command `winnow`."""

import os
import sys

from winnow.cli.app import app
from winnow.core.errors import WinnowError


def main() -> None:
    """Run a command; a mistake of the user's prints what, where, why and how to fix it, without a traceback."""
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # threads of one library must not spin while another works
    try:
        app()
    except WinnowError as error:
        from winnow.cli.printing import print_problems

        print_problems(error)
        sys.exit(2)
    except KeyboardInterrupt:
        sys.exit(130)
