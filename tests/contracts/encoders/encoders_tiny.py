"""A tiny BERT with random weights in the files that real ones come in, and its forward pass written for clarity."""

import json
import math
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

LETTERS = "abcdefghijklmnopqrstuvwxyz"
WORDS = ["the", "cat", "sat", "on", "mat", "red", "!"]
VOCABULARY = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *LETTERS, *(f"##{c}" for c in LETTERS), *WORDS]
CONFIG = {"model_type": "bert", "hidden_act": "gelu", "hidden_size": 32, "intermediate_size": 64,
          "num_attention_heads": 4, "num_hidden_layers": 2, "layer_norm_eps": 1e-12,
          "vocab_size": len(VOCABULARY), "max_position_embeddings": 40}  # fmt: skip
LONGEST = 40


def weights(seed: int = 0) -> dict[str, NDArray[np.float32]]:
    random, made = np.random.default_rng(seed), {}
    size, inner = CONFIG["hidden_size"], CONFIG["intermediate_size"]

    def put(name: str, *shape: int) -> None:
        made[name] = (random.normal(size=shape) * (0.3 if len(shape) > 1 else 0.1)).astype(np.float32)

    put("embeddings.word_embeddings.weight", CONFIG["vocab_size"], size)
    put("embeddings.position_embeddings.weight", CONFIG["max_position_embeddings"], size)
    put("embeddings.token_type_embeddings.weight", 2, size)
    norms = ["embeddings.LayerNorm"]
    for layer in range(CONFIG["num_hidden_layers"]):
        name = f"encoder.layer.{layer}"
        parts = [f"attention.self.{p}" for p in ("query", "key", "value")] + ["attention.output.dense"]
        for part, shape in [*((p, (size, size)) for p in parts), ("intermediate.dense", (inner, size)),
                            ("output.dense", (size, inner))]:  # fmt: skip
            put(f"{name}.{part}.weight", *shape)
            put(f"{name}.{part}.bias", shape[0])
        norms += [f"{name}.attention.output.LayerNorm", f"{name}.output.LayerNorm"]
    for norm in norms:
        put(f"{norm}.bias", size)
        made[f"{norm}.weight"] = (1 + 0.2 * random.normal(size=size)).astype(np.float32)
    return made


def write(folder: Path, seed: int = 0) -> Path:
    """The folder with the three files."""
    from safetensors.numpy import save_file
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

    folder.mkdir(parents=True, exist_ok=True)
    tokens = Tokenizer(models.WordPiece({t: i for i, t in enumerate(VOCABULARY)}, unk_token="[UNK]"))
    tokens.normalizer, tokens.pre_tokenizer = normalizers.BertNormalizer(), pre_tokenizers.BertPreTokenizer()
    tokens.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    tokens.enable_padding(length=LONGEST)  # as real files have it: it must be turned off
    tokens.save(str(folder / "tokenizer.json"))
    (folder / "config.json").write_text(json.dumps(CONFIG))
    save_file({f"bert.{name}": value for name, value in weights(seed).items()}, folder / "model.safetensors")
    return folder


def reference(ids: list[int], seed: int = 0) -> NDArray[np.float64]:
    """The vector of one text by its token numbers, float64 [E]."""
    w = {name: value.astype(np.float64) for name, value in weights(seed).items()}
    words, places, kinds = (w[f"embeddings.{k}_embeddings.weight"] for k in ("word", "position", "token_type"))
    x = norm(words[ids] + places[: len(ids)] + kinds[0], w, "embeddings.LayerNorm")
    for layer in range(CONFIG["num_hidden_layers"]):
        name = f"encoder.layer.{layer}"
        x = norm(x + dense(attention(x, w, name), w, f"{name}.attention.output.dense"), w,
                 f"{name}.attention.output.LayerNorm")  # fmt: skip
        inner = dense(x, w, f"{name}.intermediate.dense")
        inner = inner * 0.5 * (1 + np.vectorize(math.erf)(inner / math.sqrt(2)))
        x = norm(x + dense(inner, w, f"{name}.output.dense"), w, f"{name}.output.LayerNorm")
    mean = x.mean(axis=0)
    return mean / np.linalg.norm(mean)


def dense(x, w, name):
    return x @ w[f"{name}.weight"].T + w[f"{name}.bias"]


def norm(x, w, name):
    x = (x - x.mean(axis=1, keepdims=True)) / np.sqrt(x.var(axis=1, keepdims=True) + CONFIG["layer_norm_eps"])
    return x * w[f"{name}.weight"] + w[f"{name}.bias"]


def attention(x, w, name):
    width = CONFIG["hidden_size"] // CONFIG["num_attention_heads"]
    query, key, value = (dense(x, w, f"{name}.attention.self.{p}") for p in ("query", "key", "value"))
    heads = []
    for first in range(0, CONFIG["hidden_size"], width):
        part = slice(first, first + width)
        scores = np.exp(query[:, part] @ key[:, part].T / math.sqrt(width))
        heads.append(scores / scores.sum(axis=1, keepdims=True) @ value[:, part])
    return np.concatenate(heads, axis=1)
