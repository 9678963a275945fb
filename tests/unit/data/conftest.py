"""A small shop: two tables, three event types, and a clock that tests drive."""

from dataclasses import dataclass, field
from pathlib import Path

import pytest

from winnow.core.time import parse_time
from winnow.data.history import History
from winnow.data.intake import Intake
from winnow.data.log import SqliteLog
from winnow.data.quarantine import Quarantine
from winnow.data.schema import Events, Table, categories, category, flag, number, personal, text, time

NOW = parse_time("2026-01-01T00:00:00+00:00")

user = Table("user", key="user_id", columns={"activity": category, "secret": personal(number(at_least=0))})
video = Table("video", key="video_id", columns={
    "author": category, "tags": categories, "duration_s": number(at_least=0), "uploaded_at": time, "title": text,
    "available": flag,
})  # fmt: skip
both = {"user": user, "video": video}
impression = Events("impression", refs=both, fields={"surface": category, "position": number(at_least=0)})
click = Events("click", refs=both)
watch = Events("watch", refs=both, fields={"seconds": number(at_least=0, at_most=86_400), "long": flag})


@dataclass
class Clock:
    now: int = NOW

    def __call__(self) -> int:
        return self.now


@dataclass
class Shop:
    folder: Path
    clock: Clock = field(default_factory=Clock)

    def __post_init__(self):
        self.log = SqliteLog(self.folder / "truth.db", clock=self.clock)
        self.events = {e.name: e for e in (impression, click, watch)}
        self.intake = Intake(self.log, both, self.events, clock=self.clock)
        self.quarantine = Quarantine(self.log.database)
        self.history = History(self.folder / "history", both, self.events)


@pytest.fixture
def shop(tmp_path):
    shop = Shop(tmp_path)
    yield shop
    shop.log.close()


@pytest.fixture
def click_row():
    def row(event_id="e1", **more):
        return {"event_id": event_id, "type": "click", "user": "u1", "video": "v1"} | more

    return row


@pytest.fixture
def watch_row():
    def row(event_id="w1", **more):
        return {"event_id": event_id, "type": "watch", "user": "u1", "video": "v1", "seconds": 3} | more

    return row
