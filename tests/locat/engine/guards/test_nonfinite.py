import math

import pytest
import torch
from torch import nn

from locat.engine.distributed import join_ranks
from locat.engine.guards.nonfinite import Guard, spoil_if_not_finite

CPU = torch.device("cpu")
FINITE = torch.tensor(True)
GOOD, BAD = torch.tensor(1.0), torch.tensor(math.nan)


def guard(allowed: int = 0, tolerated: int = 0) -> Guard:
    return Guard(nn.Linear(1, 1), allowed, tolerated, CPU)


def judged(guard: Guard, *norms: torch.Tensor) -> list[bool]:
    """Which updates are dropped."""
    return [bool(guard.judge(norm, FINITE)) for norm in norms]


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_after_the_first_one_too_many_nothing_moves_any_more(bad: float) -> None:
    watched = guard()
    assert judged(watched, GOOD, torch.tensor(bad), GOOD, GOOD) == [False, True, True, True]
    assert watched.findings().since_last_good == 3


def test_as_many_as_allowed_are_left_out_and_counted() -> None:
    watched = guard(allowed=2)
    assert judged(watched, BAD, GOOD, BAD, GOOD) == [True, False, True, False]
    assert watched.findings().since_last_good is None
    assert watched.findings().dropped == 2
    assert judged(watched, GOOD, BAD, GOOD) == [False, True, True]
    assert watched.findings().since_last_good == 2


def test_a_restart_goes_on_counting() -> None:
    watched = guard(allowed=2)
    watched.resume(dropped=2, in_a_row=0)
    assert judged(watched, BAD, GOOD) == [True, True]


def test_a_restart_does_not_let_a_loss_scaler_look_anew() -> None:
    """Restarted often enough a diverged job would else never end."""
    first = guard(tolerated=3)
    assert judged(first, BAD, BAD) == [True, True]
    second = guard(tolerated=3)
    second.resume(first.findings().dropped, first.findings().in_a_row)
    assert judged(second, BAD, BAD) == [True, True]
    assert second.findings().since_last_good == 1
    assert judged(second, GOOD, BAD) == [True, True]
    assert second.findings().in_a_row == 4, "as of the update that was one too many"


def test_a_loss_scaler_may_look_for_its_scale() -> None:
    watched = guard(tolerated=2)
    assert judged(watched, BAD, BAD, GOOD, BAD, BAD, GOOD) == [True, True, False, True, True, False]
    assert watched.findings().dropped == 0
    assert judged(watched, BAD, BAD, BAD, GOOD) == [True, True, True, True]
    assert watched.findings().since_last_good == 2


def test_a_loss_scaler_is_no_excuse_for_a_loss_that_is_not_finite() -> None:
    watched = guard(tolerated=2)
    assert watched.judge(BAD, ~FINITE)
    assert watched.findings().since_last_good == 1


def test_fewer_allowed_than_were_dropped_before_accuses_no_good_update() -> None:
    watched = guard(allowed=0)
    watched.resume(dropped=2, in_a_row=0)
    assert judged(watched, GOOD, BAD, GOOD) == [False, True, True]
    assert watched.findings().since_last_good == 2


def test_batch_statistics_that_were_loaded_are_what_a_dropped_update_goes_back_to() -> None:
    with join_ranks():
        model = nn.Sequential(nn.BatchNorm1d(2))
        watched = Guard(model, 5, 0, CPU)
        model[0].running_mean.fill_(7)
        watched.resume(dropped=0, in_a_row=0)
        model(torch.full((8, 2), math.nan))
        watched.judge(BAD, ~FINITE)
        assert model[0].running_mean.tolist() == [7, 7]


def test_batch_statistics_of_a_dropped_update_are_taken_back() -> None:
    with join_ranks():
        take_back()


def take_back() -> None:
    model = nn.Sequential(nn.BatchNorm1d(2))
    watched = Guard(model, 5, 0, CPU)
    model(torch.randn(8, 2))
    watched.judge(GOOD, FINITE)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    model(torch.full((8, 2), math.nan))
    watched.judge(BAD, ~FINITE)
    for name, value in model.state_dict().items():
        assert torch.equal(value, before[name])
    model(torch.randn(8, 2))
    watched.judge(GOOD, FINITE)
    assert not torch.equal(model.state_dict()["0.running_mean"], before["0.running_mean"])


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_loss_that_is_not_finite_has_no_finite_gradient(value: float) -> None:
    weight = torch.ones(2, requires_grad=True)
    spoil_if_not_finite(0 * weight.sum() + value).backward()
    assert weight.grad.isnan().all()


def test_a_finite_loss_stays_as_it_is() -> None:
    weight = torch.tensor(0.1, requires_grad=True)
    loss = spoil_if_not_finite(weight * 3)
    loss.backward()
    assert torch.equal(loss, torch.tensor(0.1) * 3)
    assert weight.grad == 3
