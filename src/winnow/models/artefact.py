"""The files of a fitted model: `meta.json` lists every other file with its size and SHA-256, checked when opened."""

import hashlib
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from winnow.core.errors import InputError, Problem

META = "meta.json"
_STEP = 1 << 20


@dataclass(frozen=True)
class Artefact:
    """A fitted model on disk.

    Args:
        folder: where its files are.
        meta: what `meta.json` says: `model`, `heads`, `files` and what the model adds.
    """

    folder: Path
    meta: dict[str, Any]

    @classmethod
    def write(cls, folder: Path, *, model: str, files: list[str], **facts: Any) -> "Artefact":
        """Record the files that make up a model; `meta.json` comes last, so a torn write leaves no model."""
        listed = {name: {"bytes": (folder / name).stat().st_size, "sha256": sha256(folder / name)} for name in files}
        meta = {"model": model, "files": listed, **facts}
        draft = folder / f".{META}"
        draft.write_text(json.dumps(meta, indent=1, sort_keys=True, allow_nan=False))
        os.replace(draft, folder / META)
        return cls(folder, meta)

    @classmethod
    def open(cls, folder: Path) -> "Artefact":
        """A model's files, each checked against its size and hash.

        Raises:
            InputError: `model-corrupt`, naming the file that is missing or differs.
        """
        try:
            meta = json.loads((folder / META).read_bytes())
            files = {name: (fact["bytes"], fact["sha256"]) for name, fact in meta["files"].items()}
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise corrupt(folder / META, str(error)) from error
        for name, (size, expected) in files.items():
            _check(folder / name, size, expected)
        return cls(folder, meta)

    def path(self, name: str) -> Path:
        """One of its files.

        Raises:
            InputError: `model-corrupt` when the model does not list it.
        """
        if name not in self.meta["files"]:
            raise corrupt(self.folder / name, "meta.json does not list it")
        return self.folder / name

    def fact(self, name: str) -> Any:
        """An entry of `meta.json`.

        Raises:
            InputError: `model-corrupt` when it is missing.
        """
        if name not in self.meta:
            raise corrupt(self.folder / META, f"`{name}` is missing")
        return self.meta[name]

    def arrays(self, name: str) -> dict[str, NDArray[Any]]:
        """The arrays of an npz file; no pickled objects."""
        with np.load(self.path(name), allow_pickle=False) as stored:
            return {key: stored[key] for key in stored.files}


def sha256(path: Path) -> str:
    """The SHA-256 of a file in hex."""
    seen = hashlib.sha256()
    with path.open("rb") as file:
        while part := file.read(_STEP):
            seen.update(part)
    return seen.hexdigest()


def corrupt(path: Path, detail: str) -> InputError:
    """The error for a model file that cannot be used."""
    what = f"model file {path.name} of `{path.parent.name}` cannot be used: {detail}"
    why = "a damaged model would give wrong predictions without saying so"
    return InputError(Problem("model-corrupt", what, str(path), why, "restore the file, or train again"))


def _check(path: Path, size: int, expected: str) -> None:
    try:
        if path.stat().st_size != size:
            raise corrupt(path, f"{path.stat().st_size} bytes instead of {size}")
        if sha256(path) != expected:
            raise corrupt(path, "its SHA-256 differs from the one recorded when it was made")
    except OSError as error:
        raise corrupt(path, error.strerror or str(error)) from error
