"""Pictures come in clean, near-duplicates get one name, and an index follows its table."""

import io
import threading
import time

import numpy as np
import pytest

from winnow.core.errors import Conflict, InputError, NotFound
from winnow.data.log import SqliteLog
from winnow.media.perceptual import pdq
from winnow.retrieval import kinds
from winnow.serving.gallery import Gallery
from winnow.serving.look_alikes import LookAlikes
from winnow.serving.query import Query
from winnow.serving.slate import distinct
from winnow.serving.tail import Tail
from winnow.serving.vectors import VectorSpace
from winnow.simulation import shapes


@pytest.fixture
def gallery(tmp_path):
    gallery = Gallery(tmp_path / "media")
    yield gallery
    gallery.close()


def scene(seed=0, kind="cross"):
    return shapes.picture(kind, seed)


# The gallery


def with_place(pixels) -> bytes:
    """A photograph that says where it was taken, turned by its EXIF data."""
    from PIL import Image

    exif = Image.Exif()
    exif[0x0112] = 6  # turned by a quarter
    exif[0x010E] = "secret words"
    exif.get_ifd(0x8825)[2] = (52.0, 31.0, 12.0)
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, "JPEG", exif=exif)
    return out.getvalue()


def test_nothing_is_kept_but_the_pixels(gallery):
    from PIL import Image

    data = with_place(scene()[:60])
    assert b"secret words" in data
    taken = gallery.take(data)
    assert (taken.width, taken.height) == (60, 96)  # upright
    kept = (gallery._folder / taken.file).read_bytes()
    for part in (kept, gallery.thumbnail(taken.file), gallery.thumbnail(taken.file, 40)):
        assert b"secret words" not in part
        with Image.open(io.BytesIO(part)) as image:
            assert not image.getexif()
            assert "exif" not in image.info
    assert max(Image.open(io.BytesIO(gallery.thumbnail(taken.file, 40))).size) == 40


def test_the_same_picture_is_one_file(gallery):
    data = shapes.encoded(scene())
    assert gallery.take(data) == gallery.take(data)
    assert len(list(gallery._folder.rglob("*.jpg"))) == 1


@pytest.mark.parametrize(
    "data", [b"", b"GIF89a", b"<svg xmlns='http://www.w3.org/2000/svg'/>", b"\x89PNG\r\n\x1a\n" * 9]
)
def test_what_is_no_picture_leaves_nothing(gallery, data):
    with pytest.raises(InputError, match="image-unreadable"):
        gallery.take(data)
    assert not gallery._folder.exists()


@pytest.mark.parametrize("file", ["../secret.jpg", "/etc/passwd", "pictures/none.jpg", "pictures"])
def test_only_files_of_the_media_folder_are_shown(gallery, tmp_path, file):
    (tmp_path / "secret.jpg").write_bytes(shapes.encoded(scene(), "JPEG"))
    gallery.take(shapes.encoded(scene(1)))
    for look in (gallery.pixels, gallery.thumbnail, lambda f: gallery.square(f, 32)):
        with pytest.raises(NotFound, match="no-picture"):
            look(file)


# Near-duplicates


def named(alike, pixels, name="own"):
    return alike.group(*pdq(pixels), name)


def photo(seed):
    """Something with enough to see in it for a hash to mean anything."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (6, 6, 3)).astype(np.uint8)
    return np.kron(coarse, np.ones((32, 32, 1), np.uint8)).astype(np.uint8)


def test_near_duplicates_share_a_name_and_others_do_not(tmp_path):
    alike = LookAlikes(tmp_path / "looks.bin")
    one, other = photo(1), photo(2)
    darker = (one * 0.9).astype(np.uint8)
    first = named(alike, one)
    assert named(alike, darker) == first
    assert named(alike, one[2:-2, 2:-2]) == first
    assert named(alike, other) != first
    assert named(LookAlikes(tmp_path / "looks.bin"), darker) == first  # another process, or the next day


@pytest.mark.parametrize("first", [0, 1, 97, 225])
def test_the_last_bit_counts_wherever_the_bits_lie(tmp_path, first):
    hashed = pdq(photo(1))[0]
    for count, same in ((31, True), (32, False)):
        alike, near = LookAlikes(tmp_path / f"{count}.bin"), hashed.copy()
        for bit in [(first + i) % 256 for i in range(count)]:
            near[bit // 64] ^= np.uint64(1) << np.uint64(bit % 64)
        assert (alike.group(hashed, 100, "own") == alike.group(near, 100, "own")) == same


def test_many_groups_are_known_again(tmp_path):
    hashes = np.random.default_rng(0).integers(0, 2**64, (3_000, 4), dtype=np.uint64)
    alike = LookAlikes(tmp_path / "looks.bin")
    names = [alike.group(hashed, 100, "own") for hashed in hashes]
    assert len(set(names)) == len(hashes)
    assert [alike.group(hashed ^ np.uint64(5), 100, "own") for hashed in hashes[::100]] == names[::100]
    assert LookAlikes(tmp_path / "looks.bin").group(hashes[-1], 100, "own") == names[-1]


def test_what_shows_too_little_is_only_like_itself(tmp_path):
    alike, plain = LookAlikes(tmp_path / "looks.bin"), np.full((96, 96, 3), 200, np.uint8)
    assert named(alike, plain, "a") == "a"
    assert named(alike, plain + 1, "b") == "b"


class Slow(LookAlikes):
    """Takes its time between looking and writing."""

    def _nearest(self, hashed):
        found = super()._nearest(hashed)
        time.sleep(0.003)
        return found


def test_those_that_come_at_once_get_one_name(tmp_path):
    """Each thread stands for a process: it has its own view of the file."""
    hashes, file, together = [pdq(photo(seed)) for seed in range(5)], tmp_path / "x", threading.Barrier(8)
    names = [set() for _ in hashes]

    def bring():
        alike = Slow(file)
        for hashed, found in zip(hashes, names, strict=True):
            together.wait()
            found.add(alike.group(*hashed, "own"))

    work = [threading.Thread(target=bring) for _ in range(8)]
    for thread in work:
        thread.start()
    for thread in work:
        thread.join()
    assert [len(found) for found in names] == [1] * len(hashes)
    assert file.stat().st_size == 32 * len(hashes)


def test_of_near_vectors_the_first_stays():
    corner = np.array([[1, 0], [0.9999, 0.0141], [0, 1], [np.nan, np.nan], [0.9995, 0.0316]], np.float32)
    assert distinct(corner, 0.999).tolist() == [True, False, True, True, False]
    assert distinct(corner, 0.99999).all()


# The tail of a table


@pytest.fixture
def intake(tmp_path):
    import winnow as w
    from winnow.data.intake import Intake

    table = w.Table("image", key="image_id", columns={"file": w.image, "kind": w.category})
    other = w.Table("other", key="id", columns={"kind": w.category})
    log = SqliteLog(tmp_path / "truth.db")
    intake = Intake(log, {"image": table, "other": other}, {})
    yield intake, log
    log.close()


def put(intake, **row):
    assert intake.rows("image", [row]).accepted == 1


def test_the_tail_knows_what_changed_and_where_pictures_lie(intake):
    intake, log = intake
    tail = Tail(log, "image", "file")
    put(intake, image_id="a", file="a.jpg")
    put(intake, image_id="b", file="b.jpg")
    tail.follow(log.last_seq(), since=0)
    assert tail.texts == {0: "a.jpg", 1: "b.jpg"}
    assert tail.changed_after(0).tolist() == [0, 1]
    intake.rows("other", [{"id": "x", "kind": "y"}])
    put(intake, image_id="a", kind="shirt")  # leaves the file as it was
    put(intake, image_id="b", deleted=True)
    put(intake, image_id="c", file="c.jpg")
    tail.follow(log.last_seq() - 1, since=0)
    assert tail.changed_after(2).tolist() == [0, 1]  # not yet what came after the look
    tail.follow(log.last_seq(), since=0)
    assert tail.changed_after(2).tolist() == [0, 1, 2]
    assert tail.texts == {0: "a.jpg", 2: "c.jpg"}


def test_the_tail_reaches_back_for_an_older_release(intake):
    intake, log = intake
    put(intake, image_id="a", kind="x")
    put(intake, image_id="b", kind="x")
    tail = Tail(log, "image")
    tail.follow(2, since=1)
    assert tail.changed_after(1).tolist() == [1]
    tail.follow(2, since=0)
    assert tail.changed_after(0).tolist() == [0, 1]


# The index


class Corners:
    """Sides that give each row the corner of its number; rows in `blind` have none."""

    def __init__(self):
        self.blind, self.encoded = set(), []

    def query(self, query, kit):
        return None

    def items(self, rows, state, at):
        self.encoded += rows.tolist()
        vectors = np.eye(8, dtype=np.float32)[rows]
        vectors[[row in self.blind for row in rows]] = np.nan
        return vectors


@pytest.fixture
def space():
    base = kinds.build(np.eye(8, dtype=np.float32)[:3], np.arange(3), "v1")
    return VectorSpace(base, encoder="v1", sides=Corners(), seq=10)


def found(space, row):
    return space.search(Query("", "", row, 0, 5, 0.0), None, 5)[0].tolist()


def catch_up(space, rows, exists, seq):
    space.catch_up(np.array(rows), np.array(exists, bool), None, at=0, seq=seq)


def test_changed_rows_are_encoded_and_gone_ones_leave(space):
    catch_up(space, [1, 4], [False, True], 12)
    assert space.seq == 12
    assert space.sides.encoded == [4]
    assert sorted(found(space, 4)) == [0, 2, 4]
    assert found(space, 1) == []
    catch_up(space, [4], [True], 13)  # its picture changed
    assert space.sides.encoded == [4, 4]


def test_what_has_no_vector_is_not_found_and_not_tried_for_ever(space):
    space.sides.blind = {2, 5}
    catch_up(space, [2, 5], [True, True], 12)
    assert sorted(found(space, 0)) == [0, 1]
    exists = np.ones(6, bool)
    assert space.follow(exists, np.empty(0, np.int64), None, at=0, seq=13) == 2  # rows 3 and 4, of which no one told
    assert space.sides.encoded == [2, 5, 3, 4]
    assert sorted(found(space, 0)) == [0, 1, 3, 4]


def test_the_vector_of_a_row_is_that_of_its_last_change(space):
    assert np.array_equal(space.of(np.array([2, 0])), np.eye(8, dtype=np.float32)[[2, 0]])
    space.index.upsert(np.array([0, 6]), np.eye(8, dtype=np.float32)[[7, 6]], encoder="v1")
    assert np.array_equal(space.of(np.array([6, 0])), np.eye(8, dtype=np.float32)[[6, 7]])
    space.index.delete(np.array([6]))
    assert np.isnan(space.of(np.array([6, 5, -1]))).all()


def test_vectors_of_another_encoder_are_refused(space):
    space.encoder = "v2"
    with pytest.raises(Conflict, match="encoder-differs"):
        found(space, 0)
    with pytest.raises(Conflict, match="encoder-differs"):
        catch_up(space, [4], [True], 12)


def test_what_is_hidden_takes_nobodys_place(space):
    space.hide(np.arange(3), np.array([False, True, True]))
    assert found(space, 0) == [0]
    allowed = np.array([True, True, True])
    assert space.search(Query("", "", 0, 0, 5, 0.0, allowed=allowed), None, 5)[0].tolist() == [0]
    catch_up(space, [4], [True], 12)  # nobody has looked at it yet: not hidden
    assert sorted(found(space, 0)) == [0, 4]
    space.hide(np.array([1]), np.array([False]))
    assert sorted(found(space, 0)) == [0, 1, 4]
