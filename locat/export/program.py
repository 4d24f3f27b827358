"""What is exported of a model: a module from images to tensors, and the sizes that it takes."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from timm.data import resolve_data_config
from timm.models import Eva, VisionTransformer
from torch import Tensor, nn

from locat.config.base import Protocol
from locat.config.export import Export
from locat.contract.errors import ConfigError
from locat.models.last_patches import LastPatches
from locat.models.segmenter import Segmenter
from locat.predict.classification import Classifier
from locat.predict.model import Model, Size
from locat.predict.segmentation import SegmentationPredictor
from locat.tasks.segmentation.protocol import covered
from locat.tasks.segmentation.upsampled import size_of, upsample

ANY_SIZE = (VisionTransformer, Eva, LastPatches)
"""What computes alike for every grid of patches. Others part the grid into windows, or have a table for one grid."""
LEAST = 4
"""Steps along a side where the size varies: of fewer patches, CvT has a single key, which torch.export treats apart."""
Answers = tuple[Tensor, ...]


class Pixels(nn.Module):
    """What a segmentation model says of each pixel, by one look at the whole image."""

    def __init__(self, segmenter: Segmenter, protocol: Protocol, block: int) -> None:
        super().__init__()
        self.segmenter, self.protocol, self.block = segmenter, protocol, block

    def forward(self, images: Tensor) -> Answers:
        """Logits (n, classes, H, W) of normalised images (n, 3, H, W)."""
        height, width = size_of(images)
        extent = covered(self.segmenter.backbone, (height, width), self.protocol, self.block)
        return (upsample(self.segmenter(images), extent)[..., :height, :width],)


class Normalising(nn.Module):
    """A module of normalised images for uint8 ones."""

    mean: Tensor
    std: Tensor

    def __init__(self, module: nn.Module, mean: Sequence[float], std: Sequence[float]) -> None:
        super().__init__()
        self.module = module
        for name, values in (("mean", mean), ("std", std)):
            self.register_buffer(name, torch.tensor(values).view(-1, 1, 1))

    def forward(self, images: Tensor) -> Answers:
        answers: Answers = self.module((images / 255 - self.mean) / self.std)
        return answers


@dataclass(frozen=True)
class Program:
    """A module to export, in eval mode on the CPU."""

    module: nn.Module
    outputs: tuple[str, ...]
    """Names of what it gives."""
    mean: tuple[float, ...]
    """Of images, by which they are normalised; as in `Statistics`."""
    std: tuple[float, ...]
    takes_pixels: bool
    """Whether it takes uint8 images and normalises them itself."""
    size: Size
    """Of the images; of many, where it varies."""
    step: int | None
    """Where the size varies, height and width are multiples of it; None: there is one size."""


def program_of(model: Model, options: Export) -> Program:
    """What is exported of a model.

    Raises:
        ConfigError: it cannot be exported so.
    """
    module: nn.Module
    outputs: tuple[str, ...]
    patches = 1
    """Of which height and width are multiples, where they vary."""
    if isinstance(model, Classifier):
        backbone, usual = model.model, model.size
        mean, std = model.mean, model.std
        module, outputs = model.readout, model.readout.outputs
    elif isinstance(model, SegmentationPredictor):
        segmenter, described = model.model.segmenter, model.model.described
        backbone, usual = segmenter.backbone, _usual_size(model)
        mean, std = described.mean, described.std
        module, outputs = Pixels(segmenter, described.protocol, model.model.blocks[0]), ("logits",)
        if options.dynamic_size and described.head.name == "upernet":
            raise ConfigError(
                f"{model.origin}: the head upernet is exported for one size: ONNX has its pools for one grid alone; "
                "leave the dynamic size out, and choose the size"
            )
        if described.head.name == "dpt":
            patches = 2  # it halves maps, and doubles them again
    else:
        raise ConfigError(f"{model.origin}: a {type(model).__name__} is not exported")
    step = None
    if options.dynamic_size:
        if not isinstance(backbone, ANY_SIZE):
            raise ConfigError(
                f"{model.origin}: {type(backbone).__name__} is exported for one size, to which its windows or tables "
                "are tied; leave the dynamic size out, and choose the size"
            )
        step = patches * int(backbone.feature_info[-1]["reduction"])
    height, width = options.size or usual
    if step and (height % step or width % step):
        raise ConfigError(f"size {height} x {width}: where it varies, height and width are multiples of {step}")
    takes_pixels = options.input == "pixels"
    if takes_pixels:
        module = Normalising(module, mean, std)
    return Program(module.eval(), outputs, tuple(mean), tuple(std), takes_pixels, (height, width), step)


def _usual_size(model: SegmentationPredictor) -> Size:
    """A square of the shorter side that images are resized into; else the size that the backbone was built for."""
    resize = model.model.described.resize
    if resize is not None:
        side = min(resize)
        return side, side
    _, height, width = resolve_data_config(model=model.model.segmenter.backbone)["input_size"]
    return height, width
