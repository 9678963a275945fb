"""Pictures changed at random, whole batches at once. Shapes: B pictures of S x S pixels.

Everything is drawn on the CPU, so that a run on an accelerator sees the same changes.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

_GREY = (0.299, 0.587, 0.114)
_I, _Q = (0.596, -0.274, -0.322), (0.211, -0.523, 0.312)  # the axes around which hues turn


@dataclass(frozen=True)
class Augment:
    """How much pictures are changed.

    Args:
        crop: least share of the area that is kept, 1 for all of it.
        shift: most that a picture moves, as a share of its side.
        turn: most that it is turned, in degrees.
        colour: most that brightness, contrast and saturation change, as a share; hue by a fifth of that.
        grey: share of the pictures that lose their colour.
        erase: side of a square that is blanked, as a share of the picture's.
    """

    crop: float = 1.0
    shift: float = 0.0
    turn: float = 0.0
    colour: float = 0.0
    grey: float = 0.0
    erase: float = 0.0

    def __call__(self, x: Tensor) -> Tensor:
        """Changed copies of centred pictures, float [B, 3, S, S]."""
        x = self._moved(x)
        if self.colour or self.grey:
            x = self._coloured(x)
        return self._erased(x) if self.erase else x

    def _moved(self, x: Tensor) -> Tensor:
        """Mirrored, cut, shifted and turned; what comes from outside is the mirror image of the inside."""
        n, side = len(x), x.shape[2]
        mirrored = 1.0 - 2.0 * (torch.rand(n) < 0.5)
        if self.crop == 1 and not self.turn:
            return self._stepped(torch.where((mirrored < 0).to(x.device)[:, None, None, None], x.flip(3), x))
        zoom = (self.crop + (1 - self.crop) * torch.rand(n)).sqrt()
        shape = 1 + (0.3 if self.crop < 1 else 0.0) * (torch.rand(n) - 0.5)
        wide, high = (zoom * shape.sqrt()).clamp(max=1), (zoom / shape.sqrt()).clamp(max=1)
        angle = math.radians(self.turn) * _both(n)
        theta = torch.zeros(n, 2, 3)
        theta[:, 0, 0], theta[:, 0, 1] = mirrored * wide * angle.cos(), -high * angle.sin()
        theta[:, 1, 0], theta[:, 1, 1] = mirrored * wide * angle.sin(), high * angle.cos()
        theta[:, 0, 2] = (1 - wide) * _both(n) + 2 * self.shift * _both(n)
        theta[:, 1, 2] = (1 - high) * _both(n) + 2 * self.shift * _both(n)
        grid = nn.functional.affine_grid(theta.to(x.device), [n, 3, side, side], align_corners=False)
        return nn.functional.grid_sample(x, grid, padding_mode="reflection", align_corners=False)

    def _stepped(self, x: Tensor) -> Tensor:
        """Moved by whole pixels."""
        most = round(self.shift * x.shape[2])
        if not most:
            return x
        wider = nn.functional.pad(x, (most,) * 4, mode="reflect")
        steps = torch.arange(x.shape[2])
        down, right = (torch.randint(2 * most + 1, (len(x), 1)) + steps for _ in range(2))
        picture = torch.arange(len(x))[:, None, None]
        rows = wider.permute(0, 2, 3, 1)[picture, down[:, :, None], right[:, None, :]]
        return rows.permute(0, 3, 1, 2)

    def _coloured(self, x: Tensor) -> Tensor:
        """One matrix and one offset a picture: brightness, contrast, saturation and hue at once."""
        n = len(x)
        grey, i, q = (torch.tensor(v) for v in (_GREY, _I, _Q))
        saturation = 1 + self.colour * _both(n)
        saturation[torch.rand(n) < self.grey] = 0.0
        angle = math.pi * self.colour / 5 * _both(n)
        around = _hues(i, q, angle)
        lightness = torch.ones(3, 1) @ grey[None]
        matrix = lightness + saturation[:, None, None] * around
        contrast, brightness = 1 + self.colour * _both(n), self.colour * _both(n)
        matrix, brightness = (contrast[:, None, None] * matrix).to(x.device), brightness.to(x.device)
        mean = x.mean((2, 3), keepdim=True)
        turned = torch.einsum("nij,njhw->nihw", matrix, x - mean)
        moved = torch.einsum("nij,njhw->nihw", matrix / contrast.to(x.device)[:, None, None], mean)
        return turned + moved + brightness[:, None, None, None]

    def _erased(self, x: Tensor) -> Tensor:
        """A square of each picture becomes middle grey."""
        side = x.shape[2]
        places = torch.arange(side, device=x.device)
        across, down = (torch.rand(len(x), 1).to(x.device) * side for _ in range(2))
        half = self.erase * side / 2
        inside = ((places - across).abs() < half)[:, None, None, :] & ((places - down).abs() < half)[:, None, :, None]
        return x.masked_fill(inside, 0.0)


def _hues(i: Tensor, q: Tensor, angle: Tensor) -> Tensor:
    """What a colour has beyond its lightness, its hue turned by an angle, as matrices [B, 3, 3]."""
    back = torch.linalg.inv(torch.stack([torch.tensor(_GREY), i, q]))
    cos, sin = angle.cos()[:, None, None], angle.sin()[:, None, None]
    out_i, out_q = back[:, 1:2], back[:, 2:3]
    straight = out_i @ i[None] + out_q @ q[None]
    across = out_q @ i[None] - out_i @ q[None]
    turned: Tensor = cos * straight + sin * across
    return turned


def _both(n: int) -> Tensor:
    """Uniform draws from -1 to 1."""
    return 2 * torch.rand(n) - 1
