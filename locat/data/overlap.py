"""Images that lie in both splits: an evaluation on what a model was trained on tells too much."""

import hashlib
import os
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from locat.data.ffcv_format import read_tables

DIGEST = 16  # bytes


class _Images(NamedTuple):
    """Where the images of a .beton file lie in it."""

    path: Path
    addresses: NDArray[np.uint64]
    looks: NDArray[np.void]
    """Height, width and bytes of each: other images are not equal."""

    def digests(self, samples: Iterable[int]) -> list[bytes]:
        """Of the contents of these images."""
        with self.path.open("rb") as file:
            return [self._digest(file.fileno(), sample) for sample in samples]

    def _digest(self, file: int, sample: int) -> bytes:
        content = os.pread(file, int(self.looks["bytes"][sample]), int(self.addresses[sample]))
        return hashlib.blake2b(content, digest_size=DIGEST).digest()


def in_both(train: Path, val: Path) -> list[int]:
    """The samples of `val` whose images `train` holds as well, byte for byte as they are stored.

    Both are complete .beton files. Only images of one size and one length in both are read.
    """
    trained, evaluated = _images(train), _images(val)
    alike = np.isin(_key(trained.looks), _key(evaluated.looks)).nonzero()[0].tolist()
    known = set(trained.digests(alike))
    asked = np.isin(_key(evaluated.looks), _key(trained.looks)).nonzero()[0].tolist() if known else []
    return [sample for sample, digest in zip(asked, evaluated.digests(asked), strict=True) if digest in known]


def _images(path: Path) -> _Images:
    tables = read_tables(path)
    column, allocations = tables.column("image"), tables.allocations
    _, width, height, address = (column[name] for name in column.dtype.names or ())
    order = np.argsort(allocations["ptr"])
    places = np.searchsorted(allocations["ptr"], address, sorter=order)
    looks = np.zeros(len(column), [("height", "<i8"), ("width", "<i8"), ("bytes", "<i8")])
    looks["height"], looks["width"], looks["bytes"] = height, width, allocations["size"][order[places]]
    return _Images(path, address, looks)


def _key(looks: NDArray[np.void]) -> NDArray[np.int64]:
    """One number for height, width and bytes, which are below 2 ** 16, 2 ** 16 and 2 ** 31."""
    key: NDArray[np.int64] = (looks["height"] << 16 | looks["width"]) ^ (looks["bytes"] << 32)
    return key
