"""The figures of the page on picture encoders: how they are worked out, and that they can be reached."""

import io
import tarfile

import numpy as np
import pytest
from benchmarks import visual

from winnow.models.picture_looks import Looks
from winnow.models.picture_metric import MetricPictures
from winnow.models.picture_retrieval import Pictures

Image = pytest.importorskip("PIL.Image", reason="pip install 'winnow-engine[images]'")


def test_average_precision_by_distance_is_that_of_every_order_of_ties_together():
    rng = np.random.default_rng(0)
    query, base = rng.random((5, 12)) < 0.5, rng.random((60, 12)) < 0.5
    asked, groups = rng.integers(0, 3, 5), rng.integers(0, 3, 60)
    for i, found in enumerate(visual.hamming(query, base, asked, groups)):
        distance, relevant = (base ^ query[i]).sum(1), groups == asked[i]
        expected = [relevant[distance <= d].mean() for d in distance[relevant]]
        assert found == pytest.approx(np.mean(expected))


def test_codes_of_one_group_in_one_place_are_found_without_fault():
    base = np.repeat([[True] * 8, [False] * 8], 10, axis=0)
    groups = np.repeat([0, 1], 10)
    found = visual.hamming(base[[0, 10]], base, groups[[0, 10]], groups)
    np.testing.assert_array_equal(found, [1.0, 1.0])
    assert visual.hamming(base[[0]], base, groups[[10]], groups)[0] == 0.5


def test_nobody_finds_themselves():
    pictures = Pictures(
        np.arange(4), np.zeros((4, 32, 32, 3), np.uint8), np.array([0, 0, 1, 2]), np.zeros((0, 2), np.int64)
    )
    scores = np.array([[9, 1, 2, 0], [3, 9, 1, 2], [0, 0, 9, 0], [0, 0, 0, 9]], np.float32)
    np.testing.assert_array_equal(visual.among(scores, pictures), [0.5, 1.0, np.nan, np.nan])


def archive(path, parts):
    """Pictures of one colour a class; of another size than is asked for."""
    colours = {"red": (200, 30, 30), "blue": (30, 30, 200)}
    with tarfile.open(path, "w") as files:
        for part, count in parts.items():
            for name, colour in colours.items():
                for i in range(count):
                    file = io.BytesIO()
                    Image.new("RGB", (40, 50), tuple(c + i for c in colour)).save(file, "JPEG", quality=95)
                    entry = tarfile.TarInfo(f"{part}/{name}/{i}.jpg")
                    entry.size = file.tell()
                    files.addfile(entry, io.BytesIO(file.getvalue()))


def test_pictures_come_in_the_order_of_their_names_and_are_ranked(tmp_path, monkeypatch):
    archive(tmp_path / "small.tar", {"train": 5, "test": 2})
    monkeypatch.setattr(visual, "DATA", tmp_path)
    monkeypatch.setitem(visual.ARCHIVES, "clothing", "small.tar")
    monkeypatch.setattr(visual, "SHOWN", (1, 5))
    parts = visual.loaded("clothing", 32)
    assert {name: len(part) for name, part in parts.items()} == {"train": 10, "test": 4}
    assert parts["test"].groups.tolist() == [0, 0, 1, 1]
    assert parts["test"].pixels[0, 16, 16].argmax() == 2  # blue comes before red
    encoder, trained = visual.fitted(
        Looks(side=32), tmp_path / "L0", train=parts["train"], valid=parts["test"], threads=1
    )
    vectors = {name: visual.encoded(encoder, part, 2) for name, part in parts.items()}
    np.testing.assert_array_equal(vectors["train"], encoder.encode(parts["train"].pixels))
    found = visual.ranked(vectors["test"] @ vectors["train"].T, parts["test"], parts["train"])
    assert {name: values.tolist() for name, values in found.items()} == {
        "precision@10": [0.5] * 4, "map": [1.0] * 4, "recall@1": [0.2] * 4, "recall@5": [1.0] * 4, "ndcg@10": [1.0] * 4
    }  # fmt: skip
    assert (
        visual.fitted(Looks(side=32), tmp_path / "L0", train=parts["test"], valid=parts["test"], threads=1)[1]
        == trained
    )


@pytest.mark.heavy
@pytest.mark.data
@pytest.mark.timeout(1_800)
def test_metric_learning_finds_twice_as_well_as_looks(tmp_path):
    if not (visual.DATA / visual.ARCHIVES["clothing"]).is_file():
        pytest.skip("set WINNOW_DATA to the folder of the data sets: clothing is not there")
    parts = visual.loaded("clothing", 64)
    values = []
    for declared in (Looks(), MetricPictures(epochs=6)):
        folder = tmp_path / type(declared).__name__
        encoder, _ = visual.fitted(declared, folder, train=parts["train"], valid=parts["validation"], threads=2)
        test, train = (visual.encoded(encoder, parts[name], 2) for name in ("test", "train"))
        values.append(visual.ranked(test @ train.T, parts["test"], parts["train"])["map"].mean())
    assert values[1] > 2 * values[0]
