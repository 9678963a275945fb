"""`winnow learn`: keeps a project learning."""

from contextlib import suppress
from datetime import timedelta
from typing import TYPE_CHECKING

from winnow.cli.options import HERE, Json, ProjectFolder, opened

if TYPE_CHECKING:
    from winnow.continual.schedule import Done, Due, Move


def learn(
    *systems: str, once: bool = False, plan: bool = False, calibrate_hours: float | None = None,
    update_hours: float | None = None, monitor_hours: float | None = None, threads: int = 2,
    project: ProjectFolder = HERE, json: Json = False,
) -> None:  # fmt: skip
    """Keep a project learning: retrain when `Retrain(every=...)` says so, calibrate, update and watch in between.

    What the gate passes serves; what turns out to be badly calibrated is taken back. Stop it with Ctrl-C; started
    again, it goes on where it was.

    Args:
        systems: Names of systems; all of the project when left out.
        once: Do what is due now, and end; for a scheduler of your own.
        plan: Only show what is due when.
        calibrate_hours: Between two calibrations; 0 for never, a quarter of the training interval when left out.
        update_hours: Between two updates of a network that goes on learning; a twelfth when left out.
        monitor_hours: Between two looks at the monitors; a 24th when left out.
        threads: CPU threads to use.
    """
    from winnow.cli.printing import out, print_json, progress
    from winnow.project.learning import Learner, Options, alone

    hours = {"calibrate": calibrate_hours, "update": update_hours, "monitor": monitor_hours}
    given: dict[Move, timedelta] = {m: timedelta(hours=h) for m, h in hours.items() if h is not None}  # type: ignore[misc]
    folder = opened(project).folder
    if plan:
        _print_plan(Learner(folder, Options(systems, given)).plan(), as_json=json)
        return
    with alone(folder), progress(quiet=json) as bar, suppress(KeyboardInterrupt):
        learner = Learner(folder, Options(systems, given, threads, progress=bar))
        if once and json:
            print_json([_record(due, done) for due, done in learner.once()])
            return
        if not once and not json:
            _print_plan(learner.plan())
        for due, done in learner.once() if once else learner.forever():
            print_json(_record(due, done)) if json else out.print(_line(due, done), highlight=False)


def _line(due: "Due", done: "Done") -> str:
    from winnow.core.time import iso

    mark = "[green]✓[/]" if done.state == "done" else "[yellow]![/]"
    return f"{mark} {iso(done.at)[:16]} {due.system} {due.move}: {done.what}"


def _record(due: "Due", done: "Done") -> dict[str, object]:
    from winnow.core.time import iso

    return {"system": due.system, "move": due.move, "at": iso(done.at), "state": done.state, "what": done.what}


def _print_plan(dues: "list[Due]", *, as_json: bool = False) -> None:
    from winnow.cli.printing import print_rows
    from winnow.core.time import iso, now_us, short

    rows = [
        {
            "system": d.system, "move": d.move, "every": short(d.every),
            "due": "now" if d.at <= now_us() else iso(d.at)[:16],
            "last": f"{d.last.state}: {d.last.what}" if d.last else "",
        }
        for d in dues
    ]  # fmt: skip
    print_rows(rows, title="what is due when", as_json=as_json)
