"""A judge that needs no training: a list of words per harm, each with the probability that it means the harm.

version = "2026-01"

[heads.insult]
blarg = 0.9
"very blarg" = 0.95
"""

import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from winnow.core.declare import digest
from winnow.core.errors import InputError, Problem
from winnow.media.normalise import normalise, normalise_all
from winnow.moderation.judge import Judgement, Span
from winnow.moderation.post import Post

_FIX = 'a table of words: [heads.NAME] with lines such as "word" = 0.9'


class WordJudge:
    """Finds whole words and phrases, however they are disguised; several count together as independent evidence.

    p = 1 − Π (1 − p_word) over the distinct words that were found.

    Args:
        heads: harm → word or phrase → probability, more than 0 and at most 1.
        version: of the list.

    Raises:
        InputError: `bad-word-list`.
    """

    def __init__(self, heads: Mapping[str, Mapping[str, float]], *, version: str = "") -> None:
        problems = list(_mistakes(heads))
        if problems:
            raise InputError(*problems)
        self._words = {h: {normalise(w).text.strip(): float(p) for w, p in words.items()} for h, words in heads.items()}
        self._patterns = {head: _pattern(words) for head, words in self._words.items()}
        self.heads = tuple(heads)
        self.model = f"words-{version or digest(self._words)}"

    @classmethod
    def read(cls, path: Path | str) -> "WordJudge":
        """The judge that a TOML file describes.

        Raises:
            InputError: `bad-word-list`.
        """
        path = Path(path)
        try:
            data = tomllib.loads(path.read_text(encoding="utf-8"))
        except (OSError, tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            what = f"the word list cannot be read: {type(error).__name__}"
            raise InputError(Problem("bad-word-list", what, path.name, fix=_FIX)) from None
        heads = data.get("heads", {})
        return cls(heads if isinstance(heads, dict) else {}, version=str(data.get("version", "")))

    def judge(self, posts: Sequence[Post]) -> Judgement:
        """The probability of every harm, and the words that it rests on."""
        table = np.zeros((len(posts), len(self.heads)))
        spans: list[list[Span]] = [[] for _ in posts]
        for row, normal in enumerate(normalise_all([post.text for post in posts])):
            for column, head in enumerate(self.heads):
                found = list(self._found(head, normal.text))
                chances = {normal.text[start:end]: p for start, end, p in found}
                table[row, column] = 1 - np.prod([1 - p for p in chances.values()])
                spans[row] += [Span(head, *normal.span(start, end), p) for start, end, p in found]
        return Judgement(self.heads, table, spans, self.model, [post.inputs for post in posts])

    def _found(self, head: str, text: str) -> Iterator[tuple[int, int, float]]:
        words = self._words[head]
        for match in self._patterns[head].finditer(text):
            yield match.start(), match.end(), words[match.group()]


def _pattern(words: Mapping[str, float]) -> re.Pattern[str]:
    longest_first = sorted((re.escape(word) for word in words if word), key=len, reverse=True)
    # A list without words finds nothing, rather than the nothing between any two letters.
    return re.compile(rf"(?<!\w)(?:{'|'.join(longest_first)})(?!\w)" if longest_first else r"(?!)")


def _mistakes(heads: Mapping[str, Any]) -> Iterator[Problem]:
    if not heads:
        yield Problem("bad-word-list", "it names no harm", "heads", fix=_FIX)
    for head, words in heads.items():
        if not isinstance(words, Mapping):
            yield Problem("bad-word-list", "it is no table of words", f"heads.{head}", fix=_FIX)
            continue
        for place, p in enumerate(words.values()):
            if isinstance(p, bool) or not isinstance(p, int | float) or not 0 < p <= 1:
                where = f"heads.{head}, word {place + 1}"
                yield Problem("bad-word-list", "its probability is not above 0 and at most 1", where, fix=_FIX)
