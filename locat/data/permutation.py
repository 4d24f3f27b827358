"""A permutation of any size of which each place is computed by itself: no array, however many samples there are.

A Feistel network over pairs (row, column) whose halves are added modulo the number of rows and of columns (Black and
Rogaway 2002, "Ciphers with arbitrary finite domains"), with as many rounds as NIST's FF1 has. There are fewer pairs too
many than rows: a place that falls on one of those goes through the network again, until it falls on a sample.
"""

import math

import numpy as np
from numpy.typing import NDArray

from locat.data import counter
from locat.data.counter import STREAM, Key

ROUNDS = 10
"""Even, so that each half is back in its own range."""


def permuted(places: NDArray[np.int64], samples: int, seed: int, epoch: int, key: int = Key.ORDER) -> NDArray[np.int64]:
    """The samples (n,) at these places (n,), both of 0 to `samples` - 1, in the permutation of (seed, epoch, key)."""
    rows = math.isqrt(samples - 1) + 1
    columns = -(-samples // rows)
    found = places.astype(np.uint64)
    walking = np.arange(len(found))
    while len(walking):
        found[walking] = _network(found[walking], rows, columns, seed, epoch, key)
        walking = walking[found[walking] >= samples]
    return found.astype(np.int64)


def _network(pairs: NDArray[np.uint64], rows: int, columns: int, seed: int, epoch: int, key: int) -> NDArray[np.uint64]:
    """A bijection of the numbers (n,) of the pairs, row * columns + column."""
    left, right = np.divmod(pairs, columns)
    for number in range(ROUNDS):
        size = columns if number % 2 else rows
        drawn = counter.words(seed, epoch, right, key + number * STREAM) % size
        left, right = right, (left + drawn) % size
    return left * columns + right
