"""Frappe: which apps people used, and in which context.

The context is the time of day, the day of the week, at home or at work, the weather, the country and the city.

Download: https://www.baltrunas.info/context-aware (free for research with citation). Source: Baltrunas, Church,
Karatzoglou and Oliver, "Frappe: Understanding the Usage and Perception of Mobile App Recommendations In-The-Wild",
arXiv:1505.03014.

The folder holds `train.csv`, `validation.csv` and `test.csv` (one row per app that was used in a context) and
`meta_app.csv` (what is known about each app). As published, every row of the validation file stands in the training
file too, so what is left of the training file without them is taken: stopping early would be judged on rows that were
learned. Only uses are in the files, so for each one negatives are drawn: apps
that this person never used in this context, in any of the three files. `cnt`, how often the app was used, is an
outcome, not an input: it is left out. Nothing has a time, so the importer sets rows one second apart from 2014 on, the
parts in their order.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray

from winnow.core.time import MICROS, parse_time
from winnow.data.importers.base import Importer, Part, file

FrappePart = Literal["train", "validation", "test"]
PARTS: tuple[FrappePart, ...] = ("train", "validation", "test")
CONTEXT = ("daytime", "weekday", "isweekend", "homework", "weather", "country", "city")
APP = ("category", "downloads", "language", "price", "rating")
NEGATIVES = 2
_BEGAN = parse_time("2014-01-01T00:00:00Z")
_DRAWS = 20


class Frappe(Importer):
    """Apps, impressions with their context, and clicks: a use is an impression that was clicked."""

    name = "frappe"

    def tables(self, path: Path) -> Iterator[Part]:
        yield "app", apps(path).rename({"item": "app_id"}).with_columns(changed_at=pl.lit(_BEGAN))

    def events(self, path: Path) -> Iterator[Part]:
        before = 0
        for part in PARTS:
            rows = read(path, part).with_row_index("row", offset=before)
            rows = rows.with_columns(at=_BEGAN + pl.col("row").cast(pl.Int64) * MICROS, app="item")
            before += len(rows)
            yield "impression", rows.select("at", "user", "app", *CONTEXT, event_id=_id("impression"))
            yield "click", rows.filter(pl.col("click") == 1).select("at", "user", "app", event_id=_id("click"))


def _id(name: str) -> pl.Expr:
    return pl.format("frappe-{}-{}", pl.lit(name), "row")


def apps(path: Path) -> pl.DataFrame:
    """What is known about each app: `item` and the codes in `APP`."""
    return pl.read_csv(file(path, "meta_app.csv")).select("item", *APP)


def read(path: Path, part: FrappePart, *, negatives: int = NEGATIVES, seed: int = 0) -> pl.DataFrame:
    """The rows of a part: every use, and `negatives` apps that were not used for each, shuffled.

    Args:
        path: the folder.
        part: which file.
        negatives: per use.
        seed: of the draw and the order; the same seed gives the same rows.

    Returns:
        `click` (1 for a use), `user`, `item` and the context, as the codes of the files.

    Raises:
        NotFound: `missing-file`.
    """
    files = {p: pl.read_csv(file(path, f"{p}.csv")) for p in PARTS}
    files["train"] = files["train"].join(
        files["validation"], on=files["train"].columns, how="anti", maintain_order="left"
    )
    used = {p: rows.select("user", "item", *CONTEXT) for p, rows in files.items()}
    everything, number = pl.concat(used.values()), int(apps(path)["item"].max()) + 1  # type: ignore[arg-type]
    rng = np.random.default_rng([seed, PARTS.index(part)])
    drawn = pl.concat([used[part]] * negatives) if negatives else used[part].clear()
    items = _unused(_places(everything, drawn), everything["item"].to_numpy(), number, rng=rng)
    drawn = drawn.with_columns(item=pl.Series(items, dtype=drawn["item"].dtype))
    both = pl.concat([used[part].with_columns(click=1), drawn.with_columns(click=0)])
    return both.select("click", "user", "item", *CONTEXT)[rng.permutation(len(both))]


def _places(everything: pl.DataFrame, drawn: pl.DataFrame) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Numbers for each (person, context): of every use, and of the rows to draw for."""
    both = pl.concat([everything, drawn]).select(place=pl.struct("user", *CONTEXT).rank("dense"))
    place = both["place"].cast(pl.Int64).to_numpy()
    return place[: len(everything)], place[len(everything) :]


def _unused(
    places: tuple[NDArray[np.int64], NDArray[np.int64]], items: NDArray[np.int64], number: int, *,
    rng: np.random.Generator,
) -> NDArray[np.int64]:  # fmt: skip
    """An app for each row, uniform among those not used in its place."""
    known, wanted = np.unique(places[0] * number + items), places[1]
    drawn = rng.integers(number, size=len(wanted))
    for _ in range(_DRAWS):
        taken = np.flatnonzero(np.isin(wanted * number + drawn, known))
        drawn[taken] = rng.integers(number, size=len(taken))
    return drawn
