"""Images in one folder per class, as torchvision's ImageFolder reads them."""

import logging
import os
from pathlib import Path

from locat.config.datasets import ImageFolder
from locat.contract.errors import DataError
from locat.contract.names import one_line
from locat.data.datasets.base import ImageFile, ImageFiles, Split
from locat.data.intake.files import is_folder
from locat.data.intake.folders import files_below

logger = logging.getLogger(__name__)

EXTENSIONS = (".jpg", ".jpeg", ".png", ".ppm", ".bmp", ".pgm", ".tif", ".tiff", ".webp")
SHOWN = 3  # names in a message


def from_config(config: ImageFolder) -> dict[Split, ImageFiles]:
    """As `image_folders`."""
    return image_folders(config.train, config.val, config.title)


def image_folders(train: Path, val: Path, source: str = "image folder") -> dict[Split, ImageFiles]:
    """Both splits; classes are numbered in the order of their names.

    Raises:
        DataError: a folder is missing or holds no images, a class has none, or the splits differ in their classes.
    """
    splits: dict[Split, ImageFiles] = {
        "train": image_folder(train, source, other=val),
        "val": image_folder(val, source, other=train),
    }
    trained, evaluated = (set(split.classes) for split in splits.values())
    if trained != evaluated:
        differences = [
            f"{listed(names)} only in {folder}"
            for names, folder in ((trained - evaluated, train), (evaluated - trained, val))
            if names
        ]
        raise DataError(f"{val}: its classes are not those of {train}: {', '.join(differences)}; give both the same")
    return splits


def image_folder(root: Path, source: str = "image folder", other: Path | None = None) -> ImageFiles:
    """The images below `root`/CLASS, at any depth, sorted by class and path; see `image_folders`.

    Links are followed, but not into the folder `other`; hidden folders are no classes.
    """
    if not is_folder(root):
        raise DataError(f"{root}: no such folder; expected one that holds a folder of images per class")
    found = files_below(root, EXTENSIONS, other)
    found.tell()
    if not found.folders:
        raise DataError(f"{root}: holds no folders; expected one folder of images per class")
    labels = {name: label for label, name in enumerate(found.folders)}
    placed = [(labels[file.name.split(os.sep)[0]], file) for file in found.files if os.sep in file.name]
    if beside := len(found.files) - len(placed):
        logger.warning("%s: %d images lie beside the folders of the classes and are left out", root, beside)
    if empty := set(found.folders) - {found.folders[label] for label, _ in placed}:
        raise DataError(f"{root}: no images ({' '.join(EXTENSIONS)}) of {listed(empty)}; add some or remove the folder")
    placed.sort(key=lambda entry: (entry[0], entry[1].path))
    files = tuple(ImageFile(file.name, label, file.path, 0, file.size) for label, file in placed)
    return ImageFiles(source, tuple(found.folders), files)


def listed(names: set[str]) -> str:
    """The first few of some names, and how many more there are."""
    few = ", ".join(map(one_line, sorted(names)[:SHOWN]))
    return f"{few} and {len(names) - SHOWN} more" if len(names) > SHOWN else few
