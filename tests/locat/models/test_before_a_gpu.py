"""Models and what is computed of their outputs on a GPU that only pretends: everything is on its device."""

import pytest
import timm
import torch
from torch import nn

import locat.models  # noqa: F401
from locat.config.augmentation import Temperatures
from locat.engine.guards.nonfinite import Guard
from locat.engine.strategies.clipping import clip_gradients
from locat.models.segmentation_head import SegmentationHead, patch_dim, patch_features
from locat.tasks.classification.accuracy import likeliest
from locat.tasks.classification.neighbours import nearest, votes
from locat.tasks.segmentation.dice import dice_loss
from locat.tasks.segmentation.upsampled import classify, cross_entropy
from locat.tasks.self_supervised.dino_loss import dino_loss
from support.pretended_gpu import DEVICE, pretended_gpu

SIDE = 32
VIT = {"img_size": SIDE, "patch_size": 8, "embed_dim": 32, "depth": 2, "num_heads": 2, "num_classes": 5}
SWIN = {"img_size": SIDE, "window_size": 4, "embed_dim": 16, "depths": (2, 2), "num_heads": (1, 2), "num_classes": 5}
VITS = ["locatvit_tiny", "locatvit_tiny_reg4", "locatvit_tiny_nope", "locatvit_tiny_rope_mixed", "locatjumbo_tiny"]


def moved(model: nn.Module) -> None:
    """To the pretended GPU, as far as that goes: parameters and buffers have no values there."""
    for module in model.modules():
        for kept in (module._parameters, module._buffers):
            for name, tensor in kept.items():
                if tensor is not None:
                    there = torch.empty_like(tensor, device=DEVICE)
                    kept[name] = nn.Parameter(there) if kept is module._parameters else there


def images(dtype: torch.dtype = torch.float32) -> torch.Tensor:
    return torch.empty((2, 3, SIDE, SIDE), dtype=dtype, device=DEVICE)


@pytest.mark.parametrize("name", [*VITS, "locatswin_tiny", "vit_tiny_patch16_224"])
def test_a_models_forward_pass(name: str) -> None:
    model = timm.create_model(name, **(SWIN if "swin" in name else VIT)).train()
    with pretended_gpu() as gpu:
        moved(model)
        logits = model(images())
    assert logits.device == DEVICE and logits.shape == (2, 5)
    assert gpu.waited == []


def test_a_segmentations_loss_and_prediction() -> None:
    backbone = timm.create_model("locatvit_tiny", **VIT).eval()
    head = SegmentationHead(patch_dim(backbone), 8, 7)
    with pretended_gpu() as gpu:
        moved(backbone)
        moved(head)
        logits = head(patch_features(backbone, images()))
        truth = torch.zeros((2, SIDE, SIDE), dtype=torch.uint8, device=DEVICE)
        weights = torch.ones(7, device=DEVICE)
        losses = [
            cross_entropy(logits, (SIDE, SIDE), truth, over_all=True),
            cross_entropy(logits, (SIDE, SIDE), truth, class_weights=weights),
            dice_loss(logits, (SIDE, SIDE), truth),
        ]
        predicted = classify(logits, (SIDE, SIDE), (SIDE, SIDE), (20, 28))
    assert {loss.device for loss in losses} == {DEVICE}
    assert predicted.device == DEVICE and predicted.shape == (2, 20, 28)
    assert gpu.waited == []


def test_losses_and_scores() -> None:
    with pretended_gpu() as gpu:
        views = torch.empty((4, 2, 16), dtype=torch.bfloat16, device=DEVICE)
        centre = torch.empty(16, device=DEVICE)
        assert dino_loss(views, views[:2], centre, Temperatures()).device == DEVICE
        assert likeliest(torch.empty((2, 9), device=DEVICE), 5).shape == (2, 5)
        features, labels = torch.empty((50, 8), device=DEVICE), torch.zeros(50, dtype=torch.int64, device=DEVICE)
        found = votes(nearest(features[:3], features, labels, k=4, chunk=20), 4, 10, 0.07)
        assert found.device == DEVICE and found.shape == (3, 10)
    assert gpu.waited == []


def test_an_updates_verdict() -> None:
    with pretended_gpu() as gpu:
        guard = Guard(nn.Linear(2, 2), allowed=1, tolerated=0, device=DEVICE)
        gradients = [torch.empty((3, 4), device=DEVICE), torch.empty(4, device=DEVICE)]
        norm = clip_gradients(gradients, 5.0, "global")
        clip_gradients(gradients, 5.0, "tensor")
        gpu.waited.clear()
        dropping = guard.judge(norm, torch.ones((), dtype=torch.bool, device=DEVICE))
    assert dropping.device == DEVICE
    assert gpu.waited == []
