"""The initial logs of worlds as imports: `winnow import world FOLDER`, where `FOLDER/world.json` notes the world."""

from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar, Protocol

from winnow.core.time import now_us
from winnow.data.importers.base import Importer, Part
from winnow.simulation.acquaint_history import Past, acquaint_tables
from winnow.simulation.acquaint_world import AcquaintSize, AcquaintWorld
from winnow.simulation.ads_past import AdPast
from winnow.simulation.ads_world import AdSize
from winnow.simulation.event_history import event_log, event_tables
from winnow.simulation.event_world import EventSize, EventWorld
from winnow.simulation.history import world_events, world_tables
from winnow.simulation.listings_history import listing_events, listing_tables
from winnow.simulation.listings_world import ListingSize, ListingWorld
from winnow.simulation.search_past import search_events, search_tables
from winnow.simulation.search_world import SearchSize, SearchWorld
from winnow.simulation.social_history import social_events, social_tables
from winnow.simulation.social_world import SocialSize, SocialWorld
from winnow.simulation.world import Size, World

FILE = "world.json"


class Writable(Protocol):
    """A world that can be noted down."""

    def write(self, path: Path) -> None:
        """Notes down what it takes to build it again."""


class Imagined(Importer):
    """What happened in a world before the service began; the path is the folder in which the world was noted.

    Subclasses name the system that their world is for, and make a new one.
    """

    system: ClassVar[str]

    @staticmethod
    def make(people: int, items: int) -> Writable:
        """A new world of about this size, whose past ends now."""
        raise NotImplementedError


class WorldImporter(Imagined):
    """People, videos, and what the people watched."""

    name, system = "world", "video_recommendation"

    @staticmethod
    def make(people: int, items: int) -> Writable:
        size = Size(people=people, videos=items, later=items // 10, impressions=75 * people)
        return World.make(size, until=now_us())

    def tables(self, path: Path) -> Iterator[Part]:
        yield from world_tables(World.read(path / FILE))

    def events(self, path: Path) -> Iterator[Part]:
        yield from world_events(World.read(path / FILE))


class SocialImporter(Imagined):
    """Members, ties, posts, and what members did."""

    name, system = "social", "news_feed"

    @staticmethod
    def make(people: int, items: int) -> Writable:
        size = SocialSize(members=people, posts=4 * items, later=items // 10, impressions=75 * people)
        return SocialWorld.make(size, until=now_us())

    def tables(self, path: Path) -> Iterator[Part]:
        yield from social_tables(SocialWorld.read(path / FILE))

    def events(self, path: Path) -> Iterator[Part]:
        yield from social_events(SocialWorld.read(path / FILE))


class ListingsImporter(Imagined):
    """Listings with calendars, and what travellers looked at and booked."""

    name, system = "listings", "similar_listings"

    @staticmethod
    def make(people: int, items: int) -> Writable:
        return ListingWorld.make(ListingSize(listings=items, later=items // 20, trips=10 * people), until=now_us())

    def tables(self, path: Path) -> Iterator[Part]:
        yield from listing_tables(ListingWorld.read(path / FILE))

    def events(self, path: Path) -> Iterator[Part]:
        yield from listing_events(ListingWorld.read(path / FILE))


class SearchImporter(Imagined):
    """Videos, texts, and what came of older lists."""

    name, system = "searches", "text_to_video_search"

    @staticmethod
    def make(people: int, items: int) -> Writable:
        return SearchWorld(SearchSize(videos=items, texts=2 * people, lists=15 * people), 1, now_us())

    def tables(self, path: Path) -> Iterator[Part]:
        yield from search_tables(SearchWorld.read(path / FILE))

    def events(self, path: Path) -> Iterator[Part]:
        yield from search_events(SearchWorld.read(path / FILE))


class AcquaintImporter(Imagined):
    """People, the ties of a year, and what came of an older site's lists of people."""

    name, system = "acquaintance", "people_you_may_know"

    @staticmethod
    def make(people: int, items: int) -> Writable:
        return AcquaintWorld.make(AcquaintSize(people=people), until=now_us())

    def tables(self, path: Path) -> Iterator[Part]:
        yield from acquaint_tables(AcquaintWorld.read(path / FILE))

    def events(self, path: Path) -> Iterator[Part]:
        yield from Past(AcquaintWorld.read(path / FILE)).events()


class AdsImporter(Imagined):
    """People, advertisers, ads, and what was shown and clicked."""

    name, system = "ads", "ad_click"

    @staticmethod
    def make(people: int, items: int) -> Writable:
        return AdPast(AdSize(people=people), 1, now_us())

    def tables(self, path: Path) -> Iterator[Part]:
        yield from AdPast.read(path / FILE).tables()

    def events(self, path: Path) -> Iterator[Part]:
        yield from AdPast.read(path / FILE).events()


class EventsImporter(Imagined):
    """People, groups, events, and who registered."""

    name, system = "events", "event_recommendation"

    @staticmethod
    def make(people: int, items: int) -> Writable:
        groups = max(items // 15, 10)
        return EventWorld.make(
            EventSize(people, groups=groups, events=2 * items, impressions=75 * people), until=now_us()
        )

    def tables(self, path: Path) -> Iterator[Part]:
        yield from event_tables(EventWorld.read(path / FILE))

    def events(self, path: Path) -> Iterator[Part]:
        yield from event_log(EventWorld.read(path / FILE))[0]


WORLDS: tuple[type[Imagined], ...] = (
    AcquaintImporter,
    WorldImporter, SocialImporter, AdsImporter, ListingsImporter, SearchImporter, EventsImporter,
)  # fmt: skip
