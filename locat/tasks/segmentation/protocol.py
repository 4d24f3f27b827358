"""What `protocol: release` and `protocol: exact` decide alike for every task on masks (docs/fidelity.md)."""

import logging

from timm.data import resolve_data_config
from torch import nn

from locat.config.base import Protocol
from locat.data.augment.normalise import IMAGENET, Statistics
from locat.models.any_size import padded_size
from locat.tasks.segmentation.upsampled import Size

logger = logging.getLogger(__name__)


def statistics_for(backbone: nn.Module, title: str, protocol: Protocol) -> Statistics:
    """What images are normalised by: the backbone's own statistics, or by the release's protocol ImageNet's for all.

    A backbone that was trained with others is told in the log.
    """
    expected = resolve_data_config(model=backbone)
    own = Statistics(tuple(expected["mean"]), tuple(expected["std"]))
    if protocol == "exact":
        logger.info("images are normalised as %s was trained: mean %s, std %s", title, *own)
        return own
    if own != IMAGENET:
        logger.warning(
            "%s was trained with mean %s and std %s; protocol: release normalises by ImageNet's for every backbone, "
            "as the published numbers were made; protocol: exact takes the backbone's own",
            title,
            *own,
        )
    return IMAGENET


def covered(backbone: nn.Module, image: Size, protocol: Protocol, block: int = -1) -> Size:
    """Height and width of what the patches of an `image` are taken to cover: its padding too, of which they are.

    `block` is the one that gives them, whose patches in a Swin are smaller the earlier it is. The release takes them
    to cover the image alone: logits of the padding are squeezed into it, by up to a patch.
    """
    return image if protocol == "release" else padded_size(backbone, *image, block)
