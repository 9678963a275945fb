"""A BERT encoder as an ONNX graph, made straight from its weights: neither torch nor transformers is needed.

B texts of the same number of tokens L, E features, H heads. Texts of one length are run together without padding, so
that no text changes the vector of another.

In the int8 form every linear layer multiplies whole numbers. Weights have one scale per output; activations one per
token, worked out as the graph runs. A scale per batch, as the usual dynamic quantisation has it, would make a vector
depend on its neighbours. Weights stay within ±64 so that no processor's 16-bit sums overflow.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast

import numpy as np
from numpy.typing import NDArray

from winnow.core.errors import InputError, Problem
from winnow.encoders.base import not_installed

if TYPE_CHECKING:
    import onnx

Precision = Literal["fp32", "int8"]
Weights = Mapping[str, NDArray[np.float32]]
OPSET, IR_VERSION = 20, 10
GELU_LOW = 0.17  # the smallest value of GELU is -0.16997
_TOP = {"weight": 64.0, "signed": 127.0, "positive": 255.0}
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
    return _Graph(config, weights, precision).made()


class _Graph:
    """Nodes and constants as they are added."""

    def __init__(self, config: Mapping[str, Any], weights: Weights, precision: Precision):
        try:
            import onnx
        except ImportError as error:
            raise not_installed("onnx", "text") from error
        self._onnx, self._config, self._weights, self._precision = onnx, config, weights, precision
        self._nodes: list[Any] = []
        self._constants: list[Any] = []

    def made(self) -> bytes:
        x = self._norm(self._embedded(), "embeddings.LayerNorm")
        for layer in range(self._config["num_hidden_layers"]):
            x = self._layer(x, f"encoder.layer.{layer}")
        self._nodes.append(self._onnx.helper.make_node("Identity", [x], ["states"]))
        return bytes(self._model().SerializeToString())

    def _model(self) -> "onnx.ModelProto":
        helper, kinds = self._onnx.helper, self._onnx.TensorProto
        ids = helper.make_tensor_value_info("ids", kinds.INT64, ["B", "L"])
        states = helper.make_tensor_value_info("states", kinds.FLOAT, ["B", "L", self._config["hidden_size"]])
        whole = helper.make_graph(self._nodes, "bert", [ids], [states], self._constants)
        opsets = [helper.make_opsetid("", OPSET), helper.make_opsetid("com.microsoft", 1)]
        return cast("onnx.ModelProto", helper.make_model(whole, opset_imports=opsets, ir_version=IR_VERSION))

    def _constant(self, value: Any) -> str:
        name = f"c{len(self._constants)}"
        self._constants.append(self._onnx.numpy_helper.from_array(np.ascontiguousarray(value), name))
        return name

    def _ops(self, kind: str, *inputs: str, outputs: int = 1, domain: str = "", **settings: Any) -> list[str]:
        names = [f"{kind}_{len(self._nodes)}_{i}" for i in range(outputs)]
        self._nodes.append(self._onnx.helper.make_node(kind, list(inputs), names, domain=domain, **settings))
        return names

    def _op(self, kind: str, *inputs: str, **settings: Any) -> str:
        return self._ops(kind, *inputs, **settings)[0]

    def _embedded(self) -> str:
        part = "embeddings.{}_embeddings.weight".format
        places = self._weights[part("position")] + self._weights[part("token_type")][0]
        length = self._op("Shape", "ids", start=1, end=2)
        here = self._op("Slice", self._constant(places), self._constant(np.zeros(1, np.int64)), length)
        return self._op("Add", self._op("Gather", self._constant(self._weights[part("word")]), "ids"), here)

    def _layer(self, x: str, name: str) -> str:
        attended = self._linear(self._attention(x, f"{name}.attention.self"), f"{name}.attention.output.dense")
        x = self._norm(self._op("Add", x, attended), f"{name}.attention.output.LayerNorm")
        inner = self._op("Gelu", self._linear(x, f"{name}.intermediate.dense"))
        outer = self._linear(inner, f"{name}.output.dense", positive=True)
        return self._norm(self._op("Add", x, outer), f"{name}.output.LayerNorm")

    def _attention(self, x: str, name: str) -> str:
        parts = [f"{name}.{part}" for part in ("query", "key", "value")]
        qkv = self._ops("Split", self._linear(x, *parts), outputs=3, axis=-1, num_outputs=3)
        heads = self._config["num_attention_heads"]
        return self._op("MultiHeadAttention", *qkv, domain="com.microsoft", num_heads=heads)

    def _norm(self, x: str, name: str) -> str:
        scale, shift = (self._constant(self._weights[f"{name}.{part}"]) for part in ("weight", "bias"))
        return self._op("LayerNormalization", x, scale, shift, epsilon=self._config["layer_norm_eps"])

    def _linear(self, x: str, *names: str, positive: bool = False) -> str:
        """x W + b of one layer, or of several side by side; `positive` inputs are those that come from a GELU."""
        weight = np.concatenate([self._weights[f"{n}.weight"] for n in names]).T
        bias = np.concatenate([self._weights[f"{n}.bias"] for n in names])
        if self._precision == "fp32":
            return self._op("Add", self._op("MatMul", x, self._constant(weight)), self._constant(bias))
        scale = np.maximum(np.abs(weight).max(axis=0), 1e-12) / _TOP["weight"]
        whole = np.rint(weight / scale).astype(np.int8)
        if positive:
            x = self._op("Add", x, self._constant(np.float32(GELU_LOW)))
            bias = bias - GELU_LOW * (whole.sum(axis=0, dtype=np.int64) * scale)
        quantised, per_token, zero = self._quantised(x, positive=positive)
        product = self._op("MatMulInteger", quantised, self._constant(whole), zero)
        product = self._op("Mul", self._op("Cast", product, to=self._onnx.TensorProto.FLOAT), per_token)
        product = self._op("Mul", product, self._constant(scale.astype(np.float32)))
        return self._op("Add", product, self._constant(bias.astype(np.float32)))

    def _quantised(self, x: str, *, positive: bool) -> tuple[str, str, str]:
        """uint8 [B, L, E], the scale of each token float32 [B, L, 1], and the number that stands for 0."""
        size = x if positive else self._op("Abs", x)
        largest = self._op("ReduceMax", size, self._constant(np.array([-1])), keepdims=1)
        top = _TOP["positive" if positive else "signed"]
        tiny, unit = self._constant(np.float32(1e-10)), self._constant(np.float32(1 / top))
        scale = self._op("Mul", self._op("Max", largest, tiny), unit)
        whole = self._op("Round", self._op("Div", x, scale))
        zero = 0 if positive else 128
        if zero:
            whole = self._op("Add", whole, self._constant(np.float32(zero)))
        kind = self._onnx.TensorProto.UINT8
        return self._op("Cast", whole, to=kind), scale, self._constant(np.uint8(zero))
