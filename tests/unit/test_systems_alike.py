"""What systems share is shared in code: no two system files say nearly the same."""

import difflib
import io
import itertools
import tokenize
from pathlib import Path

SYSTEMS = Path(__file__).resolve().parents[2] / "src" / "winnow" / "systems"
LIMIT = 0.8
_LAYOUT = {tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER}


def words(text: str) -> list[str]:
    """What a file says: its tokens, without layout and comments."""
    return [t.string for t in tokenize.generate_tokens(io.StringIO(text).readline) if t.type not in _LAYOUT]


def alike(one: str, other: str) -> float:
    """The share of two files that they have in common, in order, 0 to 1."""
    return difflib.SequenceMatcher(None, words(one), words(other), autojunk=False).ratio()


def files() -> dict[str, str]:
    return {path.stem: path.read_text() for path in sorted(SYSTEMS.glob("[!_]*.py"))}


def too_alike(found: dict[str, str]) -> list[tuple[str, str, float]]:
    pairs = itertools.combinations(found.items(), 2)
    shares = [(one, other, alike(a, b)) for (one, a), (other, b) in pairs]
    return [pair for pair in shares if pair[2] > LIMIT]


def test_no_two_system_files_are_more_than_80_percent_alike():
    assert len(files()) >= 3
    assert too_alike(files()) == []


def test_a_copy_with_other_names_numbers_and_layout_is_seen():
    found = files()
    copy = found["news_feed"].replace("member", "reader").replace("post", "story").replace("days(30)", "days(14)")
    found["copied"] = "\n".join(f"{line}  # said before" if line else "" for line in copy.splitlines())
    renamed = sum(a != b for a, b in zip(words(found["news_feed"]), words(found["copied"]), strict=True))
    assert renamed > 50
    # Other names alone make two files differ by every place where they stand; what is left is what they share.
    assert [pair[:2] for pair in too_alike(found)] == [("news_feed", "copied")]
