"""Image and mask varied together (docs/method.md section 5); every draw is a function of (seed, epoch, sample)."""

import enum

import torch
from torchvision.transforms.v2 import InterpolationMode
from torchvision.transforms.v2 import functional as F

from locat.config.augmentation import SegmentationAugmentation
from locat.data import counter
from locat.data.augment.photometric import hue
from locat.data.counter import Key
from locat.data.labels import IGNORED

REDRAWS = 10
"""How often a crop that one class fills is drawn again."""

BRIGHTNESS = 32  # most that is added to each channel, of 255
FACTORS = (0.5, 1.5)  # of contrast and saturation
HUE = 0.1  # most that a hue turns, of the colour circle: 18 steps of OpenCV's two degrees


class Draw(enum.IntEnum):
    """Places of a sample's random numbers; from CROPS on two for each try."""

    RATIO = 0
    FLIP = 1
    BRIGHTNESS_APPLIED = 2
    BRIGHTNESS = 3
    CONTRAST_LAST = 4
    CONTRAST_APPLIED = 5
    CONTRAST = 6
    SATURATION_APPLIED = 7
    SATURATION = 8
    HUE_APPLIED = 9
    HUE = 10
    CROPS = 11


DRAWS = Draw.CROPS + 2 * (REDRAWS + 1)


def draw(seed: int, epoch: int, sample: int) -> list[float]:
    """A sample's random numbers, uniform in [0, 1), DRAWS of them."""
    return counter.uniform(seed, epoch, sample * DRAWS + torch.arange(DRAWS), Key.PAIR).tolist()


def augment(
    image: torch.Tensor,
    mask: torch.Tensor,
    config: SegmentationAugmentation,
    draws: list[float],
    antialias: bool = True,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Resize, crop, flip and distort: image uint8 (3, H, W) and mask uint8 (H, W), both at most `config.crop` high
    and wide afterwards."""
    ratio = between(config.ratio, draws[Draw.RATIO])
    size = keep_ratio(tuple(mask.shape), (int(config.resize[0] * ratio), int(config.resize[1] * ratio)))
    image, mask = resize_image(image, size, antialias), resize_mask(mask, size)
    top, left = choose_crop(mask, config.crop, config.most_of_one_class, draws[Draw.CROPS :])
    window = (..., slice(top, top + config.crop), slice(left, left + config.crop))
    image, mask = image[window], mask[window]
    if draws[Draw.FLIP] < config.flip:
        image, mask = image.flip(-1), mask.flip(-1)
    return distort(image, draws) if config.photometric else image, mask


def keep_ratio(size: tuple[int, ...], into: tuple[int, int]) -> tuple[int, int]:
    """Height and width `size` made as large as its longer side fits the larger of `into`, its shorter the other."""
    scale = min(max(into) / max(size), min(into) / min(size))
    height, width = (max(1, int(side * scale + 0.5)) for side in size)
    return height, width


def resize_image(image: torch.Tensor, size: tuple[int, int], antialias: bool = True) -> torch.Tensor:
    """Bilinear, antialiased where it shrinks, or between the four nearest pixels as OpenCV does: uint8 (3, H, W)."""
    resized: torch.Tensor = F.resize_image(image, list(size), InterpolationMode.BILINEAR, antialias=antialias)
    return resized


def resize_mask(mask: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    """Each pixel takes the class of its nearest: uint8 (H, W)."""
    resized: torch.Tensor = F.resize_mask(mask[None], list(size))[0]
    return resized


def choose_crop(mask: torch.Tensor, crop: int, most: float, draws: list[float]) -> tuple[int, int]:
    """Top and left of a crop, redrawn REDRAWS times at most while one class has more than `most` of its known pixels.

    `draws` are pairs of random numbers, one for each try.
    """
    height, width = mask.shape
    top = left = 0
    for down, right in zip(draws[::2], draws[1::2], strict=True):
        top, left = (int(at * (max(side - crop, 0) + 1)) for at, side in ((down, height), (right, width)))
        counts = mask[top : top + crop, left : left + crop].flatten().bincount(minlength=256)[:IGNORED]
        if counts.max() <= most * counts.sum() and counts.any():
            break
    return top, left


def distort(image: torch.Tensor, draws: list[float]) -> torch.Tensor:
    """Brightness, contrast, saturation and hue changed, each with probability 0.5: uint8 (3, H, W)."""
    if draws[Draw.BRIGHTNESS_APPLIED] < 0.5:
        image = to_bytes(image + between((-BRIGHTNESS, BRIGHTNESS), draws[Draw.BRIGHTNESS]))
    contrast = between(FACTORS, draws[Draw.CONTRAST]) if draws[Draw.CONTRAST_APPLIED] < 0.5 else None
    contrast_last = draws[Draw.CONTRAST_LAST] < 0.5
    if contrast is not None and not contrast_last:
        image = to_bytes(image * contrast)
    if draws[Draw.SATURATION_APPLIED] < 0.5:
        image = saturate(image, between(FACTORS, draws[Draw.SATURATION]))
    if draws[Draw.HUE_APPLIED] < 0.5:
        image = hue(image[None], torch.tensor([between((-HUE, HUE), draws[Draw.HUE])]))[0]
    if contrast is not None and contrast_last:
        image = to_bytes(image * contrast)
    return image


def saturate(image: torch.Tensor, factor: float) -> torch.Tensor:
    """HSV's saturation times `factor`, at most 1; hue and value stay: uint8 (3, H, W)."""
    values = image.float()
    high = values.amax(0)
    chroma = high - values.amin(0)
    applied = (high / chroma.clamp(min=1)).clamp(max=factor)
    return to_bytes(high - (high - values) * applied)


def to_bytes(values: torch.Tensor) -> torch.Tensor:
    """Rounded into 0..255."""
    return values.round().clamp(0, 255).byte()


def between(limits: tuple[float, float], share: float) -> float:
    """The number that lies `share` of the way from one limit to the other."""
    return limits[0] + (limits[1] - limits[0]) * share
