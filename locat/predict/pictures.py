"""The pictures that a user names: files, folders, globs and .beton files, each opened when its turn comes."""

import contextlib
import glob
import os
from collections.abc import Iterable, Iterator, Sequence, Set
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import NamedTuple, Protocol

import numpy as np
from PIL import Image

from locat.contract.errors import DataError
from locat.contract.names import one_line_path
from locat.data.beton import manifest_path
from locat.data.datasets.image_folder import EXTENSIONS
from locat.data.intake.brightness import Brightness
from locat.data.intake.files import read
from locat.data.intake.folders import files_below
from locat.data.intake.pictures import MOST_PIXELS, opened, to_rgb
from locat.data.open_sets import open_samples
from locat.data.samples import Samples

BETON = ".beton"
ORIENTATION = 274
"""Tag of EXIF."""
TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""What brings a picture of this orientation upright."""


class Opened(NamedTuple):
    """A picture of 8-bit RGB."""

    image: Image.Image
    turned: bool
    """Whether EXIF says that it is to be turned, which was not done."""


class Picture(Protocol):
    """One picture to predict."""

    @property
    def name(self) -> str:
        """What the user knows it by."""
        ...

    @property
    def place(self) -> PurePath:
        """Where files about it go below an output folder, but for the ending."""
        ...

    @property
    def path(self) -> Path:
        """The file that holds it."""
        ...

    def open(self, upright: bool, brightness: Brightness | None = None) -> Opened:
        """Decode it; `upright`: turned as EXIF says; `brightness` says what is white in a deep one.

        Raises:
            Undecodable, DataError: it is damaged, or cannot be read.
        """
        ...


@dataclass(frozen=True)
class FilePicture:
    """A file of its own."""

    path: Path
    place: PurePath

    @classmethod
    def at(cls, path: Path) -> "FilePicture":
        """One that is named by itself."""
        return cls(path, PurePath(path.stem))

    @property
    def name(self) -> str:
        return str(self.path)

    def open(self, upright: bool, brightness: Brightness | None = None) -> Opened:
        content = read(self.path)
        return decode(content if brightness is None else brightness.to_eight_bits(content, self.path), upright)


@dataclass(frozen=True)
class StoredPicture:
    """A sample of a .beton file, or of a folder of shards."""

    stored: Samples
    number: int

    @property
    def path(self) -> Path:
        return self.stored.path

    @property
    def name(self) -> str:
        return f"{self.path}#{self.number}"

    @property
    def place(self) -> PurePath:
        return PurePath(self.path.stem, f"{self.number:06}")

    def open(self, upright: bool, brightness: Brightness | None = None) -> Opened:
        found = self.stored.find(np.array([self.number]))
        record, content = found.images[0], found.image_bytes(0)
        if record["jpeg"]:
            return decode(bytes(content), upright)
        pixels = np.frombuffer(content, np.uint8).reshape(int(record["height"]), int(record["width"]), -1)
        return Opened(Image.fromarray(pixels), turned=False)


def decode(content: bytes, upright: bool) -> Opened:
    """The picture in the content of a file, as training decodes it: orientation is not applied unless `upright`."""
    with opened(content, MOST_PIXELS) as picture:
        turn = TURNS.get(orientation(picture))
        image = to_rgb(picture).image
    if turn is not None and upright:
        return Opened(image.transpose(turn), turned=False)
    return Opened(image, turned=turn is not None)


def orientation(picture: Image.Image) -> int:
    """What EXIF says of it; 1, upright, where it says nothing that can be read."""
    with contextlib.suppress(Exception):  # damaged EXIF makes Pillow raise anything, and the pixels may be sound
        return int(picture.getexif().get(ORIENTATION, 1))
    return 1


def named(words: Iterable[str], outputs: Sequence[Path] = ()) -> list[Picture]:
    """The pictures that files, folders, globs and .beton files name, in their order.

    Folders that are written to, `outputs`, are not searched within others.

    Raises:
        DataError: one names no picture.
    """
    written = {output.resolve() for output in outputs}
    return [picture for word in words for path in _matches(word) for picture in _at(path, written)]


def _matches(word: str) -> Iterator[Path]:
    """The path that a word is, or those that it matches as a glob: a folder instead of all that lies in it."""
    if os.path.lexists(word):
        yield Path(word)
        return
    found = sorted(glob.glob(word, recursive=True)) if glob.has_magic(word) else []
    if not found:
        what = "nothing matches" if glob.has_magic(word) else "no such file or folder"
        raise DataError(f"{one_line_path(word)}: {what}")
    folders = {Path(path) for path in found if os.path.isdir(path)}
    yield from (path for path in map(Path, found) if folders.isdisjoint(path.parents))


def _at(path: Path, written: Set[Path]) -> Iterable[Picture]:
    if path.name.endswith(BETON) and (path.is_file() or manifest_path(path).exists()):
        _, stored = open_samples(path)
        return [StoredPicture(stored, number) for number in range(len(stored))]
    if path.is_dir():
        return _in_folder(path, written - {path.resolve()})
    return [FilePicture.at(path)]


def _in_folder(folder: Path, written: Set[Path]) -> list[Picture]:
    found: list[Picture] = [
        FilePicture(Path(file.path), PurePath(file.name).with_suffix(""))
        for file in sorted(files_below(folder, EXTENSIONS).files, key=lambda file: file.name)
        if not any(Path(file.path).resolve().is_relative_to(output) for output in written)
    ]
    if not found:
        raise DataError(f"{one_line_path(folder)}: holds no images ({' '.join(EXTENSIONS)})")
    return found
