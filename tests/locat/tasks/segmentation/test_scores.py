import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, confusion_matrix, jaccard_score, recall_score

from locat.data.labels import IGNORED
from locat.models.segmentation_head import SegmentationHead
from locat.tasks.segmentation.scores import Confusion, segmentation_scores


@given(seed=st.integers(0, 10_000), classes=st.integers(3, 9), absent=st.booleans(), ignored=st.booleans())
def test_scores_are_scikit_learns(seed: int, classes: int, absent: bool, ignored: bool) -> None:
    generator = torch.Generator().manual_seed(seed)
    highest = classes - 1 if absent else classes
    truth = torch.randint(highest, (2, 7, 5), generator=generator).byte()
    prediction = torch.randint(highest, (2, 7, 5), generator=generator).byte()
    if ignored:
        truth[0, 0] = IGNORED
    confusion = Confusion(classes)
    confusion.add(prediction, truth)
    scores = segmentation_scores(confusion.reduce())
    known = truth != IGNORED
    true, predicted = truth[known].numpy(), prediction[known].numpy()
    present = np.union1d(true, predicted)
    assert scores["miou"] == pytest.approx(jaccard_score(true, predicted, labels=present, average="macro"))
    assert scores["aacc"] == pytest.approx(accuracy_score(true, predicted))
    assert scores["macc"] == pytest.approx(recall_score(true, predicted, labels=np.unique(true), average="macro"))


def test_the_head_is_the_protocols() -> None:
    head = SegmentationHead(8, 512, 11)
    assert [type(layer).__name__ for layer in head] == ["Conv2d", "GroupNorm", "GELU", "Conv2d"]
    assert head(torch.zeros(2, 8, 3, 4)).shape == (2, 11, 3, 4)
    assert sum(parameter.numel() for parameter in head.parameters()) == 8 * 512 + 2 * 512 + 512 * 11 + 11


@given(seed=st.integers(0, 10_000))
def test_the_confusion_matrix_is_scikit_learns_whatever_the_batches(seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    truth = torch.randint(6, (5, 7, 5), generator=generator).byte()
    prediction = torch.randint(6, (5, 7, 5), generator=generator).byte()
    truth[1:3, :4] = IGNORED
    confusion = Confusion(6)
    for part, predicted in zip(truth.split([2, 0, 3]), prediction.split([2, 0, 3]), strict=True):
        confusion.add(predicted, part)
    known = truth != IGNORED
    expected = confusion_matrix(truth[known].numpy(), prediction[known].numpy(), labels=range(6))
    assert np.array_equal(confusion.reduce().numpy(), expected)
