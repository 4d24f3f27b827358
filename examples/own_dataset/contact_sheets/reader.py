"""Contact sheets as datasets: what is not as it should be is told before anything is converted."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from contact_sheets.config import ContactSheets
from locat.contract.errors import DataError
from locat.data.datasets.base import Contents, Sample, Split


@dataclass(frozen=True)
class Sheet:
    """One split: the samples of the sheet in their order."""

    label: str
    classes: tuple[str, ...]
    numbers: tuple[int, ...]
    """The class of each image."""
    pixels: NDArray[np.uint8]
    """(n, size, size, 3)."""

    @property
    def contents(self) -> Contents:
        """Equal contents mean an equal file: the digest is of all pixels and classes."""
        digest = hashlib.sha256(self.pixels.tobytes())
        digest.update(bytes(str(self.numbers), "ascii"))
        return Contents(
            samples=len(self),
            classes=self.classes,
            mask_classes=(),
            image_size=self.pixels.shape[1],
            source=self.label,
            seed=0,
            options={"digest": digest.hexdigest()},
        )

    def __len__(self) -> int:
        return len(self.numbers)

    def __getitem__(self, index: int) -> Sample:
        return Sample(self.pixels[index], self.numbers[index])

    def name(self, index: int) -> str:
        return f"image {index}"


def read(config: ContactSheets) -> dict[Split, Sheet]:
    """Both splits.

    Raises:
        DataError: a file is missing or no image, or a sheet has fewer images than its text file has classes.
    """
    words = {split: classes_of(config.folder / f"{split}.txt") for split in ("train", "val")}
    classes = tuple(sorted({word for split in words.values() for word in split}))

    def sheet(split: Split) -> Sheet:
        numbers = tuple(classes.index(word) for word in words[split])
        return Sheet(
            config.label, classes, numbers, images_of(config.folder / f"{split}.png", config.size, len(numbers))
        )

    return {"train": sheet("train"), "val": sheet("val")}


def classes_of(path: Path) -> list[str]:
    try:
        return path.read_text().split()
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}); expected one class a line") from error


def images_of(path: Path, size: int, count: int) -> NDArray[np.uint8]:
    """The first `count` images of a sheet, uint8 (count, size, size, 3)."""
    try:
        sheet = np.asarray(Image.open(path).convert("RGB"))
    except OSError as error:
        raise DataError(f"{path}: cannot be read as an image ({error}); expected a contact sheet") from error
    rows, columns = (side // size for side in sheet.shape[:2])
    if rows * columns < count:
        raise DataError(f"{path}: has room for {rows * columns} images of {size} pixels, not for {count}; mend `size`")
    grid = sheet[: rows * size, : columns * size].reshape(rows, size, columns, size, 3)
    return np.ascontiguousarray(grid.swapaxes(1, 2).reshape(-1, size, size, 3)[:count])
