"""`winnow features`: what each feature means, what it was and why, what it costs, and whether serving agrees."""

from pathlib import Path
from typing import Annotated, Any

from cyclopts import App, Parameter

from winnow.cli.options import HERE, Json, ProjectFolder, opened

features = App(
    name="features", help="What each feature means, what it was and why, what it costs, and whether serving agrees."
)
OtherKeys = Annotated[list[str] | None, Parameter(name="--key", negative="")]
Moment = Annotated[str | None, Parameter(negative="")]


@features.command(name="list")
def list_(
    system: str, *, measure: bool = False, sample: int = 1_000, project: ProjectFolder = HERE, json: Json = False
) -> None:
    """Every feature column of a system: kind, key, window, default, time to live, owner, coverage, importance, use.

    Coverage and cost need a look at real impressions: --measure takes it and keeps it for the next list. Importance is
    the share of the gain in the gradient boosted trees of the release that serves.

    Args:
        system: Name of the system.
        measure: Measure coverage, default share and cost first, on a sample of impressions.
        sample: How many impressions are measured.
    """
    from winnow.cli.featured import print_list
    from winnow.cli.printing import print_json, progress

    found = opened(project)
    if measure:
        with progress(quiet=json) as bar:
            frame = found.measure_features(system, sample=sample, progress=bar)
    else:
        frame = found.features(system)
    print_json(frame.to_dicts()) if json else print_list(frame, system)


@features.command
def show(
    name: str, *, system: str | None = None, sample: int = 1_000, project: ProjectFolder = HERE, json: Json = False
) -> None:
    """One feature in full: what it means, what it is made of, the state it keeps, what it is like, who uses it.

    Args:
        name: Name of the feature's column, as `winnow features list` prints it.
        system: Which system's, where two systems mean different things by the name.
        sample: How many impressions are measured; 0 for none.
    """
    from winnow.cli.featured import print_card
    from winnow.cli.printing import print_json

    card = opened(project).feature(name, system=system, sample=sample)
    print_json(card) if json else print_card(card)


@features.command
def explain(
    name: str, *, user: str | None = None, item: str | None = None, key: OtherKeys = None,
    from_: Annotated[Moment, Parameter(name="--from")] = None, to: Moment = None, system: str | None = None,
    picture: Path | None = None, open: Annotated[bool, Parameter(negative="")] = False, events: int = 12,
    project: ProjectFolder = HERE, json: Json = False,
) -> None:  # fmt: skip
    """What a feature of one user or item is now, what it was, and the events that made it so, with a picture.

    The value is computed from history at both sides of every change. An event counts from the first instant strictly
    after the log knew it, until its hop leaves the window.

    Args:
        name: Name of the feature's column.
        user: Id of the user, if the feature depends on one.
        item: Id of the item, if it depends on one.
        key: ROLE=ID of another row that it depends on; may be repeated.
        from_: Where the story begins: ISO 8601, UTC. Without it, some windows back.
        to: Where it ends. Without it, now; where the log is a data set, its end.
        system: Which system's, where two systems mean different things by the name.
        picture: Where the picture goes. Without it, the folder `pictures` of the project.
        open: Open the picture.
        events: How many events are listed.
    """
    from winnow.cli.featured import print_story, show_picture, story_data
    from winnow.cli.printing import out, print_json
    from winnow.core.time import parse_time

    found = opened(project)
    start, end = (parse_time(t) if t else None for t in (from_, to))
    ids = _ids(found, user, item, key or [])
    told = found.feature_story(name, ids, start=start, end=end, system=system, listed=events)
    place = picture or found.folder / "pictures" / f"{name}-{_file(told.whose)}.svg"
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_text(told.svg)
    if json:
        print_json(story_data(told) | {"picture": str(place)})
    else:
        print_story(told)
        out.print(f"picture: {place}", highlight=False, soft_wrap=True)
    if open:
        show_picture(place)


@features.command
def size(
    system: str, *, users: int, items: int, events: int, project: ProjectFolder = HERE, json: Json = False
) -> None:
    """Memory that the live tables will take for so many users, items and events.

    How many categories and pairs to expect is measured in the project's own history; without one, as many as can be.

    Args:
        system: Name of the system.
        users: Rows of the table of users.
        items: Rows of the table of items.
        events: Events of all types that the log will hold.
    """
    from winnow.cli.featured import print_sizes, sizes_data
    from winnow.cli.printing import print_json

    told = opened(project).feature_sizes(system, users=users, items=items, events=events)
    print_json(sizes_data(told)) if json else print_sizes(told, system)


@features.command
def skew(
    system: str, *, sample: int = 1_000, since: Moment = None, everything: bool = False,
    project: ProjectFolder = HERE, json: Json = False,
) -> None:  # fmt: skip
    """Compute served rows again from history, to the bit; ends with 1 when a served value differs.

    Every reply is logged with the features that it was made from and the moment up to which they knew events. A
    difference means that training and serving disagree: the report has the first example of each feature.

    Args:
        system: Name of the system.
        sample: How many served rows, chosen at random.
        since: Only rows served from this moment on: ISO 8601, UTC.
        everything: Also show the features that agree.
    """
    from winnow.cli.featured import print_skew
    from winnow.cli.printing import print_json
    from winnow.core.time import parse_time

    found = opened(project).feature_skew(system, sample=sample, since=parse_time(since) if since else None)
    shown = found if everything else found.filter(found["different"] > 0)
    print_json(shown.to_dicts()) if json else print_skew(found, shown, system)
    raise SystemExit(1 if found["different"].sum() else 0)


def _ids(project: Any, user: str | None, item: str | None, others: list[str]) -> dict[str, str]:
    """Role → id, as the options give them."""
    from winnow.core.errors import InputError, Problem

    wrong = [k for k in others if "=" not in k]
    if wrong:
        raise InputError(Problem("bad-key", f"--key {wrong[0]}", fix="write --key ROLE=ID"))
    ids = dict(k.split("=", 1) for k in others)
    for system in project.systems.values():
        pairs = ((system.labels.user_role, user), (system.labels.item_role, item))
        ids |= {role: given for role, given in pairs if given is not None}
    return ids


def _file(text: str) -> str:
    """A name for a file from ids, which may hold anything."""
    return "".join(c if c.isalnum() or c in "-_." else "-" for c in text).strip("-.")[:120] or "request"
