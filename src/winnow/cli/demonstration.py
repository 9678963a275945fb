"""`winnow demo`: a world, its log, a trained ladder and a page to try it on, from nothing."""

from pathlib import Path

from winnow.cli.printing import out, progress
from winnow.core.time import now_us
from winnow.evaluation import report
from winnow.project import Project
from winnow.simulation.importer import FILE
from winnow.simulation.world import Size, World

SYSTEM = "video_recommendation"


def run(folder: Path, *, port: int, serve: bool, people: int, videos: int) -> None:
    """Build what is not there yet, then serve it.

    Args:
        folder: of the project.
        port: of the page.
        serve: False stops before serving.
        people, videos: size of the world.
    """
    project = Project(folder) if (folder / "systems").is_dir() else _begin(folder, people=people, videos=videos)
    if not project.registry.releases(SYSTEM):
        _fill(project, folder)
    if serve:
        from winnow.http.supervisor import serve as listen

        out.print(f"Open [bold]http://127.0.0.1:{port}[/]: pick a person, click a video, watch the list change.")
        listen(folder, factory="winnow.console.app:create", port=port)


def _begin(folder: Path, *, people: int, videos: int) -> Project:
    project = Project.init(folder, SYSTEM)
    project.settings_file.write_text('# A demo on this machine only.\n[server]\nauth = "off"\n')
    size = Size(people=people, videos=videos, later=videos // 10, impressions=75 * people)
    World.make(size, until=now_us()).write(folder / FILE)
    return project


def _fill(project: Project, folder: Path) -> None:
    summary = project.import_data("world", folder)
    out.print(f"A world of people and videos left {summary.total.accepted:,} rows in {summary.seconds:.1f} s.")
    with progress() as bar:
        outcome = project.train(SYSTEM, progress=bar)
    out.print("the ladder on the held-out part, ± half the 95 % interval", report.tables(outcome.records))
    out.print(outcome.verdict.text())
