"""A release: an immutable folder of models, indexes and facts, addressed by its content.

It is built in a hidden folder beside its place, flushed to disk and renamed: a folder with an id as its name is whole.
"""

import fcntl
import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from winnow.core.errors import Conflict, InputError, Problem, Unavailable
from winnow.core.loading import load as load_system
from winnow.core.system import System
from winnow.releases import manifest as manifests
from winnow.releases.manifest import FILE_NAME, FileEntry, Manifest

SYSTEM_FILE = "system.py"
_DRAFT = ".building-"
_READ_ONLY = 0o444


@dataclass(frozen=True)
class Release:
    """A whole release on disk."""

    folder: Path
    manifest: Manifest

    @property
    def id(self) -> str:
        return self.folder.name

    def system(self) -> System | None:
        """The declaration that it was built from; None for a release that carries no system file.

        Raises:
            DeclarationError: the file cannot be run by this version of the engine.
        """
        return load_system(self.folder / SYSTEM_FILE) if SYSTEM_FILE in self.manifest.files else None

    def path(self, name: str) -> Path:
        """Where a recorded file lies.

        Raises:
            InputError: `no-such-file` for a file that the release does not have.
        """
        if name not in self.manifest.files and not any(f.startswith(f"{name}/") for f in self.manifest.files):
            fix = f"it has {', '.join(sorted(self.manifest.files))}"
            raise InputError(Problem("no-such-file", f"release {self.id} has no `{name}`", str(self.folder), fix=fix))
        return self.folder / name


class Draft:
    """A release being built: write into `folder`, then `finish`."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.release: Release | None = None

    def finish(self, facts: Manifest) -> Release:
        """Records every file of the folder, flushes all to disk and moves the folder to its place.

        Args:
            facts: everything but `files`, which is filled in here.

        Raises:
            InputError: `manifest-not-json`.
            Conflict: `draft-finished` when called twice.
        """
        if self.release is not None:
            problem = Problem("draft-finished", f"release {self.release.id} is finished", fix="build a new one")
            raise Conflict(problem)
        files = _files(self.folder)
        whole = replace(facts, files={name: _entry(self.folder / name) for name in files})
        (self.folder / FILE_NAME).write_text(whole.text())
        _settle(self.folder, [*files, FILE_NAME])
        place = self.folder.parent / whole.id
        _move(self.folder, place)
        self.release = Release(place, whole)
        return self.release


@contextmanager
def build(root: Path, system: str) -> Iterator[Draft]:
    """A draft under `root/<system>/`; what is not finished leaves nothing behind.

    >>> root = Path(tempfile.mkdtemp())
    >>> with build(root, "feed") as draft:
    ...     _ = (draft.folder / "model.txt").write_text("weights")
    ...     release = draft.finish(Manifest("feed", "d1", 0, manifests.Window(0, 1)))
    >>> load(release.folder).path("model.txt").read_text()
    'weights'
    """
    home = root / system
    home.mkdir(parents=True, exist_ok=True)
    sync(root)
    folder = Path(tempfile.mkdtemp(prefix=_DRAFT, dir=home))
    held = _lock(folder)
    try:
        yield Draft(folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(held)


def load(folder: Path, *, hashes: bool = True) -> Release:
    """A release from disk, after checking that its files are those that it recorded.

    Args:
        folder: `root/<system>/<id>`.
        hashes: check contents by SHA-256, at about 1 GB/s and core; False checks presence and size only.

    Raises:
        Unavailable: `release-missing`, or `release-corrupt` with one problem for every bad file.
    """
    found = manifests.read(folder)
    problems = [p for p in _checked(folder, found, hashes) if p]
    if found.id != folder.name:
        problems.append(manifests.corrupt(folder / FILE_NAME, f"describes {found.id}, not {folder.name}"))
    if problems:
        raise Unavailable(*problems)
    return Release(folder, found)


def sweep(root: Path) -> list[Path]:
    """Removes drafts whose builder died; drafts still being built are locked and stay."""
    dead = []
    for folder in root.glob(f"*/{_DRAFT}*"):
        try:
            held = _lock(folder)
        except (BlockingIOError, FileNotFoundError):
            continue
        shutil.rmtree(folder, ignore_errors=True)
        os.close(held)
        dead.append(folder)
    return dead


def _lock(folder: Path) -> int:
    """Holds the folder until the returned descriptor is closed, or the process ends in whatever way."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        raise
    return descriptor


def _files(folder: Path) -> list[str]:
    return sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())


def _entry(path: Path) -> FileEntry:
    with path.open("rb") as file:
        return FileEntry(hashlib.file_digest(file, "sha256").hexdigest(), path.stat().st_size)


def _checked(folder: Path, found: Manifest, hashes: bool) -> list[Problem | None]:
    # hashlib lets go of the interpreter lock: two threads halve the time of a release of several files.
    with ThreadPoolExecutor(2) as pool:
        return list(pool.map(lambda named: _fault(folder / named[0], named[1], hashes), found.files.items()))


def _fault(path: Path, expected: FileEntry, hashes: bool) -> Problem | None:
    if not path.is_file():
        return manifests.corrupt(path, "is missing")
    size = path.stat().st_size
    if size != expected.size:
        return manifests.corrupt(path, f"has {size} bytes, {expected.size} were recorded")
    if hashes and _entry(path) != expected:
        return manifests.corrupt(path, "does not have the content that was recorded")
    return None


def _settle(folder: Path, files: list[str]) -> None:
    """Flushes files, then the folders that name them; files become read-only."""
    for name in files:
        (folder / name).chmod(_READ_ONLY)
        sync(folder / name)
    for inner in {(folder / name).parent for name in files} | {folder}:
        sync(inner)


def _move(folder: Path, place: Path) -> None:
    try:
        folder.rename(place)
    except OSError:
        # Only an equal release can stand there, because the name is a hash of the content.
        if not (place / FILE_NAME).exists():
            raise
    sync(place.parent)


def sync(path: Path) -> None:
    """Forces a file or folder to disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
