"""Pictures that a pretraining job leaves: what its model sees, and where it looks."""

from collections.abc import Sequence
from pathlib import Path

from torch import Tensor, nn

from locat.data.augment import denormalize, normalize
from locat.data.reader import Reader
from locat.models.attention_maps import attention_maps
from locat.tasks.figures import attention_figure, batch_grid_figure, save

PICTURED = 5
"""Validation images in the attention figure."""


def draw_attention(
    path: Path, title: str, model: nn.Module, reader: Reader, mean: Sequence[float], std: Sequence[float]
) -> None:
    """What [CLS] attends to in the last block of `model`, which sees images of this `mean` and `std`."""
    images = [image.cpu() for image, _ in reader.examples(PICTURED)]
    maps = [attention_maps(model, normalize(image.permute(2, 0, 1), mean, std)).numpy() for image in images]
    save(attention_figure([image.numpy() for image in images], maps, title), path)


def draw_inputs(
    path: Path,
    title: str,
    images: Sequence[Tensor],
    captions: Sequence[str],
    mean: Sequence[float],
    std: Sequence[float],
) -> None:
    """Images as a model sees them, float (3, H, W) normalised by `mean` and `std`, of one size or several."""
    pixels = [denormalize(image.cpu(), mean, std).permute(1, 2, 0).numpy() for image in images]
    save(batch_grid_figure(pixels, title, captions), path)
