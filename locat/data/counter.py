"""Random numbers without state: functions of (seed, epoch, sample, key).

The same numbers come out whatever the batch, the rank, the thread or the restart. Every number that is drawn for a
sample has its `Key`. This is what changes an image, and where:

| task | in the loader's threads | on the device, per micro-batch |
|---|---|---|
| supervised, `augment: imagenet` | CROP_* of one view | RAND_*, JITTER_*; mixup or cutmix: MIX; then ERASE_* |
| supervised, `augment: shift` | nothing | SHIFT_* |
| dino | CROP_* of each view | JITTER_*, GREY, BLUR_*, SOLARIZE of each view |
| linear | CROP_* of one view | nothing |
| segment, `augment: benchmark` | PAIR: image and mask together | nothing |
| hummingbird by `protocol: release`, its memory | CROP_* of one view, JITTER_* | nothing |
| segment, `augment: none`; knn; hummingbird else; every evaluation | nothing | nothing |

The threads crop, so that only uint8 pixels that are needed cross to the device; the device does the rest to whole
batches of one size. Segmentation resizes by a random ratio before it crops, so its images have no common size until
the threads are done. Three things are not drawn here: the order of up to 2^24 samples (locat/data/order.py, Philox of
(seed, epoch)), mixup (NumPy's Philox of (seed, epoch, batch, MIX) and the group), and the initial weights and dropped
paths (torch's own generator, seeded in locat/engine/loop.py).
"""

import enum
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

_MASK = 2**64 - 1

STREAM = 256
"""Keys of one stream; above every `Key`. A layer or a view adds a multiple of it, and so has numbers of its own."""


class Key(enum.IntEnum):
    """What a random number decides. A value is never changed or given twice: seeded runs depend on it."""

    # locat/data/augment/shift.py
    SHIFT_DOWN = 0
    SHIFT_RIGHT = 1

    # locat/data/views.py: these four for the first try of a crop, the next four for the second, up to 41
    CROP_AREA = 2
    CROP_ASPECT = 3
    CROP_TOP = 4
    CROP_LEFT = 5
    CROP_FLIP = 42
    CROP_INTERPOLATION = 43

    # locat/data/augment/rand_augment.py, in a stream for each layer
    RAND_OPERATION = 64
    RAND_APPLIED = 65
    RAND_MAGNITUDE = 66
    RAND_SIGN = 67
    RAND_INTERPOLATION = 68

    # locat/data/augment/colour_jitter.py and dino.py; dino has a stream for each view
    JITTER_APPLIED = 80
    JITTER_ORDER = 81
    JITTER_FACTOR = 82
    GREY = 83
    BLUR_APPLIED = 84
    BLUR_SIGMA = 85
    SOLARIZE = 86

    # locat/data/augment/erasing.py
    ERASE_APPLIED = 96
    ERASE_AREA = 97
    ERASE_ASPECT = 98
    ERASE_TOP = 99
    ERASE_LEFT = 100
    ERASE_NOISE = 101

    # locat/data/augment/mixup.py
    MIX = 112

    # locat/data/joint.py: all numbers of a pair of image and mask
    PAIR = 128

    # locat/tasks/segmentation/memory_bank.py: which patches of an image the bank keeps
    KEPT_PATCH = 129

    # locat/data/permutation.py, in a stream for each round; a row or column takes the place of the sample
    ORDER = 130

    # locat/data/augment/own.py, in a stream for each of a plugin's augmentations
    OWN = 131
    # locat/data/mixture.py: which samples of a set an epoch takes, in streams for each set
    TAKEN = 132


def uniform(seed: int, epoch: int, index: torch.Tensor, key: int | torch.Tensor) -> torch.Tensor:
    """Uniform in [0, 1), float64 (n,), for the samples `index` int64 (n,), on its device.

    The key is one for all, or each sample's own, int64 (n,).
    """
    common = _mix(_mix(seed) ^ epoch)
    if isinstance(key, int):
        mixed: int | torch.Tensor = _signed(_mix(common ^ key))
    else:
        mixed = _mix_tensor(key ^ _signed(common))
    word = _mix_tensor(_mix_tensor(index ^ mixed))
    return _shift_right(word, 11).double() / 2**53


def words(seed: int, epoch: int, index: NDArray[np.uint64], key: int) -> NDArray[np.uint64]:
    """The 64 bits (n,) for each `index` (n,) of which `uniform` takes the upper 53."""
    found: NDArray[np.uint64] = _mix(_mix(index ^ np.uint64(_mix(_mix(_mix(seed) ^ epoch) ^ key))))
    return found


def integers(seed: int, epoch: int, index: torch.Tensor, key: int, low: int, high: int) -> torch.Tensor:
    """Uniform integers of `low` to `high` inclusive, int64 (n,), for the samples `index` int64 (n,)."""
    return low + (uniform(seed, epoch, index, key) * (high - low + 1)).long()


# The mixing function of SplitMix64 (Steele et al. 2014): once in Python's integers for what a batch
# shares, or NumPy's, once in torch's wrapping int64 for its samples.
_INCREMENT, _FACTOR_1, _FACTOR_2 = 0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB


def _mix(word: Any) -> Any:
    word = (word + _INCREMENT) & _MASK
    word = ((word ^ (word >> 30)) * _FACTOR_1) & _MASK
    word = ((word ^ (word >> 27)) * _FACTOR_2) & _MASK
    return word ^ (word >> 31)


def _mix_tensor(word: torch.Tensor) -> torch.Tensor:
    word = word + _signed(_INCREMENT)
    word = (word ^ _shift_right(word, 30)) * _signed(_FACTOR_1)
    word = (word ^ _shift_right(word, 27)) * _signed(_FACTOR_2)
    return word ^ _shift_right(word, 31)


def _shift_right(word: torch.Tensor, bits: int) -> torch.Tensor:
    """Shift in zeros, where torch's own shift copies the sign."""
    return torch.bitwise_and(word >> bits, 2 ** (64 - bits) - 1)


def _signed(word: int) -> int:
    return word - 2**64 if word >= 2**63 else word
