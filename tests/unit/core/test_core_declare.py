from dataclasses import dataclass

import pytest

from winnow.core.declare import Declared, canonical, digest, walk
from winnow.core.errors import did_you_mean
from winnow.core.time import FOREVER, days


@dataclass(frozen=True)
class Pinch(Declared):
    of: str
    amount: float = 1.0


@dataclass(frozen=True)
class Recipe(Declared):
    parts: tuple[Pinch, ...]
    rest: object = None


def test_equal_declarations_have_equal_hashes_wherever_they_were_written():
    one = Pinch("salt")
    two = Pinch("salt")
    assert one.where != two.where
    assert one == two
    assert digest(one) == digest(two)


def test_every_field_but_the_place_changes_the_hash():
    assert len({digest(Pinch("salt")), digest(Pinch("salt", 2.0)), digest(Pinch("pepper"))}) == 3


def test_where_names_file_and_line_of_the_declaration():
    assert Pinch("salt").where.startswith("test_core_declare.py:")


def test_canonical_json_has_sorted_keys_and_durations_in_microseconds():
    assert canonical({"b": days(1), "a": (FOREVER, {2, 1})}) == '{"a":[null,[1,2]],"b":{"us":86400000000}}'


def test_canonical_json_refuses_nan():
    with pytest.raises(ValueError, match="Out of range"):
        canonical({"a": float("nan")})


def test_subclassing_registers():
    assert Declared.known()["Pinch"] is Pinch


def test_walk_finds_declarations_in_mappings_sequences_and_dataclasses():
    recipe = Recipe((Pinch("salt"),), {"x": [Pinch("pepper")]})
    assert [d.of for d in walk(recipe) if isinstance(d, Pinch)] == ["salt", "pepper"]


@pytest.mark.parametrize(
    ("name", "hint"),
    [("coment", "did you mean `comment`?"), ("zebra", "known: comment, like"), ("like", "did you mean `like`?")],
)
def test_hints(name, hint):
    assert did_you_mean(name, ["like", "comment"]) == hint
