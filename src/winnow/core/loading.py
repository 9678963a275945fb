"""Reads system files: Python that ends with `system = w.System(...)`."""

import importlib.util
import traceback
from pathlib import Path

from winnow.core.errors import DeclarationError, Problem, WinnowError
from winnow.core.system import System


def load(path: Path) -> System:
    """The `system` that a file declares.

    Raises:
        DeclarationError: the file cannot be run (with file and line) or declares no system.
    """
    spec = importlib.util.spec_from_file_location(f"winnow_systems_{path.stem}", path.resolve())
    if spec is None or spec.loader is None:
        raise DeclarationError(Problem("not-a-system-file", f"cannot read {path.name}", fix="give a .py file"))
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        raise DeclarationError(_problem(error, path)) from error
    system = getattr(module, "system", None)
    if not isinstance(system, System):
        what = f"{path.name} sets no `system`"
        raise DeclarationError(Problem("no-system", what, path.name, fix="end the file with `system = w.System(...)`"))
    return system


def _problem(error: Exception, path: Path) -> Problem:
    """Where in the file an exception arose."""
    lines = [f.lineno for f in traceback.extract_tb(error.__traceback__) if Path(f.filename) == path.resolve()]
    line = error.lineno if isinstance(error, SyntaxError) else (lines[-1] if lines else 0)
    if isinstance(error, WinnowError):
        first = error.problems[0]
        return Problem(first.code, first.what, f"{path.name}:{line}", first.why, first.fix)
    return Problem("system-file-fails", f"{type(error).__name__}: {error}", f"{path.name}:{line}")
