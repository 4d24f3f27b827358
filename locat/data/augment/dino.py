"""The colours of DINO's views (Caron et al. 2021; docs/method.md section 4), after the loader's crops and flips."""

from collections.abc import Sequence

import torch
from timm.data import IMAGENET_DEFAULT_MEAN, IMAGENET_DEFAULT_STD

from locat.config.augmentation import DinoCrops
from locat.data.augment import photometric
from locat.data.augment.colour_jitter import ColourJitter, apply_jitter, draw_jitter
from locat.data.augment.draws import Draws, change
from locat.data.augment.normalise import normalize
from locat.data.counter import Key

JITTER = ColourJitter(0.4, 0.4, 0.2, 0.1)
JITTER_PROBABILITY = 0.8
GREY_PROBABILITY = 0.2
GLOBAL_BLUR_PROBABILITY = (1.0, 0.1)
"""Of the first and the second large view."""
LOCAL_BLUR_PROBABILITY = 0.5
BLUR_SIGMA = (0.1, 2.0)
"""Least and largest standard deviation in pixels."""
SOLARIZE_VIEW, SOLARIZE_PROBABILITY, SOLARIZE_THRESHOLD = 1, 0.2, 128.0


class DinoTransform:
    """Colour jitter, grey, blur and solarisation of each view by itself, then ImageNet's mean and deviation.

    A view's pixels depend on (seed, epoch, index) and its place among the views alone. Two operations are
    the exact form of what the official code has from PIL: the Gaussian, which three box blurs approximate
    (on photographs 0.4 to 0.7 of 255 levels apart on average, at most 1.8, at a sigma of 0.3), and the hue,
    which PIL rounds to 8 bits (0.3 to 1.4 levels).
    """

    def __init__(self, crops: DinoCrops, seed: int) -> None:
        self.count, self.seed = 2 + crops.local_crops, seed

    def __call__(self, views: Sequence[torch.Tensor], index: torch.Tensor, epoch: int) -> list[torch.Tensor]:
        """Views uint8 (n, 3, s, s), the two large ones first, as normalised float32.

        `index`, int64 (n,) on the CPU, are the samples' numbers.
        """
        assert len(views) == self.count
        draws = Draws(self.seed, epoch, index)
        return [self._vary(view, place, draws.in_stream(place)) for place, view in enumerate(views)]

    def _vary(self, images: torch.Tensor, place: int, draws: Draws) -> torch.Tensor:
        images = images.clone(memory_format=torch.contiguous_format)
        apply_jitter(images, draw_jitter(JITTER, draws), draws.happens(Key.JITTER_APPLIED, JITTER_PROBABILITY))
        change(images, draws.happens(Key.GREY, GREY_PROBABILITY), photometric.grey)
        blurred = draws.happens(
            Key.BLUR_APPLIED, GLOBAL_BLUR_PROBABILITY[place] if place < 2 else LOCAL_BLUR_PROBABILITY
        )
        least, largest = BLUR_SIGMA
        sigma = least + (largest - least) * draws.uniform(Key.BLUR_SIGMA)
        change(images, blurred, photometric.gaussian_blur, sigma)
        if place == SOLARIZE_VIEW:
            threshold = torch.full_like(sigma, SOLARIZE_THRESHOLD)
            change(images, draws.happens(Key.SOLARIZE, SOLARIZE_PROBABILITY), photometric.solarize, threshold)
        return normalize(images, IMAGENET_DEFAULT_MEAN, IMAGENET_DEFAULT_STD)
