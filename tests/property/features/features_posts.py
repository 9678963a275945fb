"""A schema with texts and images, a small log of it, and the oracle with vectors."""

from pathlib import Path
from typing import Any

from features_oracle import Happened, LogSource, OracleState

from winnow.core.time import MICROS, hours
from winnow.data.declare import Labels
from winnow.data.declare import any as any_of
from winnow.data.schema import Events, Table, category, image, ref, text
from winnow.encoders.encodings import Encodings

START = 1_700_000_000 * MICROS
SECOND = MICROS

member = Table("member", key="member_id", columns={"bio": text, "country": category})
post = Table("post", key="post_id", columns={"text": text, "author": ref(member), "picture": image})
BOTH = {"member": member, "post": post}
shown = Events("impression", refs=BOTH)
like = Events("like", refs=BOTH)
labels = Labels(of=shown, within=hours(1), heads={"like": any_of(like)})

POSTS = {0: "cats and dogs", 1: "dogs and cats in the rain", 2: "stars and planets", 3: None, 4: "planets of far stars"}
BIOS = {0: "I write about cats and dogs", 1: "astronomer: stars, planets", 2: None}


def put(log: list[Happened], table: Table, row: int, at: int, **values: Any) -> None:
    full = {name: values.get(name, None if kind.storage == "text" else -1) for name, kind in table.columns.items()}
    log.append(Happened(len(log) + 1, at, at, table, full, row))


def liked(log: list[Happened], who: int, what: int, at: int) -> None:
    log.append(Happened(len(log) + 1, at, at, like, {"member": who, "post": what}))


def log() -> list[Happened]:
    """Member 0 likes posts 0 and 1, member 1 post 2; member 2 none; post 0 is rewritten at START + 100 s."""
    made: list[Happened] = []
    for row, bio in BIOS.items():
        put(made, member, row, START, bio=bio)
    for row, words in POSTS.items():
        put(made, post, row, START, text=words, author=row % 2, picture=f"{row}.png")
    liked(made, 0, 0, START + 10 * SECOND)
    liked(made, 0, 1, START + 20 * SECOND)
    liked(made, 1, 2, START + 30 * SECOND)
    liked(made, 2, 3, START + 40 * SECOND)
    put(made, post, 0, START + 100 * SECOND, text="planets and stars", author=0, picture="0.png")
    return made


class WithVectors(OracleState):
    """The oracle; vectors come from a cache."""

    def __init__(self, log: list[Happened], encodings: Encodings | Path):
        super().__init__(log)
        self.encodings = encodings if isinstance(encodings, Encodings) else Encodings(encodings)

    def vectors(self, encoder: Any, hashes: Any) -> Any:
        return self.encodings.vectors(encoder, hashes)


def source(log: list[Happened]) -> LogSource:
    """The log as history."""
    return LogSource(log, [member, post, shown, like])
