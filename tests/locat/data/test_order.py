import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from locat.data import order
from locat.data.order import (
    LARGEST_SORTED,
    OrderKind,
    batch_count,
    epoch_order,
    kind_for,
    rank_batches,
    sorted_order,
    stored_order,
)

samples = st.integers(1, 300)
worlds = st.integers(1, 5)
shares = st.integers(1, 20)
kinds = st.sampled_from(OrderKind)


@given(kinds, samples, st.integers(-(2**40), 2**40), st.integers(0, 1000))
def test_an_epochs_order_is_a_permutation_of_seed_and_epoch(
    kind: OrderKind, samples: int, seed: int, epoch: int
) -> None:
    found = epoch_order(kind, samples, seed, epoch)(0, samples)
    assert found.dtype == np.int64 and np.array_equal(np.sort(found), np.arange(samples))
    assert np.array_equal(found, epoch_order(kind, samples, seed, epoch)(0, samples))


@pytest.mark.parametrize("kind", list(OrderKind))
def test_orders_differ(kind: OrderKind) -> None:
    def whole(seed: int, epoch: int) -> list[int]:
        return epoch_order(kind, 100, seed, epoch)(0, 100).tolist()

    assert whole(0, 0) != whole(0, 1) and whole(0, 0) != whole(1, 0) and whole(-1, 0) != whole(-2, 0)


def test_orders_never_change() -> None:
    """A resumed job must go on with the order it began with."""
    assert sorted_order(8, 42, 3).tolist() == [1, 6, 3, 4, 5, 2, 0, 7]
    assert epoch_order(OrderKind.SORTED, 8, 42, 3)(2, 5).tolist() == [3, 4, 5]
    assert epoch_order(OrderKind.COMPUTED, 8, 42, 3)(0, 8).tolist() == [4, 3, 6, 7, 0, 1, 2, 5]
    assert epoch_order(OrderKind.COMPUTED, 10**10, 42, 3)(10**10 - 2, 10**10 + 2).tolist() == [2901369140, 3741507267]


def test_a_new_job_sorts_what_fits(monkeypatch: pytest.MonkeyPatch) -> None:
    """ImageNet-1K and ImageNet-21K stay as they are."""
    assert {kind_for(size) for size in (1, 1_281_167, 14_197_122, LARGEST_SORTED)} == {OrderKind.SORTED}
    assert kind_for(LARGEST_SORTED + 1) == OrderKind.COMPUTED
    monkeypatch.setattr(order, "LARGEST_SORTED", 7)
    assert (kind_for(7), kind_for(8)) == (OrderKind.SORTED, OrderKind.COMPUTED)


@given(st.sampled_from([*OrderKind, None]), samples, shares, worlds, st.booleans())
def test_ranks_share_every_global_batch(
    kind: OrderKind | None, samples: int, share: int, world: int, drop_last: bool
) -> None:
    size = share * world
    taken = stored_order(samples) if kind is None else epoch_order(kind, samples, 0, 0)
    count = batch_count(samples, size, drop_last)
    ranks = [list(rank_batches(taken, size, range(count), rank, world)) for rank in range(world)]
    assert {len(batches) for batches in ranks} == {count}
    whole = taken(0, samples)
    for number, parts in enumerate(zip(*ranks, strict=True)):
        assert max(map(len, parts)) <= share
        assert np.array_equal(np.concatenate(parts), whole[number * size : (number + 1) * size])
