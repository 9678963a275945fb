"""Tiny CLIP, SigLIP and DINOv2 with random weights in the files that real ones come in, and what they should give.

The forward passes are written with torch's own modules, apart from the code under test.
"""

import json

import numpy as np
import torch
from safetensors.numpy import save_file
from torch import nn

E, INNER, HEADS, LAYERS, PATCH, PROJECTED = 24, 48, 3, 2, 8, 20
SIZE = {"hidden_size": E, "num_attention_heads": HEADS, "num_hidden_layers": LAYERS, "patch_size": PATCH}
CONFIGS = {
    "Clip": {"model_type": "clip", "projection_dim": PROJECTED, "text_config": {"hidden_size": 16},
             "vision_config": SIZE | {"intermediate_size": INNER, "image_size": 32, "hidden_act": "quick_gelu"}},
    "SigLip": {"model_type": "siglip", "text_config": {"hidden_size": 16},
               "vision_config": SIZE | {"intermediate_size": INNER, "image_size": 32}},
    "DinoV2": SIZE | {"model_type": "dinov2", "mlp_ratio": 2, "image_size": 40, "hidden_act": "gelu",
                      "layer_norm_eps": 1e-6, "use_swiglu_ffn": False},
}  # fmt: skip
SIZES = {"Clip": PROJECTED, "SigLip": E, "DinoV2": E}
_NORMALISED = {"do_resize": True, "resample": 3, "do_rescale": True, "rescale_factor": 1 / 255, "do_normalize": True}
PREPARATIONS = {
    "Clip": _NORMALISED | {"size": {"shortest_edge": 32}, "do_center_crop": True, "do_convert_rgb": True,
                           "crop_size": {"height": 32, "width": 32},
                           "image_mean": [0.48, 0.46, 0.41], "image_std": [0.27, 0.26, 0.28]},
    "SigLip": _NORMALISED | {"size": {"height": 32, "width": 32},
                             "image_mean": [0.5, 0.5, 0.5], "image_std": [0.5, 0.5, 0.5]},
    "DinoV2": _NORMALISED | {"size": {"shortest_edge": 36}, "do_center_crop": True,
                             "crop_size": {"height": 32, "width": 32},
                             "image_mean": [0.485, 0.456, 0.406], "image_std": [0.229, 0.224, 0.225]},
}  # fmt: skip


def weights(kind, seed=0):
    random, made = np.random.default_rng(seed), {}

    def put(name, *shape, spread=0.25, middle=0.0):
        made[name] = (middle + random.normal(size=shape) * spread).astype(np.float32)

    def linear(name, out, inside):
        put(f"{name}.weight", out, inside)
        put(f"{name}.bias", out, spread=0.1)

    def norm(name):
        put(f"{name}.weight", E, middle=1.0)
        put(f"{name}.bias", E, spread=0.1)

    dino = kind == "DinoV2"
    part = "embeddings." if dino else "vision_model.embeddings."
    patch = part + ("patch_embeddings.projection" if dino else "patch_embedding")
    put(f"{patch}.weight", E, 3, PATCH, PATCH, spread=0.1)
    if kind != "Clip":
        put(f"{patch}.bias", E)
    if dino:
        put(f"{part}cls_token", 1, 1, E)
        put(f"{part}mask_token", 1, E)
        put(f"{part}position_embeddings", 1, 26, E)
    else:
        put(f"{part}position_embedding.weight", 17 if kind == "Clip" else 16, E)
    if kind == "Clip":
        put(f"{part}class_embedding", E)
        norm("vision_model.pre_layrnorm")
        put("visual_projection.weight", PROJECTED, E)
        put("text_model.embeddings.token_embedding.weight", 9, 16)  # what is not needed must not matter
    for layer in range(LAYERS):
        own = f"encoder.layer.{layer}." if dino else f"vision_model.encoder.layers.{layer}."
        names = [f"self_attn.{p}_proj" for p in "qkv"] + ["self_attn.out_proj"]
        if dino:
            names = [f"attention.attention.{p}" for p in ("query", "key", "value")] + ["attention.output.dense"]
        for name in names:
            linear(own + name, E, E)
        linear(own + "mlp.fc1", INNER, E)
        linear(own + "mlp.fc2", E, INNER)
        for name in ("norm1", "norm2") if dino else ("layer_norm1", "layer_norm2"):
            norm(own + name)
        if dino:
            put(f"{own}layer_scale1.lambda1", E, middle=1.0)
            put(f"{own}layer_scale2.lambda1", E, middle=1.0)
    norm("layernorm" if dino else "vision_model.post_layernorm")
    if kind == "SigLip":
        head = "vision_model.head."
        put(f"{head}probe", 1, 1, E)
        put(f"{head}attention.in_proj_weight", 3 * E, E)
        put(f"{head}attention.in_proj_bias", 3 * E, spread=0.1)
        linear(f"{head}attention.out_proj", E, E)
        norm(f"{head}layernorm")
        linear(f"{head}mlp.fc1", INNER, E)
        linear(f"{head}mlp.fc2", E, INNER)
    return made


def write(kind, folder, seed=0, **changes):
    """The folder with the three files."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(CONFIGS[kind] | changes))
    (folder / "preprocessor_config.json").write_text(json.dumps(PREPARATIONS[kind]))
    save_file(weights(kind, seed), folder / "model.safetensors")
    return folder


class _Reader:
    """Torch modules filled from the weights by name, in double precision."""

    def __init__(self, kind, seed):
        self.w = {name: torch.from_numpy(value).double() for name, value in weights(kind, seed).items()}

    def linear(self, name, x):
        return nn.functional.linear(x, self.w[f"{name}.weight"], self.w[f"{name}.bias"])

    def norm(self, name, x, eps):
        return nn.functional.layer_norm(x, (E,), self.w[f"{name}.weight"], self.w[f"{name}.bias"], eps)

    def attention(self, query, key, *, weight, bias, out):
        module = nn.MultiheadAttention(E, HEADS, batch_first=True, dtype=torch.float64)
        with torch.no_grad():
            module.in_proj_weight.copy_(weight)
            module.in_proj_bias.copy_(bias)
            module.out_proj.weight.copy_(self.w[f"{out}.weight"])
            module.out_proj.bias.copy_(self.w[f"{out}.bias"])
            return module(query, key, key, need_weights=False)[0]

    def own_attention(self, names, out, x):
        weight, bias = (torch.cat([self.w[f"{n}.{part}"] for n in names]) for part in ("weight", "bias"))
        return self.attention(x, x, weight=weight, bias=bias, out=out)


def reference(kind, prepared, seed=0):
    """Unit vectors, float64 [B, D], of prepared pictures uint8 [B, 32, 32, 3]."""
    read, dino, clip = _Reader(kind, seed), kind == "DinoV2", kind == "Clip"
    eps = 1e-5 if clip else 1e-6
    asked = PREPARATIONS[kind]
    mean, std = (torch.tensor(asked[f"image_{part}"], dtype=torch.float64) for part in ("mean", "std"))
    x = ((torch.tensor(prepared, dtype=torch.float64) / 255 - mean) / std).permute(0, 3, 1, 2)
    part = "embeddings." if dino else "vision_model.embeddings."
    patch = part + ("patch_embeddings.projection" if dino else "patch_embedding")
    x = nn.functional.conv2d(x, read.w[f"{patch}.weight"], read.w.get(f"{patch}.bias"), stride=PATCH)
    x = x.flatten(2).transpose(1, 2)
    if dino:
        places = read.w[f"{part}position_embeddings"][0]
        square = places[1:].reshape(1, 5, 5, E).permute(0, 3, 1, 2)
        square = nn.functional.interpolate(square, (4, 4), mode="bicubic", align_corners=False)
        places = torch.cat([places[:1], square[0].flatten(1).T])
        first = read.w[f"{part}cls_token"]
    else:
        places, first = read.w[f"{part}position_embedding.weight"], read.w.get(f"{part}class_embedding")
    if first is not None:
        x = torch.cat([first.reshape(1, 1, E).expand(len(x), 1, E), x], 1)
    x = x + places
    if clip:
        x = read.norm("vision_model.pre_layrnorm", x, eps)
    for layer in range(LAYERS):
        x = _block(read, kind, layer, x, eps)
    x = read.norm("layernorm" if dino else "vision_model.post_layernorm", x, eps)
    out = _pooled(read, x, eps) if kind == "SigLip" else x[:, 0]
    out = out @ read.w["visual_projection.weight"].T if clip else out
    return nn.functional.normalize(out, dim=1).numpy()


def _activation(kind, x):
    if kind == "Clip":
        return x * torch.sigmoid(1.702 * x)
    return nn.functional.gelu(x, approximate="tanh" if kind == "SigLip" else "none")


def _block(read, kind, layer, x, eps):
    dino = kind == "DinoV2"
    own = f"encoder.layer.{layer}." if dino else f"vision_model.encoder.layers.{layer}."
    if dino:
        names = [own + f"attention.attention.{p}" for p in ("query", "key", "value")]
        out = own + "attention.output.dense"
        norms = ("norm1", "norm2")
    else:
        names, out = [own + f"self_attn.{p}_proj" for p in "qkv"], own + "self_attn.out_proj"
        norms = ("layer_norm1", "layer_norm2")
    attended = read.own_attention(names, out, read.norm(own + norms[0], x, eps))
    x = x + (attended * read.w[own + "layer_scale1.lambda1"] if dino else attended)
    inner = _activation(kind, read.linear(own + "mlp.fc1", read.norm(own + norms[1], x, eps)))
    outer = read.linear(own + "mlp.fc2", inner)
    return x + (outer * read.w[own + "layer_scale2.lambda1"] if dino else outer)


def _pooled(read, x, eps):
    head = "vision_model.head."
    question = read.w[f"{head}probe"].expand(len(x), 1, E)
    weight, bias = read.w[f"{head}attention.in_proj_weight"], read.w[f"{head}attention.in_proj_bias"]
    asked = read.attention(question, x, weight=weight, bias=bias, out=f"{head}attention.out_proj")
    inner = _activation("SigLip", read.linear(f"{head}mlp.fc1", read.norm(f"{head}layernorm", asked, eps)))
    return (asked + read.linear(f"{head}mlp.fc2", inner))[:, 0]
