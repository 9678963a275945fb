"""`winnow demo`: a world, its log, a trained ladder and a page to try it on, from nothing."""

from pathlib import Path

from winnow.cli.printing import out, progress
from winnow.core.errors import unknown
from winnow.data.importers import load
from winnow.evaluation import report
from winnow.project import Project
from winnow.simulation.importer import FILE, WORLDS

_WORLDS = {world.system: world for world in WORLDS}


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
    _WORLDS[system].make(people, items).write(folder / FILE)
    return project


def _fill(project: Project, folder: Path, system: str) -> None:
    summary = load(_WORLDS[system](), folder, project.intake)
    out.print(f"A world left {summary.total.accepted:,} rows in {summary.seconds:.1f} s.")
    with progress() as bar:
        outcome = project.train(system, progress=bar)
    out.print("the ladder on the held-out part, ± half the 95 % interval", report.tables(outcome.records))
    out.print(outcome.verdict.text())
