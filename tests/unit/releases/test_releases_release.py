import os
import stat

import pytest

from winnow.core.errors import Conflict, InputError, Unavailable
from winnow.releases.manifest import FILE_NAME, Manifest, Window
from winnow.releases.release import build, load, sweep


def facts(**changes):
    known = {"system": "feed", "declaration": "d1", "created_at": 5, "window": Window(0, 10, 1, 99)}
    return Manifest(**{**known, "metrics": {"click": {"auc": 0.75, "ece": None}}, "weights": {"click": 1.0}, **changes})


def a_release(root, content=b"weights", **changes):
    with build(root, "feed") as draft:
        (draft.folder / "ranker").mkdir()
        (draft.folder / "ranker" / "model.onnx").write_bytes(content)
        (draft.folder / "index.faiss").write_bytes(b"vectors" * 1000)
        return draft.finish(facts(**changes))


def test_a_release_comes_back_as_it_was(tmp_path):
    release = a_release(tmp_path)
    again = load(tmp_path / "feed" / release.id)
    assert again == release
    assert again.manifest.window == Window(0, 10, 1, 99)
    assert set(again.manifest.files) == {"index.faiss", "ranker/model.onnx"}
    assert again.path("ranker/model.onnx").read_bytes() == b"weights"
    assert again.path("ranker").is_dir()
    with pytest.raises(InputError, match=r"no `other\.onnx`"):
        again.path("other.onnx")


def test_the_id_follows_the_content(tmp_path):
    first = a_release(tmp_path)
    assert a_release(tmp_path).id == first.id
    assert a_release(tmp_path, b"weightz").id != first.id
    assert a_release(tmp_path, created_at=6).id != first.id
    assert len(list((tmp_path / "feed").iterdir())) == 3


def test_nothing_is_left_of_a_build_that_fails(tmp_path):
    with pytest.raises(FileNotFoundError), build(tmp_path, "feed") as draft:
        (draft.folder / "half.bin").write_bytes((draft.folder / "none").read_bytes())
    assert list((tmp_path / "feed").iterdir()) == []


def test_files_cannot_be_written_any_more(tmp_path):
    release = a_release(tmp_path)
    for name in [*release.manifest.files, FILE_NAME]:
        assert not (release.folder / name).stat().st_mode & (stat.S_IWUSR | stat.S_IWGRP | stat.S_IWOTH)


def test_a_draft_finishes_once(tmp_path):
    with build(tmp_path, "feed") as draft:
        draft.finish(facts())
        with pytest.raises(Conflict):
            draft.finish(facts())


def test_facts_that_json_cannot_hold_are_refused(tmp_path):
    with build(tmp_path, "feed") as draft, pytest.raises(InputError) as error:
        draft.finish(facts(metrics={"auc": float("nan")}))
    assert error.value.code == "manifest-not-json"
    assert list((tmp_path / "feed").iterdir()) == []


def spoil(path, data):
    path.chmod(0o644)
    path.write_bytes(data)


@pytest.mark.parametrize(
    ("damage", "told"),
    [
        (lambda f: spoil(f / "index.faiss", b"vectorz" * 1000), "index.faiss does not have the content"),
        (lambda f: spoil(f / "index.faiss", b"torn"), "index.faiss has 4 bytes, 7000 were recorded"),
        (lambda f: (f / "ranker" / "model.onnx").unlink(), "model.onnx is missing"),
        (lambda f: spoil(f / FILE_NAME, b'{"system"'), "manifest.json cannot be read"),
        (lambda f: spoil(f / FILE_NAME, b"[]"), "manifest.json cannot be read"),
        (lambda f: spoil(f / FILE_NAME, (f / FILE_NAME).read_bytes().replace(b'"d1"', b'"d2"')), "not"),
    ],
)
def test_damage_is_named_with_a_way_out(tmp_path, damage, told):
    release = a_release(tmp_path)
    damage(release.folder)
    with pytest.raises(Unavailable) as error:
        load(release.folder)
    assert told in str(error.value)
    assert error.value.code == "release-corrupt"
    assert "winnow rollback" in error.value.problems[0].fix


def test_every_bad_file_is_told_at_once(tmp_path):
    release = a_release(tmp_path)
    spoil(release.folder / "index.faiss", b"")
    (release.folder / "ranker" / "model.onnx").unlink()
    with pytest.raises(Unavailable) as error:
        load(release.folder)
    assert len(error.value.problems) == 2


def test_a_quick_load_checks_sizes_only(tmp_path):
    release = a_release(tmp_path)
    spoil(release.folder / "index.faiss", b"vectorz" * 1000)
    assert load(release.folder, hashes=False) == release


def test_a_missing_release_is_named(tmp_path):
    with pytest.raises(Unavailable) as error:
        load(tmp_path / "feed" / "0123456789abcdef")
    assert error.value.code == "release-missing"


def test_the_sweep_takes_dead_drafts_and_leaves_living_ones(tmp_path):
    (tmp_path / "feed").mkdir()
    dead = tmp_path / "feed" / ".building-dead"
    dead.mkdir()
    (dead / "half.bin").write_bytes(b"x")
    release = a_release(tmp_path)
    with build(tmp_path, "feed") as draft:
        assert sweep(tmp_path) == [dead]
        assert draft.folder.exists()
    assert sorted(os.listdir(tmp_path / "feed")) == [release.id]
