"""The videos of a project: taken in as reels, and shown as single frames."""

import math
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from winnow.core.candidates import Candidates, Ints
from winnow.core.errors import InputError, NotFound, Problem
from winnow.serving import policy
from winnow.serving.gallery import SMALL, VIDEOS, Gallery
from winnow.serving.query import NOBODY, Query
from winnow.serving.tail import Tail
from winnow.serving.trace import Trace

if TYPE_CHECKING:  # a system file is read without the decoder
    from winnow.media.video import Video, VideoDecoder
    from winnow.media.video_reel import Reel
    from winnow.serving.desk import Desk
    from winnow.serving.kit import Kit

_LEAST = 8  # key frames; of a video with fewer, evenly spread frames are kept
_EVEN = 16


@dataclass(frozen=True)
class TakenClip:
    """A video that came in.

    Args:
        file: its reel, relative to the media folder.
        width, height: pixels of what was sent, upright.
        seconds: its length; 0 where the file does not say.
        look: the same for videos whose middles look nearly the same.
    """

    file: str
    width: int
    height: int
    seconds: float
    look: str


class Clips:
    """Takes videos in and shows their frames.

    Args:
        gallery: holds the files.
    """

    def __init__(self, gallery: Gallery):
        self.gallery = gallery
        self._decoder: VideoDecoder | None = None
        self._lock = threading.Lock()

    @property
    def decoder(self) -> "VideoDecoder":
        """Decodes videos in a process of its own, started when first needed."""
        from winnow.media.video import VideoDecoder

        with self._lock:
            if self._decoder is None:
                self._decoder = VideoDecoder()
            return self._decoder

    def take(self, data: bytes) -> TakenClip:
        """Keeps the reel of a video: its key frames, or evenly spread ones where there are few. One that is kept
        already is the same file again.

        Raises:
            InputError: `video-unreadable`, `video-too-large`, `video-too-slow`, `video-refused`.
            Unavailable: `package-missing`, `decoder-busy`.
        """
        from winnow.media.video_reel import pack

        video = self._frames(data)
        shown = video.frames[len(video.frames) // 2]
        file = self.gallery.keep(pack(video), shown, kind=VIDEOS)
        return TakenClip(file, video.width, video.height, video.seconds, self.gallery.look(file, shown))

    def _frames(self, data: bytes) -> "Video":
        video = self.decoder.decode(data)
        if len(video.frames) >= _LEAST:
            return video
        try:
            return self.decoder.decode(data, way="even", most=_EVEN)
        except InputError:  # too slow, most likely: then what there is has to do
            return video

    def reel(self, file: str) -> "Reel":
        """The reel of a video.

        Raises:
            NotFound: `no-video`.
            InputError: `video-unreadable`.
        """
        from winnow.media.video_reel import Reel

        path = self.gallery.path(file)
        if not path.is_file():
            raise _missing()
        return Reel.open(path)

    def thumbnail(self, file: str, at: float | None = None, side: int = SMALL) -> bytes:
        """The frame that is seen nearest to a moment, or the middle one, as a small JPEG; raises as `reel`."""
        from winnow.media.pictures import thumbnail

        if at is None and side == SMALL and (found := self.gallery.small(file)):
            return found
        reel = self.reel(file)
        frame = reel.frame(len(reel) // 2 if at is None else reel.nearest(at))
        return thumbnail(self.gallery.decode(frame), side)

    def close(self) -> None:
        """Ends the decoder."""
        with self._lock:
            if self._decoder is not None:
                self._decoder.close()
                self._decoder = None


class ClipFiles:
    """The videos of a table's rows.

    Args:
        tail: knows the file of every row.
        clips: shows them.
    """

    def __init__(self, tail: Tail, clips: Clips):
        self._tail, self.clips = tail, clips

    def file(self, row: int) -> str:
        """The reel of a row's video, relative to the media folder.

        Raises:
            NotFound: `no-video`.
        """
        if row not in self._tail.texts:
            raise _missing()
        return self._tail.texts[row]

    def held(self, rows: Ints) -> NDArray[np.bool_]:
        """Which rows have a video, bool [n]."""
        return np.array([row in self._tail.texts for row in rows.tolist()], bool)

    def thumbnail(self, row: int, at: float | None = None, side: int = SMALL) -> bytes:
        """As `Clips.thumbnail`, of a row's video."""
        return self.clips.thumbnail(self.file(row), at, side)

    def moment(self, row: int, place: int, most: int) -> float:
        """When one of the frames is seen by which a model knows a row's video, in seconds; NaN where that is unknown.

        Args:
            row: of the item.
            place: of the frame among those the model looks at.
            most: how many it looks at, at most.
        """
        from winnow.media.video_reel import chosen

        try:
            reel = self.clips.reel(self.file(row))
            return float(reel.times[chosen(reel, most)[place]])
        except (InputError, NotFound, IndexError):  # changed or gone since the list was made
            return math.nan


def watched(desk: "Desk") -> ClipFiles:
    """The videos of a system.

    Raises:
        InputError: `no-video-column`.
    """
    if desk.clips is None:
        what = f"the items of {desk.system.name} have no column of kind `video`"
        raise InputError(Problem("no-video-column", what, "system", fix="declare one: w.video"))
    return desk.clips


def shown(desk: "Desk", item: str) -> int:
    """The row of a video that may be shown.

    Raises:
        NotFound: `unknown-video`: there is none of this id, or policy hides it.
    """
    kit, row = desk.kit, desk.row(item)
    query = Query("", "", NOBODY, kit.live.watermark, 1, 0.0)
    some = Candidates.of(np.array([row] if row >= 0 else [], np.int64))
    if not len(policy.admit(kit.system.pipeline.policy, some, query, kit, Trace())):
        raise NotFound(Problem("unknown-video", f"there is no video `{item}`", "id", fix="upload it first"))
    return row


def moments(clips: ClipFiles | None, rows: Ints, query: Query, kit: "Kit") -> NDArray[np.float64]:
    """When each video of a list shows best what was asked for, in seconds, float64 [n]; NaN where that is unknown.

    Call it for what is shown only: it looks at every frame that the model knows of a video.

    Args:
        clips: of the items; None where they have none.
        rows: of the items, int64 [n].
        query: what was asked for.
        kit: what it was served with.
    """
    found = np.full(len(rows), np.nan)
    space = kit.bundle.space
    if clips is None or space is None or not len(rows):
        return found
    scores = space.sides.frames(rows, query, kit)
    if scores is None:
        return found
    for i in np.flatnonzero(~np.isnan(scores).all(axis=1)):
        found[i] = clips.moment(int(rows[i]), int(np.nanargmax(scores[i])), scores.shape[1])
    return found


def _missing() -> NotFound:
    return NotFound(
        Problem("no-video", "this row has no video, or its reel is not in the media folder", fix="upload it")
    )
