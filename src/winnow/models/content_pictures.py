"""Vectors of pictures that were learnt from pictures alone, in a minute: which edges and colours are where.

For posts, where a few thousand pictures are at hand and no network with knowledge of the world is. N pictures of
S x S pixels, M patches a picture, C centres, K numbers of a patch, D of a vector.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from winnow.core.declare import Declared
from winnow.core.errors import InputError, Problem
from winnow.encoders.base import Floats, normalised
from winnow.encoders.looks import looks
from winnow.encoders.trained import PictureEncode
from winnow.models.artefact import Artefact, sha256
from winnow.models.base import Run, guarded

FILE = "patterns.npz"
CELL = 4  # pixels along a side of what a patch is made of; every other kind of patch has cells of twice the side
_CELLS = 4  # along a side of a patch
_TURNS = 8  # directions of edges
_SAMPLED = 40_000  # patches that mixtures are learnt from
_MOST = 5_000  # pictures that the projection is learnt from
_ROUNDS = 8
_FLAT = 100.0  # added to the square of a patch of edges, so that noise on flat ground does not count
_AREAS = 7  # of a picture that patches are counted in

Pixels = NDArray[np.uint8]
Patches = NDArray[np.floating]


@dataclass(frozen=True, kw_only=True)
class PicturePatterns(Declared):
    """Fisher vectors of edges, of coarser edges, and of colours, over the whole picture, its thirds from left to right
    and from top to bottom; beside them hash and histogram; projected to the directions in which pictures differ most.

    Args:
        side: S, a multiple of 16.
        centres: C, of each mixture.
        kept: K.
        size: D; as many as there are pictures at most.

    Source: Perronnin, Sánchez and Mensink, "Improving the Fisher kernel for large-scale image classification", ECCV
    2010.
    """

    side: int = 128
    centres: int = 32
    kept: int = 32
    size: int = 1_024

    def fit(self, pixels: Pixels, run: Run) -> None:
        """Learn from pictures, uint8 [N, S, S, 3], leave an artefact in `run.folder`.

        Raises:
            InputError: `no-examples`, `wrong-pictures`.
        """
        if not len(pixels):
            raise InputError(Problem("no-examples", "there are no pictures to learn from", fix="import some first"))
        _checked(pixels, self.side)
        rng = np.random.default_rng(run.seed)
        some = pixels[np.sort(rng.permutation(len(pixels))[:_MOST])]
        mixtures = {name: self._mixture(sample, rng) for name, sample in _sampled(some, rng).items()}
        arrays: dict[str, Any] = {f"{n}|{k}": v for n, m in mixtures.items() for k, v in m._asdict().items()}
        run.progress("mixtures of patches", 0.3)
        whole = np.concatenate([_vector(one, mixtures) for one in some])
        np.savez(
            run.folder / FILE, mean=whole.mean(axis=0), turn=_directions(whole, self.size).astype(np.float16), **arrays
        )
        Artefact.write(run.folder, model="PicturePatterns", files=[FILE], side=self.side)

    def _mixture(self, sample: Patches, rng: np.random.Generator) -> "Mixture":
        mean = sample.mean(axis=0)
        _, vectors = np.linalg.eigh(np.cov((sample - mean).T))
        turn = vectors[:, -self.kept :].astype(np.float32)
        turn /= ((sample - mean) @ turn).std(axis=0) + 1e-6
        return _fitted(Mixture(mean, turn, *(np.zeros((0, 0), np.float32),) * 3), sample, self.centres, rng)


class Mixture(NamedTuple):
    """Gaussians of one kind of patch.

    Args:
        mean, turn: a patch, float32 [P], becomes (patch − mean) turn, float32 [K].
        share: of each Gaussian, float32 [C].
        centre, variance: float32 [C, K].
    """

    mean: Patches
    turn: Patches
    share: Patches
    centre: Patches
    variance: Patches

    def belonging(self, x: Patches) -> Patches:
        """How much each patch belongs to each Gaussian, float32 [M, C]; rows add up to 1."""
        c, v = self.centre, self.variance
        far = (x * x) @ (1 / v).T - 2 * x @ (c / v).T + (c * c / v).sum(axis=1) + np.log(v).sum(axis=1)
        logs = np.log(self.share + 1e-9) - far / 2
        powers = np.exp(logs - logs.max(axis=1, keepdims=True))
        shares: Patches = powers / powers.sum(axis=1, keepdims=True)
        return shares

    def fisher(self, patches: Patches) -> Floats:
        """How the patches of one picture pull at centres and variances in each area, float32 [7 · 2 C K]."""
        x = (patches - self.mean) @ self.turn
        r = self.belonging(x)
        pulls = np.stack([self._pulls(x[area], r[area]) for area in _areas(len(x))])
        return normalised(np.sign(pulls) * np.sqrt(np.abs(pulls))).ravel()

    def _pulls(self, x: Patches, r: Patches) -> Patches:
        zero, one, two = r.sum(axis=0)[:, None], r.T @ x, r.T @ (x * x)
        c, v, root = self.centre, self.variance, np.sqrt(self.share + 1e-9)[:, None]
        first = (one - zero * c) / (np.sqrt(v) * root)
        second = (two - 2 * one * c + zero * (c * c - v)) / (v * root * np.sqrt(2))
        return np.concatenate([first.ravel(), second.ravel()])


@cache
def _areas(patches: int) -> tuple[NDArray[np.bool_], ...]:
    """The whole picture, its thirds from top to bottom and from left to right: which patches lie there."""
    side = round(patches**0.5)
    third = np.arange(side) * 3 // side
    rows, columns = np.repeat(third, side), np.tile(third, side)
    return (rows >= 0, *(rows == i for i in range(3)), *(columns == i for i in range(3)))


def load_picture_patterns(folder: Path) -> PictureEncode:
    """A fitted encoder from its folder: pixels uint8 [n, S, S, 3] → float32 [n, D] of length 1.

    Raises:
        InputError: `model-corrupt` naming the file; `wrong-model` when it is another model.
    """
    artefact = Artefact.open(folder)
    if artefact.fact("model") != "PicturePatterns":
        what = f"`{artefact.fact('model')}` in {folder.name} makes no vectors of pictures"
        raise InputError(Problem("wrong-model", what, str(folder), fix="give the folder of another model"))
    return guarded(folder, lambda: _opened(artefact))


def _opened(artefact: Artefact) -> PictureEncode:
    arrays, side = artefact.arrays(FILE), int(artefact.fact("side"))
    names = sorted({key.partition("|")[0] for key in arrays if "|" in key})
    mixtures = {n: Mixture(*(arrays[f"{n}|{field}"] for field in Mixture._fields)) for n in names}
    mean, turn = arrays["mean"], arrays["turn"].astype(np.float32)

    def raw(pixels: Pixels) -> Floats:
        return np.concatenate([(_vector(one, mixtures) - mean) @ turn for one in pixels])

    return PictureEncode(sha256(artefact.path(FILE))[:12], turn.shape[1], side, raw)


def _vector(pixels: Pixels, mixtures: Mapping[str, Mixture]) -> Floats:
    """All that is known of one picture, float32 [1, columns]."""
    patches = dict(_patches(pixels))
    parts = [mixtures[name].fisher(patches[name]) for name in sorted(mixtures)]
    return np.concatenate([*parts, normalised(looks(pixels[None]))[0] * np.sqrt(_AREAS)])[None]


def _patches(pixels: Pixels) -> Iterator[tuple[str, Patches]]:
    """Kind → patches of one picture, float32 [M, P]."""
    edges, rgb = _edges(pixels.mean(axis=2)), _cells(pixels.astype(np.float32))
    squares = _cells(pixels.astype(np.float32) ** 2)
    colours = np.concatenate([rgb, np.sqrt(np.maximum(squares - rgb**2, 0))], axis=2) / 64
    coarse = edges.reshape(len(edges) // 2, 2, len(edges) // 2, 2, _TURNS).mean(axis=(1, 3))
    yield "colours", _windows(colours, 2)
    for name, cells, step in (("edges", edges, 2), ("coarse", coarse, 1)):
        patches = _windows(np.sqrt(cells), step)
        yield name, patches / np.sqrt((patches**2).sum(axis=1, keepdims=True) + np.float32(_FLAT))


def _edges(grey: NDArray[np.floating]) -> Patches:
    """How strong edges of each direction are in each cell, [S / 4, S / 4, 8]; opposite directions are one."""
    wide = np.pad(grey, 1, mode="edge")
    across, down = wide[1:-1, 2:] - wide[1:-1, :-2], wide[2:, 1:-1] - wide[:-2, 1:-1]
    turn = np.arctan2(down, across) % np.pi / np.pi * _TURNS
    low, strength = np.floor(turn), np.hypot(across, down)
    side = len(grey) // CELL
    at = np.arange(len(grey)) // CELL
    cell = (at[:, None] * side + at) * _TURNS
    total = np.zeros(side * side * _TURNS)
    for by, share in ((0, 1 - (turn - low)), (1, turn - low)):
        places = cell + (low.astype(np.int64) + by) % _TURNS
        total += np.bincount(places.ravel(), (strength * share).ravel(), minlength=len(total))
    return (total / CELL**2).reshape(side, side, _TURNS).astype(np.float32)


def _cells(values: Patches) -> Patches:
    side = len(values) // CELL
    means: Patches = values.reshape(side, CELL, side, CELL, -1).mean(axis=(1, 3))
    return means


def _windows(cells: Patches, step: int) -> Patches:
    """Patches of 4 x 4 cells, row by row."""
    found = sliding_window_view(cells, (_CELLS, _CELLS), axis=(0, 1))[::step, ::step]
    return np.ascontiguousarray(found).reshape(len(found) ** 2, -1)


def _sampled(pixels: Pixels, rng: np.random.Generator) -> dict[str, Patches]:
    """Some patches of every picture."""
    each = -(-_SAMPLED // len(pixels))
    found: dict[str, list[Patches]] = {}
    for one in pixels:
        for name, patches in _patches(one):
            found.setdefault(name, []).append(patches[rng.permutation(len(patches))[:each]])
    return {name: np.concatenate(parts) for name, parts in found.items()}


def _fitted(start: Mixture, sample: Patches, centres: int, rng: np.random.Generator) -> Mixture:
    """Around random patches first, then by expectation and maximisation with variances that are alike at first."""
    x = (sample - start.mean) @ start.turn
    centre = x[rng.permutation(len(x))[:centres]]
    ones = np.ones_like(centre)
    mixture = start._replace(share=np.full(len(centre), 1 / len(centre), np.float32), centre=centre, variance=ones)
    for round_ in range(2 * _ROUNDS):
        r = mixture.belonging(x)
        mass = r.sum(axis=0)[:, None] + np.float32(1e-6)
        middle: Patches = (r.T @ x) / mass
        spread: Patches = (r.T @ (x * x)) / mass - middle**2
        variance = np.maximum(spread, np.float32(1e-2)) if round_ >= _ROUNDS else ones
        mixture = mixture._replace(share=(mass / mass.sum())[:, 0], centre=middle, variance=variance)
    return mixture


def _directions(whole: Floats, size: int) -> Floats:
    """The directions in which rows differ most, float32 [columns, size at most]."""
    x = whole - whole.mean(axis=0)
    tall = len(x) >= x.shape[1]
    d, side = np.linalg.eigh((x.T @ x if tall else x @ x.T).astype(np.float64))
    kept = np.flatnonzero(d > 1e-6 * max(float(d[-1]), 1e-12))[-size:]
    side = side[:, kept] if tall else x.T @ (side[:, kept] / np.sqrt(d[kept]))
    return np.ascontiguousarray(side[:, ::-1], np.float32)


def _checked(pixels: Pixels, side: int) -> None:
    if pixels.dtype != np.uint8 or pixels.shape[1:] != (side, side, 3) or side % (4 * CELL):
        what = f"{pixels.dtype} {pixels.shape} instead of uint8 [n, {side}, {side}, 3]"
        raise InputError(Problem("wrong-pictures", what, fix="scale them to the side of the model, a multiple of 16"))
