"""Data drawn as the training data was passes what was learned from it; a planted shift is reported."""

import numpy as np
import polars as pl
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from winnow.data.columns import Parsed
from winnow.data.expectations.compare import columns
from winnow.data.expectations.declare import ColumnExpectation, Group
from winnow.data.expectations.enforce import Rules
from winnow.data.expectations.profile import learn, with_room
from winnow.data.expectations.sample import Sample, psi, up
from winnow.data.schema import Events, Table, categories, category, flag, number, time
from winnow.data.spec import of_events

user = Table("user", key="user_id")
watch = Events("watch", refs={"user": user}, fields={
    "number": number, "category": category, "categories": categories, "time": time, "flag": flag,
})  # fmt: skip
SPEC = of_events(watch)


class Rows:
    """Ids that are the row numbers as text, unknown ones included."""

    def rows(self, domain, ids):
        return np.array([int(i) for i in ids], dtype=np.int64)


def names(rows):
    return [str(r) for r in rows.tolist()]


@st.composite
def distributions(draw):
    """Something to draw numbers from: skewed, heavy-tailed, discrete, constant, with values missing."""
    scale, place = draw(st.floats(1e-3, 1e4)), draw(st.floats(-1e3, 1e3))
    missing = draw(st.sampled_from([0.0, 0.003, 0.2, 0.97, 1.0]))
    shape = draw(st.sampled_from(["normal", "lognormal", "pareto", "steps", "constant", "two"]))
    sources = {
        "normal": lambda rng, n: rng.normal(place, scale, n),
        "lognormal": lambda rng, n: rng.lognormal(0, 2, n) * scale,
        "pareto": lambda rng, n: (rng.pareto(1.1, n) + 1) * scale, "steps": lambda rng, n: rng.poisson(3, n) * scale,
        "constant": lambda rng, n: np.full(n, place), "two": lambda rng, n: rng.choice([0.0, place], n),
    }  # fmt: skip

    def values(rng, n):
        out = np.clip(sources[shape](rng, n), -1e9, 1e9)
        out[rng.random(n) < missing] = np.nan
        return out

    return values


def findings(expectation, name, column, rows):
    group = Group(rows=rows, columns={name: expectation})
    return list(columns(Rows(), watch, group, pl.DataFrame({name: column}), kind="event"))


def learned(name, column):
    return learn(Sample.of(column, name), watch.fields[name], names)[0]


seeds, sizes = st.integers(0, 2**32 - 1), st.tuples(st.integers(1, 5_000), st.integers(1, 5_000))


@settings(max_examples=200, deadline=None)
@given(distributions(), seeds, sizes)
def test_numbers_pass_their_own_expectations(values, seed, sizes):
    rng = np.random.default_rng(seed)
    before, after = (pl.Series(values(rng, n)) for n in sizes)
    expectation = learned("number", before)
    found = findings(expectation, "number", after, sizes[0])
    assert [f for f in found if f.verdict == "broken"] == []
    refused, _ = Rules(Group(columns={"number": expectation})).broken(
        SPEC, {"number": Parsed(before.to_numpy())}, sizes[0]
    )
    assert refused == []


@pytest.mark.parametrize("seed", range(3))
def test_a_hundred_heavy_tailed_numbers_do_not_tell_how_far_others_reach(seed):
    rng = np.random.default_rng([113, seed])
    for _ in range(60):
        before, after = (pl.Series(rng.pareto(1.1, n) + 1) for n in (113, 5_000))
        expectation = learned("number", before)
        found = findings(expectation, "number", after, len(before))
        assert {f.measure for f in found if f.verdict == "broken"} == set()


def test_a_tail_seen_well_still_tells_what_cannot_be():
    numbers = np.random.default_rng(3).normal(20, 4, 5_000)
    expectation = learned("number", pl.Series(numbers))
    assert expectation.never_above < 200 * numbers.max()
    steps = learned("number", pl.Series(np.random.default_rng(3).poisson(3, 5_000) * 1.0))
    assert steps.never_above < 2_000


@given(st.integers(1, 5_000), st.integers(0, 5_000))
def test_every_number_that_is_learned_is_one_that_a_file_is_written_from(total, others):
    limit = with_room(np.float64(min(others, total)) / total, total)
    assert type(limit) is float
    # What is nothing, and what is a last bit above few digits, is given back as it came.
    for value in (total / 7, 0.0, np.nextafter(round(total / 100, 2), np.inf)):
        assert type(up(np.float64(value))) is float


@settings(max_examples=100, deadline=None)
@given(seeds, sizes, st.integers(1, 3000), st.floats(1.2, 4), st.sampled_from([0.0, 0.1]))
def test_categories_pass_their_own_expectations(seed, sizes, different, skew, missing):
    rng = np.random.default_rng(seed)
    draw = lambda n: np.where(rng.random(n) < missing, -1, rng.zipf(skew, n) % different)  # noqa: E731
    before, after = (pl.Series(draw(n)) for n in sizes)
    found = findings(learned("category", before), "category", after, sizes[0])
    assert [f for f in found if f.verdict == "broken"] == []


@settings(max_examples=50, deadline=None)
@given(seeds, sizes, st.floats(0, 1))
def test_flags_lists_and_times_pass_their_own_expectations(seed, sizes, share):
    rng = np.random.default_rng(seed)
    draws = {
        "flag": lambda n: pl.Series((rng.random(n) < share).astype(np.int64)),
        "time": lambda n: pl.Series(rng.integers(10**15, 2 * 10**15, n)),
        "categories": lambda n: pl.Series(
            [rng.integers(0, 30, k).tolist() for k in rng.integers(0, 3, n)], dtype=pl.List(pl.Int64)),
    }  # fmt: skip
    for name, draw in draws.items():
        before, after = (draw(n) for n in sizes)
        found = findings(learned(name, before), name, after, sizes[0])
        assert [f for f in found if f.verdict == "broken"] == [], name


@settings(max_examples=100, deadline=None)
@given(distributions(), seeds, st.integers(1_000, 5_000), st.integers(1_000, 5_000), st.floats(1.5, 1e3))
def test_a_planted_shift_is_reported(values, seed, before, after, far):
    rng = np.random.default_rng(seed)
    known = values(rng, before)
    assume(np.isfinite(known).sum() >= 500 and np.ptp(known[np.isfinite(known)]) > 0)
    expectation = learned("number", pl.Series(known))
    spread = np.ptp(np.nanquantile(known, [0.0, 0.9]))
    assume(spread > 0)
    found = findings(expectation, "number", pl.Series(values(rng, after) + far * spread), before)
    assert {f.verdict for f in found if f.measure in ("psi", "outside", "never")} & {"warn", "broken"}


@settings(max_examples=50, deadline=None)
@given(seeds, st.floats(0.1, 0.9), st.floats(0.15, 0.9))
def test_values_that_go_missing_are_reported(seed, share, more):
    rng = np.random.default_rng(seed)
    draw = lambda p: pl.Series(np.where(rng.random(4000) < p, np.nan, 1.0))  # noqa: E731
    after = share + (1 - share) * 0.5 + min(more, 0.4) * (1 - share)
    found = findings(learned("number", draw(share / 2)), "number", draw(after), 4000)
    assert next(f for f in found if f.measure == "missing").verdict in ("warn", "broken")


@given(st.lists(st.integers(0, 1000), min_size=2, max_size=20), st.integers(2, 50))
def test_psi_of_equal_shares_is_nothing(counts, times):
    assume(sum(counts) > 0)
    counts = np.array(counts)
    value, noise = psi((counts / counts.sum()).tolist(), counts * times, 10**6)
    assert value < 0.02 * len(counts)
    assert noise > 0


@settings(max_examples=30, deadline=None)
@given(seeds, st.integers(2, 15))
def test_chance_stays_below_the_noise(seed, size):
    rng = np.random.default_rng(seed)
    shares = rng.dirichlet(np.full(size, 5.0))
    beyond = 0
    for _ in range(100):
        before, after = rng.multinomial(2000, shares), rng.multinomial(1000, shares)
        value, noise = psi((before / 2000).tolist(), after, 2000)
        beyond += value > noise
    assert beyond <= 3  # one in a thousand is expected


@settings(max_examples=100, deadline=None)
@given(st.lists(st.one_of(st.none(), st.floats(-1e9, 1e9)), min_size=1), st.floats(-1e9, 1e9), st.floats(-1e9, 1e9))
def test_the_edge_agrees_with_a_loop(values, one, other):
    low, high = sorted((one, other))
    expected = ColumnExpectation(kind="number", at_least=low, at_most=high, missing=0.0, level="refuse")
    parsed = {"number": Parsed(np.array([np.nan if v is None else v for v in values], dtype=np.float64))}
    refused, counted = Rules(Group(columns={"number": expected})).broken(SPEC, parsed, len(values))
    broken = np.zeros(len(values), bool)
    for fault in refused:
        broken |= fault.rows
    assert broken.tolist() == [v is None or v < low or v > high for v in values]
    assert counted == []
