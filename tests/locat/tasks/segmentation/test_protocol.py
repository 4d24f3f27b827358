"""What a backbone sees in segmentation, beside what it saw when it was trained."""

from pathlib import Path

import pytest
import torch
from timm.data import resolve_data_config
from torch.nn import functional as F

from locat.config import Model
from locat.config.augmentation import SegmentationAugmentation
from locat.config.base import Protocol
from locat.data import beton
from locat.data.augment.normalise import Statistics
from locat.data.datasets.ade20k import ade20k
from locat.data.joint import augment, draw
from locat.data.pairs import Pairs
from locat.data.reader import ReadSettings
from locat.data.segmentation import CroppedPairs, KeepRatio, WholePairs
from locat.models.create import create_model, load_backbone, save_model
from locat.tasks.segmentation.protocol import covered, statistics_for
from locat.tasks.segmentation.upsampled import classify
from support import segmentation_sets, training

HALVES = ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))


@pytest.mark.parametrize(
    ("name", "trained"),
    [
        ("locatvit_tiny", HALVES),
        ("vit_tiny_patch16_224", HALVES),
        ("locatjumbo_tiny", HALVES),
        ("vit_tiny_patch16_rope_mixed_224", IMAGENET),
        ("locatvit_tiny_rope_mixed", IMAGENET),
    ],
)
def test_a_backbone_sees_imagenets_statistics_by_the_release_and_else_its_own(
    name: str, trained: Statistics, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    model = create_model(Model(name=name, args=training.TINY_VIT))
    expected = resolve_data_config(model=model)  # what the supervised task normalises by
    assert (tuple(expected["mean"]), tuple(expected["std"])) == trained
    save_model(model, tmp_path, **training.TINY_VIT)
    backbone, title = load_backbone(tmp_path)
    assert statistics_for(backbone, title, "exact") == trained
    assert not caplog.records
    assert statistics_for(backbone, title, "release") == IMAGENET
    assert (f"{name} was trained with mean (0.5, 0.5, 0.5)" in caplog.text) == (trained == HALVES)


def test_training_and_evaluation_images_are_normalised_by_what_is_asked(tmp_path: Path) -> None:
    segmentation_sets.ade20k(tmp_path / "tree", train=4, val=2)
    for split, pairs in ade20k(tmp_path / "tree", complete=False).items():
        beton.write(tmp_path / f"{split}.beton", pairs, 1, lambda done: None)
    config = SegmentationAugmentation(name="benchmark", resize=(160, 40), crop=36)
    asked = Statistics((0.5, 0.4, 0.3), (0.1, 0.2, 0.3))
    mean, std = (torch.tensor(values).view(3, 1, 1) for values in asked)
    (batch, _), *_ = CroppedPairs(tmp_path / "train.beton", ReadSettings(2), config, asked).batches()
    image, mask = augment(
        *Pairs(tmp_path / "train.beton")[int(batch.index[0])], config, draw(0, 0, int(batch.index[0]))
    )
    height, width = mask.shape
    torch.testing.assert_close(batch.image[0, :, :height, :width], (image / 255 - mean) / std)
    reader = WholePairs(tmp_path / "val.beton", ReadSettings(1), KeepRatio((64, 64)), asked)
    plain = WholePairs(tmp_path / "val.beton", ReadSettings(1), KeepRatio((64, 64)), Statistics((0, 0, 0), (1, 1, 1)))
    for (ours, _), (theirs, _) in zip(reader.batches(), plain.batches(), strict=True):
        torch.testing.assert_close(ours.image, (theirs.image - mean) / std)


def test_logits_of_the_padded_grid_are_squeezed_into_the_image_by_the_release_and_cut_exactly() -> None:
    """Literal statements of both, of an image of 20 x 27 pixels on patches of 8 that was 33 x 50."""
    model = create_model(Model(name="locatvit_tiny", args=training.TINY_VIT))
    logits = torch.randn(2, 11, 3, 4, generator=torch.Generator().manual_seed(0))  # of 24 x 32 padded pixels
    squeezed = F.interpolate(logits, (20, 27), mode="bilinear", align_corners=False)
    cut = F.interpolate(logits, (24, 32), mode="bilinear", align_corners=False)[..., :20, :27]
    answers = []
    literals: dict[Protocol, torch.Tensor] = {"release": squeezed, "exact": cut}
    for protocol, literal in literals.items():
        extent = covered(model, (20, 27), protocol)
        answers.append(classify(logits, extent, (20, 27), (33, 50)).long())
        whole = F.interpolate(literal, (33, 50), mode="bilinear", align_corners=False)
        assert torch.equal(answers[-1], whole.argmax(1))
    assert not torch.equal(*answers)
