"""Images that lie in both splits: an evaluation on what a model was trained on tells too much."""

import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from locat.data.samples import Samples

DIGEST = 16  # bytes


def in_both(train: Path, val: Path) -> list[int]:
    """The samples of `val` whose images `train` holds as well, byte for byte as they are stored.

    Both are complete. Only images of one size and one length in both are read.
    """
    from locat.data.open_sets import open_samples  # which imports numba, and `convert` is half done by then

    trained, evaluated = open_samples(train)[1], open_samples(val)[1]
    keys, asked_keys = _keys(trained.images), _keys(evaluated.images)
    known = set(_digests(trained, np.isin(keys, asked_keys).nonzero()[0].tolist()))
    asked = np.isin(asked_keys, keys).nonzero()[0].tolist() if known else []
    return [sample for sample, digest in zip(asked, _digests(evaluated, asked), strict=True) if digest in known]


def _digests(stored: "Samples", samples: Iterable[int]) -> list[bytes]:
    """Of the contents of these images."""
    contents = (stored.find(np.array([sample])).image_bytes(0) for sample in samples)
    return [hashlib.blake2b(content, digest_size=DIGEST).digest() for content in contents]


def _keys(images: NDArray[np.void]) -> NDArray[np.int64]:
    """One number for height, width and bytes of each, which are below 2 ** 16, 2 ** 16 and 2 ** 31."""
    height, width = images["height"].astype(np.int64), images["width"].astype(np.int64)
    found: NDArray[np.int64] = (height << 16 | width) ^ (images["bytes"] << 32)
    return found
