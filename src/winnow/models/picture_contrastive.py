"""L1 of picture retrieval: learned from the pictures alone."""

from dataclasses import dataclass

from winnow.models.base import Run
from winnow.models.picture_retrieval import PictureRetriever, Pictures


@dataclass(frozen=True, kw_only=True)
class ContrastivePictures(PictureRetriever):
    """Two changed views of a picture are to be near each other and far from all other pictures.

    Args:
        side: pixels along a side, a multiple of 32.
        widths: channels of the network after each halving; the last is the length of the vectors.
        temperature: of the softmax; lower makes near pictures matter more.
        crop: least share of the area that a view keeps.
        turn: degrees that a view is turned by at most.
        colour: change of brightness, contrast and saturation at most, as a share.
        grey: share of the views that lose their colour.
        mirrored: vectors are the sum over a picture and its mirror image, at twice the cost.
        seen: pictures that training looks at, at most: of many pictures there are fewer epochs.
        epochs, batch_size, learning_rate, reg: as in every model; `reg` is decoupled weight decay.

    Source: Chen et al., A simple framework for contrastive learning of visual representations, ICML 2020.
    """

    widths: tuple[int, ...] = (64, 128, 256)
    temperature: float = 0.2
    crop: float = 0.3
    turn: float = 0.0
    colour: float = 0.4
    grey: float = 0.2
    mirrored: bool = True
    epochs: int = 60
    seen: int = 500_000
    batch_size: int = 256
    learning_rate: float = 2e-3
    reg: float = 0.02

    def fit(self, train: Pictures, valid: Pictures, run: Run) -> None:
        from winnow.models.networks.picture_training import fit_contrastive

        fit_contrastive(self, train, valid, run)
