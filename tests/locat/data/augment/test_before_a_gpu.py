"""The augmentation on a GPU that only pretends: everything on its device, and the host waits for nothing."""

from collections.abc import Iterator

import pytest
import torch

from locat.config.augmentation import DinoCrops, ImageNetAugmentation, Shift
from locat.data.augment import DinoTransform, ImageNetTransform, ShiftTransform, normalise
from support.pretended_gpu import DEVICE, pretended_gpu

COUNT, SIDE, CLASSES = 64, 32, 10  # so many that each operation is drawn
MEAN, STD = (0.4, 0.5, 0.6), (0.2, 0.25, 0.3)
INDEX = torch.arange(COUNT)


@pytest.fixture(autouse=True)
def nothing_kept() -> Iterator[None]:
    """Mean and deviation are kept for each device, and these are of one that is not there."""
    normalise._channels.cache_clear()
    yield
    normalise._channels.cache_clear()


def images(side: int = SIDE) -> torch.Tensor:
    return torch.empty((COUNT, 3, side, side), dtype=torch.uint8, device=DEVICE)


def test_imagenets_recipe() -> None:
    recipe = ImageNetTransform(ImageNetAugmentation(name="imagenet"), CLASSES, 0.1, MEAN, STD, seed=0)
    with pretended_gpu() as gpu:
        labels = torch.zeros(COUNT, dtype=torch.int64, device=DEVICE)
        recipe(images(), labels, INDEX, 0, 0)  # keeps mean and deviation there
        gpu.waited.clear()
        for batch in range(4):  # mixup and cutmix
            varied, targets = recipe(images(), labels, INDEX, 1, batch)
            assert varied.shape == (COUNT, 3, SIDE, SIDE) and varied.device == DEVICE
            assert targets.shape == (COUNT, CLASSES) and targets.device == DEVICE
    assert gpu.waited == []


def test_dinos_views() -> None:
    crops = DinoCrops(local_crops=2)
    with pretended_gpu() as gpu:
        views = [images(), images(), images(16), images(16)]
        DinoTransform(crops, 0)(views, INDEX, 0)
        gpu.waited.clear()
        varied = DinoTransform(crops, 0)(views, INDEX, 1)
        assert [view.device for view in varied] == [DEVICE] * 4
    assert gpu.waited == []


def test_shifts() -> None:
    recipe = ShiftTransform(Shift(name="shift", pixels=2), CLASSES, 0.1, MEAN, STD, seed=0)
    with pretended_gpu() as gpu:
        labels = torch.zeros(COUNT, dtype=torch.int64, device=DEVICE)
        recipe(images(), labels, INDEX, 0, 0)
        gpu.waited.clear()
        varied, targets = recipe(images(), labels, INDEX, 1, 0)
        assert varied.device == targets.device == DEVICE
    assert gpu.waited == []


def test_the_pretended_gpu_tells_of_what_waits() -> None:
    with pretended_gpu() as gpu:
        INDEX.to(DEVICE)
        INDEX.to(DEVICE, non_blocking=True)  # not pinned: the driver copies it first
        INDEX.pin_memory().to(DEVICE, non_blocking=True)
    assert len(gpu.waited) == 2
