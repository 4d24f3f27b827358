"""transformers' CvT with the interface of a timm model."""

# mypy: disallow-subclassing-any=False, warn-return-any=False

from torch import Tensor
from transformers import CvtConfig, CvtForImageClassification

from locat.models.last_patches import LastPatches


class CvT(LastPatches, CvtForImageClassification):
    """Three stages of convolutional attention; positions come from convolutions, so any image size is taken."""

    def __init__(
        self,
        depths: tuple[int, ...],
        dims: tuple[int, ...] = (64, 192, 384),
        num_classes: int = 1000,
        in_chans: int = 3,
    ) -> None:
        super().__init__(
            CvtConfig(depth=list(depths), embed_dim=list(dims), num_labels=num_classes, num_channels=in_chans)
        )
        self.num_classes, self.num_features = num_classes, dims[-1]

    def forward(self, images: Tensor) -> Tensor:
        """Logits (B, classes) of images (B, 3, H, W)."""
        return super().forward(images).logits

    def patches(self, images: Tensor) -> Tensor:
        """(B, dim, H / 16, W / 16)."""
        return self.cvt(images).last_hidden_state
