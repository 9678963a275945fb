"""The cache of vectors: encodes once, shows whole vectors only, mends itself, keeps versions apart."""

import multiprocessing
import os
import signal
import threading
import time

import numpy as np
import pytest

from winnow.core.errors import Conflict
from winnow.data.text import text_hashes
from winnow.encoders.colours import ColourGrid
from winnow.encoders.encodings import Encoded, Encodings
from winnow.encoders.rows import Rows
from winnow.encoders.words import HashedWords

WORDS = HashedWords(size=32, pieces=())
TEXTS = [f"text number {i}" for i in range(300)]


def of(encodings, texts, encoder=WORDS):
    return encodings.vectors(encoder, text_hashes(texts))


def fresh(texts, tmp_path, encoder=WORDS):
    return encoder.open(tmp_path)(texts)


@pytest.fixture
def encodings(tmp_path):
    return Encodings(tmp_path / "vectors")


def test_only_what_is_missing_is_encoded(encodings, tmp_path):
    assert encodings.ensure(WORDS, [*TEXTS, TEXTS[0], None]) == Encoded(new=300)
    assert encodings.ensure(WORDS, [*TEXTS, "one more"]) == Encoded(new=1)
    assert encodings.ensure(WORDS, TEXTS) == Encoded()
    np.testing.assert_array_equal(of(encodings, TEXTS), fresh(TEXTS, tmp_path), strict=True)
    assert encodings.versions() == {WORDS.identity: 301}


def test_what_is_not_there_is_nan(encodings):
    encodings.ensure(WORDS, TEXTS[:2])
    found = of(encodings, [TEXTS[1], "unknown", None])
    assert np.isnan(found).all(axis=1).tolist() == [False, True, True]
    assert encodings.known(WORDS, text_hashes([TEXTS[1], "unknown", None])).tolist() == [True, False, False]


def test_before_anything_is_encoded_all_is_nan(tmp_path):
    assert np.isnan(of(Encodings(tmp_path / "none"), ["a", None])).all()
    assert of(Encodings(tmp_path / "none"), []).shape == (0, 32)
    assert not (tmp_path / "none").exists()


def test_a_reader_sees_what_another_wrote(encodings, tmp_path):
    reader = Encodings(tmp_path / "vectors")
    assert np.isnan(of(reader, TEXTS[:1])).all()
    for count in (1, 5, 300):
        encodings.ensure(WORDS, TEXTS[:count])
        assert not np.isnan(of(reader, TEXTS[:count])).any()


def test_many_small_additions_are_found(encodings, tmp_path, monkeypatch):
    monkeypatch.setattr("winnow.encoders.rows._TAIL", 16)
    for first in range(0, 300, 7):
        encodings.ensure(WORDS, TEXTS[first : first + 7])
        seen = TEXTS[: first + 7]
        np.testing.assert_array_equal(of(encodings, seen), fresh(seen, tmp_path))


def test_progress_is_told(encodings):
    told = []
    encodings.ensure(WORDS, [str(i) for i in range(1200)], progress=lambda what, share: told.append((what, share)))
    assert [round(share, 2) for _, share in told] == [0.43, 0.85, 1.0]
    assert told[0][0] == "hashedwords: 1,200 to encode"


def test_another_version_is_refused_by_name(encodings):
    encodings.ensure(WORDS, TEXTS[:2])
    with pytest.raises(Conflict, match="encoder-version") as refused:
        of(encodings, TEXTS[:2], HashedWords(size=64))
    assert WORDS.identity in str(refused.value)


def test_versions_live_side_by_side(encodings, tmp_path):
    other = HashedWords(size=64)
    encodings.ensure(WORDS, TEXTS[:5])
    encodings.ensure(other, TEXTS[:3])
    assert of(encodings, TEXTS[:5]).shape == (5, 32)
    np.testing.assert_array_equal(of(encodings, TEXTS[:3], other), fresh(TEXTS[:3], tmp_path, other))


# Damage


def files(tmp_path):
    folder = tmp_path / "vectors" / WORDS.identity
    return folder / "index", next(folder.glob("vectors-*"))


def cut(path, size):
    with path.open("r+b") as file:
        file.truncate(size)


def changed_byte(path, place):
    data = bytearray(path.read_bytes())
    data[place] ^= 0x40
    path.write_bytes(data)


DAMAGE = {
    "the index is gone": lambda index, vectors: index.unlink(),
    "the vectors are gone": lambda index, vectors: vectors.unlink(),
    "both are gone": lambda index, vectors: (index.unlink(), vectors.unlink()),
    "the index is empty": lambda index, vectors: cut(index, 0),
    "the index has another header": lambda index, vectors: changed_byte(index, 3),
    "the index is of another size of vectors": lambda index, vectors: changed_byte(index, 8),
    "the last entry is torn": lambda index, vectors: cut(index, index.stat().st_size - 5),
    "the last vector is torn": lambda index, vectors: cut(vectors, vectors.stat().st_size - 5),
    "half of the vectors are lost": lambda index, vectors: cut(vectors, vectors.stat().st_size // 2),
    "a vector has another bit": lambda index, vectors: changed_byte(vectors, 1000),
    "a hash has another bit": lambda index, vectors: changed_byte(index, 64 + 16 * 7 + 2),
    "vectors without entries follow": lambda index, vectors: vectors.write_bytes(vectors.read_bytes() + b"x" * 500),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_what_is_damaged_is_made_again(encodings, tmp_path, damage):
    encodings.ensure(WORDS, TEXTS)
    DAMAGE[damage](*files(tmp_path))
    again = Encodings(tmp_path / "vectors")
    again.ensure(WORDS, [*TEXTS, "one more"])
    for reader in (again, Encodings(tmp_path / "vectors")):
        np.testing.assert_array_equal(of(reader, [*TEXTS, "one more"]), fresh([*TEXTS, "one more"], tmp_path))
    assert len(list((tmp_path / "vectors" / WORDS.identity).glob("vectors-*"))) == 1
    assert again.ensure(WORDS, TEXTS) == Encoded()


def test_a_flipped_bit_costs_one_vector_only(encodings, tmp_path):
    encodings.ensure(WORDS, TEXTS)
    changed_byte(files(tmp_path)[1], 1000)
    assert Encodings(tmp_path / "vectors").ensure(WORDS, TEXTS) == Encoded(new=1)


def test_a_reader_survives_the_mending(encodings, tmp_path):
    encodings.ensure(WORDS, TEXTS)
    reader = Encodings(tmp_path / "vectors")
    before = of(reader, TEXTS[:20])
    files(tmp_path)[0].unlink()
    Encodings(tmp_path / "vectors").ensure(WORDS, [*TEXTS[:100], "new"])
    np.testing.assert_array_equal(of(reader, TEXTS[:20]), before)
    assert not np.isnan(of(reader, ["new"])).any()


# Several at once


def test_threads_that_encode_the_same_write_it_once(tmp_path):
    def work():
        own = Encodings(tmp_path / "vectors")
        for first in range(0, 300, 20):
            own.ensure(WORDS, TEXTS[first : first + 20])

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert Encodings(tmp_path / "vectors").versions() == {WORDS.identity: 300}
    np.testing.assert_array_equal(of(Encodings(tmp_path / "vectors"), TEXTS), fresh(TEXTS, tmp_path))


def write_for_ever(folder, started):
    rows, size = Rows(folder, 384), 384
    for first in range(0, 10**9, 64):
        hashes = np.arange(first, first + 64)
        rows.append(hashes, np.repeat(hashes[:, None] % 1000, size, axis=1).astype(np.float32))
        started.set()


def test_a_killed_writer_leaves_whole_vectors_only(tmp_path):
    context, random, last = multiprocessing.get_context("fork"), np.random.default_rng(0), 0
    reader = Rows(tmp_path / "rows", 384)
    for _ in range(8):
        started = context.Event()
        writer = context.Process(target=write_for_ever, args=(tmp_path / "rows", started))
        writer.start()
        assert started.wait(20)
        until = time.monotonic() + random.random() * 0.15
        while time.monotonic() < until:  # a reader beside the writer sees whole vectors only, too
            newest = len(reader)
            found = reader.find(np.arange(max(newest - 100, 0), newest))
            np.testing.assert_array_equal(found[:, :1].repeat(384, axis=1), found)
        os.kill(writer.pid, signal.SIGKILL)
        writer.join()
        count = Rows.count(tmp_path / "rows")
        assert count >= last
        last = count
    found = Rows(tmp_path / "rows", 384).find(np.arange(last))
    there = ~np.isnan(found[:, 0])
    assert there.sum() == last
    np.testing.assert_array_equal(found[there], np.repeat((np.arange(last) % 1000)[there, None], 384, axis=1))


# Images


def test_images_are_read_from_the_media_folder_and_nowhere_else(tmp_path):
    Image = pytest.importorskip("PIL.Image", reason="pip install 'winnow-engine[images]'")
    media = tmp_path / "media"
    (media / "a").mkdir(parents=True)
    Image.new("RGB", (9, 9), "red").save(media / "a" / "red.png")
    Image.new("RGB", (9, 9), "blue").save(tmp_path / "outside.png")
    (media / "no.png").write_bytes(b"no image")
    (media / "link.png").symlink_to(tmp_path / "outside.png")
    encodings, colours = Encodings(tmp_path / "vectors", media=media), ColourGrid()
    paths = ["a/red.png", "../outside.png", str(tmp_path / "outside.png"), "link.png", "no.png", "missing.png", "a", ""]
    assert encodings.ensure(colours, paths) == Encoded(new=1, unreadable=7)
    assert (~np.isnan(of(encodings, paths, colours)[:, 0])).tolist() == [True] + [False] * 7
    Image.new("RGB", (9, 9), "green").save(media / "missing.png")
    assert encodings.ensure(colours, paths) == Encoded(new=1, unreadable=6)


def test_500_look_ups_take_a_fifth_of_a_millisecond(tmp_path):
    random = np.random.default_rng(0)
    hashes = random.integers(0, 1 << 62, 20_000)
    encoder = HashedWords(size=384)
    Rows(tmp_path / encoder.identity, 384).append(hashes, random.random((20_000, 384), np.float32))
    encodings, wanted = Encodings(tmp_path), random.choice(hashes, 500)

    def once():
        before = time.perf_counter()
        encodings.vectors(encoder, wanted)
        return time.perf_counter() - before

    assert min(once() for _ in range(100)) < 0.0002
