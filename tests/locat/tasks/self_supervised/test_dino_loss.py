import math
from collections.abc import Iterator

import pytest
import torch
from torch import Tensor

from locat.config.augmentation import Temperatures
from locat.engine.distributed import join_ranks
from locat.tasks.self_supervised.dino_loss import Centre, dino_loss

TEMPERATURES = Temperatures(student=0.1, teacher=0.04)


@pytest.fixture(scope="module", autouse=True)
def group_of_one() -> Iterator[None]:
    with join_ranks():
        yield


def literal(student: Tensor, teacher: Tensor, centre: Tensor) -> float:
    """H(P_t(x), P_s(x')) of every x of the teacher and x' != x, image by image, in Python's own arithmetic."""

    def softmax(values: list[float], temperature: float) -> list[float]:
        highest = max(values)
        powers = [math.exp((value - highest) / temperature) for value in values]
        return [power / sum(powers) for power in powers]

    pairs = []
    for t in range(len(teacher)):
        for s in range(len(student)):
            if s == t:
                continue
            for image in range(student.shape[1]):
                target = softmax((teacher[t, image] - centre).tolist(), TEMPERATURES.teacher)
                guess = softmax(student[s, image].tolist(), TEMPERATURES.student)
                pairs.append(-sum(p * math.log(q) for p, q in zip(target, guess, strict=True)))
    return sum(pairs) / len(pairs)


@pytest.mark.parametrize("views", [2, 5])
def test_the_loss_is_its_formula(views: int) -> None:
    torch.manual_seed(views)
    student, teacher = torch.randn(views, 3, 7) / 3, torch.randn(2, 3, 7) / 3
    centre = torch.randn(7) / 5
    expected = literal(student.double(), teacher.double(), centre.double())
    assert dino_loss(student, teacher, centre, TEMPERATURES).item() == pytest.approx(expected, rel=1e-5)
    assert dino_loss(student.double(), teacher.double(), centre.double(), TEMPERATURES).item() == pytest.approx(
        expected, rel=1e-12
    )


def test_the_loss_of_half_precision_outputs_is_computed_in_float32() -> None:
    student, teacher = torch.randn(4, 3, 7).bfloat16(), torch.randn(2, 3, 7).bfloat16()
    centre = torch.randn(7)
    with torch.autocast("cpu", torch.bfloat16):
        loss = dino_loss(student, teacher, centre, TEMPERATURES)
    assert loss.dtype == torch.float32
    assert loss.item() == pytest.approx(literal(student.double(), teacher.double(), centre.double()), rel=1e-4)


def test_only_the_student_learns_and_not_from_a_pair_of_the_same_view() -> None:
    student, teacher = torch.randn(2, 3, 7, requires_grad=True), torch.randn(1, 3, 7)
    dino_loss(student, teacher, torch.zeros(7), TEMPERATURES).backward()
    assert student.grad is not None
    assert not student.grad[0].any()
    # d/ds of the cross entropy: (softmax(s) - target) / temperature, over 3 images.
    difference = (student[1].detach() / 0.1).softmax(-1) - (teacher[0] / 0.04).softmax(-1)
    torch.testing.assert_close(student.grad[1], difference / 0.1 / 3, rtol=1e-4, atol=1e-5)


def test_the_centre_is_the_moving_average_of_the_batchs_mean_whatever_the_micro_batches() -> None:
    centre = Centre(5, 0.9, torch.device("cpu"))
    expected = torch.zeros(5, dtype=torch.float64)
    for step in range(4):
        teacher = torch.randn(2, 12, 5)
        for micro_batch in teacher.split(5 + step, dim=1):
            centre.see(micro_batch)
        centre.update(dropped=torch.tensor(0.0))
        expected = 0.9 * expected + 0.1 * teacher.double().mean((0, 1))
        torch.testing.assert_close(centre.value.double(), expected, rtol=1e-5, atol=1e-6)


def test_the_centre_forgets_what_an_update_saw_that_was_dropped() -> None:
    centre = Centre(2, 0.9, torch.device("cpu"))
    centre.see(torch.full((2, 3, 2), torch.nan))
    centre.update(dropped=torch.tensor(1.0))
    assert centre.value.tolist() == [0, 0]
    centre.see(torch.ones(2, 3, 2))
    centre.update(dropped=torch.tensor(0.0))
    torch.testing.assert_close(centre.value, torch.full((2,), 0.1))
