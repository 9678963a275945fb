"""What graphs of transformers are made of: nodes and constants as they are added, norms, attention, linear layers.

B inputs of L tokens, E features. In the int8 form every linear layer multiplies whole numbers. Weights have one scale
per output; activations one per token, worked out as the graph runs. A scale per batch, as the usual dynamic
quantisation has it, would make a vector depend on its neighbours. Weights stay within ±64 so that no processor's 16-bit
sums overflow.
"""

from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from winnow.encoders.base import not_installed

Precision = Literal["fp32", "int8"]
Weights = Mapping[str, NDArray[np.float32]]
_OPSET, _IR_VERSION = 20, 10
_GELU_LOW = 0.17  # the smallest value of GELU is -0.16997
_TOP = {"weight": 64.0, "signed": 127.0, "positive": 255.0}


class Graph:
    """An ONNX graph in the making; nodes are known by the name of their output.

    Args:
        config: `num_attention_heads` and `layer_norm_eps` of the model.
        weights: by the names that Hugging Face gives them.
        precision: of the linear layers.

    Raises:
        Unavailable: `package-missing`.
    """

    def __init__(self, config: Mapping[str, Any], weights: Weights, precision: Precision):
        try:
            import onnx
        except ImportError as error:
            raise not_installed("onnx", "text") from error
        self.onnx, self.config, self.weights, self._precision = onnx, config, weights, precision
        self._nodes: list[Any] = []
        self._constants: list[Any] = []

    def bytes_of(self, name: str, *, takes: tuple[str, int, list[Any]], gives: tuple[str, str, list[Any]]) -> bytes:
        """The whole graph in ONNX's format.

        Args:
            name: of the graph.
            takes: name, type and shape of the input.
            gives: name, node and shape of the output, float32.
        """
        helper = self.onnx.helper
        output, node, shape = gives
        self._nodes.append(helper.make_node("Identity", [node], [output]))
        inputs = [helper.make_tensor_value_info(*takes)]
        outputs = [helper.make_tensor_value_info(output, self.onnx.TensorProto.FLOAT, shape)]
        whole = helper.make_graph(self._nodes, name, inputs, outputs, self._constants)
        opsets = [helper.make_opsetid("", _OPSET), helper.make_opsetid("com.microsoft", 1)]
        return bytes(helper.make_model(whole, opset_imports=opsets, ir_version=_IR_VERSION).SerializeToString())

    def constant(self, value: Any) -> str:
        """A node that is always the same."""
        name = f"c{len(self._constants)}"
        self._constants.append(self.onnx.numpy_helper.from_array(np.ascontiguousarray(value), name))
        return name

    def ops(self, kind: str, *inputs: str, outputs: int = 1, domain: str = "", **settings: Any) -> list[str]:
        """The outputs of an operation of ONNX."""
        names = [f"{kind}_{len(self._nodes)}_{i}" for i in range(outputs)]
        self._nodes.append(self.onnx.helper.make_node(kind, list(inputs), names, domain=domain, **settings))
        return names

    def op(self, kind: str, *inputs: str, **settings: Any) -> str:
        """The one output of an operation of ONNX."""
        return self.ops(kind, *inputs, **settings)[0]

    def attended(self, x: str, query: str, key: str, value: str) -> str:
        """Self-attention of tokens [B, L, E], before its output layer; the names are those of the three layers."""
        parts = self.ops("Split", self.linear(x, query, key, value), outputs=3, axis=-1, num_outputs=3)
        return self.attention(*parts)

    def attention(self, query: str, key: str, value: str) -> str:
        """What tokens that ask get from tokens that answer, all [B, L, E]."""
        heads = self.config["num_attention_heads"]
        return self.op("MultiHeadAttention", query, key, value, domain="com.microsoft", num_heads=heads)

    def norm(self, x: str, name: str) -> str:
        """Layer normalisation with the weights of this name."""
        scale, shift = (self.constant(self.weights[f"{name}.{part}"]) for part in ("weight", "bias"))
        return self.op("LayerNormalization", x, scale, shift, epsilon=self.config["layer_norm_eps"])

    def linear(self, x: str, *names: str, positive: bool = False) -> str:
        """x W + b of one layer, or of several side by side; `positive` inputs are those that come from a GELU."""
        weight = np.concatenate([self.weights[f"{n}.weight"] for n in names]).T
        bias = np.concatenate([self.weights[f"{n}.bias"] for n in names])
        if self._precision == "fp32":
            return self.op("Add", self.op("MatMul", x, self.constant(weight)), self.constant(bias))
        scale = np.maximum(np.abs(weight).max(axis=0), 1e-12) / _TOP["weight"]
        whole = np.rint(weight / scale).astype(np.int8)
        if positive:
            x = self.op("Add", x, self.constant(np.float32(_GELU_LOW)))
            bias = bias - _GELU_LOW * (whole.sum(axis=0, dtype=np.int64) * scale)
        quantised, per_token, zero = self._quantised(x, positive=positive)
        product = self.op("MatMulInteger", quantised, self.constant(whole), zero)
        product = self.op("Mul", self.op("Cast", product, to=self.onnx.TensorProto.FLOAT), per_token)
        product = self.op("Mul", product, self.constant(scale.astype(np.float32)))
        return self.op("Add", product, self.constant(bias.astype(np.float32)))

    def _quantised(self, x: str, *, positive: bool) -> tuple[str, str, str]:
        """uint8 [B, L, E], the scale of each token float32 [B, L, 1], and the number that stands for 0."""
        size = x if positive else self.op("Abs", x)
        largest = self.op("ReduceMax", size, self.constant(np.array([-1])), keepdims=1)
        top = _TOP["positive" if positive else "signed"]
        tiny, unit = self.constant(np.float32(1e-10)), self.constant(np.float32(1 / top))
        scale = self.op("Mul", self.op("Max", largest, tiny), unit)
        whole = self.op("Round", self.op("Div", x, scale))
        zero = 0 if positive else 128
        if zero:
            whole = self.op("Add", whole, self.constant(np.float32(zero)))
        kind = self.onnx.TensorProto.UINT8
        return self.op("Cast", whole, to=kind), scale, self.constant(np.uint8(zero))
