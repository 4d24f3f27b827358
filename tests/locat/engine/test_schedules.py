import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from locat.engine.schedules import one_cycle, triangular


def test_triangular_rises_to_the_peak_and_falls_to_the_end() -> None:
    rates = [triangular(step, total=100, warmup=20, start=1e-7, peak=1e-3, end=1e-7) for step in range(101)]
    assert rates[0] == 1e-7
    assert rates[20] == pytest.approx(1e-3)
    assert rates[10] == pytest.approx((1e-3 + 1e-7) / 2)
    assert rates[60] == pytest.approx((1e-3 + 1e-7) / 2)
    assert rates[100] == 1e-7


def test_no_warmup_starts_at_the_peak() -> None:
    assert triangular(0, total=10, warmup=0, start=0, peak=1, end=0) == 1


@given(total=st.integers(8, 400), peak=st.floats(1e-4, 1e-1))
def test_one_cycle_is_torchs(total: int, peak: float) -> None:
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    reference = torch.optim.lr_scheduler.OneCycleLR(
        optimizer,
        max_lr=peak,
        total_steps=total,
        pct_start=0.25,
        anneal_strategy="linear",
        div_factor=1e4,
        final_div_factor=1e4,
        cycle_momentum=False,
    )
    for step in range(total):
        assert one_cycle(step, total=total, peak=peak) == pytest.approx(optimizer.param_groups[0]["lr"], rel=1e-6)
        optimizer.step()
        if step + 1 < total:
            reference.step()
