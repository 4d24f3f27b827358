"""The accuracies that the paper (arXiv 2603.04892) publishes, table by table, in percent."""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

IMAGENET, MINI, CIFAR = "ImageNet-1K", "mini-ImageNet", "CIFAR-100"
ADE, CONTEXT, STUFF = "ADE20K", "PASCAL Context", "COCO-Stuff"


class Column(NamedTuple):
    """One metric of one task on one dataset."""

    label: str
    task: str
    dataset: str
    metric: str
    variant: str = ""
    """Of the task; empty for its usual one."""


class Row(NamedTuple):
    """One model, with what the paper says of each column."""

    group: str
    """Its size."""
    label: str
    """What the paper calls it."""
    model: str
    """What metrics.json calls it."""
    published: tuple[float, ...]


class PaperTable(NamedTuple):
    """One table."""

    number: int
    title: str
    origin: str
    """The task that trains its models."""
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]


def _top1(dataset: str) -> Column:
    return Column(f"{dataset} top-1", "supervised", dataset, "top1")


MIOU = tuple(Column(f"{dataset} mIoU", "segment", dataset, "miou") for dataset in (ADE, CONTEXT, STUFF))

TINY = "Tiny"
SMALL = "Small"
BASE = "Base"

TAB_1 = PaperTable(
    1,
    "Classification and frozen-backbone segmentation",
    "supervised",
    (*MIOU, _top1(IMAGENET)),
    (
        Row(TINY, "ViT", "vit_tiny_patch16_224", (17.30, 33.71, 20.29, 72.39)),
        Row(TINY, "LocAtViT", "locatvit_tiny", (23.47, 38.57, 26.15, 73.94)),
        Row(TINY, "Swin", "swin_tiny_patch4_window7_224", (25.58, 36.78, 28.34, 81.18)),
        Row(TINY, "LocAtSwin", "locatswin_tiny", (26.52, 37.65, 29.09, 81.43)),
        Row(TINY, "RegViT", "vit_tiny_patch16_reg4_224", (15.98, 33.45, 19.58, 72.90)),
        Row(TINY, "LocAtRegViT", "locatvit_tiny_reg4", (24.39, 39.90, 27.38, 74.08)),
        Row(TINY, "RoPEViT", "vit_tiny_patch16_rope_mixed_224", (19.17, 38.16, 22.75, 73.60)),
        Row(TINY, "LocAtRoPEViT", "locatvit_tiny_rope_mixed", (24.48, 40.79, 27.98, 74.34)),
        Row(TINY, "Jumbo", "jumbo_tiny", (20.33, 36.36, 22.13, 78.71)),
        Row(TINY, "LocAtJumbo", "locatjumbo_tiny", (21.62, 37.22, 23.87, 78.78)),
        Row(BASE, "ViT", "vit_base_patch16_224", (28.40, 43.10, 30.43, 80.99)),
        Row(BASE, "LocAtViT", "locatvit_base", (32.64, 45.35, 33.62, 82.31)),
        Row(BASE, "Swin", "swin_base_patch4_window7_224", (31.90, 40.11, 33.60, 83.41)),
        Row(BASE, "LocAtSwin", "locatswin_base", (32.89, 41.44, 34.20, 83.43)),
        Row(BASE, "RegViT", "vit_base_patch16_reg4_224", (27.93, 41.81, 28.99, 81.01)),
        Row(BASE, "LocAtRegViT", "locatvit_base_reg4", (32.71, 46.14, 34.12, 82.19)),
        Row(BASE, "RoPEViT", "vit_base_patch16_rope_mixed_224", (31.38, 48.83, 34.35, 82.16)),
        Row(BASE, "LocAtRoPEViT", "locatvit_base_rope_mixed", (34.94, 49.24, 36.37, 82.54)),
        Row(BASE, "Jumbo", "jumbo_base", (32.20, 47.31, 34.65, 84.42)),
        Row(BASE, "LocAtJumbo", "locatjumbo_base", (35.69, 49.20, 35.84, 84.43)),
    ),
)
TAB_2 = PaperTable(
    2,
    "Small datasets from scratch",
    "supervised",
    (_top1(MINI), _top1(CIFAR)),
    (
        Row(TINY, "ViT", "vit_tiny_patch16_224", (74.94, 73.84)),
        Row(TINY, "LocAtViT", "locatvit_tiny", (78.47, 80.43)),
        Row(SMALL, "ViT", "vit_small_patch16_224", (78.98, 76.33)),
        Row(SMALL, "LocAtViT", "locatvit_small", (84.30, 81.13)),
        Row(BASE, "ViT", "vit_base_patch16_224", (79.91, 76.90)),
        Row(BASE, "LocAtViT", "locatvit_base", (84.86, 82.20)),
    ),
)
TAB_3 = PaperTable(
    3,
    "Self-distillation without labels (DINO)",
    "dino",
    (
        Column("linear", "linear", IMAGENET, "top1"),
        *(Column(f"{k}-NN", "knn", IMAGENET, f"top1_k{k}") for k in (10, 20, 100, 200)),
    ),
    (
        Row(SMALL, "ViT", "vit_small_patch16_224", (65.52, 61.69, 61.53, 59.30, 57.90)),
        Row(SMALL, "LocAtViT", "locatvit_small", (67.65, 63.96, 63.74, 61.19, 59.78)),
    ),
)


def _parts(size: str, *published: tuple[float, ...]) -> Iterator[Row]:
    name = size.lower()
    models = (
        ("ViT", f"vit_{name}_patch16_224"),
        ("ViT + GAug", f"locatvit_{name}, prr=False"),
        ("ViT + PRR", f"locatvit_{name}, gaug=False"),
        ("LocAtViT", f"locatvit_{name}"),
        ("ViT - PE", f"vit_{name}_patch16_nope_224"),
        ("LocAtViT - PE", f"locatvit_{name}_nope"),
        ("ViT + GAP", f"vit_{name}_patch16_224, global_pool=avg, class_token=False"),
    )
    for (label, model), numbers in zip(models, published, strict=True):
        yield Row(size, label, model, numbers)


TAB_4 = PaperTable(
    4,
    "Which part does what",
    "supervised",
    (*MIOU, _top1(IMAGENET)),
    (
        *_parts(
            TINY,
            (17.30, 33.71, 20.29, 72.39),
            (18.98, 34.97, 21.51, 73.16),
            (21.60, 37.93, 25.85, 73.71),
            (23.47, 38.57, 26.15, 73.94),
            (15.13, 31.94, 19.35, 69.36),
            (22.69, 38.15, 26.05, 73.10),
            (19.65, 34.94, 22.86, 72.50),
        ),
        *_parts(
            BASE,
            (28.40, 43.10, 30.43, 80.99),
            (30.26, 44.36, 32.21, 82.00),
            (29.89, 44.03, 32.16, 82.19),
            (32.64, 45.35, 33.62, 82.31),
            (24.59, 40.18, 28.79, 79.39),
            (29.73, 44.69, 32.17, 82.17),
            (27.99, 41.97, 29.88, 81.84),
        ),
    ),
)
TAB_5 = PaperTable(
    5,
    "Related work",
    "supervised",
    (*MIOU, _top1(IMAGENET)),
    (
        Row(BASE, "CvT-21", "cvt_21", (21.40, 40.91, 29.29, 82.50)),
        Row(BASE, "Conformer", "conformer_base", (22.11, 40.03, 26.37, 83.83)),
        Row(BASE, "ConViT", "convit_base", (23.08, 44.82, 25.20, 82.30)),
        Row(BASE, "Twins", "twins_pcpvt_base", (30.47, 44.55, 32.27, 82.71)),
        Row(BASE, "DaViT", "davit_base", (30.68, 44.87, 32.38, 84.64)),
        Row(BASE, "GCViT", "gcvit_base", (30.91, 44.71, 32.77, 84.47)),
        Row(BASE, "LocAtViT", "locatvit_base", (32.64, 45.35, 33.62, 82.31)),
    ),
)


def _gaussians(size: str, published: Iterable[float]) -> Iterator[Row]:
    variants = (
        ("LocAt", ""),
        ("Gaussian from x", ", gaug=from-input"),
        ("isotropic", ", gaug=isotropic"),
        ("fixed sigma 1", ", gaug=fixed-1"),
        ("fixed sigma 5", ", gaug=fixed-5"),
        ("fixed sigma 10", ", gaug=fixed-10"),
        ("no scaling", ", gaug=unscaled"),
        ("auto alpha", ", gaug=auto-alpha"),
    )
    for (label, variant), number in zip(variants, published, strict=True):
        yield Row(size, label, f"locatvit_{size.lower()}{variant}", (number,))


TAB_6 = PaperTable(
    6,
    "Which Gaussian",
    "supervised",
    (_top1(MINI),),
    (
        *_gaussians(TINY, (78.47, 79.10, 78.71, 75.20, 76.41, 75.53, 76.26, 78.48)),
        *_gaussians(BASE, (84.86, 85.18, 84.66, 82.81, 82.65, 82.42, 83.07, 84.54)),
    ),
)

PAPER = (TAB_1, TAB_2, TAB_3, TAB_4, TAB_5, TAB_6)
