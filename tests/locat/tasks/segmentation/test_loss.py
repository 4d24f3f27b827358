"""The loss that a config asks for."""

from collections.abc import Callable
from typing import Any

import pytest
import torch

from locat.config import SegmentConfig
from locat.config.segmentation import SegmentHead
from locat.contract.errors import ConfigError
from locat.data.beton import Manifest
from locat.data.datasets.base import Contents
from locat.engine.distributed import Ranks
from locat.tasks.segmentation import loss as module
from locat.tasks.segmentation.dice import dice_loss
from locat.tasks.segmentation.loss import SegmentationLoss, class_weights
from locat.tasks.segmentation.segment import refuse_one_image
from locat.tasks.segmentation.upsampled import cross_entropy

CLASSES = ("sky", "road", "car")
CPU = torch.device("cpu")


def config(**loss: Any) -> SegmentConfig:
    data = {"train": "train.beton", "val": "val.beton"}
    return SegmentConfig(task="segment", backbone="b", data=data, batch_size=2, iterations=1, loss=loss)


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Have the training set's manifest hold so many pixels per class."""

    def count(*pixels: int) -> None:
        contents = Contents.__new__(Contents)
        manifest = Manifest(contents, "", 0, (), pixels=pixels)
        monkeypatch.setattr(module, "manifest_of", lambda sets: manifest)

    return count


def test_it_is_the_sum_of_its_parts() -> None:
    generator = torch.Generator().manual_seed(0)
    logits, truth = (
        torch.randn(2, 3, 4, 4, generator=generator),
        torch.randint(3, (2, 30, 32), generator=generator).byte(),
    )
    ce, dice = cross_entropy(logits, (32, 32), truth, over_all=True), dice_loss(logits, (32, 32), truth)

    def found(**loss: Any) -> torch.Tensor:
        return SegmentationLoss(config(**loss), CLASSES, CPU)(logits, (32, 32), truth)

    assert torch.equal(found(), ce)
    torch.testing.assert_close(found(cross_entropy=0.5, dice=2.0), ce / 2 + 2 * dice)
    assert torch.equal(found(cross_entropy=0.0, dice=1.0), dice)
    weighted = cross_entropy(logits, (32, 32), truth, True, torch.tensor([1.0, 1.0, 7.0]))
    assert torch.equal(found(class_weights={"car": 7.0}), weighted)


def test_balanced_classes_weigh_inversely_to_their_pixels(counted: Callable[..., None]) -> None:
    counted(60, 30, 10)
    weights = class_weights(config(balanced=True), CLASSES)
    assert weights == pytest.approx([100 / 180, 100 / 90, 100 / 30])
    counted(60, 40, 0)
    assert class_weights(config(balanced=True), CLASSES) == pytest.approx([100 / 180, 100 / 120, 1])


def test_upernet_needs_two_images_in_a_forward_pass() -> None:
    ranks = Ranks(0, 2, CPU)
    refuse_one_image(config(), ranks)
    with pytest.raises(
        ConfigError, match="head: upernet normalises over the images of a forward pass, and there is one"
    ):
        refuse_one_image(config().model_copy(update={"head": SegmentHead(name="upernet")}), ranks)


def test_what_cannot_be_weighed(counted: Callable[..., None]) -> None:
    counted()
    with pytest.raises(ConfigError, match=r"loss.balanced: the pixels of train.beton were not counted; convert"):
        class_weights(config(balanced=True), CLASSES)
    with pytest.raises(ConfigError, match=r"train.beton has no class 'cars'; did you mean 'car'\?"):
        class_weights(config(class_weights={"cars": 2.0}), CLASSES)
