"""Which sample is in which batch: arithmetic on (seed, epoch, batch, rank), nothing else.

Global batch k is slice k of one order of the whole dataset, and rank r takes the r-th piece of it:
what batch k holds does not depend on the number of ranks. Neighbours stay together, so that what
pairs them (mixup) does not depend on it either.
"""

import enum
from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

from locat.contract.batch_share import rank_batch_size
from locat.data.permutation import permuted


class OrderKind(enum.IntEnum):
    """What shuffles a training set. A checkpoint says which its epochs have, and a job goes on with that."""

    SORTED = 1
    COMPUTED = 2


LARGEST_SORTED = 2**24 - 1
"""Samples of the largest set that a new job shuffles by sorting. Every rank then takes 3 s and 340 MB at the start of
each epoch, of which 134 MB stay."""

Order = Callable[[int, int], NDArray[np.int64]]
"""The samples at the places from one up to, not including, another in an epoch; fewer where the epoch ends before."""


def kind_for(samples: int) -> OrderKind:
    """The kind of order that a new job shuffles so many samples by."""
    return OrderKind.SORTED if samples <= LARGEST_SORTED else OrderKind.COMPUTED


def epoch_order(kind: OrderKind, samples: int, seed: int, epoch: int) -> Order:
    """A permutation of `samples` indices, of (seed, epoch) alone."""
    if kind is OrderKind.SORTED:
        array = sorted_order(samples, seed, epoch)
        return lambda first, last: array[first:last]
    return lambda first, last: permuted(np.arange(first, min(last, samples)), samples, seed, epoch)


def stored_order(samples: int) -> Order:
    """The order of the file."""
    return lambda first, last: np.arange(first, min(last, samples))


def sorted_order(samples: int, seed: int, epoch: int) -> NDArray[np.int64]:
    """All of an epoch's samples (n,), as one array.

    Sorted from raw Philox words, whose stream is fixed by its paper; NumPy's `permutation` may change.
    """
    key = np.array([seed % 2**64, epoch], dtype=np.uint64)
    return np.argsort(np.random.Philox(key=key).random_raw(samples), kind="stable")


def batch_count(samples: int, batch_size: int, drop_last: bool) -> int:
    """Global batches of an epoch; the last one may be smaller unless it is dropped."""
    return samples // batch_size if drop_last else -(-samples // batch_size)


def rank_batches(
    order: Order, batch_size: int, batches: range, rank: int, world_size: int
) -> Iterator[NDArray[np.int64]]:
    """One rank's samples of each of these global batches of an epoch, looked up when they are asked for.

    Of a last batch that is smaller, the first ranks take full pieces and the others what is left, or nothing.
    """
    size = rank_batch_size(batch_size, world_size)
    starts = (number * batch_size + rank * size for number in batches)
    return (order(start, start + size) for start in starts)
