"""A full disk, a damaged file, a log that is locked: a clear error, nothing half written, and work goes on after."""

import resource
from contextlib import contextmanager

import pytest

from winnow.core.errors import Unavailable
from winnow.data.history import History
from winnow.data.intake import Intake
from winnow.data.log import SqliteLog
from winnow.data.schema import Events, Table

user, video = Table("user", key="user_id"), Table("video", key="video_id")
both = {"user": user, "video": video}
events = {"click": Events("click", refs=both)}


def rows(start, n=200):
    return [{"event_id": f"{i:08}", "type": "click", "user": f"user-{i}", "video": i} for i in range(start, start + n)]


@contextmanager
def files_at_most(size):
    """No file may grow beyond `size` bytes, as on a disk that is nearly full."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def until_refused(intake):
    accepted = 0
    for start in range(0, 200_000, 200):
        try:
            accepted += intake.events(rows(start)).accepted
        except Unavailable as error:
            return accepted, error
    raise AssertionError("the disk was never full")


def check(log, accepted):
    ids = [i for c in log.read(0, 10**9) for i in c.texts("event_id")]
    assert len(ids) == len(set(ids)) == accepted == log.last_seq()
    with log.database.read() as connection:
        assert connection.execute("SELECT count(*) FROM event_id").fetchone()[0] == accepted
    assert log.ids.size("user") == accepted, "ids of the refused batch left no trace"


@pytest.mark.parametrize("size", [300_000, 1_000_000])
def test_a_full_disk_is_told_and_the_same_batch_lands_later(tmp_path, size):
    log = SqliteLog(tmp_path / "truth.db")
    intake = Intake(log, both, events)
    intake.events(rows(900_000, 1))
    with files_at_most(size):
        accepted, error = until_refused(intake)
        assert error.code == "log-full"
        assert error.status == 503
        check(log, accepted + 1)
        with pytest.raises(Unavailable):
            intake.events(rows(accepted))
    assert intake.events(rows(accepted)).accepted == 200
    check(log, accepted + 201)
    log.close()


def test_full_by_the_page_count(tmp_path):
    log = SqliteLog(tmp_path / "truth.db")
    intake = Intake(log, both, events)
    with log.database.write() as connection:
        connection.execute("PRAGMA max_page_count = 60")
    accepted, error = until_refused(intake)
    assert error.code == "log-full"
    check(log, accepted)
    with log.database.write() as connection:
        connection.execute("PRAGMA max_page_count = 100000")
    assert intake.events(rows(accepted)).accepted == 200
    log.close()


def test_a_full_disk_stops_the_copy_not_the_log(tmp_path):
    log = SqliteLog(tmp_path / "truth.db")
    intake = Intake(log, both, events)
    intake.events(rows(0, 5000))
    history = History(tmp_path / "history", both, events)
    with files_at_most(4096), pytest.raises(Unavailable) as error:
        history.sync(log)
    assert error.value.code == "history-full"
    assert history.sync(log) == 5000
    assert len(history.events("click").collect()) == 5000
    log.close()


def test_a_damaged_chunk_is_told(tmp_path):
    log = SqliteLog(tmp_path / "truth.db")
    Intake(log, both, events).events(rows(0, 5))
    for body in (b"\xc1", b"\x81\xa1a\x01", b"\x80"[:0]):
        with log.database.write() as connection:
            connection.execute("UPDATE chunk SET body = ?", (body,))
        with pytest.raises(Unavailable, match="log-corrupt"):
            log.read()
    log.close()


def test_a_file_that_is_no_log_is_told(tmp_path):
    (tmp_path / "truth.db").write_bytes(b"this is not a database" * 100)
    with pytest.raises(Unavailable, match="log-unreadable"):
        SqliteLog(tmp_path / "truth.db", busy_s=0.2)


def test_a_writer_that_never_ends_is_told(tmp_path):
    one, two = SqliteLog(tmp_path / "truth.db"), SqliteLog(tmp_path / "truth.db", busy_s=0.1)
    with one.database.write(), pytest.raises(Unavailable, match="log-busy"):
        Intake(two, both, events).events(rows(0, 1))
    assert Intake(two, both, events).events(rows(0, 1)).accepted == 1
    one.close()
    two.close()
