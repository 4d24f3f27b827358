"""How training images are varied (docs/method.md section 4)."""

from typing import Annotated, Literal

from pydantic import AfterValidator, Field, WithJsonSchema, model_validator

from locat.config.base import Fraction, NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt, Schema
from locat.contract import plugins
from locat.contract.plugins import Registry
from locat.contract.problems import did_you_mean, shown

ScaleRange = tuple[Fraction, Fraction]
"""Least and largest part of the image's area."""

Decode = Literal["full", "scaled"]


OTHERS = Registry(plugins.AUGMENTATIONS, {}, plugins.function)
"""Those of plugins: functions of images and random numbers (docs/extend/parts.md)."""


def _of_a_plugin(name: str) -> str:
    if name not in OTHERS:
        raise ValueError(f"no plugin brings the augmentation {shown(name)}{did_you_mean(name, OTHERS)}")
    return name


OwnAugmentation = Annotated[str, AfterValidator(_of_a_plugin), WithJsonSchema({"type": "string"})]


class RandAugment(Schema):
    """timm's increasing RandAugment, `rand-m9-mstd0.5-inc1`."""

    magnitude: Annotated[float, Field(ge=0, le=10)] = 9.0
    std: NonNegativeFloat = 0.5
    """Standard deviation of each operation's magnitude."""
    layers: PositiveInt = 2
    """Operations an image, each applied with probability 0.5."""


class ImageNetAugmentation(Schema):
    """The supervised recipe: crop, flip, RandAugment, mixup or cutmix, erasing."""

    name: Literal["imagenet"] = "imagenet"
    crop_scale: ScaleRange = (0.08, 1.0)
    interpolation: Literal["random", "bilinear", "bicubic"] = "random"
    """Of the resized crop; random draws one of the two for each image, as timm does."""
    decode: Decode = "full"
    """scaled: JPEGs are decoded at 1/2, 1/4 or 1/8 of their size where the crop is at least so much larger than
    `image_size`: 1.2 times as fast from 1000 x 750 pixels, and pixels that differ by 1 to 2 levels of 255
    (docs/performance.md)."""
    flip: Fraction = 0.5
    """Probability of a horizontal flip."""
    rand_augment: RandAugment | None = RandAugment()
    colour_jitter: Fraction = 0.0
    """Brightness, contrast and saturation change by up to this share; the recipe has none beside RandAugment."""
    own: list[OwnAugmentation] = []
    """Augmentations of plugins, in this order: after RandAugment, before images are normalised and mixed."""
    erasing: Fraction = 0.25
    """Probability of erasing a rectangle with noise, pixel by pixel."""
    mixup: NonNegativeFloat = 0.8
    """Alpha of mixup's Beta distribution; 0 for no mixup."""
    cutmix: NonNegativeFloat = 1.0
    """Alpha of cutmix's Beta distribution; 0 for no cutmix. With both, each group takes one of them, half and half."""
    mixup_group: Annotated[PositiveInt, Field(multiple_of=2)] | None = 512
    """Neighbouring images of a batch that share one draw of mixup or cutmix: the release's share of one GPU, 512, of a
    Base model 256. None: the whole batch shares it."""


class Shift(Schema):
    """Whole images of one size, shifted by a few pixels: for small pictures that must not be mirrored, as digits."""

    name: Literal["shift"]
    pixels: NonNegativeInt = 0
    """By how much an image is shifted at most along each side; mirrored at the border."""


Augmentation = Annotated[ImageNetAugmentation | Shift, Field(discriminator="name")]


class SegmentationAugmentation(Schema):
    """Image and mask together: resize, crop, flip, photometric distortion (docs/method.md section 5)."""

    name: Literal["benchmark"]
    resize: tuple[PositiveInt, PositiveInt] = (2048, 512)
    """Longer and shorter side into which an image is brought, its ratio kept."""
    ratio: tuple[PositiveFloat, PositiveFloat] = (0.5, 2.0)
    """By which both sides are multiplied at random."""
    crop: PositiveInt = 512
    """Height and width in pixels; smaller images are padded, the mask with 255."""
    most_of_one_class: Fraction = 0.75
    """A crop in which one class covers more is drawn again, ten times at most."""
    flip: Fraction = 0.5
    photometric: bool = True
    """Brightness, contrast, saturation and hue change at random."""


class Unchanged(Schema):
    """Images as they are stored; all of one size."""

    name: Literal["none"] = "none"


SegmentationAugment = Annotated[SegmentationAugmentation | Unchanged, Field(discriminator="name")]


class DinoCrops(Schema):
    """DINO's views of an image (Caron et al. 2021): two large ones and several small ones."""

    global_size: PositiveInt = 224
    """Height and width in pixels."""
    global_scale: ScaleRange = (0.4, 1.0)
    local_size: PositiveInt = 96
    local_scale: ScaleRange = (0.05, 0.4)
    local_crops: NonNegativeInt = 8
    decode: Decode = "full"
    """scaled: JPEGs are decoded at 1/2, 1/4 or 1/8 of their size where all crops are at least so much larger than
    their views: faster on large images, and pixels that differ by 1 to 2 levels of 255 (docs/performance.md)."""


class DinoHead(Schema):
    """The projection head; its last layer is weight-normed."""

    out_dim: PositiveInt = 65_536
    hidden_dim: PositiveInt = 2_048
    bottleneck_dim: PositiveInt = 256
    layers: PositiveInt = 3


class Temperatures(Schema):
    """Of the softmax over the head's outputs."""

    student: PositiveFloat = 0.1
    teacher: PositiveFloat = 0.04

    @model_validator(mode="after")
    def _teacher_is_sharper(self) -> "Temperatures":
        if self.teacher > self.student:
            raise ValueError("the teacher's temperature must not exceed the student's, or both collapse")
        return self
