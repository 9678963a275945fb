"""Settings of a deployment: `winnow.toml` in the project's folder, overridden by `WINNOW_*` environment variables.

    [server]
    port = 8000

`WINNOW_SERVER_PORT=9000` overrides `[server] port`.
"""

import json
import os
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self, TypeVar

import msgspec
from msgspec import Meta

from winnow.core.errors import InputError, Problem, did_you_mean

FILE = "winnow.toml"
PREFIX = "WINNOW_"
LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})

S = TypeVar("S", bound=msgspec.Struct)
Positive = Annotated[float, Meta(gt=0)]
Whole = Annotated[int, Meta(ge=1)]


class Server(msgspec.Struct, frozen=True, kw_only=True):
    """How the service listens.

    Args:
        host: address to bind.
        port: TCP port; 0 takes a free one.
        workers: HTTP processes.
        threads: requests that one worker computes at once.
        auth: `keys` asks for an API key on everything but health; `off` is allowed on a loopback address only.
        body_limit_bytes: larger request bodies are refused.
        picture_limit_bytes: the same for requests that may carry a picture: uploads, searches, single posts.
        video_limit_bytes: the same for uploads of videos; a worker holds that much in memory.
        refresh_s: how often a worker looks for a new release, new items, new weights and popularity.
        shutdown_s: how long requests in flight may take to finish when the service stops.
        state: where workers read features: `local` in the tables that the ingester keeps, `redis` in their copy.
    """

    host: str = "127.0.0.1"
    port: Annotated[int, Meta(ge=0, le=65_535)] = 8000
    workers: Annotated[int, Meta(ge=1, le=256)] = 2
    threads: Annotated[int, Meta(ge=1, le=64)] = 4
    auth: Literal["keys", "off"] = "keys"
    body_limit_bytes: Whole = 5_000_000
    picture_limit_bytes: Whole = 25_000_000
    video_limit_bytes: Whole = 200_000_000
    refresh_s: Positive = 2.0
    shutdown_s: Positive = 20.0
    state: Literal["local", "redis"] = "local"


class Ingest(msgspec.Struct, frozen=True, kw_only=True):
    """How the log becomes live state.

    Args:
        poll_ms: pause between two looks at the log; events show in features about this much later.
        batch_rows: rows applied between two such looks at most.
        checkpoint_s: how often the live state is written to disk.
        history_s: how often new chunks are copied to the history tables.
    """

    poll_ms: Positive = 40.0
    batch_rows: Whole = 50_000
    checkpoint_s: Positive = 30.0
    history_s: Positive = 60.0


class Features(msgspec.Struct, frozen=True, kw_only=True):
    """How much memory features may take.

    Args:
        rows: rows of one table, or values of one category, that live state is kept for; further ones are refused.
        pairs: pairs of one pair of keys that live state is kept for; the oldest make room for new ones.
        history_memory_mb: memory for events while training computes features; what does not fit is spilled to disk.
        redis: where the Redis listens that the ingester copies live state to; empty for none.
        live_folder: where live tables lie: `auto` in shared memory while there is room, else as with `project`, in
            the project's folder; or a folder in memory, by its whole path. Checkpoints are in the project in any case.
    """

    rows: Whole = 1 << 20
    pairs: Whole = 1 << 20
    history_memory_mb: Whole = 4096
    redis: str = ""
    live_folder: str = "auto"


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """The settings of one project.

    Args:
        server: how the service listens.
        ingest: how the log becomes live state.
        features: how much memory features may take.
    """

    server: Server = Server()
    ingest: Ingest = Ingest()
    features: Features = Features()

    @property
    def open_to_all(self) -> bool:
        """Whether requests need no key."""
        return self.server.auth == "off"

    @classmethod
    def load(cls, path: Path | str, environ: Mapping[str, str] = os.environ) -> Self:
        """The settings in a file; a missing file means the defaults.

        Args:
            path: the project's `winnow.toml`.
            environ: the environment variables.

        Raises:
            InputError: with every mistake found: `bad-settings-file`, `unknown-setting`, `bad-setting`,
                `auth-off-in-public`, `no-redis`.
        """
        data = _file(Path(path))
        problems = list(_override(data, environ))
        settings, found = _fill(cls, data, "")
        problems += found or _unusable(settings)
        if problems:
            raise InputError(*problems)
        return settings

    @staticmethod
    def write_default(path: Path | str) -> None:
        """Writes a file that names every setting with its default, for `winnow init`."""
        Path(path).write_text(_toml(Settings()), encoding="utf-8")


def _file(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InputError(
            Problem("bad-settings-file", str(error), path.name, fix="see the settings reference")
        ) from error


def _override(data: dict[str, Any], environ: Mapping[str, str]) -> Iterator[Problem]:
    """Puts the variables of the settings into the data; other `WINNOW_` names belong to other parts."""
    for section, kind in _sections().items():
        start = f"{PREFIX}{section.upper()}_"
        for name in sorted(n for n in environ if n.startswith(start)):
            setting = name.removeprefix(start).lower()
            if setting in kind.__struct_fields__:
                data.setdefault(section, {})[setting] = _number_or_text(environ[name])
            else:
                yield Problem("unknown-setting", f"unknown setting `{section}.{setting}`", name,
                              fix=did_you_mean(setting, kind.__struct_fields__))  # fmt: skip


def _number_or_text(text: str) -> int | float | str:
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


def _sections() -> dict[str, type[msgspec.Struct]]:
    return {"server": Server, "ingest": Ingest, "features": Features}


def _fill(kind: type[S], data: Mapping[str, Any], inside: str) -> tuple[S, list[Problem]]:
    """A struct from data, and every mistake in it: one bad setting does not hide the next."""
    problems, values = [], {}
    fields = {f.name: f for f in msgspec.structs.fields(kind)}
    for name, value in data.items():
        where = f"{FILE}: {inside}{name}"
        if name not in fields:
            fix = did_you_mean(name, fields)
            problems.append(Problem("unknown-setting", f"unknown setting `{inside}{name}`", where, fix=fix))
        elif name in _sections() and isinstance(value, dict):
            values[name], found = _fill(_sections()[name], value, f"{name}.")
            problems += found
        else:
            try:
                values[name] = msgspec.convert(value, fields[name].type)
            except msgspec.ValidationError as error:
                problems.append(Problem("bad-setting", f"`{inside}{name}` is {value!r}: {error}", where))
    return (kind(**values) if not problems else kind()), problems


def _unusable(settings: Settings) -> list[Problem]:
    host, problems = settings.server.host, [*_without_redis(settings), *_without_place(settings)]
    if not settings.open_to_all or host in LOOPBACK:
        return problems
    why = "anybody who reaches the port could read people's data and write events"
    fix = 'set auth = "keys" and create one with `winnow key create NAME`, or bind 127.0.0.1'
    what = f"auth is off and the server would listen on {host}"
    return [*problems, Problem("auth-off-in-public", what, f"{FILE}: server.auth", why, fix)]


def _without_redis(settings: Settings) -> Iterator[Problem]:
    if settings.server.state == "redis" and not settings.features.redis:
        what, fix = "workers would read features in Redis, and none is named", 'set redis = "redis://host:6379/0"'
        yield Problem("no-redis", what, f"{FILE}: features.redis", fix=fix)


def _without_place(settings: Settings) -> Iterator[Problem]:
    place = settings.features.live_folder
    if place not in ("auto", "project") and not Path(place).is_absolute():
        what, fix = f"`{place}` says no place for live tables", "`auto`, `project`, or a folder by its whole path"
        yield Problem("bad-setting", what, f"{FILE}: features.live_folder", fix=fix)


def _toml(settings: Settings) -> str:
    """Text and numbers read the same in JSON and in TOML; a line left out means its default."""
    lines = ["# Every setting with its default. WINNOW_SERVER_PORT=9000 in the environment overrides `port`."]
    for section, values in msgspec.to_builtins(settings).items():
        lines += ["", f"[{section}]", *(f"# {name} = {json.dumps(value)}" for name, value in values.items())]
    return "\n".join(lines) + "\n"
