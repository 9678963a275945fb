"""Who says how probable each harm is: the protocol, and a panel of several judges of which any may fail."""

import logging
import math
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, NamedTuple, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from winnow.moderation.post import Post

if TYPE_CHECKING:  # a list of words needs no models
    from winnow.models.content_regions import Region

Floats = NDArray[np.float64]
TOGETHER = 64  # posts for which the deadline of a panel holds
MOST_HANGING = 8  # questions that a judge may leave unanswered before it is asked no more
_log = logging.getLogger(__name__)


class Span(NamedTuple):
    """Characters of the original text that spoke for a harm.

    Args:
        head: the harm.
        start: first character.
        end: one past the last.
        weight: how much they spoke for it, between 0 and 1.
    """

    head: str
    start: int
    end: int
    weight: float


@dataclass(frozen=True, eq=False)
class Judgement:
    """What a judge says about N posts.

    Args:
        heads: names of the harms, H of them.
        probability: [N, H], calibrated; NaN where a harm was not evaluated.
        spans: for each post.
        model: name and version of who judged.
        inputs: SHA-256 of what was judged, for each post.
        silent: heads of which some judge that knows them has not said anything, whatever others said.
    """

    heads: tuple[str, ...]
    probability: Floats
    spans: Sequence[Sequence[Span]]
    model: str
    inputs: Sequence[str]
    silent: frozenset[str] = field(default=frozenset())

    def scores(self, row: int) -> Mapping[str, float | None]:
        """The probabilities of one post by head; None where a harm was not evaluated."""
        values = self.probability[row].tolist()
        return {h: None if math.isnan(v) else v for h, v in zip(self.heads, values, strict=True)}


class Judge(Protocol):
    """Gives every post a probability per harm."""

    @property
    def heads(self) -> tuple[str, ...]:
        """The harms it knows."""

    @property
    def model(self) -> str:
        """Name and version, as it is written into decisions."""

    def judge(self, posts: Sequence[Post]) -> Judgement:
        """The probabilities of all heads for all posts. May raise: the policy then says what to do without."""


@runtime_checkable
class Pointing(Protocol):
    """A judge that can tell which parts of a picture it went by."""

    def regions(self, posts: Sequence[Post]) -> "list[list[Region]]":
        """The boxes of each post's picture that spoke for a harm; costs some 30 encodings a post."""


@dataclass(frozen=True, eq=False)
class Panel:
    """Several judges as one; the highest probability counts where two know the same harm.

    A judge that raises, takes too long or answers with anything but probabilities is silent: its heads are NaN unless
    another judge knows them, and are named in `silent` in either case, since what others say is then not the whole.

    Args:
        judges: in any order.
        deadline_s: seconds that they may take, all at once; for more than `TOGETHER` posts as much longer.
    """

    judges: Sequence[Judge]
    deadline_s: float = 5.0
    _hanging: "dict[int, list[_Asked]]" = field(default_factory=dict, init=False, repr=False)

    @property
    def heads(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(head for judge in self.judges for head in judge.heads))

    @property
    def reads(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(part for judge in self.judges for part in reads(judge)))

    @property
    def model(self) -> str:
        return "+".join(judge.model for judge in self.judges)

    def judge(self, posts: Sequence[Post]) -> Judgement:
        heads, silent, models = self.heads, set[str](), list[str]()
        table = np.full((len(posts), len(heads)), np.nan)
        spans: list[list[Span]] = [[] for _ in posts]
        for judge, said in zip(self.judges, self._asked(posts), strict=True):
            models.append(judge.model if said is None else said.model)
            if said is None:
                silent.update(judge.heads)
                continue
            blind = ~_readable(judge, posts)
            for place, head in enumerate(said.heads):
                column = heads.index(head)
                values = np.where(blind, np.nan, said.probability[:, place])
                table[:, column] = np.fmax(table[:, column], values)
            for mine, theirs in zip(spans, said.spans, strict=True):
                mine.extend(theirs)
        return Judgement(heads, table, spans, "+".join(models), [post.inputs for post in posts], frozenset(silent))

    def regions(self, posts: Sequence[Post]) -> "list[list[Region]]":
        """The boxes of each picture that spoke for a harm, by the judges that look at pictures and can tell."""
        found: list[list[Region]] = [[] for _ in posts]
        for judge in self.judges:
            try:
                said = judge.regions(posts) if isinstance(judge, Pointing) else [[] for _ in posts]
            except Exception as error:
                _log.error("judge %s cannot point at regions: %s", judge.model, type(error).__name__)
                continue
            for mine, theirs in zip(found, said, strict=True):
                mine.extend(theirs)
        return found

    def _asked(self, posts: Sequence[Post]) -> list[Judgement | None]:
        asked = [_Asked(judge, posts) if self._free(place) else None for place, judge in enumerate(self.judges)]
        give_up_at = time.monotonic() + self.deadline_s * max(1.0, len(posts) / TOGETHER)
        said = [one.answer(give_up_at) if one else None for one in asked]
        for place, one in enumerate(asked):
            if one and one.hangs:
                self._hanging.setdefault(place, []).append(one)
        return said

    def _free(self, place: int) -> bool:
        """Whether a judge may be asked: one that hangs again and again would fill the process with threads."""
        self._hanging[place] = hanging = [one for one in self._hanging.get(place, []) if one.hangs]
        return len(hanging) < MOST_HANGING


def reads(judge: Judge) -> tuple[str, ...]:
    """Which parts of a post a judge looks at: those that its `reads` names, the text alone when it has none."""
    return tuple(getattr(judge, "reads", ("text",)))


def _readable(judge: Judge, posts: Sequence[Post]) -> NDArray[np.bool_]:
    """Which posts a judge can say anything about: not a bare image, if it looks at texts alone."""
    return np.array([bool(post.text) or not post.image_hash or "image" in reads(judge) for post in posts], np.bool_)


class _Asked:
    """One judge at work in a thread of its own, which is left behind when it hangs: it must not hold up the post."""

    def __init__(self, judge: Judge, posts: Sequence[Post]) -> None:
        self._judge, self._posts = judge, posts
        self._said: Judgement | None = None
        self._trouble = "too slow"
        self._thread = threading.Thread(target=self._work, name="judge", daemon=True)
        self._thread.start()

    def _work(self) -> None:
        try:
            self._said = _checked(self._judge.judge(self._posts), self._judge, len(self._posts))
        except Exception as error:
            # The message of somebody else's exception may quote the post.
            self._trouble = type(error).__name__

    @property
    def hangs(self) -> bool:
        """Whether it is still at work."""
        return self._thread.is_alive()

    def answer(self, give_up_at: float) -> Judgement | None:
        self._thread.join(max(0.0, give_up_at - time.monotonic()))
        if self._said is None:
            _log.error("judge %s failed: %s", self._judge.model, self._trouble)
        return self._said


def _checked(said: Judgement, judge: Judge, rows: int) -> Judgement:
    """The judgement with everything that is no probability as NaN."""
    table = np.asarray(said.probability, np.float64)
    if table.shape != (rows, len(judge.heads)) or said.heads != judge.heads or len(said.spans) != rows:
        raise ValueError("the judgement has another shape than was asked for")
    table = np.where((table >= 0) & (table <= 1), table, np.nan)
    return replace(said, probability=table)
