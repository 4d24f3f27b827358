"""A split whose images come with masks in files of their own."""

import hashlib
import io
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from locat.contract.errors import DataError
from locat.contract.names import one_line, one_line_path
from locat.data.datasets.base import Contents, Sample
from locat.data.intake.files import is_folder, read
from locat.data.intake.folders import File, files_in
from locat.data.intake.pictures import Undecodable, opened

INVALID = 254
"""In a table of classes: labels that the dataset does not have."""
PHOTOS = (".jpg", ".jpeg")
"""Endings of images; large letters do as well."""
MASKS = (".png",)


class Pair(NamedTuple):
    """An image file and the file of its mask."""

    name: str
    image: Path
    mask: Path
    bytes: tuple[int, int]
    """Of the two."""


@dataclass(frozen=True)
class MaskedImages:
    """A split made of pairs; masks are read by `read_labels` and numbered by `table`."""

    source: str
    mask_classes: tuple[str, ...]
    pairs: tuple[Pair, ...]
    read_labels: Callable[[Path], NDArray[Any]]
    """The owner's labels in a file, (H, W) of integers."""
    table: NDArray[np.uint8]
    """The class of each of the owner's labels, IGNORED for none and INVALID for what is no label."""
    again: ClassVar[str] = ", download both again"
    """What to do about an image and a mask of different sizes."""

    @cached_property
    def contents(self) -> Contents:
        """What a file of these pairs holds; the digest tells changed files by name and size, changed classes too."""
        digest = hashlib.sha256(self.table.tobytes())
        for pair in self.pairs:
            digest.update("\0".join([pair.name, *map(str, pair.bytes), ""]).encode(errors="surrogateescape"))
        return Contents(
            samples=len(self.pairs),
            classes=(),
            mask_classes=self.mask_classes,
            image_size=None,
            source=self.source,
            seed=0,
            options={"files": digest.hexdigest(), **self.options},
        )

    @property
    def options(self) -> dict[str, Any]:
        """Whatever else decides the file's bytes."""
        return {}

    def __len__(self) -> int:
        return len(self.pairs)

    def __getitem__(self, index: int) -> Sample:
        """The image's file and its mask as a PNG of class numbers.

        Both are in the grid of the stored pixels: the orientation in EXIF is not applied, as the annotators' was not.

        Raises:
            DataError: a file is missing or damaged, holds labels that the dataset does not have, or is of another size.
        """
        pair = self.pairs[index]
        content, mask = self.image(pair.image), self._mask(pair.mask)
        size = image_size(content)
        if size is not None and size != mask.shape:
            raise DataError(
                f"{one_line_path(pair.mask)}: {describe(mask.shape)} pixels where its image "
                f"{one_line(pair.image.name)} has {describe(size)}; they do not belong together{self.again}"
            )
        return Sample(content, 0, png(mask))

    def name(self, index: int) -> str:
        return self.pairs[index].name

    def image(self, path: Path) -> bytes:
        """The content of an image file as it is to be encoded."""
        return read(path)

    def unknown(self, path: Path, label: int, pixels: int) -> DataError:
        """What is said of a mask in which so many pixels have a label that the dataset does not have."""
        return DataError(
            f"{one_line_path(path)}: holds label {label}, which {self.source} does not have; "
            "expected the annotations as they are distributed"
        )

    def _mask(self, path: Path) -> NDArray[np.uint8]:
        labels = self.read_labels(path)
        classes: NDArray[np.uint8] = self.table.take(labels, mode="clip")
        wrong = (labels >= len(self.table)) | (classes == INVALID)
        if wrong.any():
            label = int(labels[wrong][0])
            raise self.unknown(path, label, int((labels == label).sum()))
        return classes


def pair_up(images: Path, masks: Path) -> tuple[Pair, ...]:
    """Every image in a folder with the PNG of its name in another, in the order of their names.

    Raises:
        DataError: a folder is missing, holds nothing, or lacks what the other has.
    """
    image_files, mask_files = files(images, PHOTOS), files(masks, MASKS)
    for one, other, folder, endings in (
        (image_files, mask_files, masks, MASKS),
        (mask_files, image_files, images, PHOTOS),
    ):
        if missing := sorted(one.keys() - other.keys()):
            raise DataError(
                f"{folder}: {one_line(missing[0])}{endings[0]} is missing, and {len(missing) - 1} more of {len(one)}; "
                "every image needs its mask and every mask its image"
            )
    return tuple(pair(image_files[name], mask_files[name]) for name in sorted(image_files))


def pair(image: File, mask: File) -> Pair:
    """An image and its mask."""
    return Pair(image.name, Path(image.path), Path(mask.path), (image.size, mask.size))


def files(folder: Path, endings: Sequence[str]) -> dict[str, File]:
    """The files in a folder with one of the endings, by their names without it."""
    if not is_folder(folder):
        raise DataError(f"{folder}: no such folder; expected one of *{endings[0]} files")
    listing = files_in(folder, endings)
    listing.tell()
    found: dict[str, File] = {}
    for file in listing.files:
        name = os.path.splitext(file.name)[0]
        if name in found:
            raise DataError(
                f"{folder}: {one_line(found[name].name)} and {one_line(file.name)} are of one name; keep one of them"
            )
        found[name] = file
    if not found:
        raise DataError(f"{folder}: holds no *{endings[0]} file; was the download unpacked here?")
    return found


def check_count(pairs: tuple[Pair, ...], official: int, where: Path) -> None:
    """Raises DataError where a split is not complete."""
    if len(pairs) != official:
        raise DataError(
            f"{where}: {len(pairs)} images where the split has {official}; complete the download, "
            "or set complete: false for a part of it"
        )


def image_size(content: bytes) -> tuple[int, int] | None:
    """Height and width of an image file as it is stored, None where it is none: that is for the encoder to say."""
    try:
        with opened(content) as image:
            return image.height, image.width
    except Undecodable:
        return None


def png(mask: NDArray[np.uint8]) -> bytes:
    """A mask (H, W) as a grey PNG."""
    encoded = io.BytesIO()
    Image.fromarray(mask).save(encoded, "PNG")
    return encoded.getvalue()


def describe(size: tuple[int, ...]) -> str:
    """Height and width in words."""
    return f"{size[1]} x {size[0]}"
