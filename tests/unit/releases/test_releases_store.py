import time

import pytest
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from winnow.core.errors import Unavailable
from winnow.releases.registry import Registry
from winnow.releases.store import HEAD, MIGRATIONS, Store


def test_head_is_the_newest_migration():
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    assert ScriptDirectory.from_config(config).get_current_head() == HEAD


def test_a_database_of_a_later_version_is_left_alone(tmp_path):
    url = f"sqlite:///{tmp_path}/meta.db"
    store = Store(url)
    with store.write() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    store.close()
    with pytest.raises(Unavailable) as error:
        Store(url)
    assert error.value.code == "registry-newer"


def test_sqlite_is_durable_and_does_not_block_readers(tmp_path):
    store = Store(f"sqlite:///{tmp_path}/meta.db")
    with store.read() as connection:
        assert connection.execute(text("PRAGMA journal_mode")).scalar() == "wal"
        assert connection.execute(text("PRAGMA synchronous")).scalar() == 2
    with store.write() as writer, store.read() as reader:
        writer.execute(text("INSERT INTO pointer VALUES ('feed', NULL, NULL, 0)"))
        assert reader.execute(text("SELECT count(*) FROM pointer")).scalar() == 0
    store.close()


def test_a_failed_write_leaves_nothing(tmp_path):
    store = Store(f"sqlite:///{tmp_path}/meta.db")
    insert = text("INSERT INTO pointer VALUES ('feed', NULL, NULL, 0)")
    with pytest.raises(IntegrityError), store.write() as connection:
        [connection.execute(insert) for _ in range(2)]
    with store.read() as connection:
        assert connection.execute(text("SELECT count(*) FROM pointer")).scalar() == 0
    store.close()


def test_watching_the_pointer_is_cheap(tmp_path):
    registry = Registry(f"sqlite:///{tmp_path}/meta.db", tmp_path)
    registry.set_weights("feed", {"click": 1.0}, at=1, who="ada")
    registry.pointers("feed")
    start = time.process_time()
    for _ in range(200):
        registry.pointers("feed")
    assert (time.process_time() - start) / 200 < 0.005
    registry.close()
