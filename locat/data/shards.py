"""A dataset as many .beton files: what lies in its folder, and how each sample is found there and vouched for.

`train.beton/` then holds `00000.beton`, `00001.beton`, ..., the shards, each a whole file of FFCV's format, and
`samples.index`, an INDEX record of each sample over all shards. `train.beton.json` beside the folder is the manifest of
all. To find a sample takes one read of its record, so nothing is kept of samples or shards in memory, and no shard is
opened before one of its samples is wanted. A record's checksums cover what is stored of the sample and the record
itself: a shard that was damaged, or exchanged for another one, is told at the first sample that is read of it.
"""

import hashlib
import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

INDEX = np.dtype(
    [
        ("address", "<u8"),  # where the image's bytes begin in its shard
        ("mask", "<u8"),  # and the mask's
        ("bytes", "<u4"),
        ("mask_bytes", "<u4"),  # 0: there is none
        ("label", "<i4"),
        ("height", "<u2"),  # in pixels
        ("width", "<u2"),
        ("jpeg", "<u4"),  # 0: image and mask are pixels
        ("mask_checksum", "<u4"),
        ("checksum", "<u4"),  # of the image and all of the record before this
    ]
)
_COVERED = INDEX.itemsize - 4


class Shard(NamedTuple):
    """What the manifest says of one, in this order."""

    samples: int
    bytes: int
    sha256: str


def shard_path(path: Path, number: int) -> Path:
    """Where a shard of the dataset `path` lies."""
    return path / f"{number:05}.beton"


def index_path(path: Path) -> Path:
    """Where the records of all samples of the dataset `path` lie."""
    return path / "samples.index"


def digest_of(shards: Iterable[Shard]) -> str:
    """One digest for all of their contents."""
    return digest_of_all(shard.sha256 for shard in shards)


def digest_of_all(parts: Iterable[str]) -> str:
    """One digest for several."""
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def checksum(record: np.void, image_checksum: int) -> int:
    """What `record["checksum"]` is to be, where that of the image's bytes is `image_checksum`."""
    return zlib.crc32(record.tobytes()[:_COVERED], image_checksum)


def checksum_of(content: NDArray[np.uint8]) -> int:
    """Of the bytes of an image or a mask."""
    return zlib.crc32(content.data)
