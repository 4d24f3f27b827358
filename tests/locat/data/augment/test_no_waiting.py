"""The host draws, the device changes pixels, and neither waits for the other."""

from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode

from locat.config.augmentation import DinoCrops, ImageNetAugmentation, Shift
from locat.data.augment import DinoTransform, ImageNetTransform, ShiftTransform

COUNT, CLASSES = 64, 5
MEAN = (0.4, 0.5, 0.6)
INDEX = torch.arange(COUNT)
DEVICE = torch.device("meta")
"""It has shapes and no numbers: who asks it for one is told so, as is who counts what it has."""


class BlockingCopies(TorchDispatchMode):
    """Finds what is sent to the device in a way that waits until it has done what was asked before."""

    def __init__(self) -> None:
        super().__init__()
        self.found = 0
        self.sent = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func is torch.ops.aten._to_copy.default and args[0].device != DEVICE and kwargs.get("device") == DEVICE:
            self.sent += 1
            self.found += not kwargs.get("non_blocking")
        return func(*args, **kwargs)


def images(size: int) -> torch.Tensor:
    return torch.empty((COUNT, 3, size, size), dtype=torch.uint8, device=DEVICE)


def labels() -> torch.Tensor:
    return torch.empty(COUNT, dtype=torch.int64, device=DEVICE)


def test_the_recipe_on_imagenet_asks_the_device_for_nothing() -> None:
    config = ImageNetAugmentation(mixup=0.8, cutmix=1.0, erasing=0.5)
    transform = ImageNetTransform(config, CLASSES, 0.1, MEAN, MEAN, 0)
    transform.vary(images(32), INDEX, 0)  # what is kept from one batch to the next
    with BlockingCopies() as copies:
        for batch in range(4):
            varied, targets = transform(images(32), labels(), INDEX, 0, batch)
    assert varied.device == targets.device == DEVICE
    assert copies.sent > 20 and copies.found == 0


def test_shifts_ask_the_device_for_nothing() -> None:
    transform = ShiftTransform(Shift(name="shift", pixels=2), CLASSES, 0.1, MEAN, MEAN, 0)
    transform(images(32), labels(), INDEX, 0, 0)
    with BlockingCopies() as copies:
        transform(images(32), labels(), INDEX, 0, 1)
    assert copies.sent == 1 and copies.found == 0


def test_dinos_views_ask_the_device_for_nothing() -> None:
    transform = DinoTransform(DinoCrops(local_crops=2), 0)
    views = [images(size) for size in (32, 32, 16, 16)]
    transform(views, INDEX, 0)
    with BlockingCopies() as copies:
        transform(views, INDEX, 1)
    assert copies.sent > 20 and copies.found == 0
