"""One random view of an image and its mask: what the release's memory of labelled patches is made of."""

import numpy as np
import torch

from locat.data.augment import photometric
from locat.data.augment.draws import Draws, change
from locat.data.counter import Key
from locat.data.joint import resize_image, resize_mask
from locat.data.views import RandomResizedCrop, cuts

SCALE = (0.5, 2.0)
"""Least and largest part of the image's area; what does not fit into the image is drawn again."""
STRENGTH = 0.1
PROBABILITY = 0.5
OPERATIONS = (photometric.brightness, photometric.contrast, photometric.saturation, photometric.hue)
"""In this order, each with PROBABILITY."""


class MemoryView:
    """A random part brought to `side` x `side` pixels, its colours changed; a function of (seed, sample) alone."""

    def __init__(self, side: int, seed: int) -> None:
        self.side, self.seed = side, seed
        self.crop = RandomResizedCrop(side, SCALE, flip=0.0, interpolation="bilinear")

    def __call__(self, image: torch.Tensor, mask: torch.Tensor, sample: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Image uint8 (3, H, W) and mask uint8 (H, W), as the same of `side` x `side`."""
        height, width, number = (np.array([value]) for value in (*mask.shape, sample))
        cut = cuts([self.crop], height, width, number, seed=self.seed, epoch=0)[0, 0]
        window = (..., slice(cut["top"], cut["top"] + cut["height"]), slice(cut["left"], cut["left"] + cut["width"]))
        size = (self.side, self.side)
        return self.vary(resize_image(image[window], size), sample), resize_mask(mask[window], size)

    def vary(self, image: torch.Tensor, sample: int) -> torch.Tensor:
        """Brightness, contrast and saturation by up to a tenth, the hue by up to a tenth of its circle."""
        draws, centres = Draws(self.seed, 0, torch.tensor([sample])), (1.0, 1.0, 1.0, 0.0)
        applied = draws.several(Key.JITTER_APPLIED, len(OPERATIONS)) < PROBABILITY
        spread = STRENGTH * (2 * draws.several(Key.JITTER_FACTOR, len(OPERATIONS)) - 1)
        images = image[None].clone(memory_format=torch.contiguous_format)
        for number, (operation, centre) in enumerate(zip(OPERATIONS, centres, strict=True)):
            change(images, applied[:, number], operation, centre + spread[:, number])
        return images[0]
