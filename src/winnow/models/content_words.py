"""L0: a list of words with weights, and rules."""

import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from winnow.core.declare import Declared
from winnow.core.errors import InputError, Problem
from winnow.encoders.base import Encode
from winnow.features.batch import Floats
from winnow.media.normalise import Normal
from winnow.models.artefact import Artefact
from winnow.models.base import Run
from winnow.models.calibration import Method
from winnow.models.content import Content, ContentModel, ContentScorer, Labelled, Span
from winnow.models.content_spans import strongest

FILE = "words.json"
_WORD = re.compile(r"[^\W_]+")
_PRIOR = 0.5  # of an occurrence of every word on both sides
_BASE = -3.0  # log-odds of a text without any word of the list

Weights = Mapping[str, Mapping[str, float]]
Found = tuple[int, int, str, float]


@dataclass(frozen=True)
class Rule(Declared):
    """A pattern that speaks for a head.

    Args:
        pattern: a regular expression over the normalised text.
        head: for what.
        weight: log-odds that a match adds; negative for exceptions.
    """

    pattern: str
    head: str
    weight: float = 3.0


@dataclass(frozen=True, kw_only=True)
class WordList(ContentModel):
    """Adds up the weights of the words and patterns that it finds; each counts once in a text.

    Args:
        words: head → word → log-odds that it adds; heads that are not given are learnt from the labels.
        rules: patterns beside them.
        most: words of a learnt list.
        least: posts in which a word must occur to be learnt.
    """

    calibration: Method | None = "isotonic"
    words: Weights | None = None
    rules: tuple[Rule, ...] = ()
    most: int = 200
    least: int = 5

    def learn(self, train: Labelled, valid: Labelled, run: Run) -> tuple[list[str], dict[str, Any]]:
        given, heads = dict(self.words or {}), self.chosen(train)
        _checked(self.rules, heads)
        seen = [set(_WORD.findall(normal.text)) for normal in train.content.normal]
        lists = {h: dict(given[h]) if h in given else self._learnt(seen, train.labels[h]) for h in heads}
        rules = [[r.pattern, r.head, r.weight] for r in self.rules]
        (run.folder / FILE).write_text(json.dumps({"words": lists, "rules": rules}, ensure_ascii=False, indent=1))
        return [FILE], {}

    def _learnt(self, seen: list[set[str]], labels: Floats) -> dict[str, float]:
        """The words whose log-odds differ most from 0, measured in their standard error."""
        known = list(zip(seen, labels.tolist(), strict=True))
        sides = [Counter(w for words, y in known if y == side for w in words) for side in (0, 1)]
        sizes = [float((labels == side).sum()) for side in (0, 1)]
        often = [w for w, n in (sides[0] + sides[1]).items() if n >= self.least]
        counts = np.array([[side[w] + _PRIOR for side in sides] for w in often]).reshape(-1, 2)
        odds = np.diff(np.log(counts / (np.array(sizes) + 2 * _PRIOR)), axis=1)[:, 0]
        error = np.sqrt((1 / counts).sum(axis=1))
        order = np.argsort(-np.abs(odds) / error, kind="stable")[: self.most]
        return {often[i]: round(float(odds[i]), 4) for i in order}

    @classmethod
    def open(cls, artefact: Artefact, threads: int, encode: Encode | None = None) -> ContentScorer:
        stored = json.loads(artefact.path(FILE).read_text())
        rules = [(re.compile(pattern), head, weight) for pattern, head, weight in stored["rules"]]
        return WordListScorer(tuple(artefact.fact("heads")), stored["words"], rules)


@dataclass(frozen=True)
class WordListScorer:
    """A fitted list."""

    heads: tuple[str, ...]
    words: Weights
    rules: list[tuple[re.Pattern[str], str, float]]

    def score(self, content: Content) -> Floats:
        """Probabilities, float32 [N, H]."""
        rows = [[self._total(normal.text, head) for head in self.heads] for normal in content.normal]
        odds: NDArray[np.float64] = np.array(rows).reshape(-1, len(self.heads)) + _BASE
        return (1 / (1 + np.exp(-np.clip(odds, -40, 40)))).astype(np.float32)

    def _total(self, text: str, head: str) -> float:
        """Each word and each rule once."""
        return sum({name: weight for _, _, name, weight in self._found(text, head)}.values())

    def _found(self, text: str, head: str) -> Iterator[Found]:
        words = self.words[head]
        for match in _WORD.finditer(text):
            if match[0] in words:
                yield *match.span(), match[0], words[match[0]]
        for pattern, of, weight in self.rules:
            for match in pattern.finditer(text) if of == head else ():
                yield *match.span(), f"/{pattern.pattern}/", weight

    def spans(self, content: Content, *, least: float = 0.5) -> list[list[Span]]:
        """The words and matches that speak for a head."""
        return self.spoken(content, self.score(content) >= least)

    def spoken(self, content: Content, wanted: NDArray[np.bool_]) -> list[list[Span]]:
        """As `spans`, for the wanted heads of each post, bool [N, H]."""
        out: list[list[Span]] = []
        for normal, row in zip(content.normal, wanted, strict=True):
            heads = [head for head, is_sure in zip(self.heads, row, strict=True) if is_sure]
            out.append(sorted(span for head in heads for span in self._spoken(normal, head)))
        return out

    def _spoken(self, normal: Normal, head: str) -> Iterator[Span]:
        found = sorted(self._found(normal.text, head))
        weights = np.array([weight for *_, weight in found])
        for start, end, weight in strongest([(a, b) for a, b, *_ in found], weights) if found else ():
            first, last = normal.span(start, end)
            yield Span(first, last, weight, head)


def _checked(rules: tuple[Rule, ...], heads: tuple[str, ...]) -> None:
    """Every mistake in the rules at once."""
    wrong = [Problem("unknown-head", f"rule for head `{r.head}`", r.where, fix=f"known heads: {', '.join(heads)}")
             for r in rules if r.head not in heads]  # fmt: skip
    for rule in rules:
        try:
            re.compile(rule.pattern)
        except re.error as error:
            wrong.append(Problem("bad-pattern", f"a rule for `{rule.head}` cannot be read: {error}", rule.where))
    if wrong:
        raise InputError(*wrong)
