"""The ways in which text hides from a filter, undone one after another.

Every stage takes and gives `Written`: the codes of many texts one after another, with `BREAK` between them, and for
each code where it came from. Stages look at codes as columns, so that their time grows with the length alone.
"""

import numpy as np

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
from winnow.media.signs import SIGNS, without_signs
from winnow.media.written import Ints, Mask, Written, place_in_run, runs, shifted, total

SPELT_BY = " ._-*~•·|+^‐‑–—"  # between letters that are spelt one by one
_ORDER_OVERRIDES, _LINE_ENDS = 0x202E, "\u202c\u202d\u202e\n\r\u2029"
_SINGLE_MARKS = "\u0300\u0301\u0302\u0303\u0304\u0308\u030c\u0323\u0331"  # tones and stress: real spelling
_MOST_MARKS, _MOST_OWN_MARKS = 2, 6


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
    before, after = shifted(found, 1), shifted(found, -1)
    before_code, after_code = shifted(written.codes, 1), shifted(written.codes, -1)
    pictured = (before == OTHER) & (before_code >= 0x2000)
    tied = (of_kind(before, RIGHT_TO_LEFT, LETTER, OWN_MARK, VARIANT) | pictured) & (
        of_kind(after, RIGHT_TO_LEFT, LETTER) | ((after == OTHER) & (after_code >= 0x2000))
    )
    gone = (found == INVISIBLE) | ((found == JOINER) & ~tied)
    gone |= (found == VARIANT) & ~pictured & ~((before == LETTER) & (before_code >= 0x2E80))
    return written.where(~gone)


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
    left = (found == MARK) & ~(of_kind(shifted(found, 1), *LETTERS) & among(written.codes, _SINGLE_MARKS))
    return written.where(~left)


def _without_heaps(written: Written, found: Kinds) -> Written:
    marks = (found == MARK) | (found == OWN_MARK)
    base = np.maximum.accumulate(np.where(marks, 0, np.arange(len(marks))))
    count = np.bincount(base[found == MARK], minlength=len(marks))[base]
    most = np.where(found[base] == GREEK, 3, _MOST_MARKS)
    nth = np.arange(len(marks)) - base
    heaped = (found == MARK) & (count > most)
    # a word with a heap on one letter has disguise on all of them
    heaped = (found == MARK) & (total(heaped, runs(of_kind(found, *LETTERS, MARK, OWN_MARK))) > 0)
    return written.where(~(heaped | ((found == OWN_MARK) & (nth > _MOST_OWN_MARKS))))


def _composed(written: Written) -> tuple[Written, bool]:
    codes, found = written.codes, kinds(written.codes)
    marks = (found == MARK) | (found == OWN_MARK)
    at = np.flatnonzero(marks & ~shifted(marks, 1))
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
    word = runs(of_kind(found, *LETTERS, DIGIT, MARK, OWN_MARK) | among(written.codes, SIGNS))
    latins, cyrillics = total(latin, word), total(cyrillic, word)
    signed = (total(hard & cyrillic, word) > 0) | ((total(weak & cyrillic, word) > 0) & (cyrillics >= 2 * latins))
    to_cyrillic = signed & (cyrillics > latins) & (total(latin & (table.back[at] == 0), word) == 0)
    to_latin = (latins > 0) & ~to_cyrillic
    to_latin |= _alike(written.codes, word, foreign, weak, latin)
    changed = np.where(latin & to_cyrillic, table.back[at], written.codes)
    return Written(np.where((like > 0) & to_latin, like, changed).astype(np.int32), written.origin)


def _alike(codes: Codes, word: Ints, foreign: Mask, weak: Mask, latin: Mask) -> Mask:
    """Words of two letters or more that are wholly disguised, in texts that give the script away nowhere."""
    text = np.cumsum(codes == BREAK)
    other = (total(latin | weak, word) > 0) | (total(foreign, word) < 2)
    # what a mixed word holds is disguise, not a sign of another script
    own = weak & ~(total(latin, word) > 0)
    found: Mask = foreign & ~other & (total(latin, text) > 0) & (total(own, text) == 0)
    return found


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
    solid = (
        letter
        | of_kind(found, *LETTERS)
        | of_kind(found, DIGIT, MARK, OWN_MARK)
        | (among(codes, "@$!€¥¢£") & among(shifted(codes, 1), SPELT_BY))
    )
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
    starts = link & ~(shifted(link, 1) & (shifted(key, 1) == key))
    run = np.where(link, np.cumsum(starts), 0)
    links = total(link, run)
    first = total(starts & letter[:-1], run)
    letters = total(letter[1:] & link, run) + first
    return link & (links >= 2) & (3 * letters >= 2 * (links + 1)) & (letters >= 2)


def few_repeats(written: Written) -> Written:
    """The same letter three times or more in a row, once or twice as words have it.

    Twice inside a word for the consonants and vowels that are often doubled, at its end for those of `ss`, `ll`,
    `ff`, `zz`, `ee` and `oo`, at its start once. A word of one letter alone keeps three.
    """
    codes, found = written.codes, kinds(written.codes)
    letter = of_kind(found, LATIN, CYRILLIC, GREEK, RIGHT_TO_LEFT)
    same = _runs_of_equal(codes, letter)
    length = total(letter, same)
    if not (length >= 3).any():
        return written
    word = runs(of_kind(found, *LETTERS, DIGIT, MARK, OWN_MARK))
    nth, in_word, size = place_in_run(same), place_in_run(word), total(word > 0, word)
    begins, ends = in_word == nth, in_word - nth + length == size
    most = np.where(among(codes, "bcdefgklmnoprstz") | (codes > 127), 2, 1)
    most = np.where(ends & (codes < 128) & ~among(codes, "lsfzeo"), 1, most)
    most = np.where(begins, 1, most)
    most = np.where(length == size, 3, most)
    return written.where(~(letter & (length >= 3) & (nth >= most)))


def _runs_of_equal(codes: Codes, mask: Mask) -> Ints:
    starts = mask & ~(shifted(mask, 1) & (shifted(codes, 1) == codes))
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
