"""The past of an ad market as an import, so that a system of ads can be tried without data of one's own."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Self

import polars as pl

from winnow.core.time import days, to_us
from winnow.data.importers.base import Part
from winnow.simulation.ads_tables import past_events, table_rows
from winnow.simulation.ads_world import AdSize, AdWorld
from winnow.simulation.noted import Noted, facts

DAYS = 10
VISITS = 5  # of a person


@dataclass(frozen=True, eq=False)
class AdPast(Noted):
    """Ten days in which ads were shown by chance; see `Noted`."""

    @classmethod
    def read(cls, path: Path) -> Self:
        """What `write` noted down.

        Raises:
            NotFound: `no-world`.
        """
        found = facts(path, fix="`winnow demo FOLDER --system ad_click --no-serve` makes one")
        return cls(AdSize(**found["size"]), found["seed"], found["until"])

    def write(self, path: Path) -> None:
        """Notes down what it takes to build it again."""
        self.note(path, {})

    @cached_property
    def world(self) -> AdWorld:
        """The market."""
        return AdWorld.make(self.size, seed=self.seed)

    def tables(self) -> Iterator[Part]:
        """Rows of every table, there before anything was shown."""
        for name, rows in table_rows(self.world, at=self.until - to_us(days(DAYS + 2))):
            yield name, pl.DataFrame(rows, infer_schema_length=None)

    def events(self) -> Iterator[Part]:
        """What was shown, and what people did."""
        since, visits = self.until - to_us(days(DAYS)), VISITS * self.size.people
        yield from past_events(self.world, visits=visits, since=since, until=self.until)
