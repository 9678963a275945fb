"""Where the weights of a well-known image encoder are: a folder, an archive, its address, or the name of a model."""

import os
import shutil
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from winnow.core.errors import InputError, Problem, Unavailable
from winnow.encoders.weights import ARCHIVES, LARGEST, checksum, fetch

CONFIG, PREPARATION, WEIGHTS = "config.json", "preprocessor_config.json", "model.safetensors"
NEEDED = (CONFIG, PREPARATION, WEIGHTS)
_FIX = f"a folder needs {', '.join(NEEDED)}"


@dataclass(frozen=True)
class PicturePlace:
    """Files of an image encoder in the layout of Hugging Face.

    Args:
        weights: a folder; a .zip archive or its https address; or the name of a model, such as
            `openai/clip-vit-base-patch32`, which is looked up in the local cache of the hub and never fetched.
        sha256: of the archive, or of `model.safetensors` in a folder; needed for an address.
    """

    weights: str
    sha256: str

    def checksums(self) -> dict[str, str]:
        """SHA-256 by file; of a pinned archive its own, without reading it.

        Raises:
            Unavailable: `encoder-files-missing`.
            InputError: `bad-address`, `no-checksum`.
        """
        if self._is_address:
            self._pinned()
        if self._is_archive:
            return {"archive": self.sha256.lower() or checksum(_found(Path(self.weights)))}
        return {name: checksum(_found(self._folder() / name)) for name in NEEDED}

    @contextmanager
    def files(self) -> Iterator[Path]:
        """A folder that holds the files, checked; what was fetched for it is gone afterwards.

        Raises:
            Unavailable: `encoder-files-missing`.
            InputError: `bad-address`, `checksum-differs`, `no-checksum`.
        """
        if not self._is_archive:
            folder = self._folder()
            for name in NEEDED:
                _found(folder / name)
            self._check(folder / WEIGHTS)
            yield folder
            return
        with tempfile.TemporaryDirectory(prefix="winnow-") as made:
            archive = Path(made) / "archive.zip" if self._is_address else _found(Path(self.weights))
            if self._is_address:
                fetch(self._pinned(), archive)
            self._check(archive)
            _unpack(archive, Path(made))
            yield Path(made)

    @property
    def _is_address(self) -> bool:
        return "://" in self.weights

    @property
    def _is_archive(self) -> bool:
        return self._is_address or self.weights.endswith(ARCHIVES)

    def _pinned(self) -> str:
        if not self.weights.startswith("https://"):
            raise InputError(Problem("bad-address", f"`{self.weights}` is not an https address", fix="use https://"))
        if not self.sha256:
            why = "what is fetched must be what was meant"
            raise InputError(Problem("no-checksum", f"`{self.weights}` has no sha256", why=why, fix="give sha256=..."))
        return self.weights

    def _folder(self) -> Path:
        """The folder itself, or the snapshot of a name in the cache."""
        folder = Path(self.weights)
        if folder.is_dir() or self.weights.count("/") != 1 or self.weights.startswith((".", "/", "~")):
            return folder
        cached = hub() / f"models--{self.weights.replace('/', '--')}"
        main = cached / "refs" / "main"
        if not main.is_file():
            what = f"`{self.weights}` is neither a folder nor a model in the local cache of the hub"
            fix = f"fetch it first: `hf download {self.weights}`, or give the folder that holds its files"
            raise Unavailable(Problem("encoder-files-missing", what, str(hub()), fix=fix))
        return cached / "snapshots" / main.read_text().strip()

    def _check(self, file: Path) -> None:
        found = checksum(file) if self.sha256 else ""
        if found != self.sha256.lower():
            what = f"`{self.weights}` has the SHA-256 {found}, not {self.sha256.lower()}"
            raise InputError(Problem("checksum-differs", what, fix="get the file again, or give its checksum"))


def hub() -> Path:
    """Where Hugging Face keeps what it fetched, by the environment variables that it goes by."""
    home = os.environ.get("HF_HOME") or Path.home() / ".cache" / "huggingface"
    return Path(os.environ.get("HF_HUB_CACHE") or Path(home) / "hub")


def _found(path: Path) -> Path:
    if not path.is_file():
        what = f"there is no `{path.name}`"
        raise Unavailable(Problem("encoder-files-missing", what, str(path.parent), fix=_FIX))
    return path


def _unpack(archive: Path, folder: Path) -> None:
    """Take the files, and no others, out of an archive, wherever in it they lie."""
    try:
        with zipfile.ZipFile(archive) as files:
            names = [n for n in files.namelist() if PurePosixPath(n).name == WEIGHTS]
            root = PurePosixPath(names[0]).parent if names else PurePosixPath()
            for name in NEEDED:
                _take(files, str(root / name), folder / name)
    except zipfile.BadZipFile as error:
        raise Unavailable(Problem("encoder-files-missing", f"`{archive.name}` is no zip archive")) from error


def _take(files: zipfile.ZipFile, name: str, to: Path) -> None:
    if name not in files.namelist() or files.getinfo(name).file_size > LARGEST:
        raise Unavailable(Problem("encoder-files-missing", f"there is no `{name}` in the archive", fix=_FIX))
    with files.open(name) as data, to.open("wb") as file:
        shutil.copyfileobj(data, file, 1 << 20)
