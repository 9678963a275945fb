"""The reel of a video: what is kept of it to be searched. Its frames as small JPEG files, with the moment of each.

A reel is a ZIP archive, stored without compression: `reel.json` says what the video was, `000012.345.jpg` is the frame
that is seen after 12.345 seconds. Nothing of the file that was sent is in it: neither sound nor names nor places.
"""

import io
import json
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from winnow.core.errors import InputError, Problem
from winnow.media.pictures import thumbnail
from winnow.media.video import Video
from winnow.media.video_choice import spread

FACTS = "reel.json"
_MOST_S = 999_999.0
_QUALITY = 85
_EPOCH = (1980, 1, 1, 0, 0, 0)  # the same video gives the same bytes, whenever it comes


def pack(video: Video) -> bytes:
    """The reel of a decoded video."""
    facts = {"width": video.width, "height": video.height, "seconds": video.seconds, "rate": video.rate}
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        _put(archive, FACTS, json.dumps(facts).encode())
        for frame, at in zip(video.frames, _apart(np.minimum(video.times, _MOST_S)), strict=True):
            _put(archive, f"{at:010.3f}.jpg", thumbnail(frame, max(frame.shape), quality=_QUALITY))
    return file.getvalue()


def _apart(times: NDArray[np.float64]) -> NDArray[np.float64]:
    """Moments to the millisecond, each later than the one before, so that each frame has a name of its own."""
    whole = np.rint(times * 1000).astype(np.int64)
    steps = np.arange(len(whole))
    return np.asarray((np.maximum.accumulate(whole - steps) + steps) / 1000)


def _put(archive: zipfile.ZipFile, name: str, data: bytes) -> None:
    archive.writestr(zipfile.ZipInfo(name, _EPOCH), data)


@dataclass(frozen=True)
class Reel:
    """An open reel.

    Args:
        times: when each frame is seen, in seconds, ascending, float64 [n].
        facts: `width`, `height`, `seconds` and `rate` of the video.
    """

    times: NDArray[np.float64]
    facts: dict[str, Any]
    _archive: zipfile.ZipFile

    @classmethod
    def open(cls, data: bytes | Path) -> "Reel":
        """A reel from its bytes, or from its file, of which only what is asked for is read.

        Raises:
            InputError: `video-unreadable`.
        """
        try:
            archive = zipfile.ZipFile(io.BytesIO(data) if isinstance(data, bytes) else data)
            facts = json.loads(archive.read(FACTS))
            names = [name for name in archive.namelist() if name != FACTS]
            times = np.array([float(name.removesuffix(".jpg")) for name in names])
        except (zipfile.BadZipFile, KeyError, ValueError, OSError) as error:
            raise _damaged() from error
        if not len(times):
            raise _damaged()
        return cls(times, facts, archive)

    def __len__(self) -> int:
        return len(self.times)

    def frame(self, place: int) -> bytes:
        """One frame as a JPEG file.

        Raises:
            InputError: `video-unreadable`.
        """
        names = [info for info in self._archive.infolist() if info.filename != FACTS]
        try:
            return self._archive.read(names[place])
        except (zipfile.BadZipFile, ValueError, OSError, EOFError) as error:
            raise _damaged() from error

    def nearest(self, at: float) -> int:
        """The place of the frame that is seen nearest to a moment, in seconds."""
        return int(np.abs(self.times - at).argmin())


def chosen(reel: Reel, most: int) -> list[int]:
    """Places of the frames that stand for a video where only so many count: evenly spread."""
    return spread(range(len(reel)), most)


def _damaged() -> InputError:
    what = "the reel of a video is damaged"
    return InputError(Problem("video-unreadable", what, fix="upload the video again"))
