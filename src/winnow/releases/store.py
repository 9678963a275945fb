"""The database behind the registry: SQLite by default, any SQLAlchemy URL otherwise; migrates itself when opened."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event, inspect, select, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DatabaseError, IntegrityError

from winnow.core.errors import Problem, Unavailable

HEAD = "0002"
MIGRATIONS = Path(__file__).with_name("migrations")
_BUSY_MS = 20_000
_ADVISORY_LOCK = 7_316_402_255


class Store:
    """An engine with two ways in: `write` is one serialised transaction, `read` is a plain look.

    Args:
        url: SQLAlchemy URL, as in `sqlite:///path/to/meta.db`.

    Raises:
        Unavailable: `registry-unreachable` when the database does not answer, is full or is not a database (also from
            `write` and `read`), `registry-newer` when a later version of Winnow has migrated it.
    """

    def __init__(self, url: str):
        self.engine = _engine(url)
        with _told(self.engine):
            migrate(self.engine)

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """A transaction that takes the write lock at once: what it reads cannot change before it writes."""
        with _told(self.engine), self.engine.begin() as connection:
            yield connection

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A connection for single statements."""
        with _told(self.engine), _look(self.engine) as connection:
            yield connection

    def close(self) -> None:
        """Closes every connection."""
        self.engine.dispose()


def migrate(engine: Engine) -> None:
    """Brings the database to `HEAD`; safe when several processes start at once, and when one is killed half-way."""
    version = _version(engine)
    if version == HEAD:
        return
    if version is not None and version > HEAD:
        what = f"the registry is at migration {version}, this Winnow knows {HEAD}"
        fix = "upgrade winnow-engine, or open the registry with the version that wrote it"
        raise Unavailable(Problem("registry-newer", what, engine.url.render_as_string(), fix=fix))
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    with engine.begin() as connection:
        if engine.dialect.name == "postgresql":
            connection.execute(text(f"SELECT pg_advisory_xact_lock({_ADVISORY_LOCK})"))
        config.attributes["connection"] = connection
        command.upgrade(config, "head")


@contextmanager
def _told(engine: Engine) -> Iterator[None]:
    """Turns failures of the database itself into an error that says what to check."""
    try:
        yield
    except IntegrityError:
        raise
    except DatabaseError as error:
        fix = "check that the database answers, that its disk has room, and that its folder exists and is writable"
        url = engine.url.render_as_string(hide_password=True)
        raise Unavailable(Problem("registry-unreachable", f"the registry fails: {error.orig}", url, fix=fix)) from error


def _look(engine: Engine) -> Connection:
    return engine.connect().execution_options(isolation_level="AUTOCOMMIT")


def _version(engine: Engine) -> str | None:
    with _look(engine) as connection:
        if not inspect(connection).has_table("alembic_version"):
            return None
        return connection.execute(select(text("version_num")).select_from(text("alembic_version"))).scalar()


def _engine(url: str) -> Engine:
    if make_url(url).get_backend_name() != "sqlite":
        return create_engine(url, pool_pre_ping=True, isolation_level="SERIALIZABLE")
    engine = create_engine(url, connect_args={"timeout": _BUSY_MS / 1000})
    event.listen(engine, "connect", _sqlite_connect)
    event.listen(engine, "begin", _sqlite_begin)
    return engine


def _sqlite_connect(connection: Any, _: Any) -> None:
    # The driver must not open transactions of its own: they would start as readers and fail when they turn to write.
    connection.isolation_level = None
    for pragma in (f"busy_timeout={_BUSY_MS}", "foreign_keys=ON", "synchronous=FULL"):
        connection.execute(f"PRAGMA {pragma}")
    _sqlite_wal(connection)


def _sqlite_wal(connection: Any) -> None:
    """Readers never wait for a writer. The switch ignores the busy timeout, so it is tried again here."""
    import sqlite3

    for attempt in range(100):
        try:
            if connection.execute("PRAGMA journal_mode").fetchone()[0] != "wal":
                connection.execute("PRAGMA journal_mode=WAL")
            return
        except sqlite3.OperationalError:
            if attempt == 99:
                raise
            time.sleep(0.02)


def _sqlite_begin(connection: Connection) -> None:
    if connection.get_execution_options().get("isolation_level") != "AUTOCOMMIT":
        connection.exec_driver_sql("BEGIN IMMEDIATE")
