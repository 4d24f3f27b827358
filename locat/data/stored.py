"""Where the samples of a .beton file lie in it.

FFCV's memory managers are left out, because they build sets of pages that only its quasi-random order needs (11 s
and 600 MB for ImageNet's training set), and map the file, so that a reader dies of SIGBUS where the file is cut short.
"""

import os
import weakref
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from locat.contract.errors import DataError
from locat.data.decode import CHANNELS, IMAGE
from locat.data.ffcv_format import ALLOCATION, JPEG, RAW, read_tables


class Stored:
    """An open .beton file: `images`, records of decode.IMAGE (n,), and what comes with them.

    Raises:
        DataError: the file is not FFCV's, or its tables do not agree.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            tables = read_tables(path)
            self._tables = tables._replace(allocations=np.empty(0, ALLOCATION))  # `images` says what is asked of them
            self.file = os.open(path, os.O_RDONLY)
            weakref.finalize(self, os.close, self.file)
            self.images = self._images(tables.allocations)
        except (IndexError, KeyError, MemoryError, OSError, OverflowError, TypeError, ValueError) as error:
            raise DataError(f"{path}: FFCV cannot read it ({error}); convert it again") from error

    def __len__(self) -> int:
        return len(self.images)

    def labels(self, samples: NDArray[np.int64]) -> NDArray[np.int64]:
        """int64 (n,)."""
        return self._tables.column("label")[samples].astype(np.int64)

    def masks(self, samples: NDArray[np.int64]) -> NDArray[np.uint8]:
        """uint8 (n, H, W)."""
        height, width = next(field.shape for field in self._tables.fields if field.name == "mask")
        found = np.empty((len(samples), height, width), np.uint8)
        for mask, address in zip(found, self._tables.column("mask")[samples].tolist(), strict=True):
            if os.preadv(self.file, [mask.data.cast("B")], address) != mask.size:
                raise DataError(f"{self.path}: the file ends before a mask; convert it again")
        return found

    def _images(self, allocations: NDArray[np.void]) -> NDArray[np.void]:
        order = np.argsort(allocations["ptr"])
        addresses, sizes = (allocations[name][order] for name in ("ptr", "size"))
        column = self._tables.column("image")
        mode, width, height, address = (column[name] for name in column.dtype.names or ())
        place = np.searchsorted(addresses, address).clip(max=len(addresses) - 1)
        found = np.zeros(len(column), IMAGE)
        found["address"], found["bytes"] = address, sizes[place]
        found["height"], found["width"], found["jpeg"] = height, width, mode == JPEG
        pixels = found["height"].astype(np.int64) * found["width"] * CHANNELS
        wrong = (addresses[place] != address) | (pixels == 0) | (mode > RAW)
        wrong |= found["address"] + found["bytes"] > os.fstat(self.file).st_size
        wrong |= (found["jpeg"] == 0) & (found["bytes"] != pixels)
        if wrong.any():
            raise ValueError(f"the place of sample {wrong.argmax()} is wrong")
        return found
