"""The Dice loss of upsampled logits, image by image (Milletari et al. 2016, arXiv 1606.04797)."""

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from locat.data.labels import IGNORED
from locat.tasks.segmentation.upsampled import Size, upsample


def dice_loss(logits: Tensor, padded: Size, truth: Tensor) -> Tensor:
    """1 - Dice of the upsampled logits' softmax: the mean over images of that over the classes in each.

    Args:
        logits: of patches, (n, classes, h, w).
        padded: size of the padded image, of which `truth` is the upper left part.
        truth: uint8 (n, H, W); pixels that are not known do not count, nor does an image without any other.
    """
    # Computed again in the backward pass: of one image alone the logits of all pixels are in memory.
    images = [
        checkpoint(_of_image, one, padded, labels, use_reentrant=False, preserve_rng_state=False)
        for one, labels in zip(logits.split(1), truth, strict=True)
    ]
    return torch.stack(images).mean()


def _of_image(logits: Tensor, padded: Size, labels: Tensor) -> Tensor:
    """Of logits (1, classes, h, w) and labels (H, W)."""
    with torch.autocast(logits.device.type, enabled=False):
        values = upsample(logits, padded)[0, :, : labels.shape[0], : labels.shape[1]]
        shares = values.softmax(dim=0) * (labels != IGNORED)
        own = labels == torch.arange(len(shares), device=labels.device)[:, None, None]
        hits, true, found = (each.sum((1, 2)) for each in (shares * own, own, shares))
        present = (true > 0).float()
        dice = 2 * hits / (true + found).clamp(min=torch.finfo(found.dtype).tiny)
        return (present * (1 - dice)).sum() / present.sum().clamp(min=1)
