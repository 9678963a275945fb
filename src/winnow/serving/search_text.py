"""A search by text: what was typed is understood, corrected and asked of the pipeline; no result is explained."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from msgspec import Struct

from winnow.core.errors import InputError, Problem, Unavailable
from winnow.core.system import System
from winnow.retrieval.conditions import Condition
from winnow.serving.desk import Desk
from winnow.serving.hydrate import hydrate
from winnow.serving.request import RankReply, RankRequest
from winnow.serving.sources_words import Lexical

COUNT = "words"  # a column of who asks that is told how many words a text has
TEXT = "text-"  # begins the id of a text that was searched for
LONGEST = 1_000  # characters of a text that may be asked


class Correction(Struct, frozen=True):
    """A word as typed, and what was searched for in its place."""

    typed: str
    searched: str


class Cause(Struct, frozen=True, kw_only=True):
    """Why nothing was found.

    Args:
        what: `word` that no item has, `phrase`, `without`, `filter`, `words` that no item has any of, `hidden` when
            all that fits may not be shown.
        name: the word, the phrase or the column.
        items: how many there would be without it.
        fix: what to do about it.
    """

    what: str
    name: str
    items: int
    fix: str


@dataclass(frozen=True, eq=False)
class Understood:
    """A text as it is searched for.

    Args:
        text: canonical.
        corrected: what was corrected.
        unknown: words that no item has.
        language: of the query; empty when nobody says.
    """

    text: str
    corrected: tuple[Correction, ...] = ()
    unknown: tuple[str, ...] = ()
    language: str = ""


def by_text(system: System) -> bool:
    """Whether a system is asked by text."""
    return any(isinstance(source, Lexical) for source in system.pipeline.sources)


def asker(system: System) -> Lexical:
    """The source by which a system is asked by text.

    Raises:
        InputError: `not-a-text-search`.
    """
    for source in system.pipeline.sources:
        if isinstance(source, Lexical):
            return source
    what = f"{system.name} does not answer a text"
    raise InputError(
        Problem("not-a-text-search", what, "text", fix="declare words.Lexical(...), or use its rank route")
    )


def understood(desk: Desk, text: str, *, language: str = "", correct: bool = True) -> Understood:
    """What somebody typed, as it is searched for: normal forms, and words that nobody uses corrected.

    Args:
        desk: of the system.
        text: as typed.
        language: of the query, such as `en`.
        correct: whether spelling is corrected.

    Raises:
        InputError: `not-a-text-search`, `empty-text`.
    """
    from winnow.retrieval.lexical_text import parse

    source, asked = asker(desk.system), parse(text[:LONGEST])
    if not asked:
        what = "the text has no words to look for"
        raise InputError(Problem("empty-text", what, "text", fix="send at least one word that is not excluded"))
    try:
        follower = desk.kit.followers[source.name]
        words, speller = follower.words, follower.speller if correct else None
    except (Unavailable, KeyError):  # still being made: other sources may answer
        return Understood(asked.text, language=language)
    found = speller.correct(asked, words.spread) if speller is not None else None
    asked = found.asked if found else asked
    said = {word for phrase in asked.phrases for word in phrase} | set(asked.words)
    changes = tuple(Correction(*change) for change in found.changes) if found else ()
    return Understood(asked.text, changes, tuple(sorted(w for w in said if not words.spread(w))), language)


def named(text: str, language: str = "") -> str:
    """The id of a text that is searched for: the same for the same words."""
    return TEXT + hashlib.sha256(f"{language}\n{text}".encode()).hexdigest()[:32]


def ranked(desk: Desk, meant: Understood, *, log: bool = True, **options: Any) -> RankReply:
    """The reply of the pipeline to a text.

    Args:
        desk: of the system.
        meant: the text.
        log: whether the reply, and the text, are logged.
        **options: of a rank request.
    """
    return desk.rank(asked_as(desk, meant, options), log=log, introduced=True)


def asked_as(desk: Desk, meant: Understood, options: dict[str, Any]) -> RankRequest:
    """The request that a text comes to.

    Args:
        desk: of the system.
        meant: the text.
        options: of a rank request.
    """
    source = asker(desk.system)
    about: dict[str, Any] = {source.of.columns[-1]: meant.text}
    column = source.language.columns[-1] if source.language is not None else ""
    if meant.language and column in source.of.table.columns:
        about[column] = meant.language
    if COUNT in source.of.table.columns:
        about[COUNT] = len(meant.text.split())
    return RankRequest(user=named(meant.text, meant.language), about=about, **options)


def causes(desk: Desk, meant: Understood, options: dict[str, Any]) -> tuple[Cause, ...]:
    """Why a search by text found nothing: which word or filter emptied it, and what to relax."""
    source, kit = asker(desk.system), desk.kit
    query = hydrate(asked_as(desk, meant, options), kit, desk.ids)
    try:
        return tuple(_causes(source.words(kit), meant, query.conditions, source.spoken(query)))
    except Unavailable:
        return ()


def _causes(words: Any, meant: Understood, conditions: tuple[Condition, ...], language: str) -> Iterator[Cause]:
    from winnow.retrieval.lexical_text import Asked, parse

    asked = parse(meant.text)

    def count(other: Asked, kept: tuple[Condition, ...] = conditions) -> int:
        return int(words.count(other, language=language, conditions=kept))

    if not count(Asked((*asked.words, *(w for phrase in asked.phrases for w in phrase))), ()):
        yield Cause(what="words", name=meant.text, items=0, fix="try other words: no item has any of these")
        return
    if (left := count(asked)) > 0:
        yield Cause(what="hidden", name="", items=left, fix="what fits may not be shown")
        return
    for place, condition in enumerate(conditions):
        if n := count(asked, conditions[:place] + conditions[place + 1 :]):
            yield Cause(
                what="filter", name=condition.column, items=n, fix=f"leave out the filter on {condition.column}"
            )
    if len(conditions) > 1 and (n := count(asked, ())):
        yield Cause(what="filter", name="all", items=n, fix="leave out the filters")
    for phrase in asked.phrases:
        text = " ".join(phrase)
        rest = tuple(other for other in asked.phrases if other != phrase)
        if n := count(replace(asked, words=(*asked.words, *phrase), phrases=rest)):
            yield Cause(what="phrase", name=text, items=n, fix=f"search for {text} without quotation marks")
    for word in asked.without:
        if n := count(replace(asked, without=tuple(w for w in asked.without if w != word))):
            yield Cause(what="without", name=word, items=n, fix=f"leave out -{word}")
