"""Upsampled logits, in pieces, against the whole at once."""

import pytest
import torch
from torch.nn import functional as F

from locat.tasks.segmentation import upsampled
from locat.tasks.segmentation.upsampled import classify, cross_entropy

PADDED, IMAGE, SIZE = (24, 32), (20, 27), (33, 50)


@pytest.mark.parametrize("limit", [1, 10_000, 2**25])
def test_classes_are_those_of_the_logits_at_the_original_size(limit: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(upsampled, "LIMIT", limit)
    logits = torch.randn(2, 11, 3, 4, generator=torch.Generator().manual_seed(0))
    whole = F.interpolate(logits, PADDED, mode="bilinear", align_corners=False)[..., : IMAGE[0], : IMAGE[1]]
    literal = F.interpolate(whole, SIZE, mode="bilinear", align_corners=False).argmax(1)
    assert torch.equal(classify(logits, PADDED, IMAGE, SIZE).long(), literal)


@pytest.mark.parametrize("band", [1, 1000, 2**21])
def test_loss_and_gradient_are_those_of_the_mean_over_known_pixels_without_the_padding(
    band: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(upsampled, "BAND", band)
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(2, 11, 3, 4, generator=generator) * 5
    truth = torch.randint(11, (2, *IMAGE), generator=generator).byte()
    truth[:, 3:9] = 255
    ours, theirs = (logits.clone().requires_grad_() for _ in range(2))
    whole = F.interpolate(theirs, PADDED, mode="bilinear", align_corners=False)[..., : IMAGE[0], : IMAGE[1]]
    literal = F.cross_entropy(whole, truth.long(), ignore_index=255)
    loss = cross_entropy(ours, PADDED, truth)
    torch.testing.assert_close(loss, literal)
    for each in (3 * loss, 3 * literal):
        each.backward()
    torch.testing.assert_close(ours.grad, theirs.grad)


def test_by_the_release_the_mean_is_over_all_pixels_of_which_the_unknown_count_as_0() -> None:
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(2, 11, 3, 4, generator=generator, requires_grad=True)
    truth = torch.randint(11, (2, *IMAGE), generator=generator).byte()
    truth[0, 3:9] = 255
    squeezed = F.interpolate(logits, IMAGE, mode="bilinear", align_corners=False)
    each = F.cross_entropy(squeezed, truth.long(), ignore_index=255, reduction="none")
    literal = each.sum() / (2 * IMAGE[0] * IMAGE[1])
    loss = cross_entropy(logits, IMAGE, truth, over_all=True)
    torch.testing.assert_close(loss, literal)
    (ours,), (theirs,) = (torch.autograd.grad(value, logits) for value in (loss, literal))
    torch.testing.assert_close(ours, theirs)
    known = (truth != 255).float().mean()
    torch.testing.assert_close(loss / known, cross_entropy(logits, IMAGE, truth))


@pytest.mark.parametrize("over_all", [False, True])
def test_a_class_weighs_what_it_is_given(over_all: bool) -> None:
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(2, 11, 3, 4, generator=generator, requires_grad=True)
    truth = torch.randint(11, (2, *IMAGE), generator=generator).byte()
    truth[0, 3:9] = 255
    weights = torch.rand(11, generator=generator) + 0.1
    whole = F.interpolate(logits, PADDED, mode="bilinear", align_corners=False)[..., : IMAGE[0], : IMAGE[1]]
    reduction = "sum" if over_all else "mean"
    literal = F.cross_entropy(whole, truth.long(), weights, ignore_index=255, reduction=reduction)
    if over_all:
        literal = literal / truth.numel()
    loss = cross_entropy(logits, PADDED, truth, over_all, weights)
    torch.testing.assert_close(loss, literal)
    (ours,), (theirs,) = (torch.autograd.grad(value, logits) for value in (loss, literal))
    torch.testing.assert_close(ours, theirs)
    assert torch.equal(
        cross_entropy(logits, PADDED, truth, over_all, torch.ones(11)), cross_entropy(logits, PADDED, truth, over_all)
    )


def test_under_autocast_the_loss_is_computed_in_float32() -> None:
    logits = torch.randn(1, 11, 3, 4, generator=torch.Generator().manual_seed(0))
    truth = torch.ones((1, *IMAGE), dtype=torch.uint8)
    with torch.autocast("cpu", torch.bfloat16):
        loss = cross_entropy(logits, PADDED, truth)
    torch.testing.assert_close(loss, cross_entropy(logits, PADDED, truth))


def test_where_nothing_is_known_there_is_nothing_to_learn() -> None:
    logits = torch.randn(1, 11, 3, 4, requires_grad=True)
    loss = cross_entropy(logits, PADDED, torch.full((1, *IMAGE), 255, dtype=torch.uint8))
    loss.backward()
    assert loss == 0 and logits.grad is not None and not logits.grad.any()
