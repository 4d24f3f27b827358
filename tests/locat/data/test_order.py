import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from locat.data.order import batch_count, epoch_order, rank_batches

samples = st.integers(1, 300)
worlds = st.integers(1, 5)
shares = st.integers(1, 20)


@given(samples, st.integers(-(2**40), 2**40), st.integers(0, 1000))
def test_an_epochs_order_is_a_permutation_of_seed_and_epoch(samples: int, seed: int, epoch: int) -> None:
    order = epoch_order(samples, seed, epoch)
    assert np.array_equal(np.sort(order), np.arange(samples))
    assert np.array_equal(order, epoch_order(samples, seed, epoch))


def test_orders_differ_and_never_change() -> None:
    assert not np.array_equal(epoch_order(100, 0, 0), epoch_order(100, 0, 1))
    assert not np.array_equal(epoch_order(100, 0, 0), epoch_order(100, 1, 0))
    assert not np.array_equal(epoch_order(100, -1, 0), epoch_order(100, -2, 0))
    # A resumed job must go on with the order it began with.
    assert epoch_order(8, 42, 3).tolist() == [1, 6, 3, 4, 5, 2, 0, 7]


@given(samples, shares, worlds, st.booleans())
def test_ranks_share_every_global_batch(samples: int, share: int, world: int, drop_last: bool) -> None:
    size = share * world
    order = epoch_order(samples, 0, 0)
    count = batch_count(samples, size, drop_last)
    ranks = [rank_batches(order, size, count, rank, world) for rank in range(world)]
    assert {len(batches) for batches in ranks} == {count}
    for number, parts in enumerate(zip(*ranks, strict=True)):
        assert max(map(len, parts)) <= share
        assert np.array_equal(np.concatenate(parts), order[number * size : (number + 1) * size])
