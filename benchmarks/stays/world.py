"""Whether lists lead to bookings, in a world where it is known who would book what, and how long a list takes."""

import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

from winnow.core.time import now_us
from winnow.data.importers import load
from winnow.evaluation.bootstrap import Resamples, difference, interval
from winnow.project import Project
from winnow.simulation.importer import FILE, ListingsImporter
from winnow.simulation.listings_truth import List, worth
from winnow.simulation.listings_world import Ints, ListingSize, ListingWorld, Trips

NAME, SIZE = "similar_listings", 12
TRAVELLERS, ASKED = 400, 2_000
LARGE = ListingSize(listings=20_000, later=200, cities=40, trips=4_000, robots=0)


def bookings(console: Console) -> dict[str, Any]:
    """The chance of a booking from the list of every rung, and from what is served."""
    with tempfile.TemporaryDirectory() as folder:
        project, world = _grown(Path(folder) / "stays", ListingSize())
        trips = world.trips(TRAVELLERS, 77)
        release = project.registry.open(NAME, project.registry.newest(NAME)).folder / "retrieval"
        lists = {model.name: _of(world, project, model) for model in sorted(release.glob("L*"))}
        lists |= {"as served": _served(world, project), "the best there is": _perfect(world)}
        found = {name: worth(world, trips, one) for name, one in lists.items()}
        project.close()
    real = ~np.isnan(next(iter(found.values())))
    drawn, base = Resamples.of(np.arange(real.sum())), found["L0-Attributes"][real]
    told: dict[str, Any] = {
        name: {"booked": interval(drawn.means(v[real])), "more": difference(drawn.means(v[real]), drawn.means(base))}
        for name, v in found.items()
    }
    console.print({name: {k: [round(x, 4) for x in v] for k, v in one.items()} for name, one in told.items()})
    return told


def latency(console: Console) -> dict[str, Any]:
    """Milliseconds of a list of twelve among 20,200 listings, without filters and with dates, guests and price."""
    with tempfile.TemporaryDirectory() as folder:
        project, world = _grown(Path(folder) / "stays", LARGE)
        trips, rng, told = world.trips(ASKED, 5), np.random.default_rng(0), {}
        for name in ("plain", "filtered"):
            spent = []
            for one in range(ASKED):
                price = {"price": {"at_most": float(trips.budget[one] * 1.5)}}
                wish = _wish(world, trips, one) | price if name == "filtered" else {}
                asker = world.listings.ids[int(rng.integers(LARGE.listings))]
                began = time.perf_counter()
                project.rank(NAME, user=asker, size=SIZE, filter=wish)
                spent.append((time.perf_counter() - began) * 1e3)
            told[name] = {"median_ms": float(np.median(spent)), "p99_ms": float(np.quantile(spent, 0.99))}
        project.close()
    console.print(told)
    return told


def _grown(folder: Path, size: ListingSize) -> tuple[Project, ListingWorld]:
    """A project that was trained on the log of a world."""
    project, world = Project.init(folder, NAME), ListingWorld.make(size, until=now_us())
    world.write(folder / FILE)
    load(ListingsImporter(), folder, project.intake, progress=False)
    project.train(NAME, threads=1)
    return project, world


def _wish(world: ListingWorld, trips: Trips, one: int) -> dict[str, Any]:
    return {"calendar": world.stay(trips, one), "guests": {"at_least": float(trips.guests[one])}}


def _served(world: ListingWorld, project: Project) -> List:
    def beside(trips: Trips, one: int, row: int) -> Ints:
        wish = _wish(world, trips, one) | {"city": f"city-{trips.city[one]}"}
        reply = project.rank(NAME, user=world.listings.ids[row], size=SIZE, filter=wish)
        return world.rows([item["id"] for item in reply["items"]])

    return beside


def _of(world: ListingWorld, project: Project, model: Path) -> List:
    """The nearest that fit, by the vectors of a fitted rung."""
    vectors = np.load(model / "item_vectors.npy")
    rows = world.rows(project.log.ids.ids("listing", np.load(model / "item_rows.npy")))
    place = {int(row): i for i, row in enumerate(rows)}

    def beside(trips: Trips, one: int, row: int) -> Ints:
        if row not in place:
            return rows[:0]
        fit = np.flatnonzero(world.fits(trips, one, rows) & (rows != row))
        likeness = vectors[fit] @ vectors[place[row]]
        return rows[fit[np.argsort(-likeness, kind="stable")[:SIZE]]]

    return beside


def _perfect(world: ListingWorld) -> List:
    """What somebody would show who knows the traveller."""
    everything = np.arange(len(world.listings))

    def beside(trips: Trips, one: int, row: int) -> Ints:
        fit = everything[world.fits(trips, one, everything) & (everything != row)]
        return fit[np.argsort(-world.pleases(trips, one, fit), kind="stable")[:SIZE]]

    return beside
