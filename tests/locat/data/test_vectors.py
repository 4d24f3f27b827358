import numba
import numpy as np
import pytest

from locat.data.vectors import LANES, PRECISION, TILE, turn, weigh


@numba.njit  # type: ignore[untyped-decorator]
def turned(rows: np.ndarray, out: np.ndarray) -> None:
    turn(rows, rows.shape[1], out, out.shape[1])


@numba.njit  # type: ignore[untyped-decorator]
def weighed(rows: np.ndarray, weights: np.ndarray, out: np.ndarray) -> None:
    weigh(rows, rows.shape[1], weights, len(weights), out)


def test_a_tile_is_turned_and_nothing_beside_it() -> None:
    rows = np.random.default_rng(0).integers(0, 256, (TILE, TILE + 5), np.uint8)
    out = np.zeros((TILE, TILE + 3), np.uint8)
    turned(rows, out)
    assert np.array_equal(out[:, :TILE], rows[:, :TILE].T)
    assert not out[:, TILE:].any()


@pytest.mark.parametrize("count", [0, 1, 5])
def test_weighted_rows_are_rounded_and_kept_within_a_byte(count: int) -> None:
    random = np.random.default_rng(count)
    rows = random.integers(0, 256, (count, LANES + 7), np.uint8)
    most = (2 << PRECISION) // max(count, 1)
    weights = random.integers(-most, most, count, np.int32)
    out = np.zeros(LANES + 1, np.uint8)
    weighed(rows, weights, out)
    exact = weights.astype(np.int64) @ rows[:, :LANES].astype(np.int64) + (1 << (PRECISION - 1))
    assert np.array_equal(out[:LANES], np.clip(exact >> PRECISION, 0, 255))
    assert out[LANES] == 0
