"""`winnow whatif`: how lists would move under other weights."""

from typing import Annotated, Any

from cyclopts import Parameter

from winnow.cli.options import HERE, Json, ProjectFolder, opened
from winnow.core.errors import InputError, Problem

Pairs = Annotated[tuple[str, ...], Parameter(name="--weights", negative="")]


def whatif(
    system: str, *, weights: Pairs, requests: int = 200, size: int | None = None, project: ProjectFolder = HERE,
    json: Json = False,
) -> None:  # fmt: skip
    """How lists would move under other weights: logged requests are asked again under both sets.

    Nothing is changed and nothing is logged. Heads that are not named keep their live weights.

    Args:
        system: Name of the system.
        weights: Head and weight, as in comment=12,like=1; may be repeated.
        requests: How many of the newest logged requests.
        size: Items of each list; the system's own when left out.
    """
    from winnow.cli.printing import print_json
    from winnow.serving.whatif import asked, finite
    from winnow.serving.whatif import whatif as found

    wanted = parsed(weights)
    with opened(project) as here:
        declared = here.system(system)
        served = here.frame(f"{declared.name}_served")
        people = asked(served, declared.labels.user_role, requests)
        told = found(here.runtime.desk(declared.name), people, wanted, size=size)
    print_json(finite(told)) if json else _print(told)


def parsed(pairs: tuple[str, ...]) -> dict[str, float]:
    """Weights from `comment=12,like=1`.

    Raises:
        InputError: `bad-weights`.
    """
    found = {}
    for pair in (part for text in pairs for part in text.split(",") if part):
        head, _, weight = pair.partition("=")
        try:
            found[head.strip()] = float(weight)
        except ValueError:
            problem = Problem("bad-weights", f"`{pair}` is no weight", "--weights", fix="write comment=12,like=1")
            raise InputError(problem) from None
    return found


def _print(told: Any) -> None:
    from winnow.cli.printing import out, print_rows

    changed = ", ".join(f"{h} {told.now.get(h, 0):g} → {w:g}" for h, w in told.then.items() if told.now.get(h) != w)
    out.print(f"{told.requests} requests of {told.people} people, {told.skipped} left out; {changed}")
    rows = [
        {"measure": m.measure, "now": m.now, "then": m.then, "change": m.then - m.now,
         "95 %": "" if m.low != m.low else f"{m.low:+.3g} to {m.high:+.3g}"}
        for m in told.moved
    ]  # fmt: skip
    print_rows(rows, title="what would be shown")
    for column, values in told.movers.items():
        gained = ", ".join(f"{name} {100 * a:.1f} → {100 * b:.1f} %" for name, (a, b) in values.items())
        out.print(f"[bold]{column}[/]: {gained or 'nothing moves'}")
    out.print(f"[dim]{told.note}[/]")
