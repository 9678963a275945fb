"""A training set with an input later than its row is refused."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest

from winnow.core.errors import InputError
from winnow.core.time import MICROS, days, hours
from winnow.data.declare import Labels
from winnow.data.declare import any as any_of
from winnow.data.schema import Events, Table, category
from winnow.features.declare import Column
from winnow.features.history import HistoryState
from winnow.features.past import Count
from winnow.features.plan import Plan
from winnow.features.view import Moments, View
from winnow.training.leakage import Until, refuse_later_inputs

START, HOUR = 1_700_000_000 * MICROS, 3600 * MICROS
user = Table("user", key="user_id", columns={"country": category})
seen = Events("impression", refs={"user": user})
click = Events("click", refs={"user": user})
labels = Labels(of=seen, within=hours(1), heads={"click": any_of(click)})


@dataclass(frozen=True)
class Tomorrow(Count):
    """A count that peeks: as of an hour after the moment."""

    def compute(self, view: View) -> Any:
        later = View(replace(view.moments, at=view.at + HOUR), view.state, view.roles)
        return [later.window(a) for a in self.counted]


class Clicks:
    """Three users who click about every ten minutes for ten days, and countries that change."""

    def __init__(self) -> None:
        random = np.random.default_rng(0)
        self.at = START + np.sort(random.integers(0, 240 * HOUR, 1500))
        self.user, self.country = random.integers(0, 3, 1500), random.integers(0, 9, 1500)

    def events(self, _: str, *__: Any) -> dict[str, Any]:
        return self._times() | {"user": self.user}

    def rows(self, _: str, *__: Any) -> dict[str, Any]:
        return self._times() | {"row": self.user, "deleted": np.zeros(1500, np.int64), "country": self.country}

    def _times(self) -> dict[str, Any]:
        return {"seq": np.arange(1500), "at": self.at, "known_at": self.at}


def moments(source: Clicks) -> Moments:
    return Moments(source.at[::3] + 1, {"user": source.user[::3]})


def refuse(plan: Plan, source: Clicks, asked: Moments, known_at: Any) -> None:
    whole = HistoryState(source)
    refuse_later_inputs(plan, asked, known_at, whole=whole, until=lambda moment: HistoryState(Until(source, moment)))


def test_features_that_look_back_pass() -> None:
    source = Clicks()
    plan = Plan.of([Count(click, by=user, window=days(1)), Column(of=user.country)], labels)
    asked = moments(source)
    refuse(plan, source, asked, asked.at)


def test_a_feature_that_looks_ahead_is_named_with_its_first_row() -> None:
    source = Clicks()
    plan = Plan.of([Count(click, by=user, window=days(1)), Tomorrow(click, by=user, window=days(2))], labels)
    asked = moments(source)
    with pytest.raises(InputError, match="input-after-row") as error:
        refuse(plan, source, asked, asked.at)
    (problem,) = error.value.problems
    assert "user_click_count_2d" in problem.what
    assert "by what was known then" in problem.what


def test_features_as_of_after_their_row_are_refused() -> None:
    source = Clicks()
    asked = moments(source)
    plan, known_at = Plan.of([Column(of=user.country)], labels), asked.at.copy()
    known_at[7] -= 1
    with pytest.raises(InputError, match=r"^1 rows have features as of after they became known.*\[features-after-row"):
        refuse(plan, source, asked, known_at)
