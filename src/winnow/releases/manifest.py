"""What a release says about itself: `manifest.json`."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from winnow.core.declare import canonical, digest
from winnow.core.errors import InputError, Problem, Unavailable

FILE_NAME = "manifest.json"


@dataclass(frozen=True)
class FileEntry:
    """One file of a release: SHA-256 as hex and size in bytes."""

    sha256: str
    size: int


@dataclass(frozen=True)
class Window:
    """What the models learned from: moments in microseconds UTC, and sequence numbers of the event log."""

    from_us: int
    to_us: int
    from_seq: int = 0
    to_seq: int = 0


@dataclass(frozen=True)
class Manifest:
    """The facts of one release.

    Args:
        system: name of the system it serves.
        declaration: hash of the resolved declaration it was built from.
        created_at: microseconds UTC.
        window: training window.
        plan: the compiled feature plan as JSON data; serving refuses a plan that it cannot compute.
        models: name → meta as JSON data (kind, heads, rung, encoder version).
        metrics: summary of the evaluation as JSON data.
        weights: head → weight of the value model at the time of the build.
        files: path inside the folder, with `/` → `FileEntry`.
    """

    system: str
    declaration: str
    created_at: int
    window: Window
    plan: Mapping[str, Any] = field(default_factory=dict)
    models: Mapping[str, Any] = field(default_factory=dict)
    metrics: Mapping[str, Any] = field(default_factory=dict)
    weights: Mapping[str, float] = field(default_factory=dict)
    files: Mapping[str, FileEntry] = field(default_factory=dict)

    @property
    def id(self) -> str:
        """16 hex digits that follow from the content: one changed byte in one file gives another id."""
        return digest(asdict(self))

    def text(self) -> str:
        """Canonical JSON.

        Raises:
            InputError: `manifest-not-json` for NaN, arrays or other values that JSON has no word for.
        """
        try:
            return canonical(asdict(self))
        except (TypeError, ValueError) as error:
            fix = "pass plain numbers, text, lists and dictionaries; give undefined numbers as None"
            raise InputError(Problem("manifest-not-json", f"the manifest is not JSON: {error}", fix=fix)) from error


def read(folder: Path) -> Manifest:
    """The manifest of a release folder.

    Raises:
        Unavailable: `release-missing` without a folder, `release-corrupt` when the manifest cannot be read.
    """
    path = folder / FILE_NAME
    try:
        return parse(path.read_text())
    except FileNotFoundError as error:
        fix = "restore the folder from a backup, or `winnow rollback` to another release"
        what = f"release {folder.name} has no {FILE_NAME}"
        raise Unavailable(Problem("release-missing", what, str(folder), fix=fix)) from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise Unavailable(corrupt(path, f"cannot be read: {error}")) from error


def parse(text: str) -> Manifest:
    """A manifest from its JSON."""
    data = json.loads(text)
    known = {f.name: data[f.name] for f in fields(Manifest)}
    known["window"] = Window(**data["window"])
    known["files"] = {path: FileEntry(**entry) for path, entry in data["files"].items()}
    return Manifest(**known)


def corrupt(path: Path, what: str) -> Problem:
    """The problem of a file that is not what its release recorded."""
    return Problem(
        "release-corrupt", f"{path.name} {what}", str(path),
        "a model or index that changed on disk would serve wrong results",
        "restore the file from a backup, train again, or `winnow rollback` to another release",
    )  # fmt: skip
