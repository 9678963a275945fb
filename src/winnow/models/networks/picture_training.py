"""Training of picture encoders, without labels and with them. Shapes: N pictures, B of a batch, S x S pixels."""

import hashlib
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from winnow.core.declare import digest
from winnow.encoders.trained import NETWORK
from winnow.models.base import Run
from winnow.models.networks import picture_losses as losses
from winnow.models.networks.export import export
from winnow.models.networks.loop import Batch, Options, seeded, train
from winnow.models.networks.picture_augment import Augment
from winnow.models.networks.picture_links import Linked
from winnow.models.networks.picture_network import MAP, PictureNet, centred, whiten
from winnow.models.picture_contrastive import ContrastivePictures
from winnow.models.picture_metric import MetricPictures
from winnow.models.picture_retrieval import GRAPH, Pictures, examples, record, wrong_pictures

_PROJECTED = 128  # numbers of the vectors that the contrastive loss sees
_AT_ONCE = 256
_JUDGED = 4_000  # validation pictures that are compared with each other
_SAMPLE = 3  # pictures that the export is checked on


class Projected(nn.Module):
    """An encoder, and a head that is thrown away after training."""

    def __init__(self, net: PictureNet, channels: int):
        super().__init__()
        self.net = net
        self.head = nn.Sequential(nn.Linear(channels, channels), nn.BatchNorm1d(channels), nn.ReLU(),
                                  nn.Linear(channels, _PROJECTED))  # fmt: skip

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.net.embed(x))  # type: ignore[no-any-return]


class Proxied(nn.Module):
    """An encoder, and one vector for each group."""

    def __init__(self, net: PictureNet, groups: int, size: int):
        super().__init__()
        self.net = net
        self.centres = nn.Parameter(torch.randn(groups, size))


def fit_contrastive(declared: ContrastivePictures, pictures: Pictures, valid: Pictures, run: Run) -> PictureNet:
    """Train without labels and write the artefact; also returns the network."""
    examples(pictures, valid, declared.side)
    with seeded(run):
        net, pixels = network(declared, 0).to(device()), torch.from_numpy(pictures.pixels)
        whiten(net, pixels.to(device()))
        both = Projected(net, declared.widths[-1]).to(device())
        change = Augment(declared.crop, turn=declared.turn, colour=declared.colour, grey=declared.grey)

        def loss(_: nn.Module, batch: Batch) -> Tensor:
            return two_views(both, pixels[batch["place"]], change, declared.temperature)

        def judge() -> float:
            return fixed(valid, lambda part: two_views(both, part, change, declared.temperature))

        learn(both, declared, (pictures, valid), loss, run=run, judge=judge)
        write(net, declared, pictures, size=declared.widths[-1], run=run)
    return net


def two_views(both: Projected, pixels: Tensor, change: Augment, temperature: float) -> Tensor:
    """Each picture changed twice: the other view is the positive, all views of the others are negatives."""
    x = centred(pixels.to(device()).permute(0, 3, 1, 2))
    with half():
        projected = both(torch.cat([change(x), change(x)]).contiguous(memory_format=torch.channels_last))
    same, other = losses.views(len(x), projected.device)
    return losses.contrast(projected, same, other, temperature=temperature)


def fit_metric(declared: MetricPictures, pictures: Pictures, valid: Pictures, run: Run) -> None:
    """Train with groups and pairs and write the artefact."""
    examples(pictures, valid, declared.side)
    warm = None
    if declared.warm is not None:
        first = replace(declared.warm, side=declared.side, widths=declared.widths)
        warm = fit_contrastive(first, pictures, valid, run.part("contrastive", 0, 0.5))
    part = run.part("metric", 0.5 if warm else 0.0)
    groups, labels = np.unique(np.append(pictures.groups, -1), return_inverse=True)
    labels = labels[:-1] - 1  # group -1 comes first
    with seeded(run):
        net = network(declared, declared.size).to(device())
        whiten(net, torch.from_numpy(pictures.pixels).to(device()))
        if warm is not None:
            net.load_state_dict(warm.state_dict(), strict=False)
        proxied = Proxied(net, len(groups) - 1, declared.size).to(device())
        loss = Metric(declared, proxied, replace(pictures, groups=labels))
        learn(proxied, declared, (pictures, valid), loss, run=part, judge=lambda: 1 - quality(net, valid))
        write(net, declared, pictures, size=declared.size, run=run)


class Metric:
    """The loss of a batch: proxies of the groups, contrast within the batch, and bits that are bits.

    Args:
        declared: what weighs how much.
        proxied: what is trained.
        pictures: all of them; groups count from 0.
    """

    def __init__(self, declared: MetricPictures, proxied: Proxied, pictures: Pictures):
        self.declared, self.proxied, self.linked = declared, proxied, Linked(pictures)
        self.pixels, self.groups = torch.from_numpy(pictures.pixels), torch.from_numpy(pictures.groups)
        self.paired = len(pictures.pairs) > 0
        self.views = self.paired or bool((pictures.groups < 0).any())
        self.change = Augment(declared.crop, shift=declared.shift, turn=declared.turn, colour=declared.colour,
                              erase=declared.erase)  # fmt: skip

    def __call__(self, _: nn.Module, batch: Batch) -> Tensor:
        declared, places = self.declared, batch["place"]
        if self.views:  # pictures that others were clicked with, or else a second view of the same ones
            places = torch.cat([places, self.linked.partners(places)])
        vectors = self._vectors(self.pixels[places])
        groups = self.groups[places].to(vectors.device)
        loss = losses.proxies(vectors, self.proxied.centres, groups, sizes=declared.prefixes,
                              temperature=declared.temperature, smoothing=declared.smoothing)  # fmt: skip
        if declared.contrast:
            same, other = (relation.to(vectors.device) for relation in self.relations(places))
            loss = loss + declared.contrast * losses.contrast(
                vectors, same, other, temperature=declared.temperature, hardness=declared.hardness)  # fmt: skip
        return loss + declared.quantise * losses.unquantised(vectors) if declared.bits else loss

    def _vectors(self, pixels: Tensor) -> Tensor:
        x = self.change(centred(pixels.to(device()).permute(0, 3, 1, 2)))
        with half():
            vectors = self.proxied.net.embed(x.contiguous(memory_format=torch.channels_last)).float()
        return vectors.tanh() if self.declared.bits else vectors

    def relations(self, places: Tensor) -> tuple[Tensor, Tensor]:
        """Positives: of one group, of one picture, or clicked together; negatives: all others. bool [B, B] each."""
        groups = self.groups[places]
        same = (groups[:, None] == groups) & (groups >= 0)[:, None]
        same |= places[:, None] == places
        if self.paired:
            same |= self.linked.between(places)
        return same & ~torch.eye(len(places), dtype=torch.bool), ~same


def learn(
    net: nn.Module, declared: Any, pictures: tuple[Pictures, Pictures], loss: Callable[[nn.Module, Batch], Tensor], *,
    run: Run, judge: Callable[[], float],
) -> None:  # fmt: skip
    """The common loop; the last weights stay when there is nothing to judge them by."""
    known, valid = pictures
    epochs = max(1, min(declared.epochs, declared.seen // len(known)))
    options = Options(epochs, declared.batch_size, declared.learning_rate, declared.reg,
                      patience=epochs, final=not len(valid))  # fmt: skip
    arrays = {"place": np.arange(len(known))}
    seen = hashlib.sha256(known.pixels.tobytes() + known.groups.tobytes() + known.pairs.tobytes()).hexdigest()
    key = f"{type(declared).__name__} {digest(declared)} {seen[:12]}"
    train(net, arrays, loss, options=options, run=run, key=key, judge=judge)


def network(declared: Any, size: int) -> PictureNet:
    """With first weights; `size` 0 for the channels themselves."""
    if declared.side < MAP:
        raise wrong_pictures(f"a side of {declared.side} pixels where the network needs {MAP} at least")
    binary = bool(getattr(declared, "bits", 0))
    return PictureNet(side=declared.side, widths=declared.widths, size=size, mirrored=declared.mirrored, binary=binary)


@torch.no_grad()
def quality(net: PictureNet, valid: Pictures) -> float:
    """Mean average precision within the validation pictures; 0 without any, NaN when none belong together."""
    if not len(valid):
        return 0.0
    parts = torch.split(torch.from_numpy(valid.pixels[:_JUDGED]), _AT_ONCE)
    vectors = torch.cat([net({"pixels": part.to(device())}) for part in parts])
    groups = torch.from_numpy(valid.groups[:_JUDGED])
    same = (groups[:, None] == groups) & (groups >= 0)[:, None]
    same |= Linked(valid).between(torch.arange(len(groups)))
    return losses.judged(vectors, same.to(vectors.device))


@torch.no_grad()
def fixed(valid: Pictures, loss: Callable[[Tensor], Tensor]) -> float:
    """The loss on validation pictures under the same changes every time, the state of the generator untouched."""
    if not len(valid):
        return 0.0
    state = torch.get_rng_state()
    torch.manual_seed(0)
    parts = torch.split(torch.from_numpy(valid.pixels), _AT_ONCE)
    value = sum(float(loss(part)) * len(part) for part in parts) / len(valid)
    torch.set_rng_state(state)
    return value


def write(net: PictureNet, declared: Any, pictures: Pictures, *, size: int, run: Run) -> None:
    """Export the encoder and list the files."""
    net.cpu().eval().requires_grad_(False)
    sample = torch.from_numpy(np.resize(pictures.pixels, (_SAMPLE, *pictures.pixels.shape[1:])))
    export(net, {"pixels": sample}, run.folder / GRAPH, axes={"pixels": ("N",)})
    record(declared, run, size=size, files=[GRAPH], encoder=NETWORK, bits=net.binary)


def device() -> torch.device:
    """The accelerator when there is one."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def half() -> torch.autocast:
    """bfloat16 where the processor multiplies it faster than float32."""
    kind = device().type
    faster = kind == "cuda" or torch.cpu._is_avx512_bf16_supported()
    return torch.autocast(kind, torch.bfloat16, enabled=faster)
