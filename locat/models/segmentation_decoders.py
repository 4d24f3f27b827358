"""UPerNet and DPT, by the decoders of segmentation-models-pytorch, on the patches of several blocks."""

# mypy: disallow-subclassing-any=False

from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn import functional as F

from locat.contract.errors import ConfigError

SCALES = (4, 2, 1, 0.5)
"""Of maps that have one size, as a ViT's, by which they are resized for UPerNet: its pyramid."""
MISSING = "needs the package segmentation-models-pytorch, which this environment lacks: run `make install` again"


class UPerNet(nn.Module):
    """UPerNet (Xiao et al. 2018, arXiv 1807.10221) on maps (B, dim, h, w) of 2 to 4 blocks -> (B, classes, H, W).

    Maps of one size are brought to four scales, bilinear in between; those of a Swin are pyramids already. The answer
    has the size of the largest scale.

    Raises:
        ConfigError: segmentation-models-pytorch is not installed.
    """

    def __init__(self, dims: Sequence[int], is_pyramid: bool, channels: int, classes: int) -> None:
        super().__init__()
        try:
            from segmentation_models_pytorch.decoders.upernet.decoder import UPerNetDecoder
        except ImportError as error:
            raise ConfigError(f"head: upernet {MISSING}") from error
        self.scales = (1,) * len(dims) if is_pyramid else SCALES[-len(dims) :]
        # It leaves out the first two maps, which in its own models are the image and half of it.
        self.decoder = UPerNetDecoder((0, 0, *dims), encoder_depth=len(dims) + 1, decoder_channels=channels)
        self.classifier = nn.Conv2d(channels, classes, 1)

    def forward(self, *maps: Tensor) -> Tensor:
        pyramid = [_resized(each, scale) for each, scale in zip(maps, self.scales, strict=True)]
        logits: Tensor = self.classifier(self.decoder([None, None, *pyramid]))
        return logits


class DPT(nn.Module):
    """DPT (Ranftl et al. 2021, arXiv 2103.13413) on maps (B, dim, h, w) of 2 to 4 blocks -> (B, classes, 8h, 8w).

    The maps have one size. [CLS] is not read.

    Raises:
        ConfigError: segmentation-models-pytorch is not installed.
    """

    def __init__(self, dims: Sequence[int], channels: int, classes: int) -> None:
        super().__init__()
        try:
            from segmentation_models_pytorch.decoders.dpt.decoder import DPTDecoder, DPTSegmentationHead
        except ImportError as error:
            raise ConfigError(f"head: dpt {MISSING}") from error
        widths = [channels * factor for factor in (1, 2, 4, 4)[: len(dims)]]
        self.decoder = DPTDecoder(
            dims,
            (16,) * len(dims),  # whatever a patch is: these decide how maps are scaled to each other
            encoder_has_prefix_tokens=False,
            readout="ignore",
            intermediate_channels=widths,
            fusion_channels=channels,
        )
        self.classifier = DPTSegmentationHead(channels, classes, upsampling=1)

    def forward(self, *maps: Tensor) -> Tensor:
        height, width = maps[0].shape[-2:]
        # Half of a side that is odd, doubled again, would not fit.
        even = [F.pad(each, (0, width % 2, 0, height % 2), mode="replicate") for each in maps]
        logits: Tensor = self.classifier(self.decoder(even, [None] * len(even)))
        return logits[..., : 8 * height, : 8 * width]


def _resized(features: Tensor, scale: float) -> Tensor:
    if scale == 1:
        return features
    size = [max(1, round(side * scale)) for side in features.shape[-2:]]
    return F.interpolate(features, size, mode="bilinear", align_corners=False)
