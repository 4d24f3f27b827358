"""The samples of a dataset of many .beton files, each shard opened when one of its samples is read."""

import os
import weakref
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from locat.contract.errors import DataError
from locat.data.beton import Manifest, converted_by
from locat.data.decode import HELD, IMAGE, Workspace, cut_images
from locat.data.open_files import OpenFiles
from locat.data.shards import INDEX, checksum, checksum_of, index_path, shard_path


class Sharded:
    """The shards of `path`, of which the manifest tells; see `samples.Samples`.

    Raises:
        DataError: the records of its samples cannot be read.
    """

    def __init__(self, path: Path, manifest: Manifest) -> None:
        self.path, self.contents, self.shards = path, manifest.contents, manifest.shards
        self._ends = np.cumsum([shard.samples for shard in manifest.shards])
        self.files = OpenFiles(self._open)
        try:
            self._index = os.open(index_path(path), os.O_RDONLY | os.O_CLOEXEC)
        except OSError as error:
            raise DataError(f"{index_path(path)}: cannot be read ({error}); {converted_by(path)}") from error
        weakref.finalize(self, os.close, self._index)

    def __len__(self) -> int:
        return self.contents.samples

    @property
    def images(self) -> NDArray[np.void]:
        """All of decode.IMAGE (n,)."""
        return as_images(self.records(np.arange(len(self))))

    def workspace(self) -> Workspace:
        """One that grows."""
        return Workspace(np.empty(0, IMAGE))

    def find(self, samples: NDArray[np.int64], epoch: int = 0) -> "FoundInShards":
        """These samples (n,), in any epoch."""
        return FoundInShards(self, samples)

    def shards_of(self, samples: NDArray[np.int64]) -> NDArray[np.int64]:
        """The number of each sample's shard, (n,)."""
        return np.searchsorted(self._ends, samples, side="right")

    def records(self, samples: NDArray[np.int64]) -> NDArray[np.void]:
        """Their INDEX records (n,); those of neighbours are read at once."""
        found = np.empty(len(samples), INDEX)
        breaks = np.flatnonzero(np.diff(samples) != 1) + 1
        for first, last in zip([0, *breaks.tolist()], [*breaks.tolist(), len(samples)], strict=True):
            rows = found[first:last]
            if len(rows) and not self._filled(rows, int(samples[first]) * INDEX.itemsize):
                raise DataError(
                    f"{index_path(self.path)}: ends before sample {samples[last - 1]}; {converted_by(self.path)}"
                )
        if (empty := np.flatnonzero((found["height"] == 0) | (found["width"] == 0))).size:
            raise DataError(
                f"{index_path(self.path)}: says nothing of sample {samples[empty[0]]}; {converted_by(self.path)}"
            )
        return found

    def fill(self, sample: int, shard: int, address: int, content: NDArray[np.uint8]) -> None:
        """Read a stretch of a shard that belongs to a sample.

        Raises:
            DataError: the shard is missing or too short, or cannot be read.
        """
        try:
            with self.files.reading(shard) as file:
                whole = os.preadv(file, [content.data], address) == len(content)
        except OSError as error:
            raise self.damage(shard, f"sample {sample} cannot be read ({error})") from error
        if not whole:
            raise self.damage(shard, f"ends before sample {sample}")

    def damage(self, shard: int, what: str) -> DataError:
        """The error that names a shard, and who writes it anew."""
        return DataError(f"{shard_path(self.path, shard)}: {what}; {converted_by(self.path)}")

    def _filled(self, rows: NDArray[np.void], address: int) -> bool:
        try:
            return os.preadv(self._index, [rows.view(np.uint8).data], address) == rows.nbytes
        except OSError:
            return False

    def _open(self, shard: int) -> int:
        path, expected = shard_path(self.path, shard), self.shards[shard].bytes
        try:
            file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError as error:
            raise self.damage(shard, "is missing") from error
        size = os.fstat(file).st_size
        if size != expected:
            os.close(file)
            raise self.damage(shard, f"has {size} bytes where its manifest says {expected}")
        return file


class FoundInShards:
    """Some samples of a sharded dataset; see `samples.Found`."""

    def __init__(self, sharded: Sharded, samples: NDArray[np.int64]) -> None:
        self._sharded, self._samples = sharded, samples
        self._records, self._shards = sharded.records(samples), sharded.shards_of(samples)
        self.images = as_images(self._records)

    def labels(self) -> NDArray[np.int64]:
        return self._records["label"].astype(np.int64)

    def masks(self) -> NDArray[np.uint8]:
        side = self._sharded.contents.image_size
        assert side is not None, "masks of several sizes are asked for one by one"
        found = np.empty((len(self._samples), side, side), np.uint8)
        for row, mask in enumerate(found):
            self._read_mask(row, mask.reshape(-1))
        return found

    def image_bytes(self, row: int) -> bytearray:
        found = bytearray(int(self._records["bytes"][row]))
        self._read_image(row, np.frombuffer(found, np.uint8))
        return found

    def mask_bytes(self, row: int) -> bytearray:
        found = bytearray(int(self._records["mask_bytes"][row]))
        self._read_mask(row, np.frombuffer(found, np.uint8))
        return found

    def cut(self, rows: slice, cuts: NDArray[np.void], out: NDArray[np.uint8], workspace: Workspace) -> None:
        for place, row in enumerate(range(*rows.indices(len(self._samples)))):
            self._read_image(row, workspace.hold(self.images[row]))
            one = slice(place, place + 1)
            problem = cut_images(HELD, self.images[row : row + 1], cuts[one], out, workspace)
            if problem:
                raise self._damage(row, problem[1])

    def _read_image(self, row: int, content: NDArray[np.uint8]) -> None:
        record = self._records[row]
        self._read(row, record["address"], content)
        if checksum(record, checksum_of(content)) != record["checksum"]:
            raise self._damage(row, "its content is not what was written")

    def _read_mask(self, row: int, content: NDArray[np.uint8]) -> None:
        record = self._records[row]
        self._read(row, record["mask"], content)
        if checksum_of(content) != record["mask_checksum"]:
            raise self._damage(row, "its mask is not what was written")

    def _read(self, row: int, address: int, content: NDArray[np.uint8]) -> None:
        self._sharded.fill(int(self._samples[row]), int(self._shards[row]), int(address), content)

    def _damage(self, row: int, what: str) -> DataError:
        return self._sharded.damage(int(self._shards[row]), f"sample {self._samples[row]}: {what}")


def as_images(records: NDArray[np.void]) -> NDArray[np.void]:
    """What a decoder asks of INDEX records (n,): decode.IMAGE (n,)."""
    found = np.zeros(len(records), IMAGE)
    for name in IMAGE.names or ():
        found[name] = records[name]
    return found
