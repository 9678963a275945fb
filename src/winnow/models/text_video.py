"""Retrieval of videos by text: two towers over vectors that encoders without knowledge of each other have made."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from winnow.encoders.video import Frames
from winnow.features.batch import FeatureBatch, Floats, Ints
from winnow.features.declare import Feature
from winnow.features.embedding import Embed
from winnow.models.artefact import Artefact
from winnow.models.base import FrameEncoder, ItemEncoder, QueryEncoder, Retriever, Run
from winnow.models.examples import Catalogue, Examples
from winnow.models.retrieval import ITEM, ROWS, USER, VECTORS
from winnow.models.session import Session

FILES = [USER, ITEM, VECTORS, ROWS]
_AT_ONCE = 512
_TOGETHER = 4_096  # texts in one run


@dataclass(frozen=True)
class TextVideo(Retriever):
    """Texts near the videos that they describe: both are projected into one space, by inner product.

    Frames are projected one by one and pooled over time, so that one frame alone has a place in the same space: the
    moment that suits a text best is the frame nearest to it. Trained by softmax over the batch in both directions.
    What is no negative: other texts of the same video, other videos of the same asker, and texts that say the same.

    Args:
        text: embeddings of columns of the asking table, or of the query; side by side when there are several.
        video: embeddings of columns of the items; the first by `Frames` is pooled over time, the others stand beside.
        embedding_size: of all vectors.
        pool: `mean` of the frames, or `attention`: a mean by weights that a small network gives each frame.
        components: principal components of texts and of frames that are kept, for few examples; 0 keeps everything.
        ridge: for few videos: the towers start from a linear regression of what is said of each video on the mean of
            its frames, with this penalty as a share of the frames' mean variance; the text tower then starts as it is,
            so `embedding_size` must be the length of the texts (or of their `components`). 0 for a start at random.
        words: an embedding of the words of `text`; the hard negatives are the videos of texts that it finds alike,
            by TF-IDF. None for none. It is used in training alone.
        hard: hard negatives of each text in a batch.
        sizes: shorter lengths that vectors can be cut to (Matryoshka).
        cut: numbers of a vector that are served, one of `sizes`; 0 for all.
        temperature: of the softmax at first; it is learned.
        heads: a row is positive when any of these outcomes happened; empty for every binary head.
        dropout: share of values dropped in training.
        epochs, batch_size, learning_rate, reg: as in every model; `reg` is decoupled weight decay.

    Source: Radford et al., ICML 2021 (the loss); Luo et al., CLIP4Clip, 2021 (pooling); Karpukhin et al., EMNLP 2020
        (hard negatives by BM25); Kusupati et al., NeurIPS 2022 (Matryoshka).
    """

    text: Embed | tuple[Embed, ...]
    video: Embed | tuple[Embed, ...]
    embedding_size: int = 256
    pool: Literal["mean", "attention"] = "mean"
    components: int = 0
    ridge: float = 0.0
    words: Embed | None = None
    hard: int = 2
    sizes: tuple[int, ...] = ()
    cut: int = 0
    temperature: float = 0.07
    heads: tuple[str, ...] = ()
    dropout: float = 0.1
    epochs: int = 10
    batch_size: int = 256
    learning_rate: float = 1e-3
    reg: float = 0.05

    @property
    def reads(self) -> tuple[Feature, ...]:
        return (*embeds(self.text), *embeds(self.video), *([self.words] if self.words else []))

    def fit(self, train: Examples, valid: Examples, catalogue: Catalogue, run: Run) -> None:
        from winnow.models.networks.text_video import fit

        fit(self, train, valid, catalogue=catalogue, run=run)

    @classmethod
    def query_encoder(cls, artefact: Artefact, threads: int) -> QueryEncoder:
        session, names = Session.open(artefact.path(USER), threads=threads), artefact.fact("text")
        size = int(artefact.fact("size"))

        def encode(batch: FeatureBatch) -> Floats:
            texts = columns(batch, names)
            parts = [session.run({"text": texts[i : i + _TOGETHER]}) for i in range(0, len(texts), _TOGETHER)]
            return np.concatenate(parts) if parts else np.zeros((0, size), np.float32)

        return encode

    @classmethod
    def item_encoder(cls, artefact: Artefact, threads: int) -> ItemEncoder:
        session, sides = Session.open(artefact.path(ITEM), threads=threads), artefact.fact("sides")
        size = int(artefact.fact("size"))

        def encode(batch: FeatureBatch, rows: Ints) -> Floats:
            parts = [batch.take(slice(i, i + _AT_ONCE)) for i in range(0, len(batch), _AT_ONCE)]
            vectors = [session.run(item_side(part, sides)) for part in parts]
            return np.concatenate(vectors) if vectors else np.zeros((0, size), np.float32)

        return encode

    @classmethod
    def frame_encoder(cls, artefact: Artefact, threads: int) -> FrameEncoder | None:
        sides = artefact.fact("sides")
        if not sides["frames"]:
            return None
        session, width = Session.open(artefact.path(ITEM), threads=threads), sides["width"]

        def encode(batch: FeatureBatch) -> Floats:
            frames = columns(batch, sides["frames"]).reshape(len(batch), len(sides["frames"]) // width, width)
            rest = np.zeros((frames.shape[0] * frames.shape[1], max(1, len(sides["rest"]))), np.float32)
            vectors = session.run({"frames": frames.reshape(-1, 1, width), "rest": rest})
            vectors[~frames.reshape(-1, width).any(axis=1)] = np.nan
            return vectors.reshape(*frames.shape[:2], -1)

        return encode


def embeds(side: Embed | tuple[Embed, ...]) -> tuple[Embed, ...]:
    """One side as a tuple."""
    return (side,) if isinstance(side, Embed) else tuple(side)


def sides_of(declared: TextVideo) -> dict[str, Any]:
    """Names of the numbers of an item: of its frames, how many make one frame, and of the rest."""
    found = embeds(declared.video)
    pooled = next((e for e in found if isinstance(e.encoder, Frames)), None)
    width = pooled.encoder.pictures.size if pooled is not None and isinstance(pooled.encoder, Frames) else 1
    rest = [name for e in found if e is not pooled for name in e.names]
    return {"frames": list(pooled.names) if pooled else [], "width": width, "rest": rest}


def item_side(batch: FeatureBatch, sides: dict[str, Any]) -> dict[str, NDArray[np.float32]]:
    """What the video tower takes: `frames` float32 [I, F, D] and `rest` float32 [I, E], zeros where there is none."""
    names = sides["frames"] or [""]
    frames = columns(batch, names).reshape(len(batch), len(names) // sides["width"], sides["width"])
    return {"frames": frames, "rest": columns(batch, sides["rest"] or [""])}


def columns(batch: FeatureBatch, names: Sequence[str]) -> Floats:
    """Numbers by name, float32 [N, n]; 0 for those that the batch lacks."""
    place = {name: i for i, name in enumerate(batch.numeric_names)}
    found = np.array([place.get(name, -1) for name in names], np.int64)
    if not place:
        return np.zeros((len(batch), len(found)), np.float32)
    if (found >= 0).all():
        return np.ascontiguousarray(batch.numeric[:, found])
    return np.where(found >= 0, batch.numeric[:, np.maximum(found, 0)], 0).astype(np.float32)
