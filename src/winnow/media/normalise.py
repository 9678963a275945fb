"""Text as it is read rather than as it is written: what hides a word from a filter is undone, places are kept."""

import re
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from winnow.media import letters
from winnow.media.disguises import SPELT_BY, STAGES
from winnow.media.written import Written

_ROUNDS = 8  # what one stage uncovers another may undo; real text needs one or two
_LONG = 20_000  # characters from which looking first whether there is anything to do costs more than doing it
_KEPT_PLACES = 4_096
_places = np.arange(_KEPT_PLACES + 1, dtype=np.int32)
_places.flags.writeable = False


class Normal(NamedTuple):
    """A normalised text.

    Args:
        text: small letters, plain forms, without disguise.
        origin: for each of its characters, and for its end, the place in the original, int32 [len(text) + 1]; never
            falls.
    """

    text: str
    origin: NDArray[np.int32]

    def span(self, start: int, end: int) -> tuple[int, int]:
        """Where characters `start` to `end` (not included) of the text are in the original.

        What was left out after a character belongs to it.

        >>> normalise("a b.a.d word").span(2, 5)
        (2, 7)
        """
        if start >= end:
            return int(self.origin[start]), int(self.origin[start])
        following = int(np.searchsorted(self.origin, self.origin[end - 1], "right"))
        return int(self.origin[start]), int(self.origin[min(following, len(self.text))])


def normalise(text: str) -> Normal:
    """One text without what hides its words.

    Undone are: other forms of a letter (full-width, mathematical, circled), letters of other scripts inside a word,
    characters that show nothing, overridden direction, heaps of marks, digits and signs for letters, words spelt
    letter by letter, and letters repeated three times or more. Words of one script stay as they are, in small letters.

    >>> normalise("He is B-A-D").text
    'he is bad'
    """
    return normalise_all([text])[0]


def normalise_all(texts: Sequence[str]) -> list[Normal]:
    """Many texts, each as `normalise` gives it; faster than one by one."""
    suspect = _suspect()
    left = [row for row, text in enumerate(texts) if len(text) > _LONG or suspect(text)]
    worked = dict(zip(left, _undisguised([texts[row] for row in left]), strict=True))
    return [worked.get(row) or Normal(text.lower(), _identity(len(text))) for row, text in enumerate(texts)]


def _identity(size: int) -> NDArray[np.int32]:
    return _places[: size + 1] if size <= _KEPT_PLACES else np.arange(size + 1, dtype=np.int32)


def _undisguised(texts: Sequence[str]) -> list[Normal]:
    """All texts in one pass, repeated for those that it changed until nothing changes."""
    current = [_written(text) for text in texts]
    open_rows = list(range(len(texts)))
    for _ in range(_ROUNDS):
        if not open_rows:
            break
        passed = dict(zip(open_rows, _passed([current[row] for row in open_rows]), strict=True))
        open_rows = [row for row, new in passed.items() if not _equal(current[row], new)]
        for row, new in passed.items():
            current[row] = new
    return [_normal(written, len(text)) for written, text in zip(current, texts, strict=True)]


def _written(text: str) -> Written:
    codes = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.int32)
    return Written(codes, np.arange(len(codes), dtype=np.int32))


def _equal(old: Written, new: Written) -> bool:
    return len(old.codes) == len(new.codes) and bool((old.codes == new.codes).all())


def _passed(parts: Sequence[Written]) -> list[Written]:
    """Every stage over the texts side by side, with a break after each; places count within a text."""
    stop = np.array([letters.BREAK], np.int32)
    lengths = np.array([len(part.codes) + 1 for part in parts])
    codes = np.concatenate([piece for part in parts for piece in (part.codes, stop)])
    whole = Written(codes, np.arange(len(codes), dtype=np.int32))
    for stage in STAGES:
        whole = stage(whole)
    ends = np.flatnonzero(whole.codes == letters.BREAK)
    starts, offsets = np.append(0, ends[:-1] + 1), np.cumsum(lengths) - lengths
    return [
        Written(whole.codes[a:b], part.origin[whole.origin[a:b] - offset])
        for part, a, b, offset in zip(parts, starts, ends, offsets, strict=True)
    ]


def _normal(written: Written, size: int) -> Normal:
    text = written.codes.astype("<u4").tobytes().decode("utf-32-le", "surrogatepass")
    return Normal(text, np.append(written.origin, np.int32(size)))


@cache
def _suspect() -> Callable[[str], bool]:
    """Whether a text holds anything that a stage would change but capitals; rather yes too often."""
    table, (keys, _) = letters.tables(), letters.composed()
    every = np.arange(letters.TOP)
    odd = (table.form[every] != every) | np.isin(table.kind[every], _ODD_KINDS) | np.isin(every, keys & 0x1FFFFF)
    odd[[ord("İ"), ord("Σ")]] = True
    own, latin, like = ((table.kind[every] == k) for k in (letters.OWN_MARK, letters.LATIN, letters.LATIN))
    shapes = _shapes(_class(latin))
    hidden = re.compile(f"[{_class(odd)}\U000e0000-\U000e0fff]|[{_class(own)}]{{7}}").search
    alike, letter = re.compile(f"[{_class(table.like[every] > 0)}]").search, re.compile(f"[{_class(like)}]").search

    def suspect(text: str) -> bool:
        if not text.isascii() and (hidden(text) or (alike(text) and letter(text))):
            return True
        return bool(shapes(text.lower()))

    return suspect


_ODD_KINDS = (letters.MARK, letters.INVISIBLE, letters.JOINER, letters.VARIANT)


def _shapes(latin: str) -> Callable[[str], Any]:
    """Letters three times, signs in and around words, words spelt letter by letter: in small letters."""
    sign, one = "[0134578@$!|€¥¢£+(9]", "[^\\W_]|[@$!€¥¢£]"
    spelt_by = f"[{re.escape(SPELT_BY)}]{{1,3}}"
    return re.compile(
        r"([^\W\d_])\1\1"
        f"|[{latin}]{sign}+(?=[{latin}])|[0134578$€¢@](?=[{latin}][{latin}])(?!(?<=@)\\w{{4}})|[{latin}][$€]"
        f"|(?<![^\\W_])(?:{one}){spelt_by}(?:{one}){spelt_by}(?:{one})(?![^\\W_])"
    ).search


def _class(mask: NDArray[np.bool_]) -> str:
    """The inside of a character class of a regular expression."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], mask, [False]]).astype(np.int8)))
    return "".join(rf"\U{first:08x}-\U{last - 1:08x}" for first, last in zip(edges[::2], edges[1::2], strict=True))
