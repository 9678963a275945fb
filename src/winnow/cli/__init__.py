"""The command `winnow`."""

import sys

from winnow.cli.app import app
from winnow.core.errors import WinnowError


def main() -> None:
    """Run a command; a mistake of the user's prints what, where, why and how to fix it, without a traceback."""
    try:
        app()
    except WinnowError as error:
        from winnow.cli.printing import print_problems

        print_problems(error)
        sys.exit(2)
    except KeyboardInterrupt:
        sys.exit(130)
