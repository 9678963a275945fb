"""The initial log of a world as an import: `winnow import world FOLDER`, where `FOLDER/world.json` notes the world."""

from collections.abc import Iterator
from pathlib import Path

from winnow.data.importers.base import Importer, Part
from winnow.simulation.ads_past import AdPast
from winnow.simulation.history import world_events, world_tables
from winnow.simulation.listings_history import listing_events, listing_tables
from winnow.simulation.listings_world import ListingWorld
from winnow.simulation.social_history import social_events, social_tables
from winnow.simulation.social_world import SocialWorld
from winnow.simulation.world import World

FILE = "world.json"


class WorldImporter(Importer):
    """People, videos, and what the people did before the service began; the path is the folder of `World.write`."""

    name = "world"

    def tables(self, path: Path) -> Iterator[Part]:
        yield from world_tables(World.read(path / FILE))

    def events(self, path: Path) -> Iterator[Part]:
        yield from world_events(World.read(path / FILE))


class SocialImporter(Importer):
    """Members, ties, posts, and what members did before the service began; the path is that of `SocialWorld.write`."""

    name = "social"

    def tables(self, path: Path) -> Iterator[Part]:
        yield from social_tables(SocialWorld.read(path / FILE))

    def events(self, path: Path) -> Iterator[Part]:
        yield from social_events(SocialWorld.read(path / FILE))


class ListingsImporter(Importer):
    """Listings with calendars, and what travellers looked at and booked; the path is that of `ListingWorld.write`."""

    name = "listings"

    def tables(self, path: Path) -> Iterator[Part]:
        yield from listing_tables(ListingWorld.read(path / FILE))

    def events(self, path: Path) -> Iterator[Part]:
        yield from listing_events(ListingWorld.read(path / FILE))


class AdsImporter(Importer):
    """People, advertisers, ads, and what was shown and clicked; the path is the folder of `AdPast.write`."""

    name = "ads"

    def tables(self, path: Path) -> Iterator[Part]:
        yield from AdPast.read(path / FILE).tables()

    def events(self, path: Path) -> Iterator[Part]:
        yield from AdPast.read(path / FILE).events()
