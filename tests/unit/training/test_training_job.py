import pytest

from winnow.training.job import copy_files, opened


def test_a_finished_step_is_not_done_again(tmp_path):
    done = []
    with opened(tmp_path / "jobs", {"seed": 1}, now=5) as job:
        for _ in range(2):
            job.step("a/b", done.append)
    assert len(done) == 1


def test_a_broken_run_goes_on_with_what_it_had_and_with_its_own_present(tmp_path):
    def breaks(folder):
        (folder / "checkpoint").write_text("half")
        raise RuntimeError("killed")

    with pytest.raises(RuntimeError), opened(tmp_path / "jobs", {"seed": 1}, now=5) as job:
        job.step("a", breaks)
    with opened(tmp_path / "jobs", {"seed": 1}, now=99) as job:
        folder = job.step("a", lambda folder: None)
        assert (folder / "checkpoint").read_text() == "half"
        assert job.as_of == 5


def test_other_facts_begin_anew(tmp_path):
    with opened(tmp_path / "jobs", {"seed": 1}, now=5) as first:
        first.step("a", lambda folder: None)
    with opened(tmp_path / "jobs", {"seed": 2}, now=6) as second:
        assert second.as_of == 6
        assert not first.folder.exists()


def test_copies_leave_marks_and_checkpoints_behind(tmp_path):
    source = tmp_path / "step"
    source.mkdir()
    for name in (".done", "checkpoint-3.safetensors", "model.onnx"):
        (source / name).write_text(name)
    copy_files(source, tmp_path / "copy")
    assert [p.name for p in (tmp_path / "copy").iterdir()] == ["model.onnx"]
