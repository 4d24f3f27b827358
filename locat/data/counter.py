"""Random numbers without state: functions of (seed, epoch, sample, operation).

The same numbers come out whatever the batch, the rank, the thread or the restart.
"""

import torch

_MASK = 2**64 - 1


def uniform(seed: int, epoch: int, index: torch.Tensor, operation: int | torch.Tensor) -> torch.Tensor:
    """Uniform in [0, 1), float64 (n,), for the samples `index` int64 (n,), on its device.

    The operation is one for all, or each sample's own, int64 (n,).
    """
    place = _mix(_mix(seed) ^ epoch)
    if isinstance(operation, int):
        key: int | torch.Tensor = _signed(_mix(place ^ operation))
    else:
        key = _mix_tensor(operation ^ _signed(place))
    word = _mix_tensor(_mix_tensor(index ^ key))
    return _shift_right(word, 11).double() / 2**53


def integers(seed: int, epoch: int, index: torch.Tensor, operation: int, low: int, high: int) -> torch.Tensor:
    """Uniform integers of `low` to `high` inclusive, int64 (n,), for the samples `index` int64 (n,)."""
    return low + (uniform(seed, epoch, index, operation) * (high - low + 1)).long()


# The mixing function of SplitMix64 (Steele et al. 2014): once in Python's integers for what a batch
# shares, once in torch's wrapping int64 for its samples.
_INCREMENT, _FACTOR_1, _FACTOR_2 = 0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB


def _mix(word: int) -> int:
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
