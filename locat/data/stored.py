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
from locat.data.decode import CHANNELS, IMAGE, Workspace, cut_images
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

    def workspace(self) -> Workspace:
        """With room for the largest image."""
        return Workspace(self.images)

    def find(self, samples: NDArray[np.int64], epoch: int = 0) -> "FoundInFile":
        """These samples (n,), in any epoch."""
        return FoundInFile(self, samples)

    def content(self, sample: int, address: int, size: int) -> bytearray:
        """A stretch of the file that belongs to a sample.

        Raises:
            DataError: the file ends before it, or cannot be read.
        """
        found = bytearray(size)
        try:
            whole = os.preadv(self.file, [found], address) == size
        except OSError as error:
            raise DataError(f"{self.path}: sample {sample} cannot be read ({error}); convert it again") from error
        if not whole:
            raise DataError(f"{self.path}: the file ends before sample {sample}; convert it again")
        return found

    def mask_place(self, sample: int) -> tuple[int, int]:
        """Where the PNG of a mask begins, and its bytes."""
        address, size = self._tables.column("mask")[sample].tolist()
        return address, size

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


class FoundInFile:
    """Some samples of a .beton file; see `samples.Found`."""

    def __init__(self, stored: Stored, samples: NDArray[np.int64]) -> None:
        self.images = stored.images[samples]
        self._stored, self._samples = stored, samples

    def labels(self) -> NDArray[np.int64]:
        return self._stored.labels(self._samples)

    def masks(self) -> NDArray[np.uint8]:
        return self._stored.masks(self._samples)

    def image_bytes(self, row: int) -> bytearray:
        image = self.images[row]
        return self._stored.content(int(self._samples[row]), int(image["address"]), int(image["bytes"]))

    def mask_bytes(self, row: int) -> bytearray:
        sample = int(self._samples[row])
        return self._stored.content(sample, *self._stored.mask_place(sample))

    def cut(self, rows: slice, cuts: NDArray[np.void], out: NDArray[np.uint8], workspace: Workspace) -> None:
        problem = cut_images(self._stored.file, self.images[rows], cuts, out, workspace)
        if problem:
            sample = self._samples[rows][problem[0]]
            raise DataError(f"{self._stored.path}: sample {sample}: {problem[1]}; convert it again")
