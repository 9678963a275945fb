"""Where the generations of live tables lie: in shared memory while there is room, else in the project's folder.

Files on disk are written back by the system again and again while they change, which slows down a rebuild of large
tables several times. Shared memory is never written back. It is empty after a restart of the machine: a writer that
stops in order moves the tables to disk, and else they come back from a checkpoint, which is always there.

    /dev/shm/winnow-<user id>/<hash of the project's folder>/generation-000001
"""

import fcntl
import hashlib
import logging
import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

from winnow.core.errors import Conflict, Problem
from winnow.features.live.files import Header, blocks, emptied

POINTER = "current"
SHARED = Path("/dev/shm")
RESERVE = 512 << 20  # bytes that stay free for what comes in until room is looked at again
_GENERATION = "generation-*"
_OWNER = "project"  # file: whose tables lie here
_LOCK, _SNAPSHOT = "lock", "snapshot"
_BEGINS_S = 60.0  # a folder that nobody owns may be that of a writer about to start
_log = logging.getLogger(__name__)


def memory_for(setting: str) -> Path | None:
    """Where to make folders for live tables, by the setting `features.live_folder`; None for the project's folder."""
    if setting == "project":
        return None
    if setting == "auto":
        return SHARED if SHARED.is_dir() else None
    return Path(setting)


def locked(path: Path) -> int:
    """An open lock file that no other process can hold; released when this process ends, however it ends.

    Raises:
        Conflict: `live-locked`.
    """
    handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(handle)
        what = "another process writes the live tables"
        raise Conflict(Problem("live-locked", what, fix="stop the other ingester first")) from error
    return handle


def pointed(folder: Path) -> Path:
    """The generation in use.

    Raises:
        FileNotFoundError: there is none, or it is that of the project that this one was copied from.
    """
    path = folder / (folder / POINTER).read_text()
    if path.parent != folder and path.parent.name != _name(folder):
        raise FileNotFoundError(f"{path} belongs to another project")
    return path


class Home:
    """The places for the generations of one project. Only its writer makes one.

    Args:
        folder: of the live tables in the project.
        memory: a folder in shared memory; None to stay in the project's.

    Raises:
        Conflict: `live-locked`, when another process writes there.
    """

    def __init__(self, folder: Path, memory: Path | None = None):
        self._folder, self._memory = folder, None
        self._locks = [locked(folder / _LOCK)]
        if memory is None:
            return
        try:
            root = _private(memory / f"winnow-{os.getuid()}")
            _sweep(root, folder)
            self._memory = _private(root / _name(folder))
            (self._memory / _OWNER).write_text(str(folder.resolve()))
            self._locks.append(locked(self._memory / _LOCK))
            shutil.rmtree(self._memory / _SNAPSHOT, ignore_errors=True)  # of one that was killed
        except OSError as error:
            self._memory = None
            _log.warning("live tables stay in the project's folder: %s", error)

    def fresh(self, expected: int) -> Path:
        """A place for one more generation, not made yet.

        Args:
            expected: bytes that it takes at once; it is to have a quarter more, and `RESERVE`.
        """
        place, wanted = self._memory, expected + expected // 4 + RESERVE
        if place is not None and (free := room(place)) < wanted:
            what = "live tables lie in the project's folder: %s has %d MB of room, and %d MB are wanted (live_folder)"
            _log.warning(what, place.parents[1], free >> 20, wanted >> 20)
            place = None
        return self._numbered(place or self._folder)

    def better(self, generation: Path) -> Path | None:
        """Where a generation that was left should lie now; None when it is in its place."""
        if generation.parent == self._memory:
            return None
        found = self.fresh(blocks(generation))
        return None if found.parent == generation.parent else found

    def elsewhere(self) -> Path:
        """A place in the project's folder for one more generation."""
        return self._numbered(self._folder)

    def _numbered(self, place: Path) -> Path:
        number = 1 + max((int(p.name.rpartition("-")[2]) for p in self._generations()), default=0)
        return place / f"generation-{number:06}"

    def snapshot(self, size: int) -> Path | None:
        """A place in shared memory for a copy on its way to disk; None where it has no room for `size` bytes."""
        if self._memory is None or room(self._memory) < size + RESERVE:
            return None
        shutil.rmtree(self._memory / _SNAPSHOT, ignore_errors=True)
        return self._memory / _SNAPSHOT

    def volatile(self, generation: Path) -> bool:
        """Whether a generation is gone when the machine restarts."""
        return generation.parent != self._folder

    def crowded(self, generation: Path) -> bool:
        """Whether a generation should leave shared memory, since it gets full."""
        return self.volatile(generation) and room(generation, least=RESERVE // 2) < RESERVE // 2

    def use(self, generation: Path) -> None:
        """Points readers to a generation, and removes all others."""
        beside = self._folder / f"{POINTER}.new"
        beside.write_text(generation.name if generation.parent == self._folder else str(generation))
        beside.replace(self._folder / POINTER)
        self.sweep(generation)

    def follow(self, old: Path, new: Path) -> None:
        """Takes a generation's copy in its place: readers follow if they have known the old one."""
        if (self._folder / POINTER).exists() and pointed(self._folder) == old:
            self.use(new)
        else:
            shutil.rmtree(old)

    def sweep(self, generation: Path) -> None:
        """Removes all generations but one: what a kill has left behind, too."""
        for path in self._generations():
            if path != generation:
                if (path / "header").exists():
                    Header(path / "header").retired = 1
                shutil.rmtree(path)

    def make_room(self) -> None:
        """Frees what generations take that are of no use: begun and never finished, or torn by a kill.

        Readers may have a torn one open, and wait for its header, which stays.
        """
        try:
            in_use = pointed(self._folder)
        except FileNotFoundError:
            in_use = None
        for path in self._generations():
            if path != in_use:
                shutil.rmtree(path)
            elif Header(path / "header").version % 2:
                for file in path.iterdir():
                    emptied(file)

    def expected(self, checkpoint: Path | None) -> int:
        """About how many bytes a generation takes: what the last one does, or the checkpoint that it begins with."""
        return max((blocks(path) for path in [*self._generations(), *([checkpoint] if checkpoint else [])]), default=0)

    def close(self) -> None:
        """Lets another process write."""
        if self._memory is not None and not list(self._memory.glob(_GENERATION)):
            shutil.rmtree(self._memory, ignore_errors=True)
        for handle in self._locks:
            os.close(handle)

    def _generations(self) -> list[Path]:
        places = [self._folder, *([self._memory] if self._memory else [])]
        return sorted(path for place in places for path in place.glob(_GENERATION))


def room(folder: Path, *, least: int = 0) -> int:
    """Bytes that more files in a folder of shared memory can take: what is free there, and in the machine.

    Args:
        folder: a folder.
        least: when less than this is free in the folder, nothing else is asked.
    """
    found = os.statvfs(folder)
    free = found.f_bavail * found.f_frsize
    return free if free < least else min([free, *_memory_free()])


def _memory_free() -> Iterator[int]:
    """Memory that is left to the machine, and to this process's group."""
    try:
        for line in Path("/proc/meminfo").read_text().splitlines():
            if line.startswith("MemAvailable:"):
                yield int(line.split()[1]) << 10
    except OSError:
        return
    try:
        group = Path("/sys/fs/cgroup")
        most = (group / "memory.max").read_text().strip()
        if most != "max":
            held = dict(line.split() for line in (group / "memory.stat").read_text().splitlines())
            yield int(most) - int((group / "memory.current").read_text()) + int(held["inactive_file"])
    except (OSError, KeyError, ValueError):
        return


def _name(folder: Path) -> str:
    """What a project's folder in shared memory is called: a copy of the project, or another one there, has another."""
    path = folder.resolve()
    found = path.stat()
    return hashlib.sha256(f"{path}|{found.st_dev}|{found.st_ino}".encode()).hexdigest()[:20]


def _private(folder: Path) -> Path:
    """A folder for this user alone, made when absent: in shared memory anybody may have made one of that name.

    Raises:
        OSError: somebody else can reach into it.
    """
    folder.mkdir(mode=0o700, exist_ok=True)
    found = folder.lstat()
    if folder.is_symlink() or found.st_uid != os.getuid() or found.st_mode & 0o077:
        raise PermissionError(f"{folder} is not for this user alone")
    return folder


def _sweep(root: Path, folder: Path) -> None:
    """Removes what is left of projects that are no more, or that lay where this one lies now."""
    for path in root.iterdir():
        if path.name == _name(folder) or not path.is_dir():
            continue
        owner = path / _OWNER
        project = Path(owner.read_text()) if owner.exists() else None
        begun = project is None and time.time() - path.stat().st_mtime < _BEGINS_S
        if begun or (project is not None and project.exists() and project != folder.resolve()):
            continue
        try:
            handle = locked(path / _LOCK)
        except Conflict:  # somebody for whom that folder is there, as in another container
            continue
        _log.info("removes live tables of %s, which is no more", project)
        shutil.rmtree(path, ignore_errors=True)
        os.close(handle)
