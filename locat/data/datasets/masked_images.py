"""A split whose images come with masks in files of their own."""

import hashlib
import io
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from locat.contract.errors import DataError
from locat.data.datasets.base import Contents, Sample

INVALID = 254
"""In a table of classes: labels that the dataset does not have."""


class Pair(NamedTuple):
    """An image file and the file of its mask."""

    name: str
    image: Path
    mask: Path


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

    @cached_property
    def contents(self) -> Contents:
        """What a file of these pairs holds; the digest tells changed files by name and size, changed classes too."""
        digest = hashlib.sha256(self.table.tobytes())
        for pair in self.pairs:
            sizes = (path.stat().st_size for path in (pair.image, pair.mask))
            digest.update("\0".join([pair.name, *map(str, sizes), ""]).encode(errors="surrogateescape"))
        return Contents(
            samples=len(self.pairs),
            classes=(),
            mask_classes=self.mask_classes,
            image_size=None,
            source=self.source,
            seed=0,
            options={"files": digest.hexdigest()},
        )

    def __len__(self) -> int:
        return len(self.pairs)

    def __getitem__(self, index: int) -> Sample:
        """The image's file and its mask as a PNG of class numbers.

        Both are in the grid of the stored pixels: the orientation in EXIF is not applied, as the annotators' was not.

        Raises:
            DataError: a file is missing or damaged, holds labels that the dataset does not have, or is of another size.
        """
        pair = self.pairs[index]
        mask = self._mask(pair.mask)
        content = read(pair.image)
        size = image_size(content)
        if size is not None and size != mask.shape:
            raise DataError(
                f"{pair.mask}: {describe(mask.shape)} pixels where its image {pair.image.name} has {describe(size)}; "
                "they do not belong together, download both again"
            )
        return Sample(content, 0, png(mask))

    def name(self, index: int) -> str:
        return self.pairs[index].name

    def _mask(self, path: Path) -> NDArray[np.uint8]:
        labels = self.read_labels(path)
        known = len(self.table)
        classes: NDArray[np.uint8] = self.table[np.minimum(labels, known - 1)]
        wrong = (labels >= known) | (classes == INVALID)
        if wrong.any():
            raise DataError(
                f"{path}: holds label {int(labels[wrong][0])}, which {self.source} does not have; "
                "expected the annotations as they are distributed"
            )
        return classes


def pair_up(images: Path, masks: Path, suffix: str) -> tuple[Pair, ...]:
    """Every `*.jpg` in a folder with the mask of its name and `suffix` in another, in the order of their names.

    Raises:
        DataError: a folder is missing, holds nothing, or lacks what the other has.
    """
    image_files, mask_files = (files(folder, end) for folder, end in ((images, ".jpg"), (masks, suffix)))
    for one, other, folder, end in (
        (image_files, mask_files, masks, suffix),
        (mask_files, image_files, images, ".jpg"),
    ):
        if missing := sorted(one.keys() - other.keys()):
            raise DataError(
                f"{folder}: {missing[0]}{end} is missing, and {len(missing) - 1} more of {len(one)}; "
                "every image needs its mask and every mask its image"
            )
    return tuple(Pair(image_files[name].name, image_files[name], mask_files[name]) for name in sorted(image_files))


def files(folder: Path, suffix: str) -> dict[str, Path]:
    """The files in a folder that end in `suffix`, by their names without it."""
    try:
        found = {path.name.removesuffix(suffix): path for path in folder.iterdir() if path.name.endswith(suffix)}
    except OSError as error:
        raise DataError(f"{folder}: no such folder; expected one of *{suffix} files") from error
    if not found:
        raise DataError(f"{folder}: holds no *{suffix} file; was the download unpacked here?")
    return found


def check_count(pairs: tuple[Pair, ...], official: int, where: Path) -> None:
    """Raises DataError where a split is not complete."""
    if len(pairs) != official:
        raise DataError(
            f"{where}: {len(pairs)} images where the split has {official}; complete the download, "
            "or set complete: false for a part of it"
        )


def read(path: Path) -> bytes:
    """Content of a file of the dataset."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}); mend it and run again") from error


def read_png(path: Path) -> NDArray[np.uint8]:
    """Labels (H, W) of an 8-bit PNG, grey or with a palette, whose colours do not matter.

    Raises:
        DataError: it is none, or damaged.
    """
    try:
        with Image.open(io.BytesIO(read(path))) as image:
            if image.mode in ("L", "P"):
                return np.array(image)
            found = f"a {image.mode} image"
    except (OSError, ValueError, SyntaxError) as error:
        found = repr(error)
    raise DataError(f"{path}: not an 8-bit PNG of labels ({found}); download it again")


def image_size(content: bytes) -> tuple[int, int] | None:
    """Height and width of an image file as it is stored, None where it is none: that is for the encoder to say."""
    try:
        with Image.open(io.BytesIO(content)) as image:
            return image.height, image.width
    except (UnidentifiedImageError, OSError, ValueError, SyntaxError):
        return None


def png(mask: NDArray[np.uint8]) -> bytes:
    """A mask (H, W) as a grey PNG."""
    encoded = io.BytesIO()
    Image.fromarray(mask).save(encoded, "PNG")
    return encoded.getvalue()


def describe(size: tuple[int, ...]) -> str:
    """Height and width in words."""
    return f"{size[1]} x {size[0]}"
