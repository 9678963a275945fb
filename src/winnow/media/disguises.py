"""The ways in which text hides from a filter, undone one after another.

Every stage takes and gives `Written`: the codes of many texts one after another, with `BREAK` between them, and for
each code where it came from. Stages look at codes as columns, so that their time grows with the length alone.
"""

from functools import cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from winnow.media.letters import (
    BREAK,
    CYRILLIC,
    DIGIT,
    GREEK,
    INVISIBLE,
    JOINER,
    LATIN,
    LETTER,
    LETTERS,
    LIKE,
    MARK,
    OTHER,
    OWN_MARK,
    RIGHT_TO_LEFT,
    SPACE,
    TOP,
    VARIANT,
    Codes,
    Kinds,
    among,
    composed,
    kinds,
    of_kind,
    place,
    tables,
)

Ints = NDArray[np.int64]
Mask = NDArray[np.bool_]

SPELT_BY = " ._-*~•·|+^‐‑–—"  # between letters that are spelt one by one
SIGNS = "@$!|€¥¢£+("  # that stand for letters, beside digits
_AS_LETTER = dict(zip("0134578@$!|€¥¢£+(9", "oieastbasiieycltcg", strict=True))
_ORDER_OVERRIDES, _LINE_ENDS = 0x202E, "\u202c\u202d\u202e\n\r\u2029"
_SINGLE_MARKS = "\u0300\u0301\u0302\u0303\u0304\u0308\u030c\u0323\u0331"  # tones and stress: real spelling
_MOST_MARKS, _MOST_OWN_MARKS = 2, 6
_NAME = 4  # letters after an @ that make it a name


class Written(NamedTuple):
    """Codes and where each came from.

    Args:
        codes: int32 [N].
        origin: place in the original, int32 [N], never falling.
    """

    codes: Codes
    origin: Codes

    def where(self, kept: Mask) -> "Written":
        """Without what is not kept."""
        return self if kept.all() else Written(self.codes[kept], self.origin[kept])

    def put(self, places: Mask | Ints, codes: Codes) -> "Written":
        """Other codes at some places."""
        changed = self.codes.copy()
        changed[places] = codes
        return Written(changed, self.origin)


def plain_forms(written: Written) -> Written:
    """Full-width, mathematical, circled and raised letters, ligatures and odd spaces in their plain form."""
    table = tables()
    forms = _mapped(table.form, written.codes)
    many = np.flatnonzero(forms == -1)
    if not len(many):
        return Written(forms, written.origin)
    parts = [table.several[int(code)] for code in written.codes[many]]
    lengths = np.ones(len(forms), np.int64)
    lengths[many] = [len(part) for part in parts]
    spread = np.repeat(forms, lengths)
    spread[spread == -1] = np.concatenate(parts)
    return Written(spread, np.repeat(written.origin, lengths))


def shown_order(written: Written) -> Written:
    """Latin text that is written backwards and turned round by an override, as it is shown."""
    codes = written.codes
    opens = np.flatnonzero(codes == _ORDER_OVERRIDES)
    if not len(opens):
        return written
    closes = np.append(np.flatnonzero(among(codes, _LINE_ENDS) | (codes == BREAK)), len(codes))
    ends, first = np.unique(closes[np.searchsorted(closes, opens, "right")], return_index=True)
    starts = opens[first] + 1
    seen = kinds(codes)
    starts, ends = _only(starts, ends, _count(seen == LATIN, starts, ends) > 0)
    starts, ends = _only(starts, ends, _count(seen == RIGHT_TO_LEFT, starts, ends) == 0)
    inside = _within(starts, ends)
    mirrored = np.repeat(starts + ends - 1, ends - starts) - inside
    origin = written.origin.copy()
    origin[inside] = np.repeat(written.origin[starts - 1], ends - starts)
    return Written(written.put(inside, codes[mirrored]).codes, origin)


def _only(starts: Ints, ends: Ints, kept: Mask) -> tuple[Ints, Ints]:
    return starts[kept], ends[kept]


def _count(mask: Mask, starts: Ints, ends: Ints) -> Ints:
    """How many are true between each start and end."""
    total = np.concatenate([[0], np.cumsum(mask)])
    counts: Ints = total[ends] - total[starts]
    return counts


def _within(starts: Ints, ends: Ints) -> Ints:
    """Every place inside runs that do not overlap."""
    lengths = ends - starts
    places: Ints = np.arange(lengths.sum()) + np.repeat(starts - (np.cumsum(lengths) - lengths), lengths)
    return places


def seen_only(written: Written) -> Written:
    """Without characters that show nothing; joiners stay where a script or an emoji needs them."""
    found = kinds(written.codes)
    before, after = _shifted(found, 1), _shifted(found, -1)
    before_code, after_code = _shifted(written.codes, 1), _shifted(written.codes, -1)
    pictured = (before == OTHER) & (before_code >= 0x2000)
    tied = (of_kind(before, RIGHT_TO_LEFT, LETTER, OWN_MARK, VARIANT) | pictured) & (
        of_kind(after, RIGHT_TO_LEFT, LETTER) | ((after == OTHER) & (after_code >= 0x2000))
    )
    gone = (found == INVISIBLE) | ((found == JOINER) & ~tied)
    gone |= (found == VARIANT) & ~pictured & ~((before == LETTER) & (before_code >= 0x2E80))
    return written.where(~gone)


def _shifted(values: NDArray, by: int) -> NDArray:  # type: ignore[type-arg]
    """Each place's neighbour before (1) or after (-1); 0 beyond the ends."""
    moved = np.empty(len(values), values.dtype)
    if by > 0:
        moved[:by], moved[by:] = 0, values[:-by]
    else:
        moved[by:], moved[:by] = 0, values[-by:]
    return moved


def few_marks(written: Written) -> Written:
    """Letter and accent as one character; heaps of marks on a letter are dropped."""
    found = kinds(written.codes)
    if not ((found == MARK) | (found == OWN_MARK)).any():
        return written
    written = _without_heaps(written, found)
    for _ in range(_MOST_MARKS + 1):
        written, joined = _composed(written)
        if not joined:
            break
    found = kinds(written.codes)
    left = (found == MARK) & ~(of_kind(_shifted(found, 1), *LETTERS) & among(written.codes, _SINGLE_MARKS))
    return written.where(~left)


def _without_heaps(written: Written, found: Kinds) -> Written:
    marks = (found == MARK) | (found == OWN_MARK)
    base = np.maximum.accumulate(np.where(marks, 0, np.arange(len(marks))))
    count = np.bincount(base[found == MARK], minlength=len(marks))[base]
    most = np.where(found[base] == GREEK, 3, _MOST_MARKS)
    nth = np.arange(len(marks)) - base
    gone = ((found == MARK) & (count > most)) | ((found == OWN_MARK) & (nth > _MOST_OWN_MARKS))
    return written.where(~gone)


def _composed(written: Written) -> tuple[Written, bool]:
    codes, found = written.codes, kinds(written.codes)
    marks = (found == MARK) | (found == OWN_MARK)
    at = np.flatnonzero(marks & ~_shifted(marks, 1))
    at = at[at > 0]
    keys, made = composed()
    wanted = (codes[at - 1].astype(np.int64) << 21) | codes[at]
    hit = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
    fits = keys[hit] == wanted
    at, hit = at[fits], hit[fits]
    kept = np.ones(len(codes), np.bool_)
    kept[at] = False
    return written.put(at - 1, made[hit]).where(kept), bool(len(at))


def own_script(written: Written) -> Written:
    """Words of two scripts in the one that they are meant to be read in.

    A word in which Latin letters stand beside letters that look Latin becomes Latin; a Cyrillic word with Latin
    letters in it becomes Cyrillic. A word made only of letters that look Latin becomes Latin when the text has
    other Latin letters and no sign of the script itself. All else stays.
    """
    table, at = tables(), place(written.codes)
    found = kinds(written.codes)
    like = table.like[at]
    if not (like.any() and (found == LATIN).any()):
        return written
    foreign = of_kind(found, CYRILLIC, GREEK, LIKE)
    latin, cyrillic = found == LATIN, found == CYRILLIC
    hard = foreign & (like == 0)
    weak = foreign & ~table.strong[at]
    word = _runs(of_kind(found, *LETTERS, DIGIT, MARK, OWN_MARK) | among(written.codes, SIGNS))
    latins, cyrillics = _total(latin, word), _total(cyrillic, word)
    signed = (_total(hard & cyrillic, word) > 0) | ((_total(weak & cyrillic, word) > 0) & (cyrillics >= 2 * latins))
    to_cyrillic = signed & (cyrillics > latins) & (_total(latin & (table.back[at] == 0), word) == 0)
    to_latin = (latins > 0) & ~to_cyrillic
    to_latin |= _alike(written.codes, word, foreign, weak, latin)
    changed = np.where(latin & to_cyrillic, table.back[at], written.codes)
    return Written(np.where((like > 0) & to_latin, like, changed).astype(np.int32), written.origin)


def _alike(codes: Codes, word: Ints, foreign: Mask, weak: Mask, latin: Mask) -> Mask:
    """Words of two letters or more that are wholly disguised, in texts that give the script away nowhere."""
    text = np.cumsum(codes == BREAK)
    other = (_total(latin | weak, word) > 0) | (_total(foreign, word) < 2)
    # what a mixed word holds is disguise, not a sign of another script
    own = weak & ~(_total(latin, word) > 0)
    found: Mask = foreign & ~other & (_total(latin, text) > 0) & (_total(own, text) == 0)
    return found


def _runs(mask: Mask) -> Ints:
    """A number for each run of true places; 0 for all that is not in one."""
    starts = mask & ~_shifted(mask, 1)
    return np.where(mask, np.cumsum(starts), 0)


def _total(mask: Mask, group: Ints) -> Ints:
    """For each place, how many of its group are true; 0 outside of groups."""
    return np.bincount(group[mask], minlength=int(group.max(initial=0)) + 1)[group]


def small(written: Written) -> Written:
    """Small letters."""
    return Written(_mapped(tables().lower, written.codes), written.origin)


def _mapped(table: Codes, codes: Codes) -> Codes:
    """What a table has for each code; codes beyond it stay."""
    return np.where(codes < TOP, table[place(codes)], codes)


def joined(written: Written) -> Written:
    """Words that are spelt letter by letter, with the same sign or space between, as one word.

    Three letters at least, two thirds of them Latin, Cyrillic or Greek, the others digits and signs.
    """
    codes, found = written.codes, kinds(written.codes)
    letter = of_kind(found, LATIN, CYRILLIC, GREEK)
    solid = letter | of_kind(found, *LETTERS) | of_kind(found, DIGIT, MARK, OWN_MARK) | among(codes, "@$!€¥¢£")
    at = np.flatnonzero(solid)
    if len(at) < 3:
        return written
    gap = np.diff(at)
    between = np.concatenate([[0], np.cumsum(among(codes, SPELT_BY))])
    filled = between[at[1:]] - between[at[:-1] + 1]
    key = np.where((gap > 1) & (gap <= 4) & (filled == gap - 1), codes[at[:-1] + 1] * 8 + gap, 0)
    single = np.concatenate([[True], gap > 1]) & np.concatenate([gap > 1, [True]])
    link = (key > 0) & single[1:] & single[:-1]
    chain = _chains(link, key, letter[at])
    drop = np.zeros(len(codes) + 1, np.int64)
    np.add.at(drop, at[:-1][chain] + 1, 1)
    np.add.at(drop, at[1:][chain], -1)
    return written.where(np.cumsum(drop)[:-1] == 0)


def _chains(link: Mask, key: Ints, letter: Mask) -> Mask:
    """Links that belong to two or more of one kind in a row, mostly between letters."""
    starts = link & ~(_shifted(link, 1) & (_shifted(key, 1) == key))
    run = np.where(link, np.cumsum(starts), 0)
    links = _total(link, run)
    first = _total(starts & letter[:-1], run)
    letters = _total(letter[1:] & link, run) + first
    return link & (links >= 2) & (3 * letters >= 2 * (links + 1)) & (letters >= 2)


def without_signs(written: Written) -> Written:
    """Digits and signs that stand for letters inside Latin words, as those letters.

    Between letters; before two letters a sign, before three a digit; after letters when the word has another one.
    Addresses, names after an @, and what could be an ordinal or a number with its unit stay.
    """
    codes, found = written.codes, kinds(written.codes)
    latin = found == LATIN
    sign = among(codes, "".join(_AS_LETTER))
    if not (sign & (_shifted(latin, 1) | _shifted(latin, -1))).any():
        return written
    run = _runs(latin | sign)
    run[_left_alone(codes)[1]] = 0
    nth, total = _place_in_run(run), _total(run > 0, run)
    first = _first(latin, run, nth, total)
    last = total - 1 - _first(latin[::-1], run[::-1], (total - 1 - nth)[::-1], total[::-1])[::-1]
    letters = _total(latin, run)
    inner = sign & (run > 0) & (nth > first) & (nth < last) & (letters >= 2)
    inner &= ~among(codes, "+(") | (_shifted(latin, 1) & _shifted(latin, -1) & (total > 3))
    inner &= ~((codes == ord("8")) & (_shifted(codes, 1) == ord("h")))
    leading = sign & (run > 0) & (nth == 0) & (first == 1) & _opens(codes, letters)
    hidden = _total(inner, run) > 0
    trailing = sign & (run > 0) & (nth > last) & (letters >= 1) & _closes(codes, hidden, total - last, letters)
    chosen = inner | leading | trailing
    return written.put(chosen, _letters_for(codes)[chosen])


def _left_alone(codes: Codes) -> tuple[Ints, Mask]:
    """Tokens, and the places of those that are addresses or names."""
    found = kinds(codes)
    token = _runs(found != SPACE)
    at_sign, colon = codes == ord("@"), codes == ord(":")
    slash, dot = among(codes, "/\\"), codes == ord(".")
    address = (colon & _shifted(slash, -1)) | (slash & _shifted(dot, 1)) | (dot & (_total(at_sign, token) > 0))
    inner_dot = dot & of_kind(_shifted(found, 1), *LETTERS) & of_kind(_shifted(found, -1), *LETTERS)
    address |= inner_dot & (_total(slash, token) > 0)
    name = at_sign & ~of_kind(_shifted(found, 1), *LETTERS) & (_following(found) >= _NAME)
    return token, (token > 0) & (_total(address | name, token) > 0)


def _following(found: Kinds) -> Ints:
    """How many letters and digits follow each place."""
    solid = of_kind(found, *LETTERS, DIGIT)
    run = _runs(solid)
    return np.where(solid, 0, _shifted(_total(solid, run), -1))


def _place_in_run(run: Ints) -> Ints:
    starts = np.flatnonzero(run != _shifted(run, 1))
    begin = np.zeros(len(run), np.int64)
    begin[starts] = starts
    return np.arange(len(run)) - np.maximum.accumulate(begin)


def _first(mask: Mask, run: Ints, nth: Ints, total: Ints) -> Ints:
    """For each place, where in its run the first true place is; the run's length when there is none."""
    lowest = np.full(int(run.max(initial=0)) + 1, np.iinfo(np.int64).max)
    np.minimum.at(lowest, run[mask], nth[mask])
    return np.minimum(lowest[run], total)


def _opens(codes: Codes, letters: Ints) -> Mask:
    """What can stand for the first letter of a word."""
    digit = among(codes, "0134578") & (letters >= 3) & ~of_kind(_shifted(kinds(codes), 1), DIGIT)
    money = among(codes, "$€¢") & (letters >= 2)
    name: Mask = (codes == ord("@")) & (letters >= 2) & ~of_kind(_shifted(kinds(codes), 1), *LETTERS)
    return digit | money | name


def _closes(codes: Codes, hidden: Mask, tail: Ints, letters: Ints) -> Mask:
    """What can stand for the last letters of a word."""
    dollars = (codes == ord("$")) & ~of_kind(_shifted(kinds(codes), -1), DIGIT) & ((tail > 2) | (letters >= 3))
    return dollars | (among(codes, "0134578@$€") & hidden & (tail <= 3))


def _letters_for(codes: Codes) -> Codes:
    """The letter for each digit and sign; 1 and | are l beside a vowel or doubled, else i."""
    beside = among(codes, "aeiou1|04@3")
    ell = among(codes, "1|") & (_shifted(beside, 1) | _shifted(beside, -1))
    return np.where(ell, np.int32(ord("l")), _sign_table()[np.minimum(codes, 0xFFFF)])


@cache
def _sign_table() -> Codes:
    table = np.arange(0x10000, dtype=np.int32)
    for sign, letter in _AS_LETTER.items():
        table[ord(sign)] = ord(letter)
    return table


def few_repeats(written: Written) -> Written:
    """The same letter three times or more in a row, once or twice as words have it.

    Twice inside a word for the consonants and vowels that are often doubled, at its end for those of `ss`, `ll`,
    `ff`, `zz`, `ee` and `oo`, at its start once. A word of one letter alone keeps three.
    """
    codes, found = written.codes, kinds(written.codes)
    letter = of_kind(found, LATIN, CYRILLIC, GREEK, RIGHT_TO_LEFT)
    same = _runs_of_equal(codes, letter)
    length = _total(letter, same)
    if not (length >= 3).any():
        return written
    word = _runs(of_kind(found, *LETTERS, DIGIT, MARK, OWN_MARK))
    nth, in_word, size = _place_in_run(same), _place_in_run(word), _total(word > 0, word)
    begins, ends = in_word == nth, in_word - nth + length == size
    most = np.where(among(codes, "bcdefgklmnoprstz") | (codes > 127), 2, 1)
    most = np.where(ends & (codes < 128) & ~among(codes, "lsfzeo"), 1, most)
    most = np.where(begins, 1, most)
    most = np.where(length == size, 3, most)
    return written.where(~(letter & (length >= 3) & (nth >= most)))


def _runs_of_equal(codes: Codes, mask: Mask) -> Ints:
    starts = mask & ~(_shifted(mask, 1) & (_shifted(codes, 1) == codes))
    return np.where(mask, np.cumsum(starts), 0)


STAGES = (
    plain_forms,
    shown_order,
    seen_only,
    few_marks,
    own_script,
    small,
    joined,
    without_signs,
    few_repeats,
)
