"""The log finds whatever was done to it, and names the first record that is not as it was written."""

import json
import sqlite3

import pytest
from moderation_world import post

from winnow.moderation.chain import GENESIS, Head, check, record
from winnow.moderation.ledger import Ledger


@pytest.fixture
def log(court):
    """A log of 14 records, and how to spoil it."""
    court.decide([post(f"post {i} blarg", f"r{i}") for i in range(12)])
    assert court.ledger.verify().ok
    assert court.ledger.head().seq == 14
    return court.ledger


def spoil(log, *statements):
    log.close()
    with sqlite3.connect(log.folder / "decisions.db") as connection:
        for sql, values in statements:
            assert connection.execute(sql, values).rowcount
    connection.close()
    return log.verify()


def rows(log):
    return list(log.records())


def test_an_edited_record_is_found(log):
    body = json.dumps(rows(log)[6].data | {"action": "allow"}, sort_keys=True, separators=(",", ":"))
    found = spoil(log, ("UPDATE record SET body = ? WHERE seq = 7", (body,)))
    assert (found.ok, found.first_bad, found.problem) == (False, 7, "record 7 was changed")


@pytest.mark.parametrize("column", ["kind", "key", "at", "previous", "hash"])
def test_every_column_is_covered(log, column):
    found = spoil(log, (f"UPDATE record SET {column} = '9' WHERE seq = 7", ()))
    assert (found.ok, found.first_bad) == (False, 7)


def test_a_deleted_record_is_found(log):
    found = spoil(log, ("DELETE FROM record WHERE seq = 7", ()))
    assert (found.ok, found.first_bad, found.problem) == (False, 7, "record 7 is missing")


def test_a_deleted_beginning_is_found(log):
    assert spoil(log, ("DELETE FROM record WHERE seq = 1", ())).first_bad == 1


def test_two_records_in_the_wrong_order_are_found(log):
    swap = [("UPDATE record SET seq = ? WHERE seq = ?", pair) for pair in ((99, 6), (6, 7), (7, 99))]
    assert spoil(log, *swap).first_bad == 6


def test_a_cut_off_end_is_found(log):
    found = spoil(log, ("DELETE FROM record WHERE seq > 11", ()))
    assert (found.ok, found.first_bad, found.records) == (False, 12, 11)
    assert found.problem == "records 12 to 14 are missing at the end"


def test_an_emptied_log_is_found(log):
    assert spoil(log, ("DELETE FROM record", ())).first_bad == 1


def test_a_chain_written_anew_is_found_by_the_seals(log):
    """Somebody who knows how hashes are made changes a record and all hashes after it."""
    old, last, changed = rows(log), GENESIS, []
    for one in old:
        data = one.data | ({"author": "somebody else"} if one.seq == 7 else {})
        fresh = record(one.seq, last, kind=one.kind, key=one.key, at=one.at, body=data)
        changed.append(("UPDATE record SET body = ?, previous = ?, hash = ? WHERE seq = ?",
                        (fresh.body, fresh.previous, fresh.hash, fresh.seq)))  # fmt: skip
        last = fresh.hash
    found = spoil(log, *changed)
    assert not found.ok
    assert 2 < found.first_bad <= 7  # after the last seal that holds
    assert "written anew" in found.problem


def test_seals_that_are_forged_or_missing_are_found(log):
    path = log.seals.path
    path.write_text(path.read_text() + f"\n15 {'0' * 64} {'0' * 64}\n")
    assert "forged" in log.verify().problem
    path.unlink()
    assert log.verify().problem == "the seals are missing"


def test_a_torn_seal_does_not_spoil_the_next(log, court):
    with log.seals.path.open("ab") as file:
        file.write(b"\n15 abc")
    court.decide([post("fine")])
    assert log.verify().ok
    assert log.seals.read()[0][-1].seq == 15


def test_what_a_killed_process_left_without_a_seal_is_sealed_before_it_is_told_again(log, make):
    """The record is there, its seal is not; the client sends the request again, to another process."""
    lines = log.seals.path.read_text().splitlines(keepends=True)
    log.seals.path.write_text("".join(lines[:-1]))
    log.close()
    again = make(folder=log.folder.parent)
    again.decide([post("post 11 blarg", "r11")])
    found = spoil(log, ("DELETE FROM record WHERE seq = 14", ()))
    assert found.problem == "records 14 to 14 are missing at the end"


def test_log_and_seals_cut_together_are_found_by_a_head_noted_elsewhere(log):
    head = log.head()
    good = [line for line in log.seals.path.read_text().split() if line]
    log.seals.path.write_text("\n" + " ".join(good[:3]) + "\n")
    assert spoil(log, ("DELETE FROM record WHERE seq > 1", ())).problem.startswith("the view")
    assert log.verify(outside=head).first_bad == 2


def test_a_head_noted_elsewhere_is_held_against_the_chain(log):
    one = rows(log)[8]
    assert log.verify(outside=Head(one.seq, one.hash)).ok
    assert not log.verify(outside=Head(one.seq, "0" * 64)).ok


def test_a_view_that_says_something_else_is_found(log):
    found = spoil(log, ("UPDATE decision SET action = 'allow' WHERE seq = 7", ()))
    assert (found.first_bad, found.problem) == (7, "the view `decision` does not say what the records say")


def test_an_empty_log_is_whole(tmp_path):
    assert Ledger(tmp_path / "empty").verify().ok


def test_the_key_is_readable_by_its_owner_alone(log):
    assert (log.folder / "seal.key").stat().st_mode & 0o077 == 0


def test_the_hash_is_what_the_docs_say(log):
    import hashlib

    one = rows(log)[4]
    text = "\n".join([one.previous, str(one.seq), one.kind, one.key, str(one.at), one.body])
    assert hashlib.sha256(text.encode()).hexdigest() == one.hash


def test_checking_needs_no_database():
    first = record(1, GENESIS, kind="policy", key="1", at=5, body={"a": 1})
    second = record(2, first.hash, kind="policy", key="2", at=6, body={"b": 2})
    assert check([first, second], []).ok
    assert check([second], []).first_bad == 1
    assert check([first], [Head(2, second.hash)]).first_bad == 2


def test_threads_that_write_at_once_share_a_transaction_and_not_their_mistakes(log):
    """Of twenty threads every fifth fails after it has written: its records go, all others stay."""
    from concurrent.futures import ThreadPoolExecutor

    from winnow.core.errors import InputError, Problem
    from winnow.moderation.gathering import Gathering

    together = Gathering(log)

    def work(i):
        def write(writer):
            made = writer.add("preview", f"t{i}", {"version": 1, "against": 0})
            if i % 5 == 0:
                raise InputError(Problem("bad-post", "a mistake", str(i)))
            return made.key

        try:
            return together.write(write)
        except InputError as error:
            return error.problems[0].where

    before = len(log.seals.read()[0])
    with ThreadPoolExecutor(20) as pool:
        made = list(pool.map(work, range(100)))
    assert made == [str(i) if i % 5 == 0 else f"t{i}" for i in range(100)]
    found = log.verify()
    assert found.ok, found
    assert found.records == 14 + 80
    assert len(log.seals.read()[0]) - before < 80


def test_what_stops_a_transaction_is_told_to_everybody_in_it(log):
    from winnow.core.errors import Unavailable
    from winnow.moderation.gathering import Gathering

    log.seals.path.rename(log.seals.path.with_suffix(".away"))
    log.seals.path.mkdir()
    with pytest.raises(Unavailable) as caught:
        Gathering(log).write(lambda writer: writer.add("preview", "x", {"version": 1, "against": 0}))
    assert caught.value.code == "seal-unwritable"
    log.seals.path.rmdir()
    log.seals.path.with_suffix(".away").rename(log.seals.path)
