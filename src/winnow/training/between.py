"""Judges retrievers between items: does what was looked at lead to what was chosen, over the full corpus?

Q questions, I items, D numbers in a vector.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from winnow.core.system import System
from winnow.evaluation.bootstrap import Resamples, difference, interval
from winnow.evaluation.report import Record, record
from winnow.evaluation.retrievers import STAGE
from winnow.evaluation.slices import EVERYTHING
from winnow.models.artefact import META, Artefact
from winnow.models.examples import Examples
from winnow.models.item_retrieval import ItemRetriever, places, ranks
from winnow.models.retrieval import ROWS, VECTORS
from winnow.models.sessions import Journeys
from winnow.training.sessions import declared

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Fitted = tuple[str, str, Path]  # rung, model, folder

FIRST = 20  # places that recall looks at
MOST = 5_000  # questions
LIKED = "liked"


@dataclass(frozen=True, eq=False)
class Question:
    """What is asked, and what should be found.

    Args:
        head: what made the answer right: the goal of sessions, `next` where they have none, or `liked` for what people
            chose of the lists that they were shown.
        asked, wanted: item rows, int64 [Q].
        people: who looked, int64 [Q]: the units that are resampled.
        slices: name → bool [Q].
    """

    head: str
    asked: Ints
    wanted: Ints
    people: Ints
    slices: Mapping[str, NDArray[np.bool_]] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.asked)


def questions(system: System, parts: Mapping[str, Journeys], liked: Examples) -> list[Question]:
    """From the sessions of the test part, and from what its lists led to.

    Args:
        system: the declaration.
        parts: sessions of the parts.
        liked: impressions of the test part that led to something good.
    """
    chosen = declared(system)
    goal = chosen.goal.name if chosen is not None and chosen.goal is not None else ""
    found = [_of_sessions(parts["test"], parts["train"], goal)] if parts else []
    found.append(_some(Question(LIKED, liked.user, liked.item, liked.user)))
    return [q for q in found if len(q)]


def _of_sessions(test: Journeys, train: Journeys, goal: str) -> Question:
    asked, wanted, session = test.questions()
    seen = np.append(train.items, train.goals)
    slices = {"new item": ~np.isin(wanted, seen), "from a new item": ~np.isin(asked, seen)}
    if len(test.markets):
        slices["another market"] = _market(test.markets, asked) != _market(test.markets, wanted)
    head = goal if (test.goals >= 0).any() else "next"
    return _some(Question(head, asked, wanted, test.people[session], {n: m for n, m in slices.items() if m.any()}))


def _market(markets: Ints, rows: Ints) -> Ints:
    inside = rows < len(markets)
    return np.where(inside, markets[np.where(inside, rows, 0)], -1)


def _some(question: Question) -> Question:
    """At most `MOST`, the same every time."""
    drawn = np.sort(np.random.default_rng(0).permutation(len(question))[:MOST])
    slices = {name: mask[drawn] for name, mask in question.slices.items()}
    return Question(question.head, question.asked[drawn], question.wanted[drawn], question.people[drawn], slices)


def evaluate(rungs: Sequence[Fitted], asked: Sequence[Question]) -> list[Record]:
    """recall@20, MRR and mean rank of every rung, with 95 % intervals by resampling visitors.

    What a retriever has no vector for is never found: it stands last.

    Args:
        rungs: rung, name of the model and folder.
        asked: from `questions`.
    """
    return [r for rung, name, folder in rungs for q in asked for r in _records(rung, name, measured(folder, q), q)]


def _records(rung: str, model: str, values: Mapping[str, Floats], question: Question) -> Iterator[Record]:
    drawn = Resamples.of(question.people)
    for name, mask in {EVERYTHING: np.ones(len(question), bool), **question.slices}.items():
        for metric, one in values.items():
            part = np.where(mask, one, np.nan)
            yield record(STAGE, rung, model, head=question.head, slice=name, metric=metric,
                         interval=interval(drawn.means(part)), n=int(mask.sum()))  # fmt: skip


def compare(new: Path, old: Path, asked: Sequence[Question]) -> list[Record]:
    """Paired differences new − old of every metric on the same questions."""
    found = []
    for question in asked:
        drawn, theirs = Resamples.of(question.people), measured(old, question)
        for metric, values in measured(new, question).items():
            apart = difference(drawn.means(values), drawn.means(theirs[metric]))
            found.append(record(STAGE, "", new.name, head=question.head, slice=EVERYTHING, metric=metric,
                                interval=apart, n=len(values)))  # fmt: skip
    return found


def measured(folder: Path, question: Question) -> dict[str, Floats]:
    """Metric → value of each question, float64 [Q]."""
    vectors, rows = np.load(folder / VECTORS), np.load(folder / ROWS)
    one, two = places(rows, question.asked), places(rows, question.wanted)
    known, rank = (one >= 0) & (two >= 0), np.full(len(question), float(max(len(rows), 1)))
    rank[known] = ranks(vectors, one[known], two[known])
    found = (rank <= FIRST).astype(np.float64)
    return {f"recall@{FIRST}": found, "mrr": np.where(known, 1 / rank, 0.0), "mean_rank": rank}


def answers(folder: Path) -> bool:
    """Whether a fitted retriever answers items with items."""
    return (folder / META).exists() and Artefact.open(folder).fact("model") in ItemRetriever.known()
