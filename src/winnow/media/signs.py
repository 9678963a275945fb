"""Digits and signs that stand for letters."""

from functools import cache

import numpy as np

from winnow.media.letters import DIGIT, LATIN, LETTERS, SPACE, Codes, Kinds, among, kinds, of_kind
from winnow.media.written import Ints, Mask, Written, place_in_run, runs, shifted, total

SIGNS = "@$!|€¥¢£+("  # beside digits
_AS_LETTER = dict(zip("0134578@$!|€¥¢£+(9", "oieastbasiieycltcg", strict=True))
_NAME = 4  # letters after an @ that make it a name


def without_signs(written: Written) -> Written:
    """Digits and signs that stand for letters inside Latin words, as those letters.

    Between letters; before two letters a sign, before three a digit; after letters when the word has another one.
    Addresses, names after an @, and what could be an ordinal or a number with its unit stay.
    """
    codes, found = written.codes, kinds(written.codes)
    latin = found == LATIN
    sign = among(codes, "".join(_AS_LETTER))
    if not (sign & (shifted(latin, 1) | shifted(latin, -1))).any():
        return written
    run = runs(latin | sign)
    run[_left_alone(codes)[1]] = 0
    nth, size = place_in_run(run), total(run > 0, run)
    first = _first(latin, run, nth, size)
    last = size - 1 - _first(latin[::-1], run[::-1], (size - 1 - nth)[::-1], size[::-1])[::-1]
    letters = total(latin, run)
    inner = sign & (run > 0) & (nth > first) & (nth < last) & (letters >= 2)
    inner &= ~among(codes, "+(") | (shifted(latin, 1) & shifted(latin, -1) & (size > 3))
    inner &= ~((codes == ord("8")) & (shifted(codes, 1) == ord("h")))
    leading = sign & (run > 0) & (nth == 0) & (first == 1) & _opens(codes, letters)
    hidden = total(inner, run) > 0
    trailing = sign & (run > 0) & (nth > last) & (letters >= 1) & _closes(codes, hidden, size - last, letters)
    chosen = inner | leading | trailing
    return written.put(chosen, _letters_for(codes)[chosen])


def _left_alone(codes: Codes) -> tuple[Ints, Mask]:
    """Tokens, and the places of those that are addresses or names."""
    found = kinds(codes)
    token = runs(found != SPACE)
    at_sign, colon = codes == ord("@"), codes == ord(":")
    slash, dot = among(codes, "/\\"), codes == ord(".")
    address = (colon & shifted(slash, -1)) | (slash & shifted(dot, 1)) | (dot & (total(at_sign, token) > 0))
    inner_dot = dot & of_kind(shifted(found, 1), *LETTERS) & of_kind(shifted(found, -1), *LETTERS)
    address |= inner_dot & (total(slash, token) > 0)
    name = at_sign & ~of_kind(shifted(found, 1), *LETTERS) & (_following(found) >= _NAME)
    return token, (token > 0) & (total(address | name, token) > 0)


def _following(found: Kinds) -> Ints:
    """How many letters and digits follow each place."""
    solid = of_kind(found, *LETTERS, DIGIT)
    run = runs(solid)
    return np.where(solid, 0, shifted(total(solid, run), -1))


def _first(mask: Mask, run: Ints, nth: Ints, size: Ints) -> Ints:
    """For each place, where in its run the first true place is; the run's length when there is none."""
    lowest = np.full(int(run.max(initial=0)) + 1, np.iinfo(np.int64).max)
    np.minimum.at(lowest, run[mask], nth[mask])
    first: Ints = np.minimum(lowest[run], size)
    return first


def _opens(codes: Codes, letters: Ints) -> Mask:
    """What can stand for the first letter of a word."""
    digit = among(codes, "0134578") & (letters >= 3) & ~of_kind(shifted(kinds(codes), 1), DIGIT)
    money = among(codes, "$€¢") & (letters >= 2)
    name: Mask = (codes == ord("@")) & (letters >= 2) & ~of_kind(shifted(kinds(codes), 1), *LETTERS)
    return digit | money | name


def _closes(codes: Codes, hidden: Mask, tail: Ints, letters: Ints) -> Mask:
    """What can stand for the last letters of a word."""
    dollars = (codes == ord("$")) & ~of_kind(shifted(kinds(codes), -1), DIGIT) & ((tail > 2) | (letters >= 2))
    found: Mask = dollars | (among(codes, "0134578@$€") & hidden & (tail <= 3))
    return found


def _letters_for(codes: Codes) -> Codes:
    """The letter for each digit and sign; 1 and | are l beside a vowel or doubled, else i."""
    beside = among(codes, "aeiou1|04@3")
    ell = among(codes, "1|") & (shifted(beside, 1) | shifted(beside, -1))
    return np.where(ell, np.int32(ord("l")), _sign_table()[np.minimum(codes, 0xFFFF)])


@cache
def _sign_table() -> Codes:
    table = np.arange(0x10000, dtype=np.int32)
    for sign, letter in _AS_LETTER.items():
        table[ord(sign)] = ord(letter)
    return table
