"""What `schedule` in a config makes of the learning rate: timm's own curves, as functions of the step alone."""

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from timm.scheduler import CosineLRScheduler, StepLRScheduler
from timm.scheduler.scheduler import Scheduler

from locat.config.tasks import DinoConfig, SupervisedConfig
from locat.config.training import Schedule
from locat.engine.schedules import cosine, learning_rate, triangular

PEAK, LEAST = 0.3, 1e-4
REQUIRED = {
    "task": "supervised",
    "model": {"name": "locatvit_tiny"},
    "data": {"train": "none", "val": "none"},
    "epochs": 1,
    "batch_size": 1,
}


def rates(schedule: Schedule, total: int, steps_per_epoch: int) -> list[float]:
    config = SupervisedConfig.model_validate({**REQUIRED, "schedule": schedule, "optimizer": {"lr": PEAK}})
    return [learning_rate(step, config, total=total, steps_per_epoch=steps_per_epoch) for step in range(total)]


@settings(max_examples=25, deadline=None)
@given(
    name=st.sampled_from(["triangular", "cosine", "constant", "step"]),
    epochs=st.integers(1, 12),
    steps_per_epoch=st.integers(1, 30),
    warmup_steps=st.none() | st.integers(0, 100),
    warmup_epochs=st.floats(0, 12),
)
def test_rates_lie_between_zero_and_the_peak_and_the_warmup_ends_where_it_is_said_to(
    name: Any, epochs: int, steps_per_epoch: int, warmup_steps: int | None, warmup_epochs: float
) -> None:
    falls = {"step_epochs": 2.5} if name == "step" else {}
    schedule = Schedule(name=name, warmup_steps=warmup_steps, warmup_epochs=warmup_epochs, min_lr=LEAST, **falls)
    found = rates(schedule, total := epochs * steps_per_epoch, steps_per_epoch)
    assert all(0 <= rate <= PEAK * (1 + 1e-12) for rate in found)
    warmup = warmup_epochs * steps_per_epoch if warmup_steps is None else warmup_steps
    before = found[: round(warmup) if name == "cosine" else int(warmup)]
    assert before == sorted(before)
    after = found[len(before) + 1 :]
    assert after == sorted(after, reverse=True)
    if warmup_steps is not None and warmup_steps < total:
        assert found[warmup_steps] == pytest.approx(PEAK)
        assert all(rate < PEAK for rate in found[: max(0, warmup_steps - 1)])


def by_timm(scheduler: Scheduler, optimizer: torch.optim.Optimizer, total: int) -> list[float]:
    found = []
    for step in range(total):
        scheduler.step_update(step)
        found.append(optimizer.param_groups[0]["lr"])
    return found


@settings(max_examples=25, deadline=None)
@given(steps_per_epoch=st.integers(1, 20), warmup=st.integers(0, 30))
def test_cosine_and_step_are_timms(steps_per_epoch: int, warmup: int) -> None:
    total = 10 * steps_per_epoch
    warmup = min(warmup, total - 1)
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=PEAK)
    shared: dict[str, Any] = {"warmup_t": warmup, "t_in_epochs": False}
    expected = by_timm(
        CosineLRScheduler(optimizer, total - warmup, LEAST, warmup_prefix=True, **shared), optimizer, total
    )
    found = rates(Schedule(name="cosine", warmup_steps=warmup, min_lr=LEAST), total, steps_per_epoch)
    assert found[warmup:] == pytest.approx(expected[warmup:], rel=1e-9)  # DINO's warm-up ends a step earlier
    falls = StepLRScheduler(optimizer, decay_t=3 * steps_per_epoch, decay_rate=0.5, warmup_lr_init=LEAST, **shared)
    expected = by_timm(falls, optimizer, total)
    schedule = Schedule(name="step", step_epochs=3.0, step_factor=0.5, warmup_steps=warmup, min_lr=LEAST)
    assert rates(schedule, total, steps_per_epoch) == pytest.approx(expected, rel=1e-9)


def test_the_papers_defaults_are_to_the_bit_what_they_were() -> None:
    found = rates(Schedule(), 300, 10)
    curve = {"total": 300, "warmup": 20 * 10, "start": 1e-7, "peak": PEAK, "end": 1e-7}
    assert found == [triangular(step, **curve) for step in range(300)]
    assert DinoConfig.model_fields["schedule"].default.name == "cosine"
    dino = DinoConfig.model_validate(
        {
            "task": "dino",
            "model": {"name": "vit"},
            "data": {"train": "t", "val": "v"},
            "epochs": 1,
            "batch_size": 8,
            "schedule": {"warmup_epochs": 2.26, "min_lr": 1e-6},
        }
    ).schedule
    assert rates(dino, 300, 10) == [cosine(step, total=300, start=PEAK, end=1e-6, warmup=23) for step in range(300)]


def test_a_constant_rate_is_the_peak_after_its_warmup() -> None:
    assert rates(Schedule(name="constant", warmup_steps=2, min_lr=0.0), 5, 1) == [0.0, PEAK / 2, PEAK, PEAK, PEAK]
