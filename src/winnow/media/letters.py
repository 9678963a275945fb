"""What the normaliser knows about characters: kinds, forms of the same letter, letters that look like others.

Tables have one entry per code point below `TOP`; `place` turns any code into an entry.
"""

import unicodedata
from functools import cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Codes = NDArray[np.int32]
Kinds = NDArray[np.uint8]

TOP = 0x20000  # above it: rare Chinese characters, and tags that nobody sees
BREAK = 0x110000  # stands between two texts: no character has this code
OTHER, SPACE, LATIN, CYRILLIC, GREEK, LIKE, RIGHT_TO_LEFT, LETTER, DIGIT, MARK, OWN_MARK, INVISIBLE, JOINER, VARIANT = (
    range(14)
)
LETTERS = (LATIN, CYRILLIC, GREEK, LIKE, RIGHT_TO_LEFT, LETTER)

_SCRIPTS = (  # (first, last, kind) of letters; all other letters are LETTER
    (0x41, 0x24F, LATIN), (0x250, 0x2AF, LATIN), (0x1D00, 0x1DBF, LATIN), (0x1E00, 0x1EFF, LATIN),
    (0x2C60, 0x2C7F, LATIN), (0xA720, 0xA7FF, LATIN), (0xAB30, 0xAB6F, LATIN),
    (0x370, 0x3FF, GREEK), (0x1F00, 0x1FFF, GREEK), (0x400, 0x52F, CYRILLIC), (0x1C80, 0x1C8F, CYRILLIC),
    (0xA640, 0xA69F, CYRILLIC), (0x530, 0x58F, LIKE), (0x13A0, 0x13FF, LIKE), (0x2C80, 0x2CFF, LIKE),
    (0xA4D0, 0xA4FF, LIKE), (0xAB70, 0xABBF, LIKE),
    (0x590, 0x8FF, RIGHT_TO_LEFT), (0xFB1D, 0xFDFF, RIGHT_TO_LEFT), (0xFE70, 0xFEFE, RIGHT_TO_LEFT),
)  # fmt: skip
_MARKS = ((0x300, 0x36F), (0x1AB0, 0x1AFF), (0x1DC0, 0x1DFF), (0x20D0, 0x20FF), (0xFE20, 0xFE2F), (0x483, 0x489))
_BLANK = (0x34F, 0x115F, 0x1160, 0x17B4, 0x17B5, 0x180B, 0x180C, 0x180D, 0x180E, 0x2800, 0x3164, 0xFFA0)
_FORMS = {"<font>", "<wide>", "<narrow>", "<circle>", "<square>", "<super>", "<sub>", "<compat>"} | {
    f"<{form}>" for form in ("isolated", "initial", "medial", "final", "noBreak")
}
_KEPT_FORMS = range(0x3131, 0x3190)  # Hangul letters on their own have no other form that shows the same

# Pairs of a letter and the Latin one that it looks like. Case counts: Cyrillic В looks like B, в hardly.
_STRONG = (
    "аaеeоoрpсcуyхxіiјjѕsԁdһhԛqԝwӏlҽeѵvүyАAВBЕEНHІIЈJКKМMОOРPСCЅSТTУYХXԚQԜWҮYӀI"
    "αaοoνvρpιiυuγyΑAΒBΕEΖZΗHΙIΚKΜMΝNΟOΡPΤTΥYΧXϲcϳjϹC"
    "օoոnսuցgհhզqՕOՍUԼLՏS"
    "ᎪAᏴBᏟCᎠDᎬEᏀGᎻHᎫJᏦKᏞLᎷMᏢPᏒRᏚSᎢTᏙVᎳWᏃZᎥi"
    "ꓐBꓑPꓓDꓔTꓖGꓗKꓙJꓚCꓜZꓝFꓟMꓠNꓡLꓢSꓣRꓦVꓧHꓪWꓫXꓬYꓮAꓰEꓲIꓳOꓴU"
    "ⲟoⲞOⲣpⲢPⲥcⲤCⲈEⲎHⲒIⲔKⲘMⲚNⲦTⲬXⲂBⲀA"
)
_WEAK = (
    "вbнhкkмmтtгrпnиuьbъbяrшwщwбbцuдdёeїiйuґrғfҒFқkңhҳxөoҺHЯRИNЙNШWЩWБBДDГRПNЬBҚKҢHЁEЇI"
    "βbεeηnκkσoςsτtχxωwμuδdπnάaέeήnίiόoύuώwϊiϋuζzΣEΛAΔAΩOΠNΆAΈEΉHΊIΌOΎYΏO"
    "ռnքpաwⲁaⲉeⲏhⲓiⲕkⲙmⲛnⲧtⲭxⲱwⲃb"
)
_LATIN_FORMS = (  # Latin letters that only stand for another one
    "ɑaɡgɩiᴀaʙbᴄcᴅdᴇeꜰfɢgʜhɪiᴊjᴋkʟlᴍmɴnᴏoᴘpꞯqʀrꜱsᴛtᴜuᴠvᴡwʏyᴢz"
)
_REVERSE = "aаeеoоpрcсyуxхkкmмtтhнbвAАEЕOОPРCСYУXХKКMМTТHНBВ"  # Latin in a Cyrillic word
_ENCLOSED = ((0x1F150, "abcdefghijklmnopqrstuvwxyz"), (0x1F170, "abcdefghijklmnopqrstuvwxyz"))
_SPACES = (0xA0, 0x1680, *range(0x2000, 0x200B), 0x202F, 0x205F, 0x3000)


class Tables(NamedTuple):
    """All tables, each with `TOP` + 1 entries but the first.

    Args:
        kind: uint8, an entry for every code and `BREAK`.
        form: the plain form of a character, int32; -1 where it becomes several.
        lower: the small letter, int32.
        like: the Latin letter that a letter of another script looks like, int32; 0 for none.
        strong: whether that likeness is near identity.
        back: the Cyrillic letter that a Latin one looks like, int32; 0 for none.
        several: code → the codes that it becomes.
    """

    kind: Kinds
    form: Codes
    lower: Codes
    like: Codes
    strong: NDArray[np.bool_]
    back: Codes
    several: dict[int, Codes]


def place(codes: Codes) -> Codes:
    """The entry of each code in the tables but `kind`, which has one for every code."""
    return np.minimum(codes, np.int32(TOP))


def kinds(codes: Codes) -> Kinds:
    """The kind of each code, uint8."""
    return tables().kind[codes]


@cache
def _kinds_among(chosen: tuple[int, ...]) -> NDArray[np.bool_]:
    table = np.zeros(JOINER + 2, np.bool_)
    table[list(chosen)] = True
    return table


def of_kind(found: Kinds, *chosen: int) -> NDArray[np.bool_]:
    """Which are of one of some kinds."""
    return _kinds_among(chosen)[found]


@cache
def _codes_among(characters: str) -> NDArray[np.bool_]:
    table = np.zeros(max(map(ord, characters)) + 2, np.bool_)
    table[[ord(c) for c in characters]] = True
    return table


def among(codes: Codes, characters: str) -> NDArray[np.bool_]:
    """Which are one of some characters."""
    table = _codes_among(characters)
    return table[np.minimum(codes, len(table) - 1)]


@cache
def tables() -> Tables:
    """Made once, at first use."""
    form, several = _forms()
    like, strong = _likes()
    back = np.zeros(TOP + 1, np.int32)
    for latin, cyrillic in zip(_REVERSE[::2], _REVERSE[1::2], strict=True):
        back[ord(latin)] = ord(cyrillic)
    return Tables(_kinds(), form, _lower(), like, strong, back, several)


def _kinds() -> Kinds:
    table = np.full(BREAK + 1, LETTER, np.uint8)
    table[:TOP] = [_kind(unicodedata.category(chr(code))) for code in range(TOP)]
    letters = table == LETTER
    for first, last, kind in _SCRIPTS:
        table[first : last + 1][letters[first : last + 1]] = kind
    for first, last in _MARKS:
        part = table[first : last + 1]
        part[part == OWN_MARK] = MARK
    table[[0xAA, 0xBA]] = LATIN
    table[list(_BLANK)] = INVISIBLE
    table[[0x200C, 0x200D]] = JOINER
    table[0xFE00:0xFE10] = VARIANT
    table[[BREAK, 9, 10, 11, 12, 13, 0x85]] = SPACE
    table[0xE0000:0xE1000] = INVISIBLE  # tags and further variation selectors
    return table


def _kind(category: str) -> int:
    exact = {"Cf": INVISIBLE, "Cc": INVISIBLE, "Nd": DIGIT, "Mn": OWN_MARK, "Me": OWN_MARK, "Mc": OWN_MARK}
    by_class = {"Z": SPACE, "L": LETTER}
    return exact.get(category, by_class.get(category[0], OTHER))


def _forms() -> tuple[Codes, dict[int, Codes]]:
    """Compatibility forms that are letters or digits; what stands for a phrase or a sign stays."""
    table, several = np.arange(TOP + 1, dtype=np.int32), {}
    for code in (c for c in range(0x80, TOP) if unicodedata.decomposition(chr(c))[:1] == "<"):
        plain = unicodedata.normalize("NFKC", chr(code))
        if code in _KEPT_FORMS or unicodedata.decomposition(chr(code)).split()[0] not in _FORMS:
            continue
        if len(plain) == 1 and (plain.isalnum() or unicodedata.category(plain)[0] == "M"):
            table[code] = ord(plain)
        elif plain.isalnum() and len(plain) <= 3:
            table[code], several[code] = -1, np.array([ord(c) for c in plain], np.int32)
    for code, plain in _single_forms():
        table[code] = ord(plain)
    return table, several


def _single_forms() -> list[tuple[int, str]]:
    spaces = [(code, " ") for code in _SPACES]
    enclosed = [(first + i, letter) for first, letters in _ENCLOSED for i, letter in enumerate(letters)]
    ascii_wide = [(0xFEE0 + ord(sign), sign) for sign in "@$"]  # other wide signs are how Chinese is written
    latin = [(ord(a), b) for a, b in zip(_LATIN_FORMS[::2], _LATIN_FORMS[1::2], strict=True)]
    return spaces + enclosed + ascii_wide + latin


def _lower() -> Codes:
    small = (chr(code).lower() for code in range(TOP))
    table = np.array([ord(s) if len(s) == 1 else ord("i") for s in small] + [TOP], np.int32)
    return table


def _likes() -> tuple[Codes, NDArray[np.bool_]]:
    like, strong = np.zeros(TOP + 1, np.int32), np.zeros(TOP + 1, np.bool_)
    for pairs in (_WEAK, _STRONG):
        for letter, latin in zip(pairs[::2], pairs[1::2], strict=True):
            like[ord(letter)], strong[ord(letter)] = ord(latin), pairs is _STRONG
    return like, strong


@cache
def composed() -> tuple[NDArray[np.int64], Codes]:
    """Letter and mark as one key (letter x 2^21 + mark), sorted, and the one character that they make."""
    pairs = []
    for code in range(0xC0, TOP):
        parts = unicodedata.decomposition(chr(code)).split()
        if len(parts) == 2 and parts[0][0] != "<" and unicodedata.normalize("NFC", chr(code)) == chr(code):
            pairs.append(((int(parts[0], 16) << 21) | int(parts[1], 16), code))
    keys, made = np.array(sorted(pairs), np.int64).T
    return np.ascontiguousarray(keys), made.astype(np.int32)
