"""How well listings are found that guests stay in later, on Inside Airbnb's Singapore; speed, and a world to book in.

Truth: a guest who reviewed a listing reviewed another one later. Each such pair is a question: the earlier listing
asks, the later one should be found, among all listings that existed by then. Pairs whose later review falls into the
last quarter judge, the 15 % before choose the weights of the blend, those before teach. In the random split pairs are
dealt out without regard to time, for the gap between the two. Prices, types and places are those of the snapshot of
2023-09-23; ratings are left out, since only listings that were reviewed in the end have any.
"""

import argparse
import json
import os
import platform
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from benchmarks.stays.speed import calendars, race
from benchmarks.stays.world import bookings, latency
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from winnow.core.time import days
from winnow.data.importers import load
from winnow.data.importers.airbnb import Airbnb
from winnow.evaluation.bootstrap import Interval, Resamples, difference, interval
from winnow.features.plan import Plan
from winnow.models.base import Run
from winnow.models.examples import Catalogue
from winnow.models.item_blend import ItemBlend
from winnow.models.item_retrieval import ItemRetriever, normalised, places, ranks
from winnow.models.sessions import Journeys, Sessions, cut
from winnow.models.skipgram import SkipGram
from winnow.project import Project
from winnow.training.dataset import HistorySource, catalogue_features, state_of

DATA = Path(os.environ.get("WINNOW_DATA", Path(__file__).resolve().parents[2] / "shared" / "data"))
FIRST = 20
TEACHES, CHOOSES = 0.6, 0.75  # shares of the pairs, in order of time
NEIGHBOURS = 20  # that vote in a probe
Ints, Floats = NDArray[np.int64], NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Town:
    """Listings with what they are, and who reviewed which, each listing of a guest once.

    Args:
        catalogue: all listings.
        table: their columns, in the order of the catalogue.
        began: when each was there, int64 [I].
        reviews: guest, listing (row) and moment, sorted.
        pairs: guest, earlier and later listing (rows) and the later moment.
    """

    catalogue: Catalogue
    table: pl.DataFrame
    began: Ints
    reviews: pl.DataFrame
    pairs: pl.DataFrame


@dataclass(frozen=True, eq=False)
class Parts:
    """What teaches, what chooses, and the questions that judge."""

    train: Journeys
    valid: Journeys
    test: pl.DataFrame


def main(*arguments: str) -> None:
    """Fits every rung on both splits, asks every question, prints tables and one line of JSON."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks similar_listings")
    parser.add_argument("--no-speed", action="store_true", help="leave out the race and the calendars")
    parser.add_argument("--no-world", action="store_true", help="leave out the simulated world")
    options = parser.parse_args(arguments)
    console = Console(width=150)
    with tempfile.TemporaryDirectory() as folder:
        project = Project.init(Path(folder) / "stays", "similar_listings")
        load(Airbnb(), DATA / "airbnb_singapore", project.intake, progress=False)
        town = read(project)
        split = by_time(town)
        told = quality(town, split, models(project), Path(folder) / "time", console)
        gap = at_random(town, split, models(project), Path(folder) / "random", console)
        probed, sessions = probes(town, told.pop("vectors"), console), sessions_of(project)
        project.close()
    speed = {} if options.no_speed else {"skipgram": race(sessions, console), "calendars": calendars(console)}
    if not options.no_world:
        speed |= {"bookings": bookings(console), "latency": latency(console)}
    result = {"name": "similar_listings", "data": "airbnb_singapore", "time": told, "random": gap, "probes": probed}
    print(json.dumps({**result, **speed, **where()}))


# Data ---------------------------------------------------------------------------------------------------------------


def read(project: Project) -> Town:
    """Listings with their features by the system's own plan, and reviews."""
    project.history.sync(project.log)
    system, source = project.system("similar_listings"), HistorySource(project.history)
    table = project.history.table_at("listing")
    rows, state = table["row"].to_numpy(), state_of(project, system.features, source)
    plan = Plan.of(system.features, system.labels)
    features = catalogue_features(plan, "listing", rows, state=state, at=1 << 61)
    reviews = project.history.events("book").collect().select("visitor", "listing", "at").sort("visitor", "at")
    reviews = reviews.unique(["visitor", "listing"], keep="first", maintain_order=True)
    pairs = reviews.join(reviews, on="visitor", suffix="_later").filter(pl.col("at_later") > pl.col("at"))
    return Town(Catalogue(rows, features), table, table["listed_at"].to_numpy(), reviews, pairs)


def by_time(town: Town) -> Parts:
    """The pairs in order of time."""
    teaches, chooses = np.quantile(town.pairs["at_later"].to_numpy(), [TEACHES, CHOOSES])
    later = pl.col("at_later")
    valid = town.pairs.filter((later >= teaches) & (later < chooses))
    return Parts(visits(town.reviews.filter(pl.col("at") < teaches)), asked(valid), town.pairs.filter(later >= chooses))


def dealt(town: Town, like: Parts, seed: int) -> Parts:
    """As many pairs of each part, dealt out at random; what judges is taken out of the visits pair by pair."""
    order = np.random.default_rng(seed).permutation(len(town.pairs))
    test, valid = order[: len(like.test)], order[len(like.test) : len(like.test) + len(like.valid)]
    taught = town.pairs[order[len(test) + len(valid) :]]
    return Parts(asked(taught, both=True), asked(town.pairs[np.sort(valid)]), town.pairs[np.sort(test)])


def visits(reviews: pl.DataFrame) -> Journeys:
    """All that a guest reviewed as one session."""
    people, items, at = (reviews[c].to_numpy().astype(np.int64) for c in ("visitor", "listing", "at"))
    ones, never = np.ones(len(at), np.float32), np.zeros(len(at), bool)
    return cut(people, items, at, weights=ones, goal=never, gap=1 << 60)


def asked(pairs: pl.DataFrame, *, both: bool = False) -> Journeys:
    """Pairs as sessions: of one step and a goal, or of `both` as steps."""
    n = len(pairs)
    one, two, at = (pairs[c].to_numpy().astype(np.int64) for c in ("listing", "listing_later", "at_later"))
    items = np.stack([one, two], axis=1).ravel() if both else one
    size = len(items) // max(n, 1)
    goals = np.full(n, -1) if both else two
    ones = np.ones(len(items), np.float32)
    return Journeys(items, np.arange(n + 1) * size, ones, goals, at, at, pairs["visitor"].to_numpy())


# Models -------------------------------------------------------------------------------------------------------------


def sessions_of(project: Project) -> Sessions:
    """All that a guest reviewed as one session."""
    return Sessions(project.events["view"], by="visitor", gap=days(20_000))


def models(project: Project) -> dict[str, ItemRetriever]:
    """The rungs of the system in the box, without ratings; sessions are all that a guest reviewed."""
    ladder = project.system("similar_listings").retrieval
    assert ladder is not None
    _, content = ladder.rungs["L1"]
    sessions = sessions_of(project)
    content = replace(content, near={n: x for n, x in content.near.items() if n != "listing_rating"}, sessions=sessions)
    together = SkipGram(sessions, content, epochs=20)
    return {
        "same area and price": ladder.rungs["L0"][0],
        "content, declared weights": replace(content, sessions=None),
        "content, learned weights": content,
        "skip-gram on co-reviews": together,
        "content and skip-gram": ItemBlend((content, together)),
    }


def fitted(model: ItemRetriever, town: Town, parts: Parts, folder: Path) -> NDArray[np.float32]:
    """Vectors of the catalogue."""
    folder.mkdir(parents=True)
    model.learn(parts.train, parts.valid, town.catalogue, Run(folder, threads=1))
    return np.load(folder / "item_vectors.npy")


# Quality ------------------------------------------------------------------------------------------------------------


def found(vectors: NDArray[np.float32], town: Town, pairs: pl.DataFrame) -> Floats:
    """The rank of each later listing among those that existed then, float64 [q]."""
    rows = town.catalogue.rows
    one, two = (places(rows, pairs[c].to_numpy()) for c in ("listing", "listing_later"))
    there = town.began[None, :] <= pairs["at_later"].to_numpy()[:, None]
    there[np.arange(len(two)), two] = True
    return ranks(vectors, one, two, open_to=there).astype(np.float64)


def most_reviewed(town: Town, parts: Parts) -> NDArray[np.float32]:
    """A space in which everything is nearest to what was reviewed most while models learned."""
    seen = np.bincount(places(town.catalogue.rows, parts.train.items), minlength=len(town.catalogue.rows))
    return (1 + seen)[:, None].astype(np.float32)


def slices(town: Town, parts: Parts) -> dict[str, NDArray[np.bool_]]:
    """Questions to look at alone."""
    rows, area, host = town.catalogue.rows, town.table["area"].to_numpy(), town.table["host"].to_numpy()
    one, two = (places(rows, parts.test[c].to_numpy()) for c in ("listing", "listing_later"))
    new = ~np.isin(parts.test["listing_later"].to_numpy(), parts.train.items)
    return {
        "all": np.ones(len(one), bool), "later listing not taught": new, "both taught": ~new & np.isin(
            parts.test["listing"].to_numpy(), parts.train.items),
        "another neighbourhood": area[one] != area[two], "same neighbourhood": area[one] == area[two],
        "another host": host[one] != host[two],
    }  # fmt: skip


def quality(
    town: Town, parts: Parts, rungs: Mapping[str, ItemRetriever], folder: Path, console: Console
) -> dict[str, Any]:
    """recall@20, MRR and mean rank of every rung and slice, with intervals by resampling guests."""
    spaces = {name: fitted(model, town, parts, folder / str(i)) for i, (name, model) in enumerate(rungs.items())}
    spaces = {"most reviewed": most_reviewed(town, parts)} | spaces
    places_ = {name: found(vectors, town, parts.test) for name, vectors in spaces.items()}
    drawn, records = Resamples.of(parts.test["visitor"].to_numpy()), []
    for name, rank in places_.items():
        records += list(_records(name, rank, slices(town, parts), drawn))
    base = measured(places_["same area and price"])
    apart = {name: {m: difference(drawn.means(v), drawn.means(base[m])) for m, v in measured(rank).items()}
             for name, rank in places_.items()}  # fmt: skip
    sizes = {"taught_sessions": len(parts.train), "chosen_by": len(parts.valid), "questions": len(parts.test),
             "guests": parts.test["visitor"].n_unique(), "listings": len(town.catalogue.rows)}  # fmt: skip
    console.print(sizes)
    _print(console, records, "split by time; 95 % intervals by resampling guests")
    names = ("content, learned weights", "skip-gram on co-reviews")
    return {
        "sizes": sizes,
        "records": records,
        "against_area_and_price": apart,
        "vectors": {n: spaces[n] for n in names},
    }


def measured(rank: Floats) -> dict[str, Floats]:
    """Metric → value of each question."""
    return {f"recall@{FIRST}": (rank <= FIRST).astype(np.float64), "mrr": 1 / rank, "mean_rank": rank}


def _records(
    name: str, rank: Floats, masks: Mapping[str, NDArray[np.bool_]], drawn: Resamples
) -> Iterator[dict[str, Any]]:
    for part, mask in masks.items():
        for metric, values in measured(rank).items():
            told = interval(drawn.means(np.where(mask, values, np.nan)))
            yield {"rung": name, "slice": part, "metric": metric, "n": int(mask.sum()), **told._asdict()}


def _print(console: Console, records: list[dict[str, Any]], title: str) -> None:
    columns = list(dict.fromkeys((r["slice"], r["metric"]) for r in records))
    for part in dict.fromkeys(r["slice"] for r in records):
        some = [r for r in records if r["slice"] == part]
        table = Table("rung", *(m for s, m in columns if s == part), title=f"{title}: {part}, {some[0]['n']} questions")
        for rung in dict.fromkeys(r["rung"] for r in some):
            table.add_row(rung, *(_told(Interval(r["value"], r["low"], r["high"])) for r in some if r["rung"] == rung))
        console.print(table)


def _told(of: Interval) -> str:
    digits = 0 if of.value > 1 else 3
    return f"{of.value:.{digits}f} ({of.low:.{digits}f} to {of.high:.{digits}f})"


def at_random(
    town: Town, like: Parts, rungs: Mapping[str, ItemRetriever], folder: Path, console: Console
) -> dict[str, Any]:
    """The same rungs on pairs dealt out at random, and by how much that flatters them."""
    parts, out = dealt(town, like, seed=0), {}
    for i, (name, model) in enumerate(rungs.items()):
        rank = found(fitted(model, town, parts, folder / str(i)), town, parts.test)
        drawn = Resamples.of(parts.test["visitor"].to_numpy())
        out[name] = {m: interval(drawn.means(v)) for m, v in measured(rank).items()}
    table = Table(
        "rung", *out[next(iter(out))], title="split at random, as many pairs: what a careless split would tell"
    )
    for name, row in out.items():
        table.add_row(name, *map(_told, row.values()))
    console.print(table)
    return out


def probes(town: Town, spaces: Mapping[str, NDArray[np.float32]], console: Console) -> dict[str, Any]:
    """What vectors know: the room type, price decile and neighbourhood of a listing, by a vote of its 20 nearest."""
    price = town.table["price"].to_numpy()
    decile = np.searchsorted(np.nanquantile(price, np.linspace(0.1, 0.9, 9)), price)
    facts_ = {"room type": town.table["kind"].to_numpy(), "neighbourhood": town.table["area"].to_numpy(),
              "price decile": decile}  # fmt: skip
    table, out = (
        Table("vectors", *facts_, title=f"right by a vote of the {NEIGHBOURS} nearest (share of the commonest)"),
        {},
    )
    for name, vectors in spaces.items():
        scores = normalised(vectors) @ normalised(vectors).T
        np.fill_diagonal(scores, -np.inf)
        near = np.argpartition(-scores, NEIGHBOURS, axis=1)[:, :NEIGHBOURS]
        out[name] = {fact: float((_vote(codes[near]) == codes).mean()) for fact, codes in facts_.items()}
        table.add_row(name, *(f"{v:.3f}" for v in out[name].values()))
    common = {fact: float(np.bincount(codes).max() / len(codes)) for fact, codes in facts_.items()}
    table.add_row("the commonest", *(f"{v:.3f}" for v in common.values()))
    console.print(table)
    return out | {"the commonest": common}


def _vote(codes: Ints) -> Ints:
    votes = np.zeros((len(codes), int(codes.max()) + 1), np.int64)
    np.add.at(votes, (np.arange(len(codes))[:, None], codes), 1)
    return votes.argmax(axis=1)


def where() -> dict[str, str]:
    """Machine, commit and day of a run."""
    command = ["git", "-C", str(Path(__file__).parent), "rev-parse", "--short", "HEAD"]
    commit = subprocess.run(command, check=False, capture_output=True, text=True).stdout.strip()
    machine = f"{platform.machine()}, {os.cpu_count()} cores"
    return {"at": datetime.now(UTC).date().isoformat(), "commit": commit, "machine": machine}
