"""The bank of known content: changes, labels, saving and what it refuses. Exactness is in tests/property."""

import json
import threading

import numpy as np
import pytest

from winnow.core.errors import InputError, Unavailable
from winnow.media import bands
from winnow.media.bank import HashBank, digest
from winnow.media.duplicates import near_duplicates


def drawn(count, seed=0):
    return np.random.default_rng(seed).integers(0, 2**64, (count, 4), dtype=np.uint64)


def flipped(hash, *bits):
    result = hash.copy()
    for bit in bits:
        result[bit // 64] ^= np.uint64(1 << bit % 64)
    return result


@pytest.fixture(params=[100, bands.SCAN + 1], ids=["compared", "looked up"])
def bank(request):
    hashes = drawn(request.param)
    return HashBank.build(hashes, [f"list-{i % 3}" for i in range(len(hashes))]), hashes


def test_what_is_near_is_found_nearest_first(bank):
    bank, hashes = bank
    twin = bank.add(flipped(hashes[5], *range(0, 40, 4))[None], ["late"])[0]
    rows, distances = bank.within(flipped(hashes[5], 0, 4, 8))
    assert rows.tolist() == [5, twin]
    assert distances.tolist() == [3, 7]
    assert bank.labels(rows) == ["list-2", "late"]
    assert bank.within(flipped(hashes[5], 0, 4, 8), 2)[0].tolist() == []
    assert bank.within(hashes[5], 0)[0].tolist() == [5]


def test_beyond_the_reach_of_the_bands_it_is_still_exact(bank):
    bank, hashes = bank
    wanted = flipped(hashes[7], *range(40))
    assert bank.within(wanted)[0].tolist() == []
    assert bank.within(wanted, 40)[0].tolist() == [7]


def test_what_is_removed_is_not_found_and_its_row_is_not_given_again(bank):
    bank, hashes = bank
    count = len(bank)
    late = bank.add(drawn(2, seed=9), ["a", "b"])
    bank.remove([3, int(late[0]), 10**9, -1])
    assert len(bank) == count
    assert bank.within(hashes[3])[0].tolist() == []
    assert bank.within(drawn(2, seed=9)[0])[0].tolist() == []
    assert bank.add(hashes[3:4], ["again"])[0] == late[1] + 1
    assert bank.labels(bank.within(hashes[3])[0]) == ["again"]


def test_a_rebuild_changes_no_answer(bank):
    bank, hashes = bank
    late = drawn(50, seed=4)
    bank.add(late, ["late"] * 50)
    bank.remove([1, len(hashes) + 1])
    wanted = [hashes[0], hashes[1], late[0], late[1], late[49]]
    before = [[part.tolist() for part in bank.within(hash)] for hash in wanted]
    bank.rebuild()
    assert bank.late == 0
    assert [[part.tolist() for part in bank.within(hash)] for hash in wanted] == before
    assert bank.labels([len(hashes) + 49]) == ["late"]


def test_saved_and_opened_it_answers_the_same(bank, tmp_path):
    bank, hashes = bank
    bank.save(tmp_path)
    base = json.loads((tmp_path / "current.json").read_text())["base"]
    bank.add(drawn(3, seed=4), ["x", "y", "list-1"])
    bank.remove([2])
    bank.save(tmp_path)
    names = json.loads((tmp_path / "current.json").read_text())
    assert names["base"] == base  # what did not change is not written again
    assert {path.name for path in tmp_path.iterdir()} == {"current.json", *names.values()}
    again = HashBank.open(tmp_path, verify=True)
    assert len(again) == len(bank)
    for hash in (*hashes[:4], *drawn(3, seed=4)):
        rows, distances = again.within(hash)
        assert (rows.tolist(), distances.tolist()) == tuple(part.tolist() for part in bank.within(hash))
        assert again.labels(rows) == bank.labels(rows)
    again.add(drawn(1, seed=8), ["z"])
    again.rebuild()
    again.save(tmp_path)
    third = HashBank.open(tmp_path, verify=True)
    assert third.labels(third.within(drawn(1, seed=8)[0])[0]) == ["z"]
    assert third.within(hashes[2])[0].tolist() == []


def test_an_opened_bank_is_mapped_and_not_read(tmp_path):
    HashBank.build(drawn(bands.SCAN + 1), ["a"] * (bands.SCAN + 1)).save(tmp_path)
    array = HashBank.open(tmp_path)._now.base
    assert not array.flags.owndata
    assert not array.flags.writeable


def test_what_was_not_saved_whole_is_refused(tmp_path):
    with pytest.raises(Unavailable, match="bank-unreadable"):
        HashBank.open(tmp_path)
    HashBank.build(drawn(10), ["a"] * 10).save(tmp_path)
    file = next(tmp_path.glob("base-*/hashes.npy"))
    whole = file.read_bytes()
    file.write_bytes(whole[:-1])
    with pytest.raises(Unavailable, match="bank-unreadable"):
        HashBank.open(tmp_path)
    file.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    with pytest.raises(Unavailable, match="bank-unreadable"):
        HashBank.open(tmp_path, verify=True)


def test_an_empty_bank_finds_nothing_until_something_comes(tmp_path):
    bank = HashBank.build(np.empty((0, 4), np.uint64), [])
    assert bank.within(drawn(1)[0])[0].tolist() == []
    bank.save(tmp_path)
    bank = HashBank.open(tmp_path)
    bank.add(drawn(1), ["first"])
    assert bank.labels(bank.within(drawn(1)[0])[0]) == ["first"]


@pytest.mark.parametrize(("hashes", "labels"), [
    (np.zeros((2, 4), np.int64), ["a", "b"]), (np.zeros((2, 3), np.uint64), ["a", "b"]),
    (np.zeros((2, 4), np.uint64), ["a"]), (np.zeros(4, np.uint64), ["a"] * 4),
])  # fmt: skip
def test_what_are_no_hashes_is_refused(hashes, labels):
    with pytest.raises(InputError, match="bad-hash"):
        HashBank.build(hashes, labels)


@pytest.mark.parametrize("hash", [np.zeros(4, np.int64), np.zeros(3, np.uint64), np.zeros((1, 4), np.uint64)])
def test_a_look_up_of_no_hash_is_refused(hash):
    with pytest.raises(InputError, match="bad-hash"):
        HashBank.build(drawn(1), ["a"]).within(hash)


def test_files_of_any_kind_are_found_by_their_digest(tmp_path):
    files = [f"file {i}".encode() for i in range(bands.SCAN + 5)]
    bank = HashBank.build(np.stack([digest(file) for file in files]), ["known"] * len(files), reach=0)
    bank.save(tmp_path)
    for opened in (bank, HashBank.open(tmp_path)):
        assert opened.within(digest(b"file 77"), 0)[0].tolist() == [77]
        assert opened.within(digest(b"file x"), 0)[0].tolist() == []
        assert opened.within(flipped(digest(b"file 77"), 3), 1)[0].tolist() == [77]  # slower, and still exact


def test_look_ups_go_on_while_the_bank_changes():
    hashes = drawn(2_000)
    bank, stop, wrong = HashBank.build(hashes, ["a"] * 2_000), threading.Event(), []

    def look():
        while not stop.is_set():
            if 7 not in bank.within(hashes[7])[0]:
                wrong.append(1)

    threads = [threading.Thread(target=look) for _ in range(2)]
    for thread in threads:
        thread.start()
    try:
        for turn in range(1, 40):
            late = bank.add(drawn(3, seed=turn), ["b"] * 3)
            assert bank.within(drawn(3, seed=turn)[1])[0].tolist() == [late[1]]
            bank.remove(late)
            if turn % 10 == 0:
                bank.rebuild()
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert not wrong
    assert len(bank) == 2_000


# Near-duplicates


def test_groups_are_chains_of_near_pictures():
    a, b = drawn(2)
    chain = [a, flipped(a, *range(31)), flipped(a, *range(62))]  # the ends are 62 apart
    groups = near_duplicates(np.stack([b, chain[2], chain[0], flipped(b, 1), chain[1], ~a]))
    assert groups.tolist() == [0, 1, 1, 0, 1, 2]
    assert near_duplicates(np.stack([chain[0], chain[2]])).tolist() == [0, 1]
    assert near_duplicates(np.stack(chain), distance=30).tolist() == [0, 1, 2]


def test_pictures_with_little_to_see_stay_alone():
    hashes = np.zeros((4, 4), np.uint64)
    assert near_duplicates(hashes, usable=np.array([True, False, True, False])).tolist() == [0, 1, 0, 2]
    assert near_duplicates(np.empty((0, 4), np.uint64)).tolist() == []


def test_many_are_grouped_as_few_are():
    rng = np.random.default_rng(1)
    singles = drawn(8_500)
    copies = np.stack([flipped(singles[i], *rng.choice(256, 20, replace=False)) for i in range(300)])
    groups = near_duplicates(np.concatenate([singles, copies]))
    assert groups.tolist() == [*range(8_500), *range(300)]
