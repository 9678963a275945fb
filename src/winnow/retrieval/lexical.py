"""The words of items in an index that is searched by BM25, with filters inside the search.

Texts are cut and stemmed here, not by the engine below, so that each item is stemmed in its own language and a query
is taken apart by the very rules that made the index. Columns of the items that are no texts lie beside their words: a
filter narrows what is searched and never thins out what was found.

All columns of words are one field in which a column with weight 3 stands three times: a word in several columns then
counts as one word that occurs more often (BM25F), not as several findings that outweigh another word of the query.

Source: Robertson, Zaragoza and Taylor, "Simple BM25 extension to multiple weighted fields", CIKM 2004.
"""

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from winnow.core.declare import digest
from winnow.core.errors import Problem, Unavailable
from winnow.data.schema import Table
from winnow.retrieval.conditions import Between, Condition
from winnow.retrieval.lexical_text import Asked, engine, stemmer

Ints = NDArray[np.int64]
Floats = NDArray[np.float32]
ROW, WORDS, STEMS = "row", "words", "stems"
MOST_TIMES = 10  # that a column stands in the field
COMMON = 0.3  # a word that more than this share of the items has is left out beside rarer ones
_REVISION = 2  # raised when the same items would make another index
_KINDS = {"number": "float", "time": "integer", "flag": "unsigned", "category": "unsigned", "categories": "unsigned",
          "ref": "unsigned"}  # fmt: skip


@dataclass(frozen=True)
class Layout:
    """What an index holds of the rows of a table.

    Args:
        table: name of the table.
        weights: column of texts, or of ids that are words, such as tags → how much a word in it counts.
        columns: column to filter by → how it is stored.
        domains: column of ids → whose.
        language: the column that says in which language a row is; empty for none.
        default: the language of rows that do not say.
    """

    table: str
    weights: tuple[tuple[str, float], ...]
    columns: tuple[tuple[str, str], ...] = ()
    domains: tuple[tuple[str, str], ...] = ()
    language: str = ""
    default: str = "en"

    @classmethod
    def of(cls, table: Table, weights: Mapping[str, float], *, language: str = "", default: str = "en") -> Self:
        """The layout for a declared table: every column that is no text can be filtered by."""
        columns = tuple((name, kind.storage) for name, kind in table.columns.items() if kind.storage in _KINDS)
        domains = tuple((name, table.domain(name)) for name, kind in table.columns.items() if kind.has_domain)
        return cls(table.name, tuple(weights.items()), columns, domains, language, default)

    @property
    def texts(self) -> tuple[str, ...]:
        """The columns whose words are searched."""
        return tuple(name for name, _ in self.weights)

    @property
    def times(self) -> dict[str, int]:
        """Column → how often it stands in the field: weights as whole numbers, the least of them 1."""
        least = min(weight for _, weight in self.weights)
        return {name: min(round(weight / least), MOST_TIMES) for name, weight in self.weights}

    @property
    def identity(self) -> str:
        """12 hex digits of all that what is stored depends on."""
        facts = {"table": self.table, "times": self.times, "columns": dict(self.columns), "language": self.language,
                 "default": self.default, "revision": _REVISION}  # fmt: skip
        return digest(facts)[:12]

    @cached_property
    def schema(self) -> Any:
        """The fields of the engine: `row`; `words` as people write them; `stems`; `c_…` columns."""
        tantivy = engine()
        builder = tantivy.SchemaBuilder()
        builder.add_unsigned_field(ROW, indexed=True, fast=True)
        builder.add_text_field(WORDS, tokenizer_name="whitespace", index_option="basic")
        builder.add_text_field(STEMS, tokenizer_name="whitespace", index_option="position")
        for name, storage in self.columns:
            getattr(builder, f"add_{_KINDS[storage]}_field")(f"c_{name}", indexed=True, fast=True)
        return builder.build()

    def index(self, folder: Path) -> Any:
        """The engine's index in a folder, made when there is none.

        Raises:
            Unavailable: `words-unreadable`.
        """
        folder.mkdir(parents=True, exist_ok=True)
        try:
            return engine().Index(self.schema, path=str(folder))
        except Exception as error:
            raise Unavailable(Problem("words-unreadable", f"{type(error).__name__}: {error}", folder.name)) from error


class Words:
    """One unchanging look at an index.

    Args:
        layout: what it holds.
        searcher: of the engine.
    """

    def __init__(self, layout: Layout, searcher: Any):
        self.layout, self._searcher = layout, searcher
        self._query, self._occur, self._fields = engine().Query, engine().Occur, engine().FieldType

    def __len__(self) -> int:
        return int(self._searcher.num_docs)

    def search(
        self, asked: Asked, k: int, *, language: str = "", conditions: Sequence[Condition] = ()
    ) -> tuple[Ints, Floats]:
        """The k items whose words fit best: rows int64 [n] and BM25 scores float32 [n], best first.

        Args:
            asked: from `parse`.
            k: most items.
            language: in which the query's words are stemmed; the layout's own when empty.
            conditions: which items are searched at all.
        """
        query = self._asked(asked, language, conditions)
        if query is None or not len(self) or k < 1:
            return np.zeros(0, np.int64), np.zeros(0, np.float32)
        hits = self._searcher.search(query, min(k, len(self)), count=False).hits
        rows = np.array(self._searcher.fast_field_values(ROW, [place for _, place in hits]), np.int64)
        scores = np.array([score for score, _ in hits], np.float32)
        order = np.lexsort((rows, -scores))  # the same whatever the order of segments
        return rows[order], scores[order]

    def count(self, asked: Asked, *, language: str = "", conditions: Sequence[Condition] = ()) -> int:
        """How many items a search could find."""
        query = self._asked(asked, language, conditions)
        return 0 if query is None else int(self._searcher.search(query, 1, count=True).count)

    def spread(self, word: str) -> int:
        """How many items have a folded word, as it is written."""
        return int(self._searcher.doc_freq(WORDS, word))

    def vocabulary(self) -> list[tuple[str, int]]:
        """Every folded word of the index and how many items have it."""
        found: list[tuple[str, int]] = self._searcher.terms_with_prefix(WORDS, "")
        return found

    def _asked(self, asked: Asked, language: str, conditions: Sequence[Condition]) -> Any:
        """The engine's query; None when nothing is wanted."""
        stem, must = stemmer(language or self.layout.default), self._occur.Must
        any_word = [(self._occur.Should, self._term(s)) for s in self._telling(stem(asked.words))]
        phrases = [(must, self._query.phrase_query(self.layout.schema, STEMS, stem(p))) for p in asked.phrases]
        never = [(self._occur.MustNot, self._term(s)) for s in stem(asked.without)]
        filters = [(must, self._query.const_score_query(self._filter(c), 0.0)) for c in conditions]
        if phrases:
            return self._query.boolean_query([*phrases, *any_word, *never, *filters])
        if not any_word:
            return None
        if not (never or filters):
            return self._query.boolean_query(any_word)  # flat: the engine skips what cannot be among the best
        return self._query.boolean_query([(must, self._query.boolean_query(any_word)), *never, *filters])

    def _telling(self, stems: list[str]) -> list[str]:
        """The stems without those that very many items have, unless that is all there are."""
        rare = [s for s in stems if self._searcher.doc_freq(STEMS, s) <= COMMON * len(self)]
        return list(dict.fromkeys(rare or stems))

    def _term(self, stem: str) -> Any:
        return self._query.term_query(self.layout.schema, STEMS, stem)

    def _filter(self, condition: Condition) -> Any:
        schema, name = self.layout.schema, f"c_{condition.column}"
        stored = _KINDS[dict(self.layout.columns)[condition.column]]
        cast = float if stored == "float" else int
        if isinstance(condition, Between):
            low, high = (None if bound is None else cast(bound) for bound in (condition.at_least, condition.at_most))
            return self._query.range_query(schema, name, getattr(self._fields, stored.capitalize()), low, high)
        values = [cast(v) for v in condition.values.tolist() if stored != "unsigned" or v >= 0]
        return self._query.term_set_query(schema, name, values) if values else self._query.empty_query()


class LexicalIndex:
    """An index in a folder, as any number of processes read it while one writes.

    Args:
        folder: of the index.
        layout: what it holds.
    """

    def __init__(self, folder: Path, layout: Layout):
        self.folder, self.layout = folder, layout
        self._index = layout.index(folder)
        self._turn = threading.Lock()
        self._seen = 0
        self._words = self._look()

    @property
    def words(self) -> Words:
        """The index as it was when it was last looked at."""
        return self._words

    def follow(self) -> bool:
        """Looks again if something was committed; whether that was so."""
        with self._turn:
            if self._stamp() == self._seen:
                return False
            self._words = self._look()
            return True

    def _look(self) -> Words:
        self._seen = self._stamp()  # before the look: what comes in between is looked at once more
        self._index.reload()
        return Words(self.layout, self._index.searcher())

    def _stamp(self) -> int:
        return (self.folder / "meta.json").stat().st_mtime_ns
