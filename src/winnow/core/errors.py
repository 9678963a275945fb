"""Errors a user can cause: a code, what is wrong, where, why it matters and how to fix it."""

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Problem:
    """One mistake, told so that it can be mended.

    Args:
        code: stable kebab-case name of the kind of mistake, listed in the reference.
        what: what is wrong, naming the thing.
        where: `file:line` of a declaration, row of the data or parameter of the request.
        why: why it matters.
        fix: what to do about it.
    """

    code: str
    what: str
    where: str = ""
    why: str = ""
    fix: str = ""

    def __str__(self) -> str:
        head = f"{self.where}: {self.what}" if self.where else self.what
        lines = [f"{head} [{self.code}]"]
        lines += [f"  why: {self.why}"] * bool(self.why)
        lines += [f"  fix: {self.fix}"] * bool(self.fix)
        return "\n".join(lines)


class WinnowError(Exception):
    """An error with one or more problems; `status` is what HTTP answers."""

    status = 400

    def __init__(self, *problems: Problem):
        super().__init__("\n".join(map(str, problems)))
        self.problems: Sequence[Problem] = problems

    @property
    def code(self) -> str:
        return self.problems[0].code


class DeclarationError(WinnowError):
    """A system file says something that cannot work; carries every mistake found."""


class InputError(WinnowError):
    """Data or a request is not usable."""


class NotFound(WinnowError):
    """A named thing does not exist."""

    status = 404


class Conflict(WinnowError):
    """The thing exists but its state forbids the action."""

    status = 409


class Unavailable(WinnowError):
    """A part that is needed cannot answer now (disk full, no release yet); trying again later may work."""

    status = 503


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """A hint naming the closest known name, or the known names.

    >>> did_you_mean("coment", ["comment", "like"])
    'did you mean `comment`?'
    """
    known = sorted(known)
    close = difflib.get_close_matches(name, known, n=1)
    if close:
        return f"did you mean `{close[0]}`?"
    return f"known: {', '.join(known[:12])}" if known else "none exist yet"


def unknown(kind: str, name: str, known: Iterable[str], *, where: str = "") -> NotFound:
    """The error for a name that nothing carries."""
    return NotFound(Problem(f"unknown-{kind}", f"unknown {kind} `{name}`", where, fix=did_you_mean(name, known)))
