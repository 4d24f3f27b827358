"""What `segment` trains on a backbone's patches, by which loss, and how it looks at an image to evaluate."""

import math
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema, model_validator

from locat.config.base import Int, NonNegativeFloat, PositiveFloat, PositiveInt, Schema
from locat.contract import plugins
from locat.contract.plugins import Registry
from locat.contract.problems import did_you_mean, shown

MOST_BLOCKS = 4
"""That a decoder reads: its scales are 1/4 to 1/32 of the image, for patches of 16 pixels."""
COSTS = {"upernet": (800, 110), "dpt": (1800, 440)}
"""Of a decoder on four blocks, both in squares of its channels: multiply-adds per 16 x 16 pixels, and parameters."""


HEADS = ("mlp", "linear", "upernet", "dpt")
OTHERS = Registry(plugins.HEADS, {}, plugins.function)
"""Those of plugins: functions that take widths of patches and a number of classes (docs/extend/parts.md)."""


def _known_head(name: str) -> str:
    if name not in HEADS and name not in OTHERS:
        known = [*HEADS, *OTHERS]
        raise ValueError(f"expected one of {', '.join(known)}, got {shown(name)}{did_you_mean(name, known)}")
    return name


HeadName = Annotated[str, AfterValidator(_known_head), WithJsonSchema({"enum": [*HEADS], "type": "string"})]


class SegmentHead(Schema):
    """What makes classes of patches (docs/segment.md). In YAML a bare name, or `{name: upernet, channels: 128}`."""

    name: HeadName = "mlp"
    """mlp (the paper's two 1x1 convolutions), linear (batch norm and one 1x1 convolution), upernet or dpt (the decoders
    of segmentation-models-pytorch)."""
    blocks: Annotated[list[Int], Field(min_length=1)] | None = None
    """Whose patches it reads: blocks, of a Swin stages, counted from 0 or from the end, -1. By default the last one;
    of upernet and dpt four, evenly spaced."""
    channels: PositiveInt | None = None
    """Of upernet and dpt: width of the decoder, by default 256. A plugin's head makes of it what it likes."""

    @property
    def decodes(self) -> bool:
        """Whether it is a decoder, which reads several blocks and works at several scales."""
        return self.name in ("upernet", "dpt")

    @property
    def width(self) -> int:
        """Of the decoder."""
        return self.channels or 256

    @property
    def called(self) -> str:
        """How tables name it where it is not the paper's; else empty."""
        if self.blocks is None:
            return "" if self.name == "mlp" else self.name
        return f"{self.name} on {' '.join(map(str, self.blocks))}"

    def multiply_adds(self, size: int) -> float:
        """Of one forward pass on one image of `size` x `size` pixels, about; those of mlp and linear are left out."""
        return COSTS[self.name][0] * self.width**2 * (size / 16) ** 2 if self.decodes else 0

    def parameters(self) -> float:
        """Their number, about; those of mlp and linear are left out as well."""
        return COSTS[self.name][1] * self.width**2 if self.decodes else 0

    @model_validator(mode="after")
    def _fits_its_name(self) -> "SegmentHead":
        if self.channels is not None and self.name in ("mlp", "linear"):
            raise ValueError(f"channels are for upernet and dpt, not for {self.name}; mlp has hidden_dim")
        if self.decodes and self.blocks is not None and not 2 <= len(self.blocks) <= MOST_BLOCKS:
            raise ValueError(f"blocks: {self.name} reads 2 to {MOST_BLOCKS}, got {len(self.blocks)}")
        return self


def _head_from_name(value: Any) -> Any:
    return {"name": value} if isinstance(value, str) else value


SegmentHeadField = Annotated[SegmentHead, BeforeValidator(_head_from_name)]


class SegmentLoss(Schema):
    """A sum of cross entropy and dice."""

    cross_entropy: NonNegativeFloat = 1.0
    """Its part in the sum; 0 for none."""
    dice: NonNegativeFloat = 0.0
    """The same of 1 - Dice, averaged over the classes of an image and over images."""
    class_weights: dict[str, PositiveFloat] = {}
    """Class -> what its pixels weigh in cross entropy; those of others weigh 1."""
    balanced: bool = False
    """Whether classes weigh inversely to their pixels in the training set instead."""

    @model_validator(mode="after")
    def _has_a_part(self) -> "SegmentLoss":
        if not self.cross_entropy and not self.dice:
            raise ValueError("cross_entropy and dice are both 0, which leaves no loss")
        if (self.class_weights or self.balanced) and not self.cross_entropy:
            raise ValueError("class_weights and balanced are for cross_entropy, which is 0")
        if self.class_weights and self.balanced:
            raise ValueError("balanced computes the class_weights; leave one of the two out")
        return self


class SegmentEvaluation(Schema):
    """How an image is looked at. By default whole, once."""

    window: PositiveInt | None = None
    """Height and width in pixels of a window that slides over the resized image; None for the whole image at once."""
    stride: PositiveInt | None = None
    """Pixels from one window to the next; by default two thirds of `window`."""
    flip: bool = False
    """Whether the mirrored image is looked at as well, and the probabilities averaged."""

    @property
    def step(self) -> int:
        """Pixels from one window to the next."""
        assert self.window is not None, "of a sliding window"
        return self.stride or max(1, self.window * 2 // 3)

    def looks(self, size: int) -> tuple[int, int]:
        """How often the model is asked of an image of `size` x `size` pixels, and the side in pixels of each time."""
        side = min(self.window or size, size)
        along = 1 + math.ceil((size - side) / self.step) if self.window else 1
        return along**2 * (2 if self.flip else 1), side

    @property
    def called(self) -> str:
        """How tables name what is not the default; else empty."""
        parts = {"sliding window": self.window is not None, "flip": self.flip}
        return ", ".join(name for name, present in parts.items() if present)

    @model_validator(mode="after")
    def _windows_meet(self) -> "SegmentEvaluation":
        if self.stride is not None and self.window is None:
            raise ValueError("stride is of a sliding window; set window")
        if self.window is not None and self.step > self.window:
            raise ValueError(f"stride {self.stride} leaves pixels out between windows of {self.window}")
        return self
