"""`winnow demo`: a world, its log, a trained ladder and a page to try it on, from nothing."""

from pathlib import Path

from winnow.cli.printing import out, progress
from winnow.core.errors import unknown
from winnow.core.time import now_us
from winnow.data.importers import Importer, load
from winnow.evaluation import report
from winnow.project import Project
from winnow.simulation.ads_past import AdPast
from winnow.simulation.ads_world import AdSize
from winnow.simulation.importer import FILE, AdsImporter, ListingsImporter, SocialImporter, WorldImporter
from winnow.simulation.listings_world import ListingSize, ListingWorld
from winnow.simulation.search_past import SearchImporter
from winnow.simulation.search_world import SearchSize, SearchWorld
from winnow.simulation.social_world import SocialSize, SocialWorld
from winnow.simulation.world import Size, World

_WORLDS: dict[str, type[Importer]] = {
    "video_recommendation": WorldImporter, "news_feed": SocialImporter, "ad_click": AdsImporter,
    "similar_listings": ListingsImporter, "text_to_video_search": SearchImporter,
}  # fmt: skip


def run(folder: Path, *, system: str, port: int, serve: bool, people: int, items: int) -> None:
    """Build what is not there yet, then serve it.

    Args:
        folder: of the project.
        system: which world.
        port: of the page.
        serve: False stops before serving.
        people, items: size of the world.

    Raises:
        NotFound: `unknown-world`.
    """
    if system not in _WORLDS:
        raise unknown("world", system, _WORLDS)
    known = (folder / "systems").is_dir()
    project = Project(folder) if known else _begin(folder, system, people=people, items=items)
    if not project.registry.releases(system):
        _fill(project, folder, system)
    if serve:
        from winnow.http.supervisor import serve as listen

        out.print(f"Open [bold]http://127.0.0.1:{port}[/]: pick a person, open something, watch the list change.")
        listen(folder, factory="winnow.console.app:create", port=port)


def _begin(folder: Path, system: str, *, people: int, items: int) -> Project:
    project = Project.init(folder, system)
    project.settings_file.write_text('# A demo on this machine only.\n[server]\nauth = "off"\n')
    if system == "news_feed":
        posts = SocialSize(members=people, posts=4 * items, later=items // 10, impressions=75 * people)
        SocialWorld.make(posts, until=now_us()).write(folder / FILE)
    elif system == "similar_listings":
        stays = ListingSize(listings=items, later=items // 20, trips=10 * people)
        ListingWorld.make(stays, until=now_us()).write(folder / FILE)
    elif system == "text_to_video_search":
        SearchWorld(SearchSize(videos=items, texts=2 * people, lists=15 * people), 1, now_us()).write(folder / FILE)
    elif system == "ad_click":
        AdPast(AdSize(people=people), 1, now_us()).write(folder / FILE)
    else:
        size = Size(people=people, videos=items, later=items // 10, impressions=75 * people)
        World.make(size, until=now_us()).write(folder / FILE)
    return project


def _fill(project: Project, folder: Path, system: str) -> None:
    summary = load(_WORLDS[system](), folder, project.intake)
    out.print(f"A world left {summary.total.accepted:,} rows in {summary.seconds:.1f} s.")
    with progress() as bar:
        outcome = project.train(system, progress=bar)
    out.print("the ladder on the held-out part, ± half the 95 % interval", report.tables(outcome.records))
    out.print(outcome.verdict.text())
