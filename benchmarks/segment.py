"""Steps a second of training a segmentation head, ours against the naive way, in one run on the CPU or a GPU.

    python benchmarks/segment.py [--model locatvit_tiny] [--classes 150] [--crop 512] [--batch 2] [--steps 7]

Ours: the backbone runs without autograd, only the head is differentiated, and the loss of the upsampled logits is
computed in bands with its gradient. Naive: autograd through everything, the optimizer has the head alone. Both start
from the same weights and must come to the same loss; steps of the two alternate, so that whatever else the machine does
meets both, and each figure is the median step after one to warm up.
"""

import argparse
import statistics
import time
from collections.abc import Callable

import timm
import torch
from torch import nn
from torch.nn import functional as F

import locat.models  # noqa: F401
from locat.data.labels import IGNORED
from locat.engine.blocks import compile_blocks
from locat.engine.precision import autocast
from locat.models.segmentation_head import SegmentationHead, patch_dim, patch_features
from locat.tasks.segmentation.upsampled import cross_entropy, size_of


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="locatvit_tiny")
    parser.add_argument("--classes", type=int, default=150)
    parser.add_argument("--crop", type=int, default=512)
    parser.add_argument("--batch", type=int, default=2)
    parser.add_argument("--steps", type=int, default=7)
    parser.add_argument("--precision", choices=["fp32", "bf16"], default="fp32", help="of ours; naive has fp32")
    parser.add_argument("--compile", action="store_true", help="ours alone")
    options = parser.parse_args()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    torch.manual_seed(0)
    images = torch.randn(options.batch, 3, options.crop, options.crop, device=device)
    truth = torch.randint(options.classes, (options.batch, options.crop, options.crop), device=device).byte()

    ours, theirs = (make_step(frozen, options, images, truth) for frozen in (True, False))
    losses = (ours(), theirs())
    times = [(seconds(ours), seconds(theirs)) for _ in range(options.steps)]
    our_time, their_time = (statistics.median(each) for each in zip(*times, strict=True))
    ratios = statistics.median(naive / own for own, naive in times)
    print(
        f"{options.model}, {options.batch} x {options.crop} px on {device}: ours {1 / our_time:.2f} steps/s, "
        f"naive {1 / their_time:.2f} steps/s, ratio {ratios:.2f}; first losses {losses[0]:.5f} and {losses[1]:.5f}"
    )


def make_step(
    frozen: bool, options: argparse.Namespace, images: torch.Tensor, truth: torch.Tensor
) -> Callable[[], float]:
    """A training step, which returns its loss."""
    torch.manual_seed(0)
    backbone: nn.Module = timm.create_model(options.model, dynamic_img_size=True).eval().to(images.device)
    head = SegmentationHead(patch_dim(backbone), 512, options.classes).to(images.device)
    optimizer = torch.optim.AdamW(head.parameters(), 1e-3)
    if frozen:
        backbone.requires_grad_(False)
        if options.compile:
            compile_blocks(backbone)

    def step() -> float:
        with autocast(options.precision if frozen else "fp32", images.device):
            with torch.set_grad_enabled(not frozen):
                features = patch_features(backbone, images)
            if frozen:
                loss = cross_entropy(head(features), size_of(images), truth)
            else:
                logits = F.interpolate(head(features), images.shape[-2:], mode="bilinear", align_corners=False)
                loss = F.cross_entropy(logits, truth.long(), ignore_index=IGNORED)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        backbone.zero_grad()
        return loss.item()

    return step


def seconds(step: Callable[[], float]) -> float:
    """How long a step takes; reading its loss waits for the device."""
    start = time.perf_counter()
    step()
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
