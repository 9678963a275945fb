"""Known images found by what they look like, and images made safe to be looked at. Decoding happens elsewhere."""

import logging
from collections.abc import Sequence
from pathlib import Path

from winnow.core.errors import InputError, WinnowError
from winnow.media.bank import HashBank, Ints, Words
from winnow.media.decode import Decoder, shared
from winnow.media.perceptual import pdq_variants
from winnow.media.pictures import thumbnail
from winnow.moderation.known import UNREAD, Match
from winnow.moderation.post import Post

LEAST_QUALITY = 50  # below it the hash says little: pictures that have nothing in common may share it
_SIDE = 512  # pixels; the hash looks at 64 x 64 points
_SHOWN = 1_024
_log = logging.getLogger(__name__)


class Likeness:
    """Finds images in a bank of perceptual hashes, turned and mirrored ones too.

    Args:
        bank: PDQ hashes whose labels are harms.
        distance: bits in which a hash may differ.
        decoder: of images; that of the process by default.
    """

    def __init__(self, bank: HashBank, *, distance: int = 31, decoder: Decoder | None = None) -> None:
        self._bank, self._distance, self._decoder = bank, distance, decoder or shared()

    @classmethod
    def open(cls, folder: Path, *, distance: int) -> "Likeness":
        """Over a bank that `HashBank.save` wrote.

        Raises:
            Unavailable: `bank-unreadable`.
        """
        return cls(HashBank.open(folder), distance=distance)

    def match(self, posts: Sequence[Post]) -> list[Match | None]:
        """The nearest entry for each post; `UNREAD` for an image that cannot be decoded or was not sent."""
        return [self._one(post) for post in posts]

    def _one(self, post: Post) -> Match | None:
        if post.image is None:
            return UNREAD if post.image_sha256 else None
        try:
            pixels = self._decoder.decode(post.image, largest=_SIDE).pixels
        except InputError:
            return UNREAD
        hashes, quality = pdq_variants(pixels)
        if quality < LEAST_QUALITY:
            return None
        found = [(int(away[0]), int(rows[0])) for rows, away in map(self._within, hashes) if len(rows)]
        if not found:
            return None
        away, row = min(found)
        return Match(self._bank.labels([row])[0], f"pdq:{row}", "pdq", "", away)

    def _within(self, hash: Words) -> tuple[Ints, Ints]:
        return self._bank.within(hash, self._distance)


def shown(image: bytes) -> bytes | None:
    """An image as reviewers see it: small, made anew from its pixels, without anything else that was in the file.

    None when it cannot be decoded: what our decoder refuses a reviewer's browser must not be given either.
    """
    try:
        return thumbnail(shared().decode(image, largest=_SHOWN).pixels, _SHOWN)
    except WinnowError as error:
        _log.info("an image cannot be shown: %s", error.code)
        return None
