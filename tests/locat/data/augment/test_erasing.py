import random

import numpy as np
import torch
from scipy import stats
from timm.data.random_erasing import RandomErasing

from locat.data.augment.draws import Draws
from locat.data.augment.erasing import Boxes, draw_boxes, erase

SIZE = 64
DRAWS = 10_000


def draws(count: int) -> Draws:
    return Draws(0, 0, torch.arange(count))


def test_boxes_are_distributed_as_timms() -> None:
    ours = draw_boxes(draws(DRAWS), 0.25, SIZE, SIZE)
    erasing = RandomErasing(0.25, mode="const", device="cpu")
    states = random.getstate()
    random.seed(0)
    theirs = []
    for _ in range(DRAWS):
        image = torch.ones(1, SIZE, SIZE)
        rows, columns = (erasing(image)[0] == 0).nonzero(as_tuple=True)
        if len(rows):
            theirs.append((rows.min(), columns.min(), rows.max() - rows.min() + 1, columns.max() - columns.min() + 1))
    random.setstate(states)
    erased = ours.height > 0
    table = [[int(erased.sum()), DRAWS - int(erased.sum())], [len(theirs), DRAWS - len(theirs)]]
    assert stats.chi2_contingency(table).pvalue > 0.01
    mine, other = np.array([column[erased].numpy() for column in ours]).T, np.array(theirs)
    for measure in (
        lambda box: box[:, 0],
        lambda box: box[:, 1],
        lambda box: box[:, 2] * box[:, 3],
        lambda box: box[:, 2] / box[:, 3],
    ):
        assert stats.ks_2samp(measure(mine), measure(other)).pvalue > 0.01
    grown = np.concatenate([mine[:, :2], mine[:, 2:] + 2], axis=1)
    assert stats.ks_2samp(grown[:, 2] * grown[:, 3], other[:, 2] * other[:, 3]).pvalue < 1e-3


def test_boxes_lie_inside() -> None:
    boxes = draw_boxes(draws(DRAWS), 1.0, 48, 20)
    assert (boxes.height < 48).all() and (boxes.width < 20).all()
    assert (boxes.top >= 0).all() and (boxes.top + boxes.height <= 48).all()
    assert (boxes.left >= 0).all() and (boxes.left + boxes.width <= 20).all()
    assert (boxes.top + boxes.height == 48).any() and (boxes.left + boxes.width == 20).any()


def test_noise_is_normal_and_fills_exactly_the_boxes() -> None:
    images = torch.full((64, 3, SIZE, SIZE), 9.0)
    boxes = draw_boxes(draws(64), 0.5, SIZE, SIZE)
    erase(images, boxes, draws(64))
    row, column = torch.arange(SIZE)[:, None], torch.arange(SIZE)
    for number, (top, left, height, width) in enumerate(zip(*boxes, strict=True)):
        inside = (row >= top) & (row < top + height) & (column >= left) & (column < left + width)
        assert ((images[number] != 9).all(dim=0) == inside).all()
    noise = images[images != 9]
    assert len(noise) > 10_000 and stats.kstest(noise.numpy()[:10_000], "norm").pvalue > 0.01
    one = next(number for number in range(64) if boxes.height[number])
    channels = images[one][:, images[one, 0] != 9]
    assert torch.corrcoef(channels).sub(torch.eye(3)).abs().max() < 0.2


def test_without_boxes_nothing_happens() -> None:
    images = torch.rand(3, 3, 8, 8)
    erased = images.clone()
    none = torch.zeros(3, dtype=torch.int64)
    erase(erased, Boxes(none, none, none, none), draws(3))
    assert torch.equal(erased, images)
