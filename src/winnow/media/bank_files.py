"""A bank on disk: the last whole save, whatever happens during the next.

current.json          {"base": "base-4", "changes": "changes-9"}, replaced in one step
base-4/               arrays as .npy, and manifest.json with the size and SHA-256 of each
changes-9/            likewise: what came since the base, what went, and all labels
"""

import hashlib
import json
import os
import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from winnow.core.errors import Problem, Unavailable

Arrays = Mapping[str, NDArray[Any]]

_FORMAT = 1
_CURRENT, _MANIFEST = "current.json", "manifest.json"
_NUMBER = re.compile(r"(?:base|changes)-(\d+)$")


class Found(NamedTuple):
    """A saved bank; the arrays of the base are mapped."""

    name: str
    base: Arrays
    changes: Arrays
    names: tuple[str, ...]
    reach: int


def write(folder: Path, base: Arrays, changes: Arrays, *, names: tuple[str, ...], reach: int, known: str | None) -> str:
    """Saves a bank; returns the name of its base, which is not written again if it is `known`."""
    folder.mkdir(parents=True, exist_ok=True)
    number = _next(folder)
    name = known if known and (folder / known / _MANIFEST).is_file() else f"base-{number}"
    if name != known:
        _write_arrays(folder / name, base, {"reach": reach})
    _write_arrays(folder / f"changes-{number}", changes, {"names": names})
    _point(folder, {"base": name, "changes": f"changes-{number}"})
    return name


def read(folder: Path, *, verify: bool) -> Found:
    """Raises `Unavailable`: `bank-unreadable`."""
    for attempt in range(3):
        try:
            names = json.loads((folder / _CURRENT).read_text())
            base, about = _read_arrays(folder / names["base"], verify=verify)
            changes, about_changes = _read_arrays(folder / names["changes"], verify=verify)
            return Found(names["base"], base, changes, tuple(about_changes["names"]), about["reach"])
        except (OSError, ValueError, KeyError, TypeError, EOFError) as error:
            if attempt == 2:  # before that it may be that a save came between, and removed what was there
                fix = "save the bank again from the list that it was built from"
                problem = Problem("bank-unreadable", f"the bank cannot be read: {error}", str(folder), fix=fix)
                raise Unavailable(problem) from error
    raise AssertionError


def _write_arrays(folder: Path, arrays: Arrays, about: Mapping[str, Any]) -> None:
    folder.mkdir()
    files = {}
    for name, array in arrays.items():
        path = folder / f"{name}.npy"
        with path.open("wb") as file:
            np.save(file, array, allow_pickle=False)
        _sync(path)
        files[name] = {"bytes": path.stat().st_size, "sha256": _checksum(path)}
    (folder / _MANIFEST).write_text(json.dumps({"format": _FORMAT, "files": files, **about}))
    _sync(folder / _MANIFEST)
    _sync(folder)


def _read_arrays(folder: Path, *, verify: bool) -> tuple[Arrays, Mapping[str, Any]]:
    about = json.loads((folder / _MANIFEST).read_text())
    if about["format"] != _FORMAT:
        raise ValueError(f"its format is {about['format']}, not {_FORMAT}")
    arrays = {}
    for name, said in about["files"].items():
        path = folder / f"{name}.npy"
        if path.stat().st_size != said["bytes"] or (verify and _checksum(path) != said["sha256"]):
            raise ValueError(f"{folder.name}/{name}.npy is not what was saved")
        arrays[name] = np.asarray(np.load(path, mmap_mode="r", allow_pickle=False))
    return arrays, about


def _point(folder: Path, names: Mapping[str, str]) -> None:
    """Makes a save the current one, then removes what belongs to none."""
    draft = folder / f"{_CURRENT}.new"
    draft.write_text(json.dumps(names))
    _sync(draft)
    os.replace(draft, folder / _CURRENT)
    _sync(folder)
    for path in folder.iterdir():
        if _NUMBER.fullmatch(path.name) and path.name not in names.values():
            shutil.rmtree(path)  # whoever has it mapped keeps it


def _next(folder: Path) -> int:
    """A number that nothing here has, not even what a killed process left."""
    found = (_NUMBER.fullmatch(path.name) for path in folder.iterdir())
    return max((int(match[1]) for match in found if match), default=0) + 1


def _checksum(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _sync(path: Path) -> None:
    """Returns when a file, or the entries of a folder, are on disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
