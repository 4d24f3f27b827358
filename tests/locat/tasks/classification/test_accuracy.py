"""Top-1 and top-5, over batches of any size, some of them empty."""

from collections.abc import Iterator

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import top_k_accuracy_score

from locat.contract.errors import DataError
from locat.data.batch import Batch
from locat.data.position import Position
from locat.tasks.classification.accuracy import Accuracy, tops


def batches(labels: torch.Tensor, sizes: list[int]) -> Iterator[tuple[Batch, Position]]:
    """Each image says in its first pixel which sample it is."""
    index = torch.arange(len(labels))
    for part in index.split(sizes):
        image = part.byte().view(-1, 1, 1, 1).expand(-1, 3, 2, 2)
        yield Batch((image,), labels[part], part), Position()


@given(seed=st.integers(0, 10_000), classes=st.sampled_from([3, 5, 6, 11]))
def test_the_share_of_images_that_is_right_is_scikit_learns(seed: int, classes: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(classes, (37,), generator=generator)
    logits = torch.randn((37, classes), generator=generator)
    accuracy = Accuracy(classes, torch.device("cpu"))
    for _ in range(2):  # an evaluation knows nothing of the one before
        found = accuracy.over(batches(labels, [16, 0, 16, 5]), lambda images: logits[images[:, 0, 0, 0].long()])
        assert found.keys() == ({"top1", "top5"} if classes > 5 else {"top1"})
        for name, value in found.items():
            right = top_k_accuracy_score(labels, logits, k=int(name[3:]), labels=range(classes), normalize=False)
            assert value == 100 * (np.float32(right) / np.float32(37)).item()


def test_an_evaluation_set_that_is_one_rank_short_of_images_is_refused_by_nobody() -> None:
    accuracy = Accuracy(10, torch.device("cpu"))
    labels = torch.tensor([3])
    found = accuracy.over(batches(labels, [1, 0]), lambda images: torch.eye(10)[[3] * len(images)])
    assert found == {"top1": pytest.approx(100), "top5": pytest.approx(100)}


@pytest.mark.parametrize(("classes", "told"), [(2, (1,)), (4, (1,)), (5, (1,)), (6, (1, 5)), (1000, (1, 5))])
def test_top_5_of_few_classes_is_left_out(classes: int, told: tuple[int, ...]) -> None:
    assert tops(classes) == told


def test_one_class_is_a_sentence() -> None:
    with pytest.raises(DataError, match="a single class, so that there is nothing to tell apart; give at least two"):
        Accuracy(1, torch.device("cpu"))
