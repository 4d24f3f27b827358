"""Images in one folder per class, as torchvision's ImageFolder reads them."""

import os
from pathlib import Path

from locat.config.datasets import ImageFolder
from locat.contract.errors import DataError
from locat.data.datasets.base import ImageFile, ImageFiles, Split

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
    splits: dict[Split, ImageFiles] = {"train": image_folder(train, source), "val": image_folder(val, source)}
    trained, evaluated = (set(split.classes) for split in splits.values())
    if trained != evaluated:
        differences = [
            f"{listed(names)} only in {folder}"
            for names, folder in ((trained - evaluated, train), (evaluated - trained, val))
            if names
        ]
        raise DataError(f"{val}: its classes are not those of {train}: {', '.join(differences)}; give both the same")
    return splits


def image_folder(root: Path, source: str = "image folder") -> ImageFiles:
    """The images below `root`/CLASS, at any depth, sorted by class and path; see `image_folders`."""
    if not root.is_dir():
        raise DataError(f"{root}: no such folder; expected one that holds a folder of images per class")
    classes = tuple(sorted(entry.name for entry in os.scandir(root) if entry.is_dir()))
    if not classes:
        raise DataError(f"{root}: holds no folders; expected one folder of images per class")
    files: list[ImageFile] = []
    empty = []
    for label, name in enumerate(classes):
        paths = images_below(root / name)
        if not paths:
            empty.append(name)
        for path in paths:
            files.append(ImageFile(os.path.relpath(path, root), label, path, 0, os.stat(path).st_size))
    if empty:
        raise DataError(f"{root}: no images ({' '.join(EXTENSIONS)}) of {listed(empty)}; add some or remove the folder")
    return ImageFiles(source, classes, tuple(files))


def images_below(folder: Path) -> list[str]:
    """Paths of the image files in `folder` and the folders in it, sorted; links are followed."""
    paths = []
    for parent, _, names in os.walk(folder, followlinks=True):
        paths += [os.path.join(parent, name) for name in names if name.lower().endswith(EXTENSIONS)]
    return sorted(paths)


def listed(names: set[str] | list[str]) -> str:
    """The first few of some names, and how many more there are."""
    few = ", ".join(sorted(names)[:SHOWN])
    return f"{few} and {len(names) - SHOWN} more" if len(names) > SHOWN else few
