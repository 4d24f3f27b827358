"""mini-ImageNet, made for few-shot learning, as a plain classification set: its 100 classes, split by image.

Its three csv splits are of different classes; all of them together are split 500 to 100 within each class, in the
order of the csv files, which are read as train, val, test.
"""

import csv
import io
import os
from pathlib import Path

from locat.config.datasets import MiniImageNet
from locat.contract.errors import DataError
from locat.contract.names import one_line
from locat.data.datasets.base import ImageFile, ImageFiles, Split
from locat.data.intake.files import read, size
from locat.data.intake.stalls import asking

SPLITS = ("train.csv", "val.csv", "test.csv")
CLASSES = 100
IMAGES_PER_CLASS = 600
COLUMNS = ["filename", "label"]


def from_config(config: MiniImageNet) -> dict[Split, ImageFiles]:
    """As `mini_imagenet`."""
    return mini_imagenet(config.source)


def mini_imagenet(
    source: Path, classes: int = CLASSES, images_per_class: int = IMAGES_PER_CLASS
) -> dict[Split, ImageFiles]:
    """The first five sixths of each class for training and the rest for evaluation.

    Raises:
        DataError: a csv or an image is missing, or the classes are not as many or not as large as they should be.
    """
    names: dict[str, list[str]] = {}
    for file in SPLITS:
        for name, label in rows(source / file):
            names.setdefault(label, []).append(name)
    if len(names) != classes:
        raise DataError(f"{source}: its csv files hold {len(names)} classes, not {classes}; download all three again")
    for label, files in names.items():
        if len(files) != images_per_class or len(set(files)) != images_per_class:
            raise DataError(
                f"{source}: its csv files hold {len(set(files))} images of {label} in {len(files)} lines, where "
                f"mini-ImageNet has {images_per_class} of each class; download all three again"
            )
    splits: dict[Split, list[ImageFile]] = {"train": [], "val": []}
    for number, label in enumerate(sorted(names)):
        for place, name in enumerate(names[label]):
            split: Split = "train" if place < images_per_class * 5 // 6 else "val"
            splits[split].append(image(source, name, number))
    order = tuple(sorted(names))
    return {split: ImageFiles("mini-ImageNet", order, tuple(files)) for split, files in splits.items()}


def rows(path: Path) -> list[tuple[str, str]]:
    """File name and label of each line."""
    if not asking(path, path.exists):
        raise DataError(f"{path}: no such file; expected {', '.join(SPLITS)} and the folder images in {path.parent}")
    try:
        # Spreadsheets begin a file with a mark of its byte order.
        lines = csv.DictReader(io.StringIO(read(path).decode("utf-8-sig"), newline=""), strict=True)
        if lines.fieldnames != COLUMNS:
            raise DataError(f"{path}: its columns are {lines.fieldnames}, not {COLUMNS}; download it again")
        found = [(line["filename"], line["label"]) for line in lines]
    except (UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path}: cannot be read as csv ({error}); download it again") from error
    if not all(name and label for name, label in found):
        raise DataError(f"{path}: has lines without a filename or a label; download it again")
    return found


def image(source: Path, name: str, label: int) -> ImageFile:
    """The image that a csv calls `name`.

    Raises:
        DataError: it is missing, or the name leads out of the folder of images.
    """
    if os.path.isabs(name) or ".." in name.split("/"):
        raise DataError(f"{one_line(name)}: a csv file of {source} lists it, and it lies elsewhere; download all again")
    path = os.path.join(source, "images", name)
    try:
        return ImageFile(f"images/{name}", label, path, 0, size(path))
    except OSError as error:
        raise DataError(f"{path}: listed in a csv file, but missing; unpack all images into {source}/images") from error
