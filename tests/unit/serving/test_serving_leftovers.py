"""Files of pictures that no row names any more: gone some time later, and never one that somebody wants."""

import os
import subprocess
import sys
import threading
import time

import pytest

from winnow.core.errors import NotFound
from winnow.project import Project
from winnow.serving.gallery import Gallery
from winnow.serving.leftovers import Leftovers
from winnow.simulation import shapes


@pytest.fixture
def project(tmp_path):
    with Project.init(tmp_path / "shop", "visual_search") as project:
        yield project


@pytest.fixture
def leftovers(project):
    """Without any patience."""
    return Leftovers(project.log, project.tables.values(), project.collection.gallery, grace_s=0.0)


def data(seed=0):
    return shapes.encoded(shapes.picture("ring", seed), "JPEG")


def put(project, key, seed=0):
    assert project.collection.put(project.tables["image"], key, data(seed), columns={}).accepted == 1
    return project.collection.gallery.take(data(seed)).file


def kept(project):
    return project.collection.gallery.files()


def on_disk(project):
    return sorted(p.name for p in (project.folder / "media" / "pictures").rglob("*") if p.is_file())


def test_the_file_of_a_deleted_row_goes_with_its_thumbnail(project, leftovers):
    file, other = put(project, "a", 1), put(project, "b", 2)
    assert leftovers.sweep() == 0
    project.intake.rows("image", [{"image_id": "a", "deleted": True}])
    assert leftovers.sweep() == 1
    assert kept(project) == {other}
    assert len(on_disk(project)) == 2
    with pytest.raises(NotFound, match="no-picture"):
        project.collection.gallery.thumbnail(file)


def test_the_file_of_a_replaced_picture_goes_and_the_new_one_stays(project, leftovers):
    put(project, "a", 1)
    new = put(project, "a", 2)
    assert leftovers.sweep() == 1
    assert kept(project) == {new}


def test_a_file_that_another_row_names_stays(project, leftovers):
    file = put(project, "a", 1)
    put(project, "b", 1)
    project.intake.rows("image", [{"image_id": "a", "deleted": True}])
    assert leftovers.sweep() == 0
    project.intake.rows("image", [{"image_id": "b", "private": 1}])  # says nothing of the file
    assert leftovers.sweep() == 0
    assert kept(project) == {file}


def test_a_file_that_a_row_in_quarantine_names_stays(project, leftovers):
    file = project.collection.gallery.take(data()).file
    receipt = project.intake.rows("image", [{"image_id": "a", "file": file, "width": -3.0}])
    assert receipt.quarantined == 1
    assert leftovers.sweep() == 0
    assert kept(project) == {file}


def test_files_that_others_put_into_the_media_folder_are_not_ours(project, leftovers):
    own = project.folder / "media" / "memes" / "one.jpg"
    strange = project.folder / "media" / "pictures" / "ab" / "notes.txt"
    for path in (own, strange):
        path.parent.mkdir(parents=True)
        path.write_bytes(b"x")
    leftovers.sweep()
    assert own.exists()
    assert strange.exists()


def test_nothing_goes_before_its_time(project):
    leftovers = Leftovers(project.log, project.tables.values(), project.collection.gallery, grace_s=0.4)
    file = put(project, "a")
    path = project.folder / "media" / file
    os.utime(path, (0, 0))
    os.utime(f"{path}.small", (0, 0))
    project.intake.rows("image", [{"image_id": "a", "deleted": True}])
    assert leftovers.sweep() == 0  # an old file, but somebody may just have looked it up
    time.sleep(0.3)
    project.collection.gallery.take(data())  # brought again; the row is still to be written
    time.sleep(0.2)
    assert leftovers.sweep() == 0
    put(project, "b")
    time.sleep(0.5)
    assert leftovers.sweep() == 0
    assert kept(project) == {file}


def test_a_picture_that_comes_again_at_the_same_moment_is_never_lost(project):
    """One thread deletes and sweeps, another brings the same picture: a row that was acknowledged has its file."""
    leftovers = Leftovers(project.log, project.tables.values(), project.collection.gallery, grace_s=0.02)
    stop, lost, rounds = threading.Event(), [], 0

    def sweeping():
        while not stop.is_set():
            leftovers.sweep()

    thread = threading.Thread(target=sweeping)
    thread.start()
    until = time.monotonic() + 3
    while time.monotonic() < until:
        file = put(project, "a")
        if not (project.folder / "media" / file).exists():
            lost.append(rounds)
        project.intake.rows("image", [{"image_id": "a", "deleted": True}])
        time.sleep(0.03 * (rounds % 3))
        rounds += 1
    stop.set()
    thread.join()
    assert rounds > 10
    assert not lost


def test_bringing_and_removing_take_turns(tmp_path):
    """Between the look at a file's age and its removal nobody may bring it: other processes included."""
    gallery = Gallery(tmp_path / "media")
    file = gallery.take(data()).file
    code = (
        "import sys, fcntl, time; f = open(sys.argv[1], 'a'); fcntl.flock(f, fcntl.LOCK_EX); "
        "print('held', flush=True); time.sleep(60)"
    )
    lock = tmp_path / "media" / ".pictures.lock"
    with subprocess.Popen([sys.executable, "-c", code, str(lock)], stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout.readline() == "held\n"
        bringing = threading.Thread(target=gallery.take, args=(data(),))
        bringing.start()
        bringing.join(0.5)
        assert bringing.is_alive()
        other.kill()  # a kill lets go
        bringing.join(10)
        assert not bringing.is_alive()
    assert not gallery.discard(file, before=time.time() - 5)
    assert gallery.discard(file, before=time.time() + 5)
    gallery.close()


def test_what_a_kill_left_half_done_goes_the_next_time(project, leftovers):
    file = put(project, "a")
    project.intake.rows("image", [{"image_id": "a", "deleted": True}])
    (project.folder / "media" / file).unlink()  # killed between picture and thumbnail
    assert kept(project) == {file}
    assert leftovers.sweep() == 1
    assert on_disk(project) == []
    folder = (project.folder / "media" / file).parent
    fresh, old = folder / ("a" * 32 + ".0123"), folder / ("b" * 32 + ".0123")
    fresh.write_bytes(b"x")
    old.write_bytes(b"x")
    os.utime(old, (0, 0))
    leftovers.sweep()
    assert on_disk(project) == [fresh.name]


def test_a_torn_thumbnail_is_made_anew(project):
    gallery, file = project.collection.gallery, put(project, "a")
    small = project.folder / "media" / f"{file}.small"
    whole = small.read_bytes()
    for torn in (b"", whole[:-20]):
        small.write_bytes(torn)
        assert gallery.thumbnail(file).endswith(b"\xff\xd9")
