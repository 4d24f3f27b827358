"""CIFAR-100 in its Python version: pickles, read by an unpickler that can build arrays of bytes and nothing else."""

import hashlib
import io
import pickle
import tarfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from locat.config.datasets import Cifar100
from locat.contract.errors import DataError
from locat.data.datasets.base import Contents, Sample, Split
from locat.data.datasets.tars import read_member
from locat.data.intake.files import is_folder, read

SIZE = 32
FOLDER = "cifar-100-python"
FILES: dict[Split, str] = {"train": "train", "val": "test"}
"""The file of each split."""
META = "meta"


class PickledDtype:
    """In place of numpy's own: bytes, and nothing else."""

    def __init__(self, code: str, *flags: object) -> None:
        if code != "u1":
            raise pickle.UnpicklingError(f"holds an array of {code}, not of bytes")

    def __setstate__(self, state: object) -> None:
        """Byte order and the like: bytes have none."""


class PickledArray:
    """In place of numpy's own, which can be told that its bytes are pointers to objects."""

    pixels: NDArray[np.uint8] = np.empty(0, np.uint8)

    def __setstate__(self, state: tuple[int, tuple[int, ...], PickledDtype, bool, str | bytes]) -> None:
        _, shape, kind, by_column, content = state
        if not isinstance(kind, PickledDtype):
            raise pickle.UnpicklingError("holds an array of no known kind")
        numbers = np.frombuffer(content.encode("latin1") if isinstance(content, str) else content, np.uint8)
        self.pixels = numbers.reshape(shape, order="F" if by_column else "C")


def reconstruct(kind: type[PickledArray], *empty: object) -> PickledArray:
    """In place of numpy's own function of this purpose: an array that is not filled yet."""
    if kind is not PickledArray:
        raise pickle.UnpicklingError("builds something that is no array")
    return kind()


# Whatever else a pickle asks for would be run by loading it.
ARRAY_PARTS = {
    ("numpy", "ndarray"): PickledArray,
    ("numpy", "dtype"): PickledDtype,
    ("numpy.core.multiarray", "_reconstruct"): reconstruct,
    ("numpy._core.multiarray", "_reconstruct"): reconstruct,
}


@dataclass(frozen=True)
class Cifar100Images:
    """The images of one split."""

    source: str
    digest: str
    """sha256 of the file they come from."""
    classes: tuple[str, ...]
    pixels: NDArray[np.uint8]
    """(n, 3, 32, 32)."""
    labels: tuple[int, ...]

    @property
    def contents(self) -> Contents:
        """What a file of these images holds."""
        return Contents(
            samples=len(self.labels),
            classes=self.classes,
            mask_classes=(),
            image_size=SIZE,
            source=self.source,
            seed=0,
            options={"digest": self.digest},
        )

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> Sample:
        return Sample(np.ascontiguousarray(self.pixels[index].transpose(1, 2, 0)), self.labels[index])

    def name(self, index: int) -> str:
        return f"image {index}"


def from_config(config: Cifar100) -> dict[Split, Cifar100Images]:
    """As `cifar100`."""
    return cifar100(config.source)


def cifar100(source: Path) -> dict[Split, Cifar100Images]:
    """Both splits, with the 100 fine classes, from the folder or the tar.gz.

    Raises:
        DataError: a file is missing, damaged, holds something else, or wants more than arrays built.
    """
    contents = read_files(source)
    meta = unpickle(contents[META], source, META)
    classes = meta.get("fine_label_names")
    if not isinstance(classes, list) or not classes or not all(isinstance(name, str) for name in classes):
        raise DataError(f"{source}: {META} holds no list fine_label_names; download it again")
    return {split: read_split(contents[file], source, file, tuple(classes)) for split, file in FILES.items()}


def read_split(content: bytes, source: Path, file: str, classes: tuple[str, ...]) -> Cifar100Images:
    """The images in the content of a `file` of `source`."""
    values = unpickle(content, source, file)
    array, labels = values.get("data"), values.get("fine_labels")
    data = (array if isinstance(array, PickledArray) else PickledArray()).pixels
    if data.shape[1:] != (3 * SIZE * SIZE,):
        raise DataError(f"{source}: {file} holds no data of 32 x 32 pixels in 3 colours; download it again")
    numbers = range(len(classes))
    if not (isinstance(labels, list) and 0 < len(labels) == len(data) and all(label in numbers for label in labels)):
        raise DataError(f"{source}: {file} holds no fine_labels, a class for each of its images; download it again")
    return Cifar100Images(
        source="CIFAR-100",
        digest=hashlib.sha256(content).hexdigest(),
        classes=classes,
        pixels=data.reshape(-1, 3, SIZE, SIZE),
        labels=tuple(map(int, labels)),
    )


def read_files(source: Path) -> dict[str, bytes]:
    """Content of train, test and meta."""
    names = (META, *FILES.values())
    try:
        if is_folder(source):
            return {name: read(source / name) for name in names}
        with tarfile.open(source, "r:gz", fileobj=io.BytesIO(read(source))) as archive:
            return {name: read_member(archive, f"{FOLDER}/{name}") for name in names}
    except (DataError, OSError, EOFError, zlib.error, tarfile.TarError, KeyError) as error:
        expected = f"the folder {FOLDER} with {', '.join(names)}, or {FOLDER}.tar.gz"
        raise DataError(f"{source}: not {expected} ({error}); download it again") from error


class ArrayUnpickler(pickle.Unpickler):
    """Builds containers, text, numbers and arrays of bytes; refuses everything else."""

    def find_class(self, module: str, name: str) -> Any:
        try:
            return ARRAY_PARTS[module, name]
        except KeyError:
            raise pickle.UnpicklingError(f"asks for {module}.{name}") from None


def unpickle(content: bytes, source: Path, file: str) -> dict[str, Any]:
    """The dictionary in a pickle of Python 2."""
    try:
        values = ArrayUnpickler(io.BytesIO(content), encoding="latin1").load()
    except Exception as error:  # a damaged pickle can make the unpickler raise anything
        raise DataError(f"{source}: {file} is not a pickle of CIFAR-100 ({error}); download it again") from error
    if not isinstance(values, dict):
        raise DataError(f"{source}: {file} holds no dictionary; download it again")
    return values
