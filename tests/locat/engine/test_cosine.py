import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from locat.engine.schedules import cosine


@given(total=st.integers(2, 300), warmup=st.integers(0, 200), start=st.floats(1e-4, 1), end=st.floats(0, 1))
def test_cosine_is_the_array_that_dino_makes(total: int, warmup: int, start: float, end: float) -> None:
    warmup = min(warmup, total - 1)
    falling = np.arange(total - warmup)
    half = end + 0.5 * (start - end) * (1 + np.cos(np.pi * falling / len(falling)))
    expected = np.concatenate([np.linspace(0, start, warmup), half])
    found = [cosine(step, total=total, start=start, end=end, warmup=warmup) for step in range(total)]
    assert found == pytest.approx(expected.tolist(), rel=1e-9, abs=1e-12)


def test_cosine_passes_the_middle_half_way() -> None:
    assert cosine(50, total=100, start=0.04, end=0.4) == pytest.approx(0.22)
    assert cosine(100, total=100, start=0.996, end=1.0) == 1.0
