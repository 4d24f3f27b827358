"""RandAugment (Cubuk et al. 2020) as timm draws it: `rand-m9-mstd0.5-inc1`."""

from collections.abc import Callable
from functools import partial
from typing import Literal, NamedTuple

import torch

from locat.config.augmentation import RandAugment
from locat.data.augment import geometric, photometric
from locat.data.augment.draws import Draws, change
from locat.data.counter import Key

PROBABILITY = 0.5
"""Of an operation that was drawn to be applied."""

Argument = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
"""From the level in 0..1 and the sign, float64 (n,) each, to the operation's argument."""


def nothing(level: torch.Tensor, sign: torch.Tensor) -> torch.Tensor:
    return torch.zeros_like(level)


def up_to(greatest: float) -> Argument:
    return lambda level, sign: sign * (level * greatest)


def factor(level: torch.Tensor, sign: torch.Tensor) -> torch.Tensor:
    """Of an enhancement: 1 changes nothing."""
    return (1 + sign * (level * 0.9)).clamp(min=0.1)


def bits(level: torch.Tensor, sign: torch.Tensor) -> torch.Tensor:
    return 4 - (level * 4).floor()


def threshold(level: torch.Tensor, sign: torch.Tensor) -> torch.Tensor:
    return 256 - (level * 256).floor()


def amount(level: torch.Tensor, sign: torch.Tensor) -> torch.Tensor:
    return (level * 110).floor()


PHOTOMETRIC: dict[str, tuple[Argument, Callable[[torch.Tensor, torch.Tensor], torch.Tensor]]] = {
    "AutoContrast": (nothing, lambda images, _: photometric.autocontrast(images)),
    "Equalize": (nothing, lambda images, _: photometric.equalize(images)),
    "Invert": (nothing, lambda images, _: photometric.invert(images)),
    "PosterizeIncreasing": (bits, photometric.posterize),
    "SolarizeIncreasing": (threshold, photometric.solarize),
    "SolarizeAdd": (amount, photometric.solarize_add),
    "ColorIncreasing": (factor, photometric.saturation),
    "ContrastIncreasing": (factor, photometric.contrast),
    "BrightnessIncreasing": (factor, photometric.brightness),
    "SharpnessIncreasing": (factor, photometric.sharpness),
}
GEOMETRIC: dict[str, tuple[Argument, Callable[[torch.Tensor, int, int], torch.Tensor]]] = {
    "Rotate": (up_to(30), geometric.rotate),
    "ShearX": (up_to(0.3), geometric.shear_x),
    "ShearY": (up_to(0.3), geometric.shear_y),
    "TranslateXRel": (up_to(0.45), geometric.translate_x),
    "TranslateYRel": (up_to(0.45), geometric.translate_y),
}
NAMES = (*PHOTOMETRIC, *GEOMETRIC)
"""timm's names of the operations, in the order of their numbers."""


class Layer(NamedTuple):
    """One operation for each of n samples, on the CPU."""

    operation: torch.Tensor
    """Its number in `NAMES`, int64 (n,)."""
    applied: torch.Tensor
    """Whether it is, bool (n,)."""
    argument: torch.Tensor
    """float64 (n,)."""
    bicubic: torch.Tensor
    """How a geometric operation interpolates, bool (n,); bilinear otherwise."""


def draw_layers(
    config: RandAugment, draws: Draws, interpolation: Literal["random", "bilinear", "bicubic"]
) -> list[Layer]:
    """What is done to each sample, layer by layer; operations are drawn with replacement."""
    return [_draw_layer(config, draws.in_stream(number), interpolation) for number in range(config.layers)]


def _draw_layer(config: RandAugment, draws: Draws, interpolation: Literal["random", "bilinear", "bicubic"]) -> Layer:
    operation = (draws.uniform(Key.RAND_OPERATION) * len(NAMES)).long()
    magnitude = (config.magnitude + config.std * draws.normal(Key.RAND_MAGNITUDE)).clamp(0, 10)
    sign = 1 - 2 * draws.happens(Key.RAND_SIGN, 0.5).double()
    argument = torch.zeros_like(magnitude)
    for number, (to_argument, _) in enumerate((PHOTOMETRIC | GEOMETRIC).values()):
        argument = torch.where(operation == number, to_argument(magnitude / 10, sign), argument)
    bicubic = draws.happens(Key.RAND_INTERPOLATION, {"bilinear": 0, "random": 0.5, "bicubic": 1}[interpolation])
    return Layer(operation, draws.happens(Key.RAND_APPLIED, PROBABILITY), argument, bicubic)


def apply_layer(images: torch.Tensor, layer: Layer, fill: tuple[int, int, int]) -> None:
    """Change uint8 images (n, 3, H, W) in place; what comes from outside of an image has the colour `fill`.

    Each operation runs once, over the samples that drew it.
    """
    for number, (_, operation) in enumerate(PHOTOMETRIC.values()):
        change(images, layer.applied & (layer.operation == number), operation, layer.argument)
    moved = torch.zeros_like(layer.applied)
    matrix = geometric.identity(len(moved))
    for number, (_, to_matrix) in enumerate(GEOMETRIC.values(), start=len(PHOTOMETRIC)):
        chosen = layer.applied & (layer.operation == number)
        matrix[chosen] = to_matrix(layer.argument[chosen], *images.shape[2:])
        moved |= chosen
    bilinear = partial(geometric.affine, interpolation="bilinear", fill=fill)
    bicubic = partial(geometric.affine, interpolation="bicubic", fill=fill)
    change(images, moved & ~layer.bicubic, bilinear, matrix)
    change(images, moved & layer.bicubic, bicubic, matrix)
