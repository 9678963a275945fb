"""What training needs of a project."""

from pathlib import Path
from typing import Protocol

from winnow.data.history import History
from winnow.data.log import SqliteLog
from winnow.encoders.encodings import Encodings
from winnow.features.history import Budget
from winnow.releases.registry import Registry


class Stores(Protocol):
    """The stores that training reads and writes; a `Project` is one."""

    @property
    def folder(self) -> Path: ...
    @property
    def log(self) -> SqliteLog: ...
    @property
    def history(self) -> History: ...
    @property
    def registry(self) -> Registry: ...
    @property
    def encodings(self) -> Encodings: ...
    @property
    def budget(self) -> Budget: ...
