"""Image towers of CLIP, SigLIP and DINOv2 as ONNX graphs, made straight from their weights: no torch, no transformers.

B pictures of H x W pixels cut into patches, L tokens (patches, and before them one for the whole where the family has
it), E features. The three families share the transformer; they differ in the names of their weights, in what comes
before and after it, and in how patches know their place.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from winnow.core.errors import InputError, Problem
from winnow.encoders.picture_input import Preparation
from winnow.encoders.transformer import Graph, Precision, Weights

_ACTIVATIONS = ("gelu", "quick_gelu", "gelu_pytorch_tanh")
_SLOPE = 1.702  # of the logistic function in `quick_gelu`
_CUBIC = -0.75  # the parameter of the cubic filter that places are interpolated with


@dataclass(frozen=True)
class Family:
    """How one kind of model is laid out.

    Args:
        kinds: what `model_type` may be.
        defaults: settings that `config.json` may leave out.
        names: part → name of its weight, with `{}` for the number of the layer.
    """

    kinds: tuple[str, ...]
    defaults: Mapping[str, Any]
    names: Mapping[str, str]


_LAYERS = "vision_model.encoder.layers.{}."
_CLIP_LAYER = {
    "norm1": _LAYERS + "layer_norm1", "norm2": _LAYERS + "layer_norm2", "out": _LAYERS + "self_attn.out_proj",
    "query": _LAYERS + "self_attn.q_proj", "key": _LAYERS + "self_attn.k_proj", "value": _LAYERS + "self_attn.v_proj",
    "inner": _LAYERS + "mlp.fc1", "outer": _LAYERS + "mlp.fc2", "last": "vision_model.post_layernorm",
    "patch": "vision_model.embeddings.patch_embedding",
    "places": "vision_model.embeddings.position_embedding.weight",
}  # fmt: skip
_DINO = "encoder.layer.{}."
_SIZES = {"hidden_size": 768, "num_hidden_layers": 12, "num_attention_heads": 12, "num_channels": 3}
CLIP = Family(
    ("clip", "clip_vision_model"),
    _SIZES | {"intermediate_size": 3072, "patch_size": 32, "hidden_act": "quick_gelu", "layer_norm_eps": 1e-5},
    _CLIP_LAYER | {"whole": "vision_model.embeddings.class_embedding", "first": "vision_model.pre_layrnorm",
                   "projection": "visual_projection"},
)  # fmt: skip
SIGLIP = Family(
    ("siglip", "siglip_vision_model"),
    _SIZES | {"intermediate_size": 3072, "patch_size": 16, "hidden_act": "gelu_pytorch_tanh", "layer_norm_eps": 1e-6},
    _CLIP_LAYER | {"pool": "vision_model.head"},
)
DINO = Family(
    ("dinov2",),
    _SIZES | {"patch_size": 14, "hidden_act": "gelu", "layer_norm_eps": 1e-6, "use_swiglu_ffn": False},
    {"norm1": _DINO + "norm1", "norm2": _DINO + "norm2", "out": _DINO + "attention.output.dense",
     "query": _DINO + "attention.attention.query", "key": _DINO + "attention.attention.key",
     "value": _DINO + "attention.attention.value", "inner": _DINO + "mlp.fc1", "outer": _DINO + "mlp.fc2",
     "scale1": _DINO + "layer_scale1.lambda1", "scale2": _DINO + "layer_scale2.lambda1", "last": "layernorm",
     "patch": "embeddings.patch_embeddings.projection", "places": "embeddings.position_embeddings",
     "whole": "embeddings.cls_token"},
)  # fmt: skip


def settings(config: Mapping[str, Any], family: Family) -> dict[str, Any]:
    """The settings of the image tower, complete.

    Args:
        config: as in `config.json`, of the whole model or of the tower alone.
        family: what it should be.

    Raises:
        InputError: `unsupported-model`.
    """
    kind = config.get("model_type")
    if kind not in family.kinds:
        raise _unsupported(f"`model_type` of the model is {json.dumps(kind)}", f"use one with {family.kinds[0]}")
    found = {**family.defaults, **config, **config.get("vision_config", {})}
    if found["hidden_act"] not in _ACTIVATIONS:
        raise _unsupported(f"`hidden_act` of the model is {found['hidden_act']}", f"one of {', '.join(_ACTIVATIONS)}")
    if found.get("use_swiglu_ffn") or found["num_channels"] != 3:
        raise _unsupported("its inner layers are gated, or it does not read three colours", "use a smaller one")
    return found


def graph(
    config: Mapping[str, Any], weights: Weights, *, family: Family, preparation: Preparation, precision: Precision
) -> bytes:
    """The tower as ONNX: `pixels` uint8 [B, H, W, 3] → `vectors` float32 [B, D].

    Args:
        config: from `settings`.
        weights: by the names that Hugging Face gives them.
        family: the layout.
        preparation: H, W and how bytes become numbers.
        precision: of the linear layers.

    Raises:
        InputError: `unsupported-model` when a weight is missing.
    """
    try:
        return _Tower(config, weights, precision, family=family, preparation=preparation).made()
    except KeyError as error:
        raise _unsupported(f"the weight {error} is missing", "use the files of the model itself") from error


class _Tower(Graph):
    """The layers of an image tower: each normalises, then adds to what came in."""

    def __init__(
        self,
        config: Mapping[str, Any],
        weights: Weights,
        precision: Precision,
        *,
        family: Family,
        preparation: Preparation,
    ):
        super().__init__(config, weights, precision)
        self._family, self._preparation = family, preparation

    def made(self) -> bytes:
        x = self._tokens(self._patches())
        if "first" in self._family.names:
            x = self.norm(x, self._family.names["first"])
        for layer in range(self.config["num_hidden_layers"]):
            x = self._block(x, {part: name.format(layer) for part, name in self._family.names.items()})
        high, wide = self._preparation.high, self._preparation.wide
        takes = ("pixels", self.onnx.TensorProto.UINT8, ["B", high, wide, 3])
        return self.bytes_of("tower", takes=takes, gives=("vectors", self._vector(x), ["B", self._size()]))

    def _size(self) -> int:
        name = self._family.names.get("projection")
        return int(self.weights[f"{name}.weight"].shape[0] if name else self.config["hidden_size"])

    def _patches(self) -> str:
        """Patches as tokens, [B, L, E]."""
        scale, shift = self._preparation.scale_and_shift()
        number = self.op("Cast", "pixels", to=self.onnx.TensorProto.FLOAT)
        number = self.op("Add", self.op("Mul", number, self.constant(scale)), self.constant(shift))
        name, side = self._family.names["patch"], self.config["patch_size"]
        inputs = [self.op("Transpose", number, perm=[0, 3, 1, 2]), self.constant(self.weights[f"{name}.weight"])]
        if f"{name}.bias" in self.weights:
            inputs.append(self.constant(self.weights[f"{name}.bias"]))
        planes = self.op("Conv", *inputs, strides=[side, side])
        flat = self.op("Reshape", planes, self.constant(np.array([0, 0, -1])))
        return self.op("Transpose", flat, perm=[0, 2, 1])

    def _tokens(self, patches: str) -> str:
        """With the token of the whole before them, and knowing their places."""
        width = self.config["hidden_size"]
        places = self.weights[self._family.names["places"]].reshape(-1, width)
        first = int("whole" in self._family.names)
        placed = interpolated(places[first:], self._grid())
        x = self.op("Add", patches, self.constant(placed.astype(np.float32)[None]))
        if not first:
            return x
        whole = self.weights[self._family.names["whole"]].reshape(width) + places[0]
        zeros = self.op("Mul", self.op("Slice", x, *map(self.constant, _FIRST)), self.constant(np.float32(0)))
        return self.op("Concat", self.op("Add", zeros, self.constant(whole[None, None])), x, axis=1)

    def _grid(self) -> tuple[int, int]:
        side = self.config["patch_size"]
        return self._preparation.high // side, self._preparation.wide // side

    def _block(self, x: str, names: Mapping[str, str]) -> str:
        """Attention, then the inner layers, each on normalised tokens and added to what came in."""
        parts = [names[part] for part in ("query", "key", "value")]
        attended = self.linear(self.attended(self.norm(x, names["norm1"]), *parts), names["out"])
        x = self.op("Add", x, self._scaled(attended, names.get("scale1")))
        inner = self._activated(self.linear(self.norm(x, names["norm2"]), names["inner"]))
        outer = self.linear(inner, names["outer"], positive=True)
        return self.op("Add", x, self._scaled(outer, names.get("scale2")))

    def _scaled(self, x: str, name: str | None) -> str:
        return self.op("Mul", x, self.constant(self.weights[name])) if name else x

    def _activated(self, x: str) -> str:
        kind = self.config["hidden_act"]
        if kind == "quick_gelu":
            return self.op("Mul", x, self.op("Sigmoid", self.op("Mul", x, self.constant(np.float32(_SLOPE)))))
        return self.op("Gelu", x, approximate="none" if kind == "gelu" else "tanh")

    def _vector(self, x: str) -> str:
        """One vector of the tokens, [B, D]."""
        names = self._family.names
        if "pool" in names:
            return self._pooled(self.norm(x, names["last"]), names["pool"])
        first = self.op("Squeeze", self.op("Slice", x, *map(self.constant, _FIRST)), self.constant(np.array([1])))
        whole = self.norm(first, names["last"])
        if "projection" not in names:
            return whole
        return self.op("MatMul", whole, self.constant(self.weights[f"{names['projection']}.weight"].T))

    def _pooled(self, x: str, name: str) -> str:
        """A learned question attends to all tokens; then the inner layers of the head."""
        weight, bias = (np.split(self.weights[f"{name}.attention.in_proj_{p}"], 3) for p in ("weight", "bias"))
        question = self.weights[f"{name}.probe"].reshape(1, 1, -1) @ weight[0].T + bias[0]
        key, value = (
            self.op("Add", self.op("MatMul", x, self.constant(weight[i].T)), self.constant(bias[i])) for i in (1, 2)
        )
        zeros = self.op("Mul", self.op("Slice", key, *map(self.constant, _FIRST)), self.constant(np.float32(0)))
        asked = self.op("Add", zeros, self.constant(question.astype(np.float32)))
        out = self.linear(self.attention(asked, key, value), f"{name}.attention.out_proj")
        inner = self._activated(self.linear(self.norm(out, f"{name}.layernorm"), f"{name}.mlp.fc1"))
        out = self.op("Add", out, self.linear(inner, f"{name}.mlp.fc2", positive=True))
        return self.op("Squeeze", out, self.constant(np.array([1])))


_FIRST = (np.array([0]), np.array([1]), np.array([1]))  # from, to and axis of the first token


def interpolated(places: NDArray[np.float32], grid: tuple[int, int]) -> NDArray[np.float64]:
    """Places learned on a square grid, for another grid: float [L, E] → float64 [h w, E].

    Cubic convolution with a = −0.75 and the centres of the fields as sample points, which is what the weights were
    trained to be used with.

    Raises:
        InputError: `unsupported-model` when the places do not form a square.

    Source: Keys, Cubic convolution interpolation for digital image processing, 1981.
    """
    side = round(len(places) ** 0.5)
    if side * side != len(places):
        raise _unsupported(f"its {len(places)} places do not form a square", "use another model")
    square = places.astype(np.float64).reshape(side, side, -1)
    down, across = (_cubic(side, to) for to in grid)
    placed = np.einsum("ai,bj,ije->abe", down, across, square)
    return np.asarray(placed.reshape(grid[0] * grid[1], -1))


def _cubic(size: int, to: int) -> NDArray[np.float64]:
    """Weights of each of `size` samples in each of `to`, [to, size]; beyond the edge the last one repeats."""
    at = (np.arange(to) + 0.5) * size / to - 0.5
    base = np.floor(at).astype(np.int64)
    weights = np.zeros((to, size))
    for step in range(-1, 3):
        far = np.abs(at - base - step)
        near = ((_CUBIC + 2) * far - (_CUBIC + 3)) * far**2 + 1
        outer = ((far - 5) * far + 8) * far * _CUBIC - 4 * _CUBIC
        np.add.at(weights, (np.arange(to), np.clip(base + step, 0, size - 1)), np.where(far <= 1, near, outer))
    return weights


def _unsupported(what: str, fix: str) -> InputError:
    return InputError(Problem("unsupported-model", what, "config.json", fix=fix))
