"""A classifier, a backbone and a segmentation model with random weights, as jobs leave them."""

from pathlib import Path

import torch
from PIL import Image

import locat.models  # noqa: F401
from locat.config import Model
from locat.config.segmentation import SegmentEvaluation, SegmentHead
from locat.models.create import create_model, evaluated_as, save_model
from locat.models.segmentation_head import SegmentationHead
from locat.tasks.segmentation.saved import Described, save_segmenter
from support import training

LABELS = ("cat", "dog", "owl")
CLASSES = ("sky", "road")
RESIZE = (64, 32)


def write(root: Path) -> None:
    """Folders `classifier`, `backbone`, `segmenter` and `windows`, which looks twice through a sliding window."""
    torch.manual_seed(0)
    args = {**training.TINY_VIT, "num_classes": 3}
    bare = {**args, "num_classes": 0}
    model, backbone = (create_model(Model(name="locatvit_tiny", args=each)) for each in (args, bare))
    torch.nn.init.normal_(model.head.weight)
    save_model(model, root / "classifier", evaluated_as(LABELS, 32, 0.8), **args)
    save_model(backbone, root / "backbone", **bare)
    head = SegmentationHead(24, 16, 2)
    torch.nn.init.normal_(head[-1].weight)
    looks = {"segmenter": SegmentEvaluation(), "windows": SegmentEvaluation(window=24, stride=16, flip=True)}
    for name, evaluation in looks.items():
        mean = (0.5,) * 3
        described = Described(
            head=SegmentHead(),
            hidden_dim=16,
            classes=CLASSES,
            mean=mean,
            std=mean,
            protocol="exact",
            resize=RESIZE,
            evaluation=evaluation,
        )
        save_segmenter(root / name, backbone, head.state_dict(), described, **bare)


def opened(file: Path) -> Image.Image:
    return Image.open(file).convert("RGB")
