"""A BERT encoder as an ONNX graph, made straight from its weights: neither torch nor transformers is needed.

B texts of the same number of tokens L, E features. Texts of one length are run together without padding, so
that no text changes the vector of another.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from winnow.core.errors import InputError, Problem
from winnow.encoders.base import not_installed
from winnow.encoders.transformer import Graph, Precision, Weights

_EXPECTED = {"model_type": "bert", "hidden_act": "gelu", "position_embedding_type": "absolute"}


def weights_of(file: Path) -> Weights:
    """The weights in a safetensors file as float32, without the prefix `bert.`."""
    try:
        from safetensors.numpy import load_file
    except ImportError as error:
        raise not_installed("safetensors", "text") from error
    return {name.removeprefix("bert."): value.astype(np.float32) for name, value in load_file(file).items()}


def graph(config: Mapping[str, Any], weights: Weights, precision: Precision) -> bytes:
    """The encoder as ONNX: `ids` int64 [B, L] → `states` float32 [B, L, E], the last layer's.

    Args:
        config: as in `config.json`.
        weights: by the names that Hugging Face gives them.
        precision: of the linear layers.

    Raises:
        InputError: `unsupported-model`.
    """
    for name, expected in _EXPECTED.items():
        if config.get(name, expected) != expected:
            what = f"`{name}` of the model is {json.dumps(config[name])}"
            raise InputError(Problem("unsupported-model", what, "config.json", fix=f"use one with {expected}"))
    return _Bert(config, weights, precision).made()


class _Bert(Graph):
    """The layers of BERT: each adds to what came in, then normalises."""

    def made(self) -> bytes:
        x = self.norm(self._embedded(), "embeddings.LayerNorm")
        for layer in range(self.config["num_hidden_layers"]):
            x = self._layer(x, f"encoder.layer.{layer}")
        shape = ["B", "L", self.config["hidden_size"]]
        return self.bytes_of("bert", takes=("ids", self.onnx.TensorProto.INT64, ["B", "L"]), gives=("states", x, shape))

    def _embedded(self) -> str:
        part = "embeddings.{}_embeddings.weight".format
        places = self.weights[part("position")] + self.weights[part("token_type")][0]
        length = self.op("Shape", "ids", start=1, end=2)
        here = self.op("Slice", self.constant(places), self.constant(np.zeros(1, np.int64)), length)
        return self.op("Add", self.op("Gather", self.constant(self.weights[part("word")]), "ids"), here)

    def _layer(self, x: str, name: str) -> str:
        parts = [f"{name}.attention.self.{part}" for part in ("query", "key", "value")]
        attended = self.linear(self.attended(x, *parts), f"{name}.attention.output.dense")
        x = self.norm(self.op("Add", x, attended), f"{name}.attention.output.LayerNorm")
        inner = self.op("Gelu", self.linear(x, f"{name}.intermediate.dense"))
        outer = self.linear(inner, f"{name}.output.dense", positive=True)
        return self.norm(self.op("Add", x, outer), f"{name}.output.LayerNorm")
