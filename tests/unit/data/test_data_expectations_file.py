"""`expectations.toml`: what is written reads the same, and every mistake is told at once, with its line."""

import tomllib
from datetime import UTC, datetime

import pytest
from expectations_world import EVENTS, TABLES
from hypothesis import given
from hypothesis import strategies as st

from winnow.core.errors import InputError
from winnow.data.expectations.declare import Bots, ColumnExpectation, Expectations, Group, Period
from winnow.data.expectations.file import Schema, read
from winnow.data.expectations.lines import line_of, places
from winnow.data.expectations.write import to_toml

SCHEMA = Schema.of(TABLES, EVENTS)


@pytest.fixture
def problems(tmp_path):
    def problems(text):
        path = tmp_path / "expectations.toml"
        path.write_text(text)
        with pytest.raises(InputError) as error:
            read(path, SCHEMA)
        return [(p.code, p.where.rpartition(":")[2], p.what, p.fix) for p in error.value.problems]

    return problems


def column(kind, line):
    owner = {"number": "event.watch.columns.seconds", "time": "table.video.columns.uploaded_at",
             "category": "event.impression.columns.surface", "flag": "event.watch.columns.long",
             "text": "table.video.columns.title"}[kind]  # fmt: skip
    return f'[{owner}]\nkind = "{kind}"\n{line}\n'


def test_every_mistake_is_told_at_once_with_file_and_line(problems):
    found = problems(
        """[event.wach]
rows = 3

[event.watch.columns.secnds]
kind = "number"

[event.watch.columns.seconds]
kind = "number"
at_leest = 0
at_least = 10.0
at_most = 3.0

[tabel.video]
[table.vidoe]
[bots]
per_hor = 3
"""
    )
    assert [(code, line) for code, line, _, _ in found] == [
        ("unknown-event", "1"), ("unknown-column", "4"), ("unknown-expectation", "9"), ("unknown-expectation", "13"),
        ("unknown-table", "14"), ("unknown-expectation", "16"),
    ]  # fmt: skip
    assert [fix for _, _, _, fix in found] == [
        "did you mean `watch`?", "did you mean `seconds`?", "did you mean `at_least`?", "did you mean `table`?",
        "did you mean `video`?", "did you mean `per_hour`?",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "line", "what"),
    [
        ("number", "at_least = 10.0\nat_most = 3.0", "`at_least` is above `at_most`"),
        ("number", "at_most = 10.0\nnever_above = 3", "`at_most` is above `never_above`"),
        ("time", "never_below = 2026-01-01T00:00:00Z\nnever_above = 2020-01-01T00:00:00Z", "above `never_above`"),
        ("number", "at_most = inf", "`at_most` is not finite"),
        ("number", "at_least = nan", "`at_least` is not finite"),
        ("number", "edges = [1.0, nan]", "`edges` is not finite"),
        ("number", "at_most = 2026-01-01T00:00:00Z", "`at_most` is not a number"),
        ("time", "never_below = 3.0", "`never_below` is not a time"),
        ("number", "missing = 1.5", "`missing` is 1.5"),
        ("number", "missing = -0.1", "`missing` is -0.1"),
        ("number", 'level = "off"', "`level` is 'off'"),
        ("number", 'values = ["a"]', "`values` says nothing about a number"),
        ("text", "at_most = 3.0", "`at_most` says nothing about a text"),
        ("category", "unique = true", "`unique` says nothing about a category"),
        ("number", "edges = [2.0, 1.0]", "`edges` do not ascend"),
        ("number", "edges = [1.0]\nshares = [0.5]", "`shares` has 1 numbers for 2 bins"),
        ("flag", "shares = [0.9, 0.9]", "`shares` add up to 1.800"),
        ("category", 'values = ["a", "a"]', "names something twice"),
        ("category", 'values = "a"', "`values` is 'a'"),
        ("number", "psi = 0", "`psi` is 0"),
    ],
)
def test_bad_expectations(problems, kind, line, what):
    (found,) = problems(column(kind, line))
    assert found[0] == "bad-expectation"
    assert what in found[2]
    assert found[3]


@pytest.mark.parametrize(
    ("text", "code", "what"),
    [
        ("[event.watch.columns.seconds]\nkind = 'text'", "bad-expectation", "was a text and is declared as number"),
        ("[event.watch.columns.seconds]\nmissing = 0.0", "bad-expectation", "`kind` is missing"),
        ("[table.video]\nper_day = [1.0, 2.0]", "bad-expectation", "says nothing about a table"),
        ("[event.watch]\nper_day = [3.0, 2.0]", "bad-expectation", "[3.0, 2.0]"),
        ("[event.watch]\nproducer = 'surfce'", "unknown-column", "no category `surfce`"),
        ("[event.watch]\nproducer = 'seconds'", "unknown-column", "no category `seconds`"),
        ("event = 3", "bad-expectation", "`event` is 3"),
        ("[event]\nwatch = 3", "bad-expectation", "`watch` is 3"),
        ("bots = 3", "bad-expectation", "`bots` is 3"),
        ("[storms]\ncopies = 0", "bad-expectation", "`copies` is 0"),
        ("[period]\nstart = 2026-01-02T00:00:00Z\nuntil = 2026-01-01T00:00:00Z", "bad-expectation", "ends before"),
        ("[event.watch\n", "bad-expectations-file", "line 1"),
    ],
)
def test_bad_sections(problems, text, code, what):
    (found,) = problems(text)
    assert found[0] == code
    assert what in found[2]


def test_not_utf8(tmp_path):
    (tmp_path / "expectations.toml").write_bytes(b"\xff")
    with pytest.raises(InputError, match="not UTF-8"):
        read(tmp_path / "expectations.toml", SCHEMA)


def test_lines_of_keys_also_below_long_lists_and_in_quotes():
    text = 'a = [\n  "x = 1",\n]\n["b c"."d=e"]\n"f=g" = 1  # h = 2\ni.j = 3\n'
    found = places(text)
    assert tomllib.loads(text)
    assert found[("b c", "d=e")] == 4
    assert found[("b c", "d=e", "f=g")] == 5
    assert found[("b c", "d=e", "i", "j")] == 6
    assert line_of(found, ("b c", "d=e", "not there")) == 4
    assert line_of(found, ("nowhere",)) == 1


words = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20)
numbers = st.floats(-1e9, 1e9)


@given(st.lists(words, unique=True, max_size=5), st.lists(numbers, unique=True, max_size=5), st.floats(0, 1), words)
def test_what_is_written_reads_the_same(tmp_path_factory, values, edges, share, note):
    surface = ColumnExpectation(kind="category", values=tuple(values), others=share, missing=share)
    seconds = ColumnExpectation(
        kind="number", edges=tuple(sorted(edges)), at_least=min(edges, default=0.0), level="refuse"
    )
    uploaded = ColumnExpectation(kind="time", never_below=datetime(1999, 1, 2, 3, 4, 5, 678_901, tzinfo=UTC))
    expected = Expectations(
        period=Period(start=datetime(2026, 1, 1, tzinfo=UTC), until=datetime(2026, 1, 2, tzinfo=UTC)),
        bots=Bots(per_hour=3.5, share={"click": share}),
        event={"watch": Group(rows=7, per_day=(1.0, 2.5), columns={"seconds": seconds}),
               "impression": Group(columns={"surface": surface})},
        table={"video": Group(columns={"uploaded_at": uploaded})},
    )  # fmt: skip
    path = tmp_path_factory.getbasetemp() / "expectations.toml"
    path.write_text(to_toml(expected, {("event", "watch"): note, ("bots", "per_hour"): note}), encoding="utf-8")
    assert read(path, SCHEMA) == expected


def test_sections_are_sorted():
    columns = {n: ColumnExpectation(kind="number") for n in ("b", "a")}
    text = to_toml(Expectations(event={n: Group(columns=columns) for n in ("watch", "click")}))
    sections = [line for line in text.splitlines() if line.startswith("[event")]
    assert sections == [
        f"[event.{name}{column}]" for name in ("click", "watch") for column in ("", ".columns.a", ".columns.b")
    ]
