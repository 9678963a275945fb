"""Well-known image encoders against forward passes in torch, and where their weights may come from."""

import io
import json
import zipfile

import numpy as np
import pytest
import torch

from winnow.core.errors import InputError, Unavailable
from winnow.encoders import towers
from winnow.encoders.picture_input import Preparation
from winnow.encoders.vit import interpolated
from winnow.encoders.weights import checksum

pytest.importorskip("safetensors", reason="pip install 'winnow-engine[text]'")
Image = pytest.importorskip("PIL.Image", reason="pip install 'winnow-engine[images]'")

import picture_models as tiny  # noqa: E402

KINDS = list(tiny.CONFIGS)


def picture(seed, size=(50, 40)):
    """A PNG of that width and height with smooth colours."""
    small = np.random.default_rng(seed).integers(0, 256, (6, 5, 3), np.uint8)
    file = io.BytesIO()
    Image.fromarray(small).resize(size, Image.Resampling.BICUBIC).save(file, "PNG")
    return file.getvalue()


def prepared(kind, data):
    """What the model should see, by Pillow alone."""
    asked, image = tiny.PREPARATIONS[kind], Image.open(io.BytesIO(data))
    if "shortest_edge" in asked["size"]:
        short, (wide, high) = asked["size"]["shortest_edge"], image.size
        size = (int(short * wide / high), short) if wide >= high else (short, int(short * high / wide))
        image = image.resize(size, Image.Resampling.BICUBIC)
        left, top = (size[0] - 32) // 2, (size[1] - 32) // 2
        return np.asarray(image.crop((left, top, left + 32, top + 32)))
    return np.asarray(image.resize((32, 32), Image.Resampling.BICUBIC))


def encoder(kind, folder, **settings):
    return getattr(towers, kind)(weights=str(folder), size=tiny.SIZES[kind], **settings)


@pytest.fixture(params=KINDS)
def kind(request):
    return request.param


@pytest.fixture
def folder(kind, tmp_path):
    return tiny.write(kind, tmp_path / "tiny")


def test_it_gives_what_torch_gives(kind, folder, tmp_path):
    images = [picture(1), picture(2, (40, 61)), picture(3, (32, 32)), picture(4, (9, 7))]
    found = encoder(kind, folder).open(tmp_path / "made")(images)
    expected = tiny.reference(kind, np.stack([prepared(kind, image) for image in images]))
    np.testing.assert_allclose(found, expected, atol=3e-6)
    assert found.dtype == np.float32


def test_another_seed_gives_other_vectors(kind, folder):
    image = prepared(kind, picture(1))[None]
    assert np.abs(tiny.reference(kind, image, seed=1) - tiny.reference(kind, image)).max() > 0.05


def test_whole_numbers_give_nearly_the_same(kind, folder, tmp_path):
    images = [picture(1), picture(2)]
    found = encoder(kind, folder, precision="int8").open(tmp_path / "made")(images)
    expected = tiny.reference(kind, np.stack([prepared(kind, image) for image in images]))
    cosines = (found * expected).sum(1)
    assert (cosines > 0.98).all()
    assert (cosines < 1 - 1e-7).all()


def test_the_image_tower_may_come_alone(tmp_path):
    whole = tiny.write("Clip", tmp_path / "whole")
    alone = tiny.write("Clip", tmp_path / "alone")
    vision = tiny.CONFIGS["Clip"]["vision_config"] | {"model_type": "clip_vision_model", "projection_dim": 20}
    (alone / "config.json").write_text(json.dumps(vision))
    one, two = (encoder("Clip", f).open(tmp_path / f"made-{f.name}")([picture(1)]) for f in (whole, alone))
    np.testing.assert_array_equal(one, two)


def test_what_cannot_be_read_has_no_vector(kind, folder, tmp_path):
    vectors = encoder(kind, folder).open(tmp_path / "made")([b"", picture(1), b"<svg/>"])
    assert np.isnan(vectors).all(axis=1).tolist() == [True, False, True]


def test_a_damaged_model_is_made_again_and_needs_the_weights_once(kind, folder, tmp_path):
    declared = encoder(kind, folder)
    before = declared.open(tmp_path / "made")([picture(1)])
    (tmp_path / "made" / "model.onnx").write_bytes(b"damaged")
    np.testing.assert_array_equal(declared.open(tmp_path / "made")([picture(1)]), before)
    (folder / "model.safetensors").unlink()
    np.testing.assert_array_equal(declared.open(tmp_path / "made")([picture(1)]), before)


def test_places_are_interpolated_as_torch_does():
    places = np.random.default_rng(0).normal(size=(49, 3)).astype(np.float32)
    square = torch.from_numpy(places).double().reshape(1, 7, 7, 3).permute(0, 3, 1, 2)
    for grid in ((7, 7), (16, 16), (4, 4), (9, 5)):
        expected = torch.nn.functional.interpolate(square, grid, mode="bicubic", align_corners=False)
        np.testing.assert_allclose(interpolated(places, grid), expected[0].flatten(1).T.numpy(), atol=1e-12)
    with pytest.raises(InputError, match="unsupported-model"):
        interpolated(places[:48], (4, 4))


@pytest.mark.parametrize(
    ("kind", "change"),
    [("Clip", {"model_type": "siglip"}), ("DinoV2", {"use_swiglu_ffn": True}), ("DinoV2", {"hidden_act": "relu"}),
     ("SigLip", {"model_type": "siglip2"}), ("DinoV2", {"model_type": "dinov2_with_registers"}),
     ("DinoV2", {"num_hidden_layers": 3}), ("DinoV2", {"hidden_size": None})],
)  # fmt: skip
def test_other_models_are_refused(kind, change, tmp_path):
    change = {name: value for name, value in change.items() if value is not None}
    folder = tiny.write(kind, tmp_path / "tiny", **change)
    size = tiny.SIZES[kind] + (not change)  # the last one asks for another size than the model has
    with pytest.raises(InputError, match="unsupported-model"):
        getattr(towers, kind)(weights=str(folder), size=size).open(tmp_path / "made")
    assert not (tmp_path / "made" / "model.onnx").exists()


def test_a_name_is_looked_up_in_the_cache_of_the_hub(tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HOME", str(tmp_path))
    monkeypatch.delenv("HF_HUB_CACHE", raising=False)
    declared = towers.Clip(weights="openai/clip-tiny", size=20)
    with pytest.raises(Unavailable, match="hf download openai/clip-tiny"):
        declared.open(tmp_path / "made")
    cached = tmp_path / "hub" / "models--openai--clip-tiny"
    folder = tiny.write("Clip", cached / "snapshots" / "abc123")
    (cached / "refs").mkdir()
    (cached / "refs" / "main").write_text("abc123")
    found = declared.open(tmp_path / "made")([picture(1)])
    np.testing.assert_array_equal(found, encoder("Clip", folder).open(tmp_path / "other")([picture(1)]))


@pytest.mark.parametrize("name", ["config.json", "preprocessor_config.json", "model.safetensors"])
def test_a_missing_file_is_named(name, tmp_path):
    folder = tiny.write("Clip", tmp_path / "tiny")
    (folder / name).unlink()
    with pytest.raises(Unavailable, match=f"no `{name}`"):
        encoder("Clip", folder).open(tmp_path / "made")


def test_archive_checksum_and_address(tmp_path):
    folder = tiny.write("Clip", tmp_path / "tiny")
    archive = tmp_path / "tiny.zip"
    with zipfile.ZipFile(archive, "w") as files:
        for file in folder.iterdir():
            files.write(file, f"clip/{file.name}")
        files.writestr("../outside.txt", "no")
    one = encoder("Clip", folder, sha256=checksum(folder / "model.safetensors")).open(tmp_path / "1")
    two = encoder("Clip", archive, sha256=checksum(archive)).open(tmp_path / "2")
    np.testing.assert_array_equal(one([picture(1)]), two([picture(1)]))
    assert not (tmp_path / "outside.txt").exists()
    for place in (folder, archive):
        with pytest.raises(InputError, match="checksum-differs"):
            encoder("Clip", place, sha256="0" * 64).open(tmp_path / "3")
    for address, code in (("https://example.invalid/a.zip", "no-checksum"), ("http://a.invalid/a.zip", "bad-address")):
        with pytest.raises(InputError, match=code):
            towers.Clip(weights=address).version  # noqa: B018
    assert towers.Clip(weights="https://example.invalid/a.zip", sha256="a" * 64).version


def test_the_version_is_of_the_files_and_the_settings(tmp_path):
    folder = tiny.write("Clip", tmp_path / "tiny")
    version = encoder("Clip", folder).version
    moved = folder.rename(tmp_path / "moved")
    assert encoder("Clip", moved).version == version
    assert encoder("Clip", moved, precision="int8").version != version
    tiny.write("Clip", moved, seed=1)
    assert encoder("Clip", moved).version != version


@pytest.mark.parametrize(
    ("config", "shape", "expected"),
    [({"size": 20, "crop_size": 16, "do_center_crop": True}, (40, 60), (16, 16)),
     ({"size": 20, "do_center_crop": False}, (40, 60), (20, 20)),
     ({"size": {"height": 12, "width": 18}}, (40, 60), (12, 18)),
     ({"size": {"shortest_edge": 8}, "crop_size": {"height": 16, "width": 10}, "do_center_crop": True}, (8, 9),
      (16, 10))],
)  # fmt: skip
def test_sizes_are_said_in_several_ways(config, shape, expected):
    asked = Preparation.of(config | {"image_mean": [0.5] * 3, "image_std": [0.5] * 3})
    assert asked.apply(np.full((*shape, 3), 9, np.uint8)).shape == (*expected, 3)
    scale, shift = asked.scale_and_shift()
    np.testing.assert_allclose(scale * 255 + shift, 1.0, atol=1e-6)
    np.testing.assert_allclose(shift, -1.0, atol=1e-6)


@pytest.mark.parametrize(
    "config", [{"do_resize": False}, {"size": {"longest_edge": 3}}, {"size": {"shortest_edge": 9}}]
)
def test_sizes_that_depend_on_the_picture_are_refused(config):
    with pytest.raises(InputError, match="unsupported-model"):
        Preparation.of({"do_normalize": False, **config})
