"""L2 of picture retrieval: learned from what people said or did."""

from dataclasses import dataclass

from winnow.models.base import Run
from winnow.models.picture_contrastive import ContrastivePictures
from winnow.models.picture_retrieval import PictureRetriever, Pictures


@dataclass(frozen=True, kw_only=True)
class MetricPictures(PictureRetriever):
    """Pictures of one group, and pictures clicked together, are to be near each other; other groups are far.

    Three losses add up: a softmax over one learned vector per group, for every size that vectors may be cut to;
    contrast within the batch, where near negatives weigh more; for binary codes, the distance of numbers from ±1.
    Pictures without a group learn from their clicks, or else from a second view of themselves.

    Args:
        side: pixels along a side, a multiple of 32.
        widths: channels of the network after each halving.
        sizes: lengths that vectors can be cut to; the largest is their length.
        bits: for binary codes, how many; `sizes` then names shorter ones.
        temperature: of both softmaxes.
        smoothing: share of the target that is spread over all groups.
        contrast: weight of the contrast within the batch.
        hardness: how much more near negatives weigh there; 0 for equal weights.
        quantise: weight of the distance from ±1.
        crop, shift, turn, colour, erase: how pictures are changed in training: least share of the area, share of the
            side, degrees, share, and side of a blanked square as a share.
        mirrored: vectors are the sum over a picture and its mirror image, at twice the cost.
        warm: trained first, with the same side and widths; its network is the start of this one.
        seen: pictures that training looks at, at most: of many pictures there are fewer epochs.
        epochs, batch_size, learning_rate, reg: as in every model; `reg` is decoupled weight decay.

    Source: Zhai and Wu, Classification is a strong baseline for deep metric learning, BMVC 2019; Khosla et al.,
    Supervised contrastive learning, NeurIPS 2020; Kusupati et al., Matryoshka representation learning, NeurIPS 2022.
    """

    widths: tuple[int, ...] = (64, 128, 256)
    sizes: tuple[int, ...] = (32, 64, 128)
    bits: int = 0
    temperature: float = 0.1
    smoothing: float = 0.1
    contrast: float = 0.2
    hardness: float = 0.5
    quantise: float = 0.1
    crop: float = 0.5
    shift: float = 0.0
    turn: float = 10.0
    colour: float = 0.2
    erase: float = 0.25
    mirrored: bool = True
    warm: ContrastivePictures | None = None
    epochs: int = 60
    seen: int = 500_000
    batch_size: int = 128
    learning_rate: float = 3e-3
    reg: float = 0.05

    @property
    def size(self) -> int:
        """The length of its vectors."""
        return self.bits or max(self.sizes)

    @property
    def prefixes(self) -> tuple[int, ...]:
        """Every length that is trained, the shortest first."""
        return tuple(sorted({*(s for s in self.sizes if s < self.size), self.size}))

    def fit(self, train: Pictures, valid: Pictures, run: Run) -> None:
        from winnow.models.networks.picture_training import fit_metric

        fit_metric(self, train, valid, run)
