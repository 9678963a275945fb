"""Training of text and video towers. Shapes: B texts of a batch, I videos, F frames, H hard negatives, T numbers of a
text, D of a frame, E beside the frames, J of the joint space.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from winnow.core.errors import InputError, Problem
from winnow.models.artefact import Artefact
from winnow.models.base import Run, chosen_heads
from winnow.models.examples import Catalogue, Examples
from winnow.models.networks.export import export
from winnow.models.networks.loop import Batch, Options, declared_key, seeded, train
from winnow.models.networks.retrieval import places
from winnow.models.networks.text_video_hard import alike
from winnow.models.retrieval import ITEM, USER, positives, write_items
from winnow.models.session import Session
from winnow.models.text_video import FILES, TextVideo, columns, embeds, item_side, sides_of

_FAR = -1e9
_SAME = 0.98  # cosine of texts that say the same
_WARMEST, _COLDEST = 1.0, 0.01  # temperatures that may be learned
_AT_ONCE = 512
_GATE = 32  # numbers inside the network that weighs frames
Arrays = Mapping[str, NDArray[Any]]


@dataclass(frozen=True)
class Captions:
    """Texts and the videos that they describe.

    Args:
        text: float32 [N, T].
        video: place of each text's video, int64 [N].
        owner: who asked, int64 [N].
        hard: places of videos of texts in like words, int64 [N, H].
        weight: float32 [N].
    """

    text: NDArray[np.float32]
    video: NDArray[np.int64]
    owner: NDArray[np.int64]
    hard: NDArray[np.int64]
    weight: NDArray[np.float32]

    def arrays(self) -> dict[str, NDArray[Any]]:
        """By name, as the loop cuts them."""
        return {"text": self.text, "video": self.video, "owner": self.owner, "hard": self.hard, "weight": self.weight}

    def __len__(self) -> int:
        return len(self.video)


class Reduced(nn.Module):
    """Principal components of what training saw, scaled so that the first varies by 1; as it is without any."""

    mean: Tensor
    axes: Tensor

    def __init__(self, values: NDArray[np.float32], components: int):
        super().__init__()
        width, self.any = values.shape[1], bool(components) and len(values) > 1
        self.size = min(components, width) if self.any else width
        mean, axes = principal(values, self.size) if self.any else (np.zeros(1), np.zeros((1, 1)))
        self.register_buffer("mean", torch.from_numpy(mean).float())
        self.register_buffer("axes", torch.from_numpy(axes).float())

    def forward(self, x: Tensor) -> Tensor:
        return (x - self.mean) @ self.axes if self.any else x


def principal(values: NDArray[np.float32], size: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The mean [D] and the strongest axes [D, size] of rows [N, D], scaled so that the first varies by 1; zeros for
    axes that the rows do not have."""
    exact = values.astype(np.float64)
    mean, gram = exact.mean(axis=0), len(values) < values.shape[1]
    exact -= mean
    strength, axes = np.linalg.eigh(exact @ exact.T if gram else exact.T @ exact)
    strength, axes = np.sqrt(np.maximum(strength, 0))[::-1], axes[:, ::-1]
    good = strength > 1e-6 * strength[0]
    found = (exact.T @ axes[:, good]) / strength[good] if gram else axes[:, good]
    signs = np.where(found.sum(axis=0) < 0, -1, 1)  # which of two opposite axes comes is left to the library
    kept = np.zeros((values.shape[1], size))
    count = min(size, found.shape[1])
    kept[:, :count] = (found * signs)[:, :count] * np.sqrt(len(values)) / max(float(strength[0]), 1e-9)
    return mean, kept


class TextTower(nn.Module):
    """Texts into the joint space; vectors of length 1, or with `cut` that many of their numbers."""

    def __init__(self, text: NDArray[np.float32], declared: TextVideo):
        super().__init__()
        self.reduced = Reduced(text, declared.components)
        self.drop = nn.Dropout(declared.dropout)
        self.out = linear(self.reduced.size, declared.embedding_size)
        self.cut = declared.cut

    def project(self, text: Tensor) -> Tensor:
        """Float [B, T] → [B, J], of any length."""
        return self.out(self.drop(self.reduced(text)))  # type: ignore[no-any-return]

    def forward(self, batch: Mapping[str, Tensor]) -> Tensor:
        return served(self.project(batch["text"]), self.cut)


class VideoTower(nn.Module):
    """Frames, projected and pooled over time, and what stands beside them, added up."""

    def __init__(self, items: Arrays, declared: TextVideo):
        super().__init__()
        frames = items["frames"][items["frames"].any(axis=2)]
        self.reduced = Reduced(frames, declared.components)
        self.drop, size = nn.Dropout(declared.dropout), declared.embedding_size
        self.frame = linear(self.reduced.size, size)
        self.beside = Reduced(items["rest"], declared.components)
        self.rest = linear(self.beside.size, size, bias=False)
        last = nn.Linear(_GATE, 1)
        nn.init.zeros_(last.weight)  # at first a plain mean
        self.gate = nn.Sequential(nn.Linear(self.reduced.size, _GATE), nn.Tanh(), last)
        self.attends, self.cut = declared.pool == "attention", declared.cut

    def project(self, frames: Tensor, rest: Tensor) -> Tensor:
        """Float [I, F, D] and [I, E] → [I, J], of any length; frames of zeros are none."""
        there = (frames.abs().sum(2) > 0).float()
        x = self.drop(self.reduced(frames))
        weight = there
        if self.attends:
            score = self.gate(x).squeeze(2)
            weight = there * (score - score.amax(1, keepdim=True).detach()).exp()
        pooled = (self.frame(x) * weight.unsqueeze(2)).sum(1) / weight.sum(1, keepdim=True).clamp(min=1e-6)
        told = (rest.abs().sum(1, keepdim=True) > 0).float()
        return pooled + told * self.rest(self.drop(self.beside(rest)))  # type: ignore[no-any-return]

    def forward(self, batch: Mapping[str, Tensor]) -> Tensor:
        return served(self.project(batch["frames"], batch["rest"]), self.cut)


class Both(nn.Module):
    """The towers, and the temperature."""

    def __init__(self, text: TextTower, video: VideoTower, declared: TextVideo):
        super().__init__()
        self.text, self.video = text, video
        self.heat = nn.Parameter(torch.tensor(math.log(declared.temperature)))
        self.sizes = sorted({*declared.sizes, declared.embedding_size})

    def loss(self, batch: Batch, items: Batch) -> Tensor:
        """Softmax over the videos of the batch and the hard ones, and over the texts of the batch, for every size.

        Args:
            batch: `Captions.arrays` of B texts.
            items: `frames` and `rest` of all videos.
        """
        columns = torch.cat([batch["video"], batch["hard"].flatten()])
        known, place = torch.unique(columns.clamp(min=0), return_inverse=True)
        videos = self.video.project(items["frames"][known].float(), items["rest"][known])[place]
        texts = self.text.project(batch["text"])
        banned = clashes(batch, columns)
        parts = [self._of(texts[:, :size], videos[:, :size], banned, batch["weight"]) for size in self.sizes]
        return torch.stack(parts).mean()

    def _of(self, texts: Tensor, videos: Tensor, banned: Tensor, weight: Tensor) -> Tensor:
        own, count = torch.arange(len(texts)), len(texts)
        heat = self.heat.exp().clamp(_COLDEST, _WARMEST)
        logits = (unit(texts) @ unit(videos).T / heat).masked_fill(banned, _FAR)
        there = nn.functional.cross_entropy(logits, own, reduction="none")
        back = nn.functional.cross_entropy(logits[:, :count].T, own, reduction="none")
        return ((there + back) / 2 * weight).sum() / weight.sum().clamp(min=1e-6)


def clashes(batch: Batch, columns: Tensor) -> Tensor:
    """Which columns are no negatives of which text, bool [B, B + B H]: the same video, another video of the same asker,
    the video of a text that says the same, and empty places. Never the own video."""
    count = len(batch["video"])
    found = (batch["video"][:, None] == columns) | (columns < 0)
    text = unit(batch["text"])
    found[:, :count] |= (batch["owner"][:, None] == batch["owner"]) | (text @ text.T > _SAME)
    own = torch.arange(count)
    found[own, own] = False
    return found


def fit(declared: TextVideo, rows: Examples, valid: Examples, *, catalogue: Catalogue, run: Run) -> None:
    """Train, export and write both towers and the encoded catalogue."""
    chosen_heads(declared.heads, rows, run)  # raises for no rows and unknown heads
    items = item_side(catalogue.features, sides_of(declared))
    known, held_out = (captions(declared, part, catalogue, run) for part in (rows, valid))
    if not len(known) or not known.text.any():
        what = "no text that is known has a positive outcome with a video of the catalogue"
        raise InputError(Problem("no-examples", what, fix="collect more, or embed the column that holds the texts"))
    with seeded(run):
        towers = learned(declared, known, held_out, items=items, run=run, key=declared_key(declared, rows))
        write(declared, towers, known, items=items, catalogue=catalogue, run=run)


def captions(declared: TextVideo, rows: Examples, catalogue: Catalogue, run: Run) -> Captions:
    """The rows with a positive outcome whose video is in the catalogue."""
    kept = rows.take(positives(rows, declared.heads, run) if len(rows) else slice(0, 0))
    video = places(kept.item, catalogue)
    kept, video = kept.take(video >= 0), video[video >= 0]
    texts = columns(kept.features, [n for e in embeds(declared.text) for n in e.names])
    hard = np.empty((len(kept), 0), np.int64)
    if declared.words is not None and declared.hard:
        hard = alike(columns(kept.features, declared.words.names), video, declared.hard)
    return Captions(texts, video, kept.user, hard, kept.weight)


def learned(
    declared: TextVideo, known: Captions, held_out: Captions, *, items: Arrays, run: Run, key: str
) -> Both:  # fmt: skip
    """The towers trained on some captions, stopped by others (none: the last weights stay); call it within `seeded`.

    Args:
        declared: how.
        known: to learn from.
        held_out: to stop by.
        items: `frames` float [I, F, D] and `rest` float32 [I, E].
        run: where and how.
        key: names what is trained.
    """
    seen = np.unique(known.video)
    of_seen = {name: array[seen] for name, array in items.items()}
    both = Both(TextTower(known.text, declared), VideoTower(of_seen, declared), declared)
    if declared.ridge:
        regress(both, known, of_seen, penalty=declared.ridge)
    tensors = {name: torch.from_numpy(np.ascontiguousarray(array)) for name, array in items.items()}
    options = Options(declared.epochs, declared.batch_size, declared.learning_rate, declared.reg,
                      patience=max(2, declared.epochs // 4), final=not len(held_out))  # fmt: skip

    def loss(_: nn.Module, batch: Batch) -> Tensor:
        return both.loss(batch, tensors)

    train(both, known.arrays(), loss, options=options, run=run, key=key, judge=lambda: judged(both, held_out, tensors))
    return both


@torch.no_grad()
def regress(both: Both, known: Captions, seen: Arrays, *, penalty: float) -> None:
    """Sets the towers to the ridge regression of the mean text of each video on the mean of its frames.

    Args:
        both: whose weights are set.
        known: captions.
        seen: the videos that they describe, in order of place.
        penalty: as a share of the mean variance of the videos.
    """
    if both.text.out.weight.shape[0] != both.text.out.weight.shape[1]:
        size = both.text.out.weight.shape[1]
        what = f"towers of {both.text.out.weight.shape[0]} numbers cannot start from texts of {size}"
        raise InputError(Problem("wrong-size", what, fix=f"embedding_size={size}, or ridge=0"))
    frames = torch.from_numpy(np.ascontiguousarray(seen["frames"], np.float32))
    there = (frames.abs().sum(2) > 0).float().unsqueeze(2)
    x = ((both.video.reduced(frames) * there).sum(1) / there.sum(1).clamp(min=1)).double()
    place = torch.from_numpy(np.unique(known.video, return_inverse=True)[1])
    texts = both.text.reduced(torch.from_numpy(known.text)).double()
    y = torch.zeros(len(x), texts.shape[1], dtype=torch.double).index_add_(0, place, texts)
    y = y / place.bincount().unsqueeze(1)
    centre, middle = x.mean(0), y.mean(0)
    gram = (x - centre) @ (x - centre).T
    spread = penalty * gram.trace() / len(gram) * torch.eye(len(gram), dtype=torch.double)
    weight = (x - centre).T @ torch.linalg.solve(gram + spread, y - middle)
    both.video.frame.weight.copy_(weight.T)
    both.video.frame.bias.copy_(-centre @ weight)  # differences from the mean are what counts, on both sides
    both.text.out.bias.copy_(-middle)


@torch.no_grad()
def judged(both: Both, held_out: Captions, items: Batch) -> float:
    """The loss on held-out captions, in batches that are the same every time."""
    if not len(held_out):
        return 0.0
    arrays = {name: torch.from_numpy(array) for name, array in held_out.arrays().items()}
    order = torch.from_numpy(np.random.default_rng(0).permutation(len(held_out)))
    parts = [{n: a[part] for n, a in arrays.items()} for part in torch.split(order, _AT_ONCE)]
    return sum(float(both.loss(part, items)) * len(part["video"]) for part in parts) / len(held_out)


def write(declared: TextVideo, both: Both, known: Captions, *, items: Arrays, catalogue: Catalogue,
          run: Run) -> None:  # fmt: skip
    """Export both towers, encode the catalogue with the exported one, and list the files."""
    both.eval().requires_grad_(False)
    sample = {name: torch.from_numpy(np.resize(a, (3, max(2, a.shape[1]), *a.shape[2:])) if name == "frames" else
                                     np.resize(a, (3, *a.shape[1:]))) for name, a in items.items()}  # fmt: skip
    texts = torch.from_numpy(np.resize(known.text, (3, known.text.shape[1])))
    export(both.text, {"text": texts}, run.folder / USER, axes={"text": ("N",)})
    export(both.video, sample, run.folder / ITEM, axes={"frames": ("N", "F"), "rest": ("N",)})
    session, size = Session.open(run.folder / ITEM, threads=run.threads), declared.cut or declared.embedding_size
    spans = [slice(i, i + _AT_ONCE) for i in range(0, len(catalogue.rows), _AT_ONCE)]
    vectors = [session.run({name: array[span] for name, array in items.items()}) for span in spans]
    write_items(run.folder, catalogue.rows, np.concatenate([np.empty((0, size), np.float32), *vectors]))
    names = [n for e in embeds(declared.text) for n in e.names]
    Artefact.write(run.folder, model=type(declared).__name__, files=FILES, size=size, text=names,
                   sides=sides_of(declared))  # fmt: skip


def linear(width: int, size: int, *, bias: bool = True) -> nn.Linear:
    """A projection that changes nothing at first where it can, so that encoders that share a space stay aligned."""
    layer = nn.Linear(width, size, bias=bias)
    nn.init.orthogonal_(layer.weight) if width != size else nn.init.eye_(layer.weight)
    if bias:
        nn.init.zeros_(layer.bias)
    return layer


def served(x: Tensor, cut: int) -> Tensor:
    """Vectors of length 1, of the first `cut` numbers if that is not 0."""
    return unit(x[:, :cut] if cut else x)


def unit(x: Tensor) -> Tensor:
    """Rows scaled to length 1; zero rows stay."""
    return x / x.pow(2).sum(1, keepdim=True).clamp(min=1e-12).sqrt()
