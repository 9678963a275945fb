"""`winnow key`: who may use the service, and for what."""

from typing import Annotated

from cyclopts import App, Parameter

from winnow.cli.options import HERE, Json, ProjectFolder, opened

key = App(name="key", help="API keys of the HTTP service, and what each may do.")
Roles = Annotated[tuple[str, ...], Parameter(name="--role", negative="")]


@key.command
def create(name: str, *, role: Roles = ("read", "write"), project: ProjectFolder = HERE, json: Json = False) -> None:
    """Make an API key; it is shown once, only its hash is kept.

    Args:
        name: Who it is for.
        role: What they may do: read, write, review or admin; may be repeated.
    """
    from winnow.cli.printing import out, print_json
    from winnow.http import keys

    made = keys.create(opened(project).folder, name, role)
    print_json({"name": name, "key": made, "roles": list(role)}) if json else out.print(made)


@key.command
def grant(name: str, *, role: Roles, project: ProjectFolder = HERE) -> None:
    """Give a key other roles, in place of those that it has.

    Args:
        name: Who it is for.
        role: What they may do: read, write, review or admin; may be repeated.
    """
    from winnow.http import keys

    keys.grant(opened(project).folder, name, role)


@key.command(name="list")
def list_(*, project: ProjectFolder = HERE, json: Json = False) -> None:
    """The keys by name, and what each may do."""
    from winnow.cli.printing import print_rows
    from winnow.http import keys

    rows = [{"name": h.name, "roles": " ".join(sorted(h.roles))} for h in keys.holders(opened(project).folder)]
    print_rows(rows, title="keys", as_json=json)


@key.command
def revoke(name: str, *, project: ProjectFolder = HERE) -> None:
    """Refuse a key from now on.

    Args:
        name: Who it was for.
    """
    from winnow.http import keys

    keys.revoke(opened(project).folder, name)
