"""The permutation that is computed place by place: a bijection, uniform by tests that broken ones do not pass."""

import math
import tracemalloc
from collections.abc import Callable, Iterator

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from locat.data import counter, permutation
from locat.data.permutation import permuted

Permuted = Callable[[NDArray[np.int64], int, int, int], NDArray[np.int64]]
BLOCKS = 16
LIMIT = 5.0
"""Standard deviations; seeds are fixed, so that a test that passes once always does."""


@given(st.integers(1, 10**5), st.integers(-(2**63), 2**64), st.integers(0, 10**6))
@settings(max_examples=60)
def test_every_sample_has_one_place(samples: int, seed: int, epoch: int) -> None:
    found = permuted(np.arange(samples), samples, seed, epoch)
    assert (np.bincount(found, minlength=samples) == 1).all() and len(found) == samples


@pytest.mark.parametrize("samples", [1, 2, 3, 4, 5, 8, 9, 10, 16, 17, 99, 100, 101, 65_535, 65_536, 65_537])
def test_sizes_at_the_edges_of_the_square(samples: int) -> None:
    assert np.array_equal(np.sort(permuted(np.arange(samples), samples, 7, 1)), np.arange(samples))


@given(st.integers(1, 10**12), st.data())
def test_a_place_needs_no_other(samples: int, data: st.DataObject) -> None:
    places = data.draw(st.lists(st.integers(0, samples - 1), max_size=20, unique=True))
    found = permuted(np.array(places, np.int64), samples, 3, 4)
    assert found.tolist() == [int(permuted(np.array([place]), samples, 3, 4)[0]) for place in places]
    assert len(set(found.tolist())) == len(places) and ((found >= 0) & (found < samples)).all()


def test_ten_thousand_million_samples_need_no_memory() -> None:
    samples, batch = 10**10, 4096
    starts = np.random.default_rng(0).integers(0, samples - batch, 20)
    tracemalloc.start()
    try:
        for start in starts.tolist():
            found = permuted(np.arange(start, start + batch), samples, 1, 2)
            assert len(np.unique(found)) == batch and found.max() < samples and found.min() >= 0
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert most < 16 * 8 * batch, f"{most} bytes"


def test_its_words_are_those_of_all_random_numbers() -> None:
    index = np.array([0, 1, 2**40, 12345], np.uint64)
    drawn = counter.uniform(5, 6, torch.from_numpy(index.astype(np.int64)), 7)
    assert ((counter.words(5, 6, index, 7) >> np.uint64(11)) / 2**53).tolist() == drawn.tolist()


def test_it_is_uniform() -> None:
    assert list(faults(permuted)) == []


def without_epoch(places: NDArray[np.int64], samples: int, seed: int, epoch: int) -> NDArray[np.int64]:
    return permuted(places, samples, seed, 0)


def sheared(places: NDArray[np.int64], samples: int, seed: int, epoch: int) -> NDArray[np.int64]:
    """A bijection, but a line: what a shuffle must not be."""
    factor = next(f for f in range(samples // 3 + seed, samples) if math.gcd(f, samples) == 1)
    return (places * factor + epoch) % samples


def turned(places: NDArray[np.int64], samples: int, seed: int, epoch: int) -> NDArray[np.int64]:
    """Well shuffled, but each sample stays in its sixteenth."""
    size = max(1, samples // BLOCKS)
    block, inside = np.divmod(places, size)
    return np.where(block < BLOCKS, block * size + permuted(inside, size, seed, epoch), places)


@pytest.mark.parametrize("broken", [without_epoch, sheared, turned])
def test_a_permutation_that_is_not_uniform_is_found(broken: Permuted) -> None:
    assert next(faults(broken), "")


@pytest.mark.parametrize("rounds", [2, 4])
def test_too_few_rounds_are_found(rounds: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(permutation, "ROUNDS", rounds)
    assert next(faults(permuted), "")


def test_a_broken_network_is_no_permutation(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(permutation, "ROUNDS", 9)  # rows and columns are changed over
    whole = permuted(np.arange(90), 90, 0, 0)
    assert len(np.unique(whole)) < 90


def faults(take: Permuted) -> Iterator[str]:
    """Which statistics are further than LIMIT from what they are for permutations drawn uniformly."""
    for samples, places in ((5_000, 5_000), (10**10, 4_096)):
        orders = np.stack([take(np.arange(places), samples, seed, epoch) for seed in range(4) for epoch in range(8)])
        for name, value in statistics(orders, samples).items():
            if not abs(value) < LIMIT:
                yield f"{name} of {samples}: {value:.1f}"
    if not abs(value := of_five(take)) < LIMIT:
        yield f"all permutations of 5: {value:.1f}"


def statistics(orders: NDArray[np.int64], samples: int) -> dict[str, float]:
    """Standard deviations from uniform, of orders (epochs, places) of the first places of so many samples."""
    epochs, places = orders.shape
    table = np.zeros((BLOCKS, BLOCKS))
    at = np.broadcast_to(np.arange(places) * BLOCKS // places, orders.shape)
    np.add.at(table, (at, orders * BLOCKS // samples), 1)
    steps = np.diff(orders, axis=1) % samples
    scaled = orders / samples - 0.5
    before, after = scaled[:, :-1], scaled[:, 1:]
    same = (orders[1:] == orders[:-1]).sum()
    across = (scaled[1:] * scaled[:-1]).sum()
    return {
        "places": chi_square(table, (BLOCKS - 1) ** 2 if places == samples else BLOCKS * (BLOCKS - 1)),
        "adjacent differences": chi_square(np.bincount((steps * 64 // samples).ravel(), minlength=64), 63),
        "serial correlation": 12 * (before * after).sum() / math.sqrt(before.size),
        "correlation of epochs": 12 * across / math.sqrt(before.size),
        "places kept": (same - (epochs - 1) * places / samples) / math.sqrt((epochs - 1) * places / samples + 1),
    }


def chi_square(counts: NDArray[np.float64] | NDArray[np.int64], freedom: int) -> float:
    """Standard deviations of chi-square above its mean: too uniform is below."""
    expected = counts.mean()
    return float((((counts - expected) ** 2 / expected).sum() - freedom) / math.sqrt(2 * freedom))


def of_five(take: Permuted) -> float:
    """How evenly the 120 permutations of 5 come."""
    epochs = 3_000
    seen: dict[tuple[int, ...], int] = {}
    for epoch in range(epochs):
        key = tuple(take(np.arange(5), 5, 1, epoch).tolist())
        seen[key] = seen.get(key, 0) + 1
    counts = np.array([*seen.values(), *[0] * (math.factorial(5) - len(seen))])
    return chi_square(counts, len(counts) - 1)
