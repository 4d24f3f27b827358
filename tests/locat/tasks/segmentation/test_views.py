"""Several looks at an image, against each look by itself."""

import pytest
import torch
from torch.nn import functional as F

from locat.config.segmentation import SegmentEvaluation
from locat.tasks.segmentation.upsampled import Size
from locat.tasks.segmentation.views import look, starts

WEIGHT = torch.randn(4, 3, 8, 8, generator=torch.Generator().manual_seed(0))
IMAGES = torch.randn(2, 3, 20, 27, generator=torch.Generator().manual_seed(1))


def patches(images: torch.Tensor) -> tuple[torch.Tensor, Size]:
    """Logits of patches of 8 x 8 pixels, padded as a backbone's."""
    down, across = -images.shape[-2] % 8, -images.shape[-1] % 8
    padded = F.pad(images, (0, across, 0, down))
    return F.conv2d(padded, WEIGHT, stride=8), (padded.shape[-2], padded.shape[-1])


def whole(images: torch.Tensor) -> torch.Tensor:
    logits, padded = patches(images)
    upsampled = F.interpolate(logits, padded, mode="bilinear", align_corners=False)
    return upsampled[..., : images.shape[-2], : images.shape[-1]]


@pytest.mark.parametrize(
    ("side", "window", "step", "expected"),
    [(20, 20, 9, [0]), (20, 12, 8, [0, 8]), (20, 12, 5, [0, 5, 8]), (21, 12, 8, [0, 8, 9]), (5, 5, 1, [0])],
)
def test_windows_cover_a_side(side: int, window: int, step: int, expected: list[int]) -> None:
    assert starts(side, window, step) == expected


def test_a_window_slides_and_overlaps_are_averaged() -> None:
    total, looks = torch.zeros(2, 4, 20, 27), torch.zeros(20, 27)
    for top in (0, 8):
        for left in (0, 8, 15):
            total[..., top : top + 12, left : left + 12] += whole(IMAGES[..., top : top + 12, left : left + 12])
            looks[top : top + 12, left : left + 12] += 1
    found = look(patches, IMAGES, SegmentEvaluation(window=12, stride=8))
    torch.testing.assert_close(found, total / looks)


@pytest.mark.parametrize("window", [27, 64])
def test_a_window_as_large_as_the_image_is_the_whole_image(window: int) -> None:
    assert torch.equal(look(patches, IMAGES, SegmentEvaluation(window=window)), whole(IMAGES))


def test_of_image_and_mirror_image_probabilities_are_averaged() -> None:
    expected = (whole(IMAGES).softmax(1) + whole(IMAGES.flip(-1)).flip(-1).softmax(1)) / 2
    torch.testing.assert_close(look(patches, IMAGES, SegmentEvaluation(flip=True)), expected)


@pytest.mark.parametrize("size", [(20, 27), (64, 100), (5, 5)])
def test_the_model_is_called_as_often_whatever_the_size(size: Size) -> None:
    calls = []

    def counted(images: torch.Tensor) -> tuple[torch.Tensor, Size]:
        calls.append(len(images))
        return patches(images)

    look(counted, torch.zeros(1, 3, *size), SegmentEvaluation(window=12, flip=True))
    assert len(calls) == 2
