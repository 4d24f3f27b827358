"""The Dice loss against its definition, class by class and image by image."""

import torch
from torch.nn import functional as F

from locat.tasks.segmentation.dice import dice_loss

PADDED, IMAGE = (24, 32), (20, 27)


def literal(logits: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
    whole = F.interpolate(logits, PADDED, mode="bilinear", align_corners=False)[..., : IMAGE[0], : IMAGE[1]]
    losses = []
    for shares, labels in zip(whole.softmax(1), truth, strict=True):
        known = labels != 255
        each = []
        for label in labels[known].unique().tolist():
            share, true = shares[label][known], labels[known] == label
            each.append(1 - 2 * share[true].sum() / (share.sum() + true.sum()))
        losses.append(torch.stack(each).mean() if each else torch.zeros(()))
    return torch.stack(losses).mean()


def test_loss_and_gradient_are_those_of_the_definition() -> None:
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(3, 5, 3, 4, generator=generator) * 3
    truth = torch.randint(4, (3, *IMAGE), generator=generator).byte()  # the last class is nowhere
    truth[:, 3:9] = 255
    truth[2] = 255
    ours, theirs = (logits.clone().requires_grad_() for _ in range(2))
    loss, expected = dice_loss(ours, PADDED, truth), literal(theirs, truth)
    torch.testing.assert_close(loss, expected)
    for each in (loss, expected):
        each.backward()
    torch.testing.assert_close(ours.grad, theirs.grad)
    assert ours.grad is not None and ours.grad.isfinite().all()


def test_images_count_alike_however_they_are_batched() -> None:
    generator = torch.Generator().manual_seed(1)
    logits = torch.randn(4, 5, 3, 4, generator=generator)
    truth = torch.randint(5, (4, *IMAGE), generator=generator).byte()
    halves = [dice_loss(*part) for part in zip(logits.split(2), [PADDED] * 2, truth.split(2), strict=True)]
    torch.testing.assert_close(torch.stack(halves).mean(), dice_loss(logits, PADDED, truth))
