"""What is exported of every family answers as the model does, for batches and sizes that it was not traced with."""

from pathlib import Path
from typing import Any

import pytest
import timm
import torch

import locat
import locat.models
from locat.config.export import Export
from locat.config.segmentation import SegmentHead
from locat.contract.errors import ConfigError
from locat.export.run import export
from locat.models.create import load_backbone, save_model
from locat.models.segmentation_head import blocks_read, new_head
from locat.tasks.segmentation.saved import Described, save_segmenter
from support.model_reference import fill_for_parity
from support.training import TINY_VIT

pytestmark = pytest.mark.slow

VIT = {**TINY_VIT, "depth": 1, "num_classes": 3}
SWIN = {"img_size": 56, "embed_dim": 24, "depths": (2, 1), "num_heads": (2, 4), "num_classes": 3}
"""The second block shifts its windows."""
FAMILIES: dict[str, dict[str, Any]] = {
    **dict.fromkeys(("vit_tiny_patch16_224", "locatvit_tiny"), VIT),
    **dict.fromkeys(("vit_tiny_patch16_reg4_224", "locatvit_tiny_reg4"), VIT),
    **dict.fromkeys(("vit_tiny_patch16_rope_mixed_224", "locatvit_tiny_rope_mixed"), VIT),
    **dict.fromkeys(("jumbo_tiny", "locatjumbo_tiny", "locatvit_tiny_nope"), VIT),
    **dict.fromkeys(("swin_tiny_patch4_window7_224", "locatswin_tiny"), SWIN),
}
"""With LocAt and without."""
RELATED: dict[str, dict[str, Any]] = {  # GCViT and Conformer take a minute and a half
    "cvt_21": {"depths": (1, 2, 3), "dims": (12, 12, 12), "num_classes": 3},
    "convit_tiny": {
        **{"img_size": 32, "patch_size": 8, "embed_dim": 48, "depth": 3, "num_heads": 2},
        **{"local_up_to_layer": 2, "num_classes": 3},
    },
}
ONE_SIZE = ("swin_tiny_patch4_window7_224", "locatswin_tiny", "convit_tiny")
BOTH_FORMATS = ("vit_tiny_patch16_224", "locatvit_tiny", "locatswin_tiny")
"""Both are written from one trace, which pt2 holds as it is. The others are written as ONNX, which must know each of
their operations."""


def fill(module: torch.nn.Module) -> None:
    """Weights under which no answer is small, and each part counts."""
    with torch.no_grad():
        fill_for_parity(module)
        for name, value in module.named_buffers():
            if name.endswith("running_var"):
                value.abs_()


def save_classifier(name: str, args: dict[str, Any], folder: Path) -> Path:
    model = timm.create_model(name, **args)
    if name != "cvt_21":  # whose batch norms would divide by nearly 0
        fill(model)
    save_model(model, folder, **args)
    return folder


def save_segmentation(name: str, args: dict[str, Any], head: SegmentHead, folder: Path) -> Path:
    backbone, _ = load_backbone(save_classifier(name, {**args, "num_classes": 0}, folder))
    blocks = blocks_read(head, backbone)
    parts = new_head(head, backbone, blocks, 16, 2)
    fill(parts)
    statistics = {"mean": (0.4, 0.5, 0.6), "std": (0.2, 0.3, 0.25)}
    described = Described(head=head, hidden_dim=16, classes=("a", "b"), protocol="exact", **statistics)
    bare = {**args, "num_classes": 0}
    save_segmenter(folder, timm.create_model(name, **bare), parts.state_dict(), described, **bare)
    save_classifier(name, bare, folder)
    return folder


def compared(record: dict[str, Any]) -> dict[tuple[int, ...], float]:
    """The differences, as parts of the largest number, by the batch's shape; what was compared was not nearly 0."""
    found = [each for file in record["files"].values() for each in file["compared"]]
    assert all(each["largest"] > 0.01 for each in found)
    return {tuple(each["images"]): each["difference"] / each["largest"] for each in found}


@pytest.mark.parametrize("name", [*FAMILIES, *RELATED])
def test_a_classifier(name: str, tmp_path: Path) -> None:
    args = {**FAMILIES, **RELATED}[name]
    size = [64, 64] if name in RELATED else None
    model = locat.Model.from_folder(save_classifier(name, args, tmp_path / "model"))
    format = "both" if name in BOTH_FORMATS else "onnx"
    options = Export(format=format, size=size, dynamic_size=name not in ONE_SIZE, input="pixels")
    record = export(model, tmp_path / "out", options)
    shapes = compared(record)
    assert {shape[0] for shape in shapes} >= {1, 2}
    assert len({shape[2:] for shape in shapes}) == (1 if name in ONE_SIZE else 3)
    assert max(shapes.values()) < 2e-5


@pytest.mark.parametrize(
    "name", ["locatvit_tiny_reg4", "locatvit_tiny_rope_mixed", "locatjumbo_tiny", "locatswin_tiny"]
)
def test_a_backbone_with_a_head(name: str, tmp_path: Path) -> None:
    args = FAMILIES[name]
    model = locat.Model.from_folder(save_segmentation(name, args, SegmentHead(), tmp_path / "model"))
    record = export(model, tmp_path / "out", Export(format="onnx", dynamic_size=name not in ONE_SIZE, size=[56, 56]))
    assert max(compared(record).values()) < 2e-5


@pytest.mark.parametrize("head", ["linear", "upernet", "dpt"])
def test_a_decoder_is_exported_and_but_for_upernet_for_any_size(head: str, tmp_path: Path) -> None:
    chosen = SegmentHead(name=head) if head == "linear" else SegmentHead(name=head, channels=16)
    folder = save_segmentation("locatvit_tiny", {**VIT, "depth": 2}, chosen, tmp_path / "model")
    # 52 is no multiple of a patch, and its grid of 7 x 7 none of UPerNet's pools
    options = Export(format="onnx", size=[52, 52])
    if head == "upernet":
        with pytest.raises(ConfigError, match="head upernet is exported for one size"):
            export(locat.Model.from_folder(folder), tmp_path / "out", Export(dynamic_size=True))
    if head == "dpt":
        with pytest.raises(ConfigError, match="size 56 x 64: where it varies, height and width are multiples of 16"):
            export(locat.Model.from_folder(folder), tmp_path / "out", Export(dynamic_size=True, size=[56, 64]))
        options = Export(format="onnx", size=[64, 64], dynamic_size=True)
    record = export(locat.Model.from_folder(folder), tmp_path / "out", options)
    assert max(compared(record).values()) < 2e-5
