"""Every command, each a few lines over `Project`; modules load when a command runs, so that help answers at once."""

from pathlib import Path

from cyclopts import App

from winnow.cli.data import data
from winnow.cli.features import features
from winnow.cli.keys import key
from winnow.cli.learn import learn
from winnow.cli.moderate import moderate
from winnow.cli.new import new
from winnow.cli.options import HERE, Json, ProjectFolder
from winnow.cli.options import opened as _open
from winnow.cli.precompute import precompute
from winnow.cli.searching import search
from winnow.cli.whatif import whatif

app = App(
    name="winnow",
    help="One engine for search, recommendation, ads, feeds and moderation.",
    version_flags=["--version"],
    help_format="plaintext",
)
app.command(new)
app.command(learn)
app.command(features)
app.command(key)
app.command(data)
app.command(search)
app.command(whatif)
app.command(precompute)
app.command(moderate)


@app.command
def init(folder: Path, *, system: str = "video_recommendation", json: Json = False) -> None:
    """Make a project: a folder with a settings file and one system to edit.

    Args:
        folder: Folder to make.
        system: Which of the systems in the box to start from.
    """
    from winnow.cli.printing import out, print_json
    from winnow.project import Project

    project = Project.init(folder, system)
    files = [str(p) for p in (project.settings_file, *project.system_files)]
    if json:
        print_json({"project": str(folder), "files": files})
        return
    out.print(f"Made [bold]{folder}[/]: {', '.join(files)}")
    data = "pictures FOLDER" if project.system(system).picture else "kuairand PATH"
    out.print(f"Next: winnow import {data} --project {folder}")


@app.command
def validate(file: Path | None = None, *, project: ProjectFolder = HERE, json: Json = False) -> None:
    """Check system files and report every mistake at once: file, line, why, fix.

    Args:
        file: One system file; without it, every system of the project.
    """
    from winnow.cli.printing import out, print_json
    from winnow.core.errors import DeclarationError
    from winnow.core.loading import load
    from winnow.project.shared import disagreements

    systems = [load(file)] if file else list(_open(project).systems.values())
    problems = [p for s in systems for p in s.find_problems()] + disagreements(systems)
    if json:
        print_json(problems)
    if problems:
        raise SystemExit(2) if json else DeclarationError(*problems)
    if not json:
        out.print("\n".join(f"[green]✓[/] {s.name} {s.hash}" for s in systems))


@app.command(name="import")
def import_(
    importer: str, path: Path, *, mapping: Path | None = None, project: ProjectFolder = HERE, json: Json = False
) -> None:
    """Read a data set into the project's log: good rows land, bad rows go to the quarantine.

    Args:
        importer: kuairand, movielens, avazu, criteo, frappe, world, social, ads, pictures; mapping for other files.
        path: Folder or file to read.
        mapping: For the importer `mapping`: a TOML file that says which column is what.
    """
    from winnow.cli.printing import out, print_json, print_rows

    summary = _open(project).import_data(importer, path, mapping=mapping).to_data()
    if json:
        print_json(summary)
        return
    print_rows(summary["rows"], title=f"{importer}: {summary['seconds']:.1f} s")
    for problem in summary["problems"]:
        out.print(f"[yellow]![/] {problem['where']} {problem['what']}: {problem['fix']}")


@app.command
def train(
    system: str, *, project: ProjectFolder = HERE, seed: int = 0, threads: int = 2, promote: bool = False,
    json: Json = False,
) -> None:  # fmt: skip
    """Train the whole ladder on the log, evaluate it and make a candidate release; the gate says whether it may serve.

    The first release serves at once. Later ones serve after `winnow promote`, or here with --promote if the gate
    passes. A killed run continues where it was when started again.

    Args:
        system: Name of the system.
        seed: Of every random choice; the same seed repeats the run.
        threads: CPU threads to use.
        promote: Let the candidate serve at once if the gate passes.
    """
    from winnow.cli.printing import out, print_json, progress
    from winnow.evaluation import report

    with progress(quiet=json) as bar:
        outcome = _open(project).train(system, seed=seed, threads=threads, promote=promote, progress=bar)
    if json:
        print_json(outcome.to_data())
        return
    out.print("test part, ± half the 95 % interval", report.tables(outcome.records))
    out.print(outcome.verdict.text())


@app.command
def evaluate(
    system: str, *, release: str | None = None, slice: str = "all", project: ProjectFolder = HERE, json: Json = False
) -> None:
    """The ladder side by side on the held-out part: every rung of a release, scored again from the log.

    Args:
        system: Name of the system.
        release: Id of the release; the newest when left out.
        slice: Which slice the table shows (`all`, `new user`, `new item`, `popularity 1/10` …).
    """
    from winnow.cli.printing import out, print_json, progress
    from winnow.evaluation import report

    with progress(quiet=json) as bar:
        records = _open(project).evaluate(system, release=release, progress=bar)
    if json:
        print_json(records)
        return
    out.print(f"test part, slice {slice}, ± half the 95 % interval", report.tables(records, slice=slice))


@app.command
def serve(
    *, project: ProjectFolder = HERE, host: str | None = None, port: int | None = None, workers: int | None = None
) -> None:
    """Serve every system of the project over HTTP, with one ingester and several workers.

    Args:
        host: Address to bind; the settings file says otherwise.
        port: Port.
        workers: HTTP worker processes.
    """
    from winnow.http.supervisor import serve as listen

    listen(_open(project).folder, factory="winnow.console.app:create", host=host, port=port, workers=workers)


@app.command
def explain(
    system: str, *, user: str, size: int = 10, surface: str | None = None, project: ProjectFolder = HERE,
    json: Json = False,
) -> None:  # fmt: skip
    """One request seen from inside: counts in and out of every stage, milliseconds, and why each item is there.

    Args:
        system: Name of the system.
        user: Id of the user.
        size: How many items.
        surface: Where the list would be shown.
    """
    from winnow.cli.explaining import print_explanation
    from winnow.cli.printing import print_json

    context = {"surface": surface} if surface else {}
    with _open(project) as opened:
        reply = opened.explain(system, user=user, size=size, context=context)
        print_json(reply) if json else print_explanation(reply, opened.words(system))


@app.command
def show(system: str, *, project: ProjectFolder = HERE, json: Json = False) -> None:
    """The resolved declaration of a system and its hash.

    Args:
        system: Name of the system, of the project or in the box.
    """
    from winnow.cli.explaining import print_system
    from winnow.cli.printing import print_json
    from winnow.project import find_system

    found = find_system(system, project)
    print_json({"hash": found.hash, "declaration": found.to_data()}) if json else print_system(found)


@app.command
def releases(system: str, *, project: ProjectFolder = HERE, json: Json = False) -> None:
    """The releases of a system, newest first, and which one serves."""
    from winnow.cli.printing import print_rows

    print_rows(_open(project).releases(system), title=f"releases of {system}", as_json=json)


@app.command
def promote(
    system: str, release: str | None = None, *, force: bool = False, project: ProjectFolder = HERE, json: Json = False
) -> None:
    """Let a release serve, if the gate passes; running workers swap with no failed request.

    Args:
        system: Name of the system.
        release: Id of the release; the newest when left out.
        force: Promote even though the gate fails; the reason is recorded.
    """
    from winnow.cli.printing import out, print_json

    verdict = _open(project).promote(system, release, force=force)
    print_json(verdict) if json else out.print(verdict.text())
    if not verdict.promoted:
        raise SystemExit(1)


@app.command
def calibrate(
    system: str, *, hours: float = 24.0, promote: bool = False, project: ProjectFolder = HERE, json: Json = False
) -> None:
    """Fit the calibration of what serves again on the newest final labels; models and indexes stay.

    Args:
        system: Name of the system.
        hours: How far back the rows go.
        promote: Let it serve at once if the gate passes.
    """
    from datetime import timedelta

    from winnow.cli.printing import out, print_json

    verdict = _open(project).calibrate(system, last=timedelta(hours=hours), promote=promote)
    print_json(verdict) if json else out.print(verdict.text())


@app.command
def update(
    system: str, *, hours: float = 24.0, promote: bool = False, project: ProjectFolder = HERE, json: Json = False
) -> None:
    """Let the network that serves go on learning from where it stands: on what came since, with old rows beside.

    Args:
        system: Name of the system.
        hours: How far back new rows go at most.
        promote: Let it serve at once if the gate passes.
    """
    from datetime import timedelta

    from winnow.cli.printing import out, print_json

    verdict = _open(project).update(system, last=timedelta(hours=hours), promote=promote)
    print_json(verdict) if json else out.print(verdict.text())


@app.command
def monitor(
    system: str, *, everything: bool = False, rollback: bool = False, project: ProjectFolder = HERE, json: Json = False
) -> None:
    """Skew, drift and calibration of what has been served; ends with 1 when something is beyond its limit.

    Args:
        system: Name of the system.
        everything: Also show what is within its limit.
        rollback: Go back to the release before when calibration is beyond its limit.
    """
    from winnow.cli.printing import out, print_json, print_rows
    from winnow.core.declare import plain

    opened = _open(project)
    watched = opened.watch(system) if rollback else None
    found = watched.findings if watched else opened.monitor(system)
    if watched and watched.rolled_back and not json:
        out.print(f"[red]✗[/] {watched.rolled_back} was taken back, {watched.release} serves: {watched.why}")
    shown = [plain(f) for f in found if everything or not f.ok]
    if json:
        print_json(shown)
    elif shown:
        print_rows(shown, title=f"monitors of {system}")
    else:
        out.print(f"[green]✓[/] {len(found)} findings, all within their limits")
    raise SystemExit(0 if all(f.ok for f in found) else 1)


@app.command
def rollback(system: str, *, why: str = "", project: ProjectFolder = HERE, json: Json = False) -> None:
    """Go back to the release that served before.

    Args:
        system: Name of the system.
        why: For the record.
    """
    from winnow.cli.printing import out, print_json

    champion = _open(project).rollback(system, why=why)
    print_json({"champion": champion}) if json else out.print(f"{system} is served by {champion} again")


quarantine = app.command(App(name="quarantine", help="Rows that were refused: list them, mend the cause, replay them."))


@quarantine.command(name="list")
def quarantine_list(*, limit: int = 20, project: ProjectFolder = HERE, json: Json = False) -> None:
    """The refused rows with field, reason and fix.

    Args:
        limit: How many.
    """
    from winnow.cli.printing import print_rows

    print_rows(_open(project).quarantine.rows(limit=limit).to_dicts(), title="quarantine", as_json=json)


@quarantine.command(name="replay")
def quarantine_replay(*, project: ProjectFolder = HERE, json: Json = False) -> None:
    """Check every refused row again; those that pass now land in the log."""
    from winnow.cli.printing import out, print_json

    receipt = _open(project).replay_quarantine()
    print_json(receipt) if json else out.print(f"{receipt.accepted} landed, {receipt.quarantined} still refused")


@app.command
def demo(
    folder: Path = Path("demo"), *, system: str = "video_recommendation", port: int = 8000, serve: bool = True,
    people: int = 1000, items: int = 1500,
) -> None:  # fmt: skip
    """Build a small world, train on what its people did, serve it, and open a page to try it on.

    Args:
        folder: Where the project goes.
        system: Which world: that of video_recommendation, news_feed, ad_click, text_to_video_search,
            event_recommendation, similar_listings or people_you_may_know.
        port: Port of the page.
        serve: Stop before serving with --no-serve.
        people: Size of the world.
        items: Size of the world: videos, a quarter of the posts, half of the events, stays.
    """
    from winnow.cli.demonstration import run

    run(folder, system=system, port=port, serve=serve, people=people, items=items)
