"""Tables, events and their columns: what a project stores, declared by a system file.

    user = Table("user", key="user_id", columns={"country": category})
    video = Table("video", key="video_id", columns={"author": category, "uploaded_at": time})
    watch = Events("watch", refs={"user": user, "video": video}, fields={"seconds": number(at_least=0)})

`video.author` is a path to a column, `watch.seconds` a field of an event, `watch.seconds >= 18` a condition on it.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from winnow.core.declare import Declared
from winnow.core.errors import NotFound, Problem, did_you_mean, unknown

Storage = Literal["number", "category", "categories", "text", "time", "flag", "ref"]
LARGEST = 1e9  # numbers beyond it are refused: sums are kept in whole millionths, as int64
RESERVED = frozenset({
    "at", "changed_at", "columns", "deleted", "event_id", "fields", "key", "known_at", "name", "recommendation_id",
    "refs", "row", "seq", "type", "where", "called", "people", "playing",
})  # fmt: skip


@dataclass(frozen=True)
class Kind:
    """The type of a column; call it to narrow it: `number(at_least=0)`, `categories(domain="topic")`.

    Args:
        storage: how values are held: `number` float64 (NaN missing); `category` and `ref` int64 row numbers of their
            domain (-1 missing); `categories` int64 [n, m] padded with -1; `time` int64 microseconds; `flag` int64
            0/1 (-1 missing); `text` strings.
        at_least: smallest allowed number.
        at_most: largest allowed number.
        table: the table that a `ref` points to.
        shared: name of the domain of a category that several columns draw on; each column has its own otherwise.
        media: `image` or `video` when the text is the path of one in the project's media folder, `nights` when it says
            which nights are free, as `data.nights.written` writes it.
        privacy: `personal` marks data about a person. It is part of the declaration; nothing acts on it yet.
    """

    storage: Storage
    at_least: float | None = None
    at_most: float | None = None
    table: "Table | None" = None
    shared: str = ""
    privacy: Literal["public", "personal"] = "public"
    media: Literal["", "image", "video", "nights"] = ""

    def __call__(self, *, at_least: float | None = None, at_most: float | None = None, domain: str = "") -> "Kind":
        return replace(self, at_least=at_least, at_most=at_most, shared=domain)

    @property
    def has_domain(self) -> bool:
        """Whether values are ids that become row numbers."""
        return self.storage in ("category", "categories", "ref")

    def to_data(self) -> dict[str, Any]:
        data: dict[str, Any] = {
            "storage": self.storage,
            "at_least": self.at_least,
            "at_most": self.at_most,
            "privacy": self.privacy,
        }
        data |= {"domain": self.shared} if self.shared else {}
        data |= {"media": self.media} if self.media else {}
        return data | {"table": self.table.name if self.table else None}


number = Kind("number")
category = Kind("category")
categories = Kind("categories")
text = Kind("text")
image = Kind("text", media="image")
video = Kind("text", media="video")
nights = Kind("text", media="nights")
time = Kind("time")
flag = Kind("flag")


def ref(table: "Table") -> Kind:
    """A reference to a row of another table."""
    return Kind("ref", table=table)


def personal(kind: Kind) -> Kind:
    """The same kind, holding data about a person."""
    return replace(kind, privacy="personal")


@dataclass(frozen=True)
class Path:
    """A table, or a column reached from it (through references): `user`, `video.author`, `post.author.country`."""

    table: "Table"
    columns: tuple[str, ...] = ()

    def __getattr__(self, name: str) -> "Path":
        if name.startswith("_"):
            raise AttributeError(name)
        owner = self.kind.table if self.columns and self.kind.storage == "ref" else None
        if owner is None or name not in owner.columns:
            raise unknown("column", f"{self}.{name}", [f"{self}.{c}" for c in owner.columns] if owner else [])
        return Path(self.table, (*self.columns, name))

    @property
    def kind(self) -> Kind:
        """The kind of the last column."""
        table, kind = self.table, None
        for column in self.columns:
            kind = table.columns[column]
            table = kind.table or table
        if kind is None:
            return Kind("ref", table=self.table)
        return kind

    @property
    def called(self) -> str:
        """How the rows that it begins with are called."""
        return self.table.called

    @property
    def domain(self) -> str:
        """The domain of the values: a table's name, or `table.column` of a category."""
        kind = self.kind
        if kind.table is not None or kind.shared:
            return kind.table.name if kind.table else kind.shared
        owner = Path(self.table, self.columns[:-1]).kind.table
        return f"{owner.name if owner else self.table.name}.{self.columns[-1]}"

    @property
    def label(self) -> str:
        """The path as it appears in feature names.

        >>> video = Table("video", key="video_id", columns={"author": category})
        >>> video.author.label
        'video_author'
        """
        return "_".join((self.table.called, *self.columns))

    def to_data(self) -> str:
        return str(self)

    def __str__(self) -> str:
        return ".".join((self.table.called, *self.columns))


@dataclass(frozen=True)
class Table(Declared):
    """Things with an id and columns that change over time.

    Args:
        name: name of the table and of the domain of its ids.
        key: name of the id in rows that come in.
        columns: name → kind.
        people: whether its rows are people. Who asks for rows of the table that they are in themselves is then
            somebody with a past, and not a thing whose like is sought.
    """

    name: str
    key: str = field(kw_only=True)
    columns: Mapping[str, Kind] = field(kw_only=True, default_factory=dict, hash=False)
    people: bool = field(kw_only=True, default=False)

    @property
    def called(self) -> str:
        """How paths and features call it."""
        return self.name

    def playing(self, role: str) -> "Played":
        """The same table in a role of events that name it more than once: `candidate = person.playing("candidate")`."""
        return Played(self.name, key=self.key, columns=self.columns, people=self.people, role=role, where=self.where)

    def __getattr__(self, name: str) -> Path:
        if name.startswith("_"):
            raise AttributeError(name)
        if name not in self.columns:
            raise AttributeError(f"table `{self.name}` has no column `{name}`: {did_you_mean(name, self.columns)}")
        return Path(self, (name,))

    def domain(self, column: str) -> str:
        """The domain of a column's values."""
        return Path(self, (column,)).domain

    def problems(self, system: Any) -> Iterator[Problem]:
        yield from _reserved(self.name, self.columns, self.where)
        if circle := _circle(self, (self.name,)):
            what, why = f"references go in a circle: {' → '.join(circle)}", "a path along them would have no end"
            yield Problem("cyclic-reference", what, self.where, why, "keep one of them as a category of ids")

    def to_data(self) -> dict[str, Any]:
        columns = {k: v.to_data() for k, v in self.columns.items()}
        people = {"people": True} if self.people else {}
        return {"kind": "Table", "name": self.name, "key": self.key, "columns": columns} | people


@dataclass(frozen=True)
class Played(Table):
    """A table in one of the roles that it plays in an event.

    Args:
        role: the role.
    """

    role: str = field(kw_only=True, default="")

    @property
    def called(self) -> str:
        return self.role

    def to_data(self) -> dict[str, Any]:
        return super().to_data() | {"role": self.role}


@dataclass(frozen=True)
class Events(Declared):
    """Things that happen, at a moment, to rows of tables.

    Args:
        name: the type that producers send.
        refs: role → table; the first role is who acted, the last what it was done to.
        fields: name → kind of what else is known about it.
    """

    name: str
    refs: Mapping[str, Table] = field(kw_only=True, hash=False)
    fields: Mapping[str, Kind] = field(kw_only=True, default_factory=dict, hash=False)

    def __getattr__(self, name: str) -> "EventField":
        if name.startswith("_"):
            raise AttributeError(name)
        if name not in self.fields and name not in self.refs:
            known = [*self.fields, *self.refs]
            raise AttributeError(f"event `{self.name}` has no field `{name}`: {did_you_mean(name, known)}")
        return EventField(self, name)

    def role(self, table: Table) -> str:
        """The first role played by a table, or the one in which it is given.

        Raises:
            NotFound: `unknown-role`.
        """
        if isinstance(table, Played) and table.role in self.refs:
            return table.role
        for role, played in self.refs.items():
            if played.name == table.name:
                return role
        raise NotFound(Problem("unknown-role", f"event `{self.name}` does not refer to `{table.name}`", self.where))

    @property
    def columns(self) -> dict[str, Kind]:
        """Roles and fields together, as a log row carries them."""
        return {role: ref(table) for role, table in self.refs.items()} | dict(self.fields)

    def domain(self, column: str) -> str:
        """The domain of a column's values."""
        if column in self.refs:
            return self.refs[column].name
        return self.fields[column].shared or f"{self.name}.{column}"

    def problems(self, system: Any) -> Iterator[Problem]:
        yield from _reserved(self.name, self.columns, self.where)

    def to_data(self) -> dict[str, Any]:
        return {
            "kind": "Events",
            "name": self.name,
            "refs": {role: table.name for role, table in self.refs.items()},
            "fields": {k: v.to_data() for k, v in self.fields.items()},
        }


def _circle(table: Table, path: tuple[str, ...]) -> tuple[str, ...]:
    """Table names along references from the last of the path back to its first; empty when none lead there."""
    for kind in table.columns.values():
        if kind.table is not None and kind.table.name == path[0]:
            return (*path, path[0])
        if kind.table is None or kind.table.name in path:
            continue
        if found := _circle(kind.table, (*path, kind.table.name)):
            return found
    return ()


def _reserved(owner: str, names: Mapping[str, Any], where: str) -> Iterator[Problem]:
    for name in sorted(RESERVED.intersection(names)):
        yield Problem("reserved-name", f"`{owner}.{name}` is a name that the engine uses", where, fix="choose another")


@dataclass(frozen=True)
class Condition:
    """A test on a field of an event; a missing value never passes."""

    field: str
    op: Literal[">=", "<=", ">", "<", "=="]
    value: float

    def to_data(self) -> str:
        return f"{self.field} {self.op} {self.value!r}"


@dataclass(frozen=True)
class EventField:
    """A field or role of an event; comparisons make conditions."""

    events: Events
    name: str

    def __ge__(self, value: float) -> Condition:
        return Condition(self.name, ">=", value)

    def __le__(self, value: float) -> Condition:
        return Condition(self.name, "<=", value)

    def __gt__(self, value: float) -> Condition:
        return Condition(self.name, ">", value)

    def __lt__(self, value: float) -> Condition:
        return Condition(self.name, "<", value)

    def equals(self, value: float) -> Condition:
        """The condition that the field has this value (for flags: `watch.long.equals(1)`)."""
        return Condition(self.name, "==", value)

    @property
    def kind(self) -> Kind:
        return self.events.columns[self.name]

    @property
    def domain(self) -> str:
        return self.events.domain(self.name)

    def to_data(self) -> str:
        return f"{self.events.name}.{self.name}"
