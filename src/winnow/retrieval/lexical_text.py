"""Texts as words: what a query says and what an index holds are cut, folded and stemmed by the same rules."""

import re
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from winnow.core.errors import Problem, Unavailable

STEMMERS = {
    "ar": "arabic", "da": "danish", "de": "german", "el": "greek", "en": "english", "es": "spanish", "fi": "finnish",
    "fr": "french", "hu": "hungarian", "it": "italian", "nl": "dutch", "no": "norwegian", "pt": "portuguese",
    "ro": "romanian", "ru": "russian", "sv": "swedish", "ta": "tamil", "tr": "turkish",
}  # fmt: skip
LONGEST = 64  # characters of a word; what is longer is nothing that people type
_UNSPACED = "\u0e00-\u0e7f\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff"  # scripts without spaces: each sign is a word
_WORD = re.compile(rf"[{_UNSPACED}]|[^\W_{_UNSPACED}]+(?:['’][^\W_{_UNSPACED}]+)?")
_PART = re.compile(r'(-?)"([^"]*)"|(\S+)')
_MARKS = re.compile("[\u0300-\u036f]")
Stem = Callable[[Sequence[str]], list[str]]


def fold(text: str) -> str:
    """A text without differences that people do not type: compatible forms, case and accents.

    >>> fold("Ｃｒème BRÛLÉE")
    'creme brulee'
    """
    return unicodedata.normalize("NFC", _MARKS.sub("", unicodedata.normalize("NFKD", text))).casefold()


def words_of(text: str) -> list[str]:
    """The folded words of a text, in order.

    >>> words_of("Don't stop: Crème brûlée, 3 ways!")
    ['dont', 'stop', 'creme', 'brulee', '3', 'ways']
    """
    found = (word.replace("'", "").replace("’", "") for word in _WORD.findall(fold(text)))
    return [word[:LONGEST] for word in found]


@dataclass(frozen=True)
class Asked:
    """What a query asks for, in folded words that are not stemmed yet.

    Args:
        words: wanted; each makes a result better.
        phrases: between quotation marks: these words must stand side by side.
        without: after a minus: results must not have them.
    """

    words: tuple[str, ...] = ()
    phrases: tuple[tuple[str, ...], ...] = ()
    without: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.words or self.phrases)

    @property
    def text(self) -> str:
        """The query as it was understood; parsing it again gives the same.

        >>> parse('Tide  "ocean currents" -SURF').text
        'tide "ocean currents" -surf'
        """
        quoted = (f'"{" ".join(phrase)}"' for phrase in self.phrases)
        return " ".join([*self.words, *quoted, *(f"-{word}" for word in self.without)])


def parse(text: str) -> Asked:
    """What a query asks for; nothing that somebody types is a mistake.

    >>> parse('how "sea water" moves -boats')
    Asked(words=('how', 'moves'), phrases=(('sea', 'water'),), without=('boats',))
    """
    words: list[str] = []
    phrases: list[tuple[str, ...]] = []
    without: list[str] = []
    for minus, quoted, plain in _PART.findall(fold(text)):
        some = words_of(quoted or plain)
        if minus or (plain.startswith("-") and len(plain) > 1):
            without += some
        elif quoted and len(some) > 1:
            phrases.append(tuple(some))
        else:
            words += some
    return Asked(*(tuple(dict.fromkeys(found)) for found in (words, phrases, without)))  # type: ignore[arg-type]


@cache
def stemmer(language: str) -> Stem:
    """Folded words → their stems in a language; the words themselves where it has no stemmer.

    Raises:
        Unavailable: `package-missing`.
    """
    tantivy = engine()
    builder = tantivy.TextAnalyzerBuilder(tantivy.Tokenizer.whitespace())
    if language in STEMMERS:
        builder = builder.filter(tantivy.Filter.stemmer(STEMMERS[language]))
    analyser = builder.build()
    return lambda words: [fold(stem) for stem in analyser.analyze(" ".join(words))] if words else []


def engine() -> Any:
    """The package that holds the index.

    Raises:
        Unavailable: `package-missing`.
    """
    try:
        import tantivy
    except ImportError as error:
        what = "the package `tantivy` is not installed"
        raise Unavailable(Problem("package-missing", what, fix="pip install 'winnow-engine[search]'")) from error
    return tantivy
