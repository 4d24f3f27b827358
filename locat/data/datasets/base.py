"""What a dataset is to the conversion: samples that can be fetched in any order, in several processes."""

import hashlib
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from locat.contract.errors import DataError
from locat.contract.names import one_line_path
from locat.data.intake.files import read

Split = Literal["train", "val"]


@dataclass(frozen=True)
class Contents:
    """What a .beton file is asked to hold; equal contents mean an equal file."""

    samples: int
    classes: tuple[str, ...]
    mask_classes: tuple[str, ...]
    """Empty where samples have no masks."""
    image_size: int | None
    """Height and width in pixels where all images and masks share one; None where each has its own."""
    source: str
    """The dataset's name for people."""
    seed: int
    options: dict[str, Any]
    """Whatever else decides the file's bytes."""

    @property
    def storage(self) -> Literal["pixels", "files"]:
        """How samples are stored: as pixels where all share one size, or else as JPEG files with PNG masks."""
        return "files" if self.image_size is None else "pixels"


class Sample(NamedTuple):
    """One image with its class."""

    image: bytes | NDArray[np.uint8]
    """The content of an image file, or pixels (H, W, 3) where the dataset's images share one size."""
    label: int
    mask: bytes | NDArray[np.uint8] | None = None
    """Classes of the pixels: a PNG file where the image is a file, (H, W) where it is pixels."""


class Dataset(Protocol):
    """Samples in a fixed order."""

    @property
    def contents(self) -> Contents: ...
    def __len__(self) -> int: ...
    def __getitem__(self, index: int, /) -> Sample: ...
    def name(self, index: int, /) -> str:
        """What its owner knows a sample by, such as its path within the source."""


class ImageFile(NamedTuple):
    """An encoded image: a whole file, or a stretch of an archive that is not compressed."""

    name: str
    """Its path within the source."""
    label: int
    path: str
    offset: int
    """Where it begins in `path`, in bytes."""
    size: int
    """Bytes."""


@dataclass(frozen=True)
class ImageFiles:
    """A split made of image files."""

    source: str
    classes: tuple[str, ...]
    files: tuple[ImageFile, ...]

    @cached_property
    def contents(self) -> Contents:
        """What a file of these images holds; the digest tells changed files by name, class and size."""
        digest = hashlib.sha256()
        for file in self.files:
            digest.update(f"{file.name}\0{file.label}\0{file.size}\0".encode(errors="surrogateescape"))
        return Contents(
            samples=len(self.files),
            classes=self.classes,
            mask_classes=(),
            image_size=None,
            source=self.source,
            seed=0,
            options={"files": digest.hexdigest()},
        )

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, index: int) -> Sample:
        """Raises:
        DataError: the file is not there any more, or cannot be read.
        """
        file = self.files[index]
        content = read(file.path, file.offset, file.size)
        if len(content) != file.size:
            raise DataError(
                f"{one_line_path(file.path)}: it became shorter while it was converted; run again when it is complete"
            )
        return Sample(content, file.label)

    def name(self, index: int) -> str:
        return self.files[index].name
