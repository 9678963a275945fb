"""Whatever is quoted, clicked, expired and sent again in whatever order: the ledger agrees with a plain model of it."""

import tempfile
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from winnow.market.budget import DAY_US, Budget
from winnow.market.ledger import Click, Ledger, Quote

showings = st.integers(0, 11)
steps = st.lists(
    st.one_of(
        st.tuples(st.just("quote"), showings, st.integers(1, 40), st.booleans()),
        st.tuples(st.just("click"), showings, st.integers(0, 3), st.just(False)),
        st.tuples(st.just("expire"), st.just(0), st.integers(0, 200), st.just(False)),
    ),
    max_size=40,
)


class Model:
    """The rules in the plainest words; one day and one campaign."""

    def __init__(self, daily, lifetime):
        self.limit = min(daily, lifetime)
        self.quotes, self.done, self.early, self.events = {}, {}, {}, set()

    @property
    def charged(self):
        return sum(self.done.values())

    @property
    def held(self):
        return sum(price for price, firm, _ in self.quotes.values() if firm)

    def quote(self, showing, price, firm, expires):
        if showing in self.quotes or showing in self.done:
            return True
        if firm and price > self.limit - self.charged - self.held:
            return False
        self.quotes[showing] = (price, firm, expires)
        if showing in self.early:
            event, at = self.early.pop(showing)
            self.click(event, showing, at)
        return True

    def click(self, event, showing, at):
        if event in self.events:
            return "repeated"
        if showing in self.done:
            return "settled"
        if showing not in self.quotes:
            self.early.setdefault(showing, (event, at))
            return "waits"
        price, _, expires = self.quotes[showing]
        if at >= expires:
            return "too late"
        del self.quotes[showing]
        self.events.add(event)
        fits = price <= self.limit - self.charged - self.held
        self.done[showing] = price if fits else 0
        return "charged" if fits else "over budget"

    def expire(self, now):
        self.quotes = {s: q for s, q in self.quotes.items() if q[2] > now}


def expiry(showing):
    return 50 + 20 * showing


@settings(max_examples=30, deadline=None)
@given(steps, st.integers(1, 120), st.integers(1, 120))
def test_the_ledger_is_its_model_and_a_replay_changes_nothing(steps, daily, lifetime):
    with tempfile.TemporaryDirectory() as folder:
        ledger, model = Ledger(Path(folder) / "market.db"), Model(daily, lifetime)
        ledger.fund([Budget(campaign="c", currency="EUR", daily=daily, lifetime=lifetime)])
        for kind, showing, number, firm in steps:
            if kind == "quote":
                quote = Quote(showing=str(showing), campaign="c", price=number, currency="EUR", at=1,
                              expires_at=expiry(showing), firm=firm)  # fmt: skip
                assert ledger.quote([quote]) == [model.quote(showing, number, firm, expiry(showing))]
            elif kind == "click":
                event, at = f"{showing}-{number % 2}", 40 + 60 * number
                assert ledger.charge([Click(event, str(showing), at)]) == [model.click(event, showing, at)]
            else:
                ledger.expire(number)
                model.expire(number)
            assert ledger.spent("c") == model.charged <= model.limit
            assert ledger.standing(1).left.tolist() == [model.limit - model.charged - model.held]
        again = [Click(e, s.split("-")[0], 1) for e in model.events for s in [e]]
        assert set(ledger.charge(again)) <= {"repeated"}
        assert ledger.spent("c") == model.charged
        assert ledger.mistakes() == []
        ledger.close()


def test_a_day_that_was_charged_can_be_rebuilt_from_the_same_quotes_and_clicks(tmp_path):
    quotes = [
        Quote(
            showing=str(i), campaign="c", price=1 + i % 7, currency="EUR", at=i * DAY_US // 90, expires_at=10 * DAY_US
        )
        for i in range(300)
    ]
    clicks = [Click(f"e{i}", str(i), quotes[i].at + 5) for i in range(0, 300, 2)]
    sums = []
    for name, times in (("once", 1), ("thrice", 3)):
        ledger = Ledger(tmp_path / f"{name}.db")
        ledger.fund([Budget(campaign="c", currency="EUR", daily=150, lifetime=400)])
        for _ in range(times):
            for part in range(0, 300, 7):  # however they are grouped
                ledger.quote(quotes[part : part + 7 * times])
            ledger.charge(clicks)
        sums.append([ledger.spent("c", day) for day in range(4)] + [ledger.spent("c")])
        assert ledger.mistakes() == []
    assert sums[0] == sums[1]
    assert sums[0][-1] > 300
