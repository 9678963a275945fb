"""The source that searches by words: what is asked is a text, and items are found by the words of their columns."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path as File
from typing import TYPE_CHECKING, Any

import numpy as np

from winnow.core.candidates import Ints
from winnow.core.errors import Problem
from winnow.data.schema import Path, Table
from winnow.serving.kit import Kit
from winnow.serving.query import Query, within
from winnow.serving.sources import Proposal, Source, Told

if TYPE_CHECKING:  # a system file is read without tantivy
    from winnow.data.log import SqliteLog
    from winnow.retrieval.lexical import Words
    from winnow.retrieval.lexical_follow import LexicalFollower
    from winnow.retrieval.past import Past, Standing

_NOTHING: Proposal = (np.empty(0, np.int64), np.empty(0, np.float32))
_WIDER = 4  # by how much more is asked for when what came back may not be shown


@dataclass(frozen=True)
class Lexical(Source):
    """The items whose words fit the text of who asks, by BM25 over several columns.

    Phrases in quotation marks must stand as they are, words after a minus must not be there; everything else makes a
    result better. Filters of the request narrow what is searched. The index follows the log by itself.

    Args:
        of: the text column of who asks.
        fields: column of the items → how much a word in it counts: texts, or categories whose ids are words (tags).
        language: the category of the items that says in which language they are ("en"): each is stemmed in its own. A
            column of the same name in the table of who asks says in which language the query is.
        default: the language of those that do not say.

    Source:
        Robertson and Zaragoza, "The probabilistic relevance framework: BM25 and beyond", FnTIR 3(4), 2009.
    """

    of: Path
    fields: Mapping[Path, float] = field(kw_only=True, hash=False)
    language: Path | None = field(kw_only=True, default=None)
    default: str = field(kw_only=True, default="en")
    limit: int = field(kw_only=True, default=300)

    @property
    def weights(self) -> dict[str, float]:
        """Column → weight."""
        return {path.columns[-1]: float(weight) for path, weight in self.fields.items()}

    def problems(self, system: Any) -> Iterator[Problem]:
        yield from super().problems(system)
        yield from self._bad_fields(system.labels.item)
        if self.of.table.name != system.labels.user.name or self.of.kind.storage != "text" or self.of.kind.media:
            what = f"`{self.of}` is no text of `{system.labels.user.name}`, which asks"
            yield Problem("wrong-column", what, self.where, fix="give the text column of who asks")
        if self.language is not None and self.language.kind.storage != "category":
            what = f"`{self.language}` is {self.language.kind.storage}"
            yield Problem("wrong-column", what, self.where, fix="languages are a category: en, fr, de")

    def _bad_fields(self, item: Table) -> Iterator[Problem]:
        if not self.fields:
            yield Problem("no-fields", "Lexical searches no column", self.where, fix="fields={video.title: 2}")
        for path, weight in self.fields.items():
            kind = path.kind
            wordy = (kind.storage == "text" and not kind.media) or kind.storage in ("category", "categories")
            if path.table.name != item.name or len(path.columns) != 1 or not wordy:
                what = f"`{path}` is no text or category of `{item.name}`"
                yield Problem("wrong-column", what, self.where, fix="give columns of the items that hold words")
            if not weight > 0:
                yield Problem("bad-weight", f"`{path}` has the weight {weight}", self.where, fix="above 0")

    def follow(self, log: "SqliteLog", folder: File) -> "LexicalFollower":
        from winnow.retrieval.lexical import Layout
        from winnow.retrieval.lexical_follow import LexicalFollower

        language = self.language.columns[-1] if self.language is not None else ""
        table = next(iter(self.fields)).table
        return LexicalFollower(log, folder, Layout.of(table, self.weights, language=language, default=self.default))

    def propose(self, query: Query, kit: Kit) -> Proposal:
        from winnow.retrieval.lexical_text import parse

        if not (asked := parse(str(query.said.get(self.of.columns[-1], "")))):
            return _NOTHING
        words, k = self.words(kit), self.limit
        while True:
            rows, scores = words.search(asked, k, language=self.spoken(query), conditions=query.conditions)
            shown = ~within(kit.catalogue.hidden, rows)
            found = query.first(rows[shown], scores[shown], self.limit)
            if len(found[0]) >= self.limit or len(rows) < k:
                return found
            k *= _WIDER

    def words(self, kit: Kit) -> "Words":
        """The index of the moment.

        Raises:
            Unavailable: `words-not-ready`.
        """
        follower: LexicalFollower = kit.followers[self.name]
        return follower.words

    def spoken(self, query: Query) -> str:
        """The language of the query; empty when it does not say."""
        return str(query.said.get(self.language.columns[-1], "")) if self.language is not None else ""

    def replay(self, past: "Past") -> "Standing":
        from winnow.retrieval.lexical_follow import whole
        from winnow.retrieval.lexical_text import parse

        texts = past.said(self.of.columns[-1])
        column = self.language.columns[-1] if self.language is not None else ""
        spoken = past.said(column) if column in self.of.table.columns else {}
        users, place = np.unique(past.users, return_inverse=True)
        follower: Any = self.follow(past.log, past.folder)
        try:
            words = whole(follower, past.log.last_seq())
            lists = [
                words.search(parse(texts.get(user, "")), self.limit, language=spoken.get(user, ""))
                for user in users.tolist()
            ]
        finally:
            follower.close()
        return past.among(place.ravel(), [(rows, scores.astype(np.float64)) for rows, scores in lists])

    def tell(self, rows: Ints, query: Query, kit: Kit) -> list[Told]:
        return [Told("source", "has the words you searched for")] * len(rows)
