"""Images for the tests of augmentation: photographs, noise, few values, one value; and PIL's answer to each."""

from collections.abc import Callable

import numpy as np
import torch
from PIL import Image
from sklearn.datasets import load_sample_images


def pictures(height: int = 60, width: int = 84) -> torch.Tensor:
    """uint8 (5, 3, height, width)."""
    photographs = [photograph[100:, 200:][:height, :width] for photograph in load_sample_images().images]
    random = np.random.default_rng(0)
    noise = random.integers(0, 256, (height, width, 3))
    few = random.integers(100, 108, (height, width, 3))
    one = np.full((height, width, 3), 77)
    images = np.stack([*photographs, noise, few, one]).astype(np.uint8)
    return torch.from_numpy(images).permute(0, 3, 1, 2).contiguous()


def by_pil(images: torch.Tensor, operation: Callable[[Image.Image], Image.Image]) -> torch.Tensor:
    """What `operation` makes of each image."""
    changed = [np.array(operation(Image.fromarray(image.permute(1, 2, 0).numpy()))) for image in images]
    return torch.from_numpy(np.stack(changed)).permute(0, 3, 1, 2)


def every(images: torch.Tensor, argument: float) -> torch.Tensor:
    return torch.full((len(images),), argument, dtype=torch.float64)


def apart(ours: torch.Tensor, theirs: torch.Tensor) -> torch.Tensor:
    """By how many levels each value differs."""
    return (ours.int() - theirs.int()).abs()
