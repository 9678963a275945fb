"""What serving needs of a project."""

from pathlib import Path
from typing import Protocol

from winnow.core.settings import Settings
from winnow.core.system import System
from winnow.data.log import SqliteLog
from winnow.data.schema import Table
from winnow.encoders.encodings import Encodings
from winnow.releases.registry import Registry


class Stores(Protocol):
    """The stores that serving reads and writes; a `Project` is one."""

    @property
    def folder(self) -> Path: ...
    @property
    def settings(self) -> Settings: ...
    @property
    def systems(self) -> dict[str, System]: ...
    @property
    def tables(self) -> dict[str, Table]: ...
    @property
    def log(self) -> SqliteLog: ...
    @property
    def registry(self) -> Registry: ...
    @property
    def encodings(self) -> Encodings: ...
