"""Small trees laid out as the owners of the segmentation sets lay out theirs."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.io import savemat

from locat.data.datasets import pascal_context

SIZES = ((37, 53), (64, 41), (48, 48), (30, 71))
"""Heights and widths, odd ones among them."""


def blocks(random: np.random.Generator, size: tuple[int, int], labels: NDArray[np.integer]) -> NDArray[np.uint16]:
    """A map of some of `labels` in squares of 16 pixels."""
    height, width = size
    cells = random.choice(labels, (-(-height // 16), -(-width // 16)))
    return np.kron(cells, np.ones((16, 16), np.uint16)).astype(np.uint16)[:height, :width]


def picture(random: np.random.Generator, labels: NDArray[np.uint16]) -> Image.Image:
    """An image whose colours tell its labels, with noise."""
    colour = np.stack([labels * factor % 200 for factor in (37, 91, 151)], axis=-1)
    return Image.fromarray((colour + random.integers(0, 50, colour.shape)).astype(np.uint8))


def write_pairs(images: Path, masks: Path, count: int, labels: NDArray[np.integer], seed: int = 0) -> None:
    """JPEG files 0000.jpg ... with PNG masks of the same names."""
    random = np.random.default_rng(seed)
    for folder in (images, masks):
        folder.mkdir(parents=True)
    for number in range(count):
        truth = blocks(random, SIZES[number % len(SIZES)], labels)
        picture(random, truth).save(images / f"{number:04}.jpg", quality=95)
        Image.fromarray(truth.astype(np.uint8)).save(masks / f"{number:04}.png")


def ade20k(source: Path, train: int = 8, val: int = 5, labels: NDArray[np.integer] | None = None) -> None:
    labels = np.arange(151) if labels is None else labels
    for seed, (folder, count) in enumerate((("training", train), ("validation", val))):
        write_pairs(source / "images" / folder, source / "annotations" / folder, count, labels, seed)


def coco_stuff(source: Path, train: int = 4, val: int = 3) -> None:
    labels = np.array([0, 10, 12, 89, 91, 181, 255])
    for seed, (folder, count) in enumerate((("train2017", train), ("val2017", val))):
        write_pairs(source / folder, source / "stuffthingmaps" / folder, count, labels, seed)


def pascal_context_names() -> list[str]:
    """459 names, the classes scattered among others."""
    names = [f"thing {number}" for number in range(1, 460)]
    for place, name in enumerate(sorted(pascal_context.CLASSES, reverse=True)):
        names[7 * place] = name
    return names


def pascal_context_tree(source: Path, train: int = 4, val: int = 3) -> None:
    voc = source / "VOC2010"
    for folder in (voc / "JPEGImages", voc / "ImageSets" / "Main", source / "trainval"):
        folder.mkdir(parents=True)
    lines = (f"{number}: {name}" for number, name in enumerate(pascal_context_names(), 1))
    (source / "labels.txt").write_text("\n".join(lines) + "\n")
    random = np.random.default_rng(0)
    names = [f"2008_{number:06}" for number in range(train + val)]
    for number, name in enumerate(names):
        truth = blocks(random, SIZES[number % len(SIZES)], np.arange(460))
        picture(random, truth).save(voc / "JPEGImages" / f"{name}.jpg")
        savemat(source / "trainval" / f"{name}.mat", {"LabelMap": truth})
    for split, part in (("train", names[:train]), ("val", names[train:])):
        (voc / "ImageSets" / "Main" / f"{split}.txt").write_text("".join(f"{name}\n" for name in part))
    Image.new("RGB", (9, 9)).save(voc / "JPEGImages" / "2009_000001.jpg")  # VOC2010 has more images than are annotated
