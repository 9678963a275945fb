"""Users who behave as no person does, and storms of copies; found in the history, so that training can leave them out."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from winnow.core.system import System
from winnow.core.time import MICROS
from winnow.data.declare import AnyOf
from winnow.data.expectations.declare import Bots, Storms
from winnow.data.expectations.sample import down, up
from winnow.data.history import History
from winnow.data.schema import Events

Notes = dict[tuple[str, ...], str]
_HOUR, _DAY = 3600 * MICROS, 86_400 * MICROS
_PAUSE_US = 1800 * MICROS  # a longer gap is the end of a visit and tells nothing about how somebody acts
_SIGMAS = 6.0
_SPREAD = 0.25  # least spread, of the logarithm: where all people are alike, that is no reason to flag a few
_PEOPLE = 30  # below so many people with enough events no limit is learned
_SCHEMA = {
    "user": pl.Int64, "reason": pl.String, "event": pl.String, "value": pl.Float64, "limit": pl.Float64,
    "events": pl.Int64, "first_at": pl.Int64, "last_at": pl.Int64,
}  # fmt: skip
