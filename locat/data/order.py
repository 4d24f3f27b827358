"""Which sample is in which batch: arithmetic on (seed, epoch, batch, rank), nothing else.

Global batch k is slice k of one order of the whole dataset, and rank r takes the r-th piece of it:
what batch k holds does not depend on the number of ranks. Neighbours stay together, so that what
pairs them (mixup) does not depend on it either.
"""

import numpy as np
from numpy.typing import NDArray

from locat.contract.batch_share import rank_batch_size


def epoch_order(samples: int, seed: int, epoch: int) -> NDArray[np.int64]:
    """A permutation of `samples` indices, of (seed, epoch) alone.

    Sorted from raw Philox words, whose stream is fixed by its paper; NumPy's `permutation` may change.
    """
    key = np.array([seed % 2**64, epoch], dtype=np.uint64)
    return np.argsort(np.random.Philox(key=key).random_raw(samples), kind="stable")


def batch_count(samples: int, batch_size: int, drop_last: bool) -> int:
    """Global batches of an epoch; the last one may be smaller unless it is dropped."""
    return samples // batch_size if drop_last else -(-samples // batch_size)


def rank_batches(
    order: NDArray[np.int64], batch_size: int, batches: int, rank: int, world_size: int
) -> list[NDArray[np.int64]]:
    """One rank's samples of each of the first `batches` global batches.

    Of a last batch that is smaller, the first ranks take full pieces and the others what is left, or nothing.
    """
    size = rank_batch_size(batch_size, world_size)
    starts = range(rank * size, batches * batch_size, batch_size)
    return [order[start : start + size] for start in starts]
