import torch

from locat.tasks.loaders import at_least_one


def test_a_rank_without_images_gets_a_blank_one() -> None:
    blank = at_least_one(torch.empty(0, 3, 4, 5, dtype=torch.uint8))
    assert blank.shape == (1, 3, 4, 5)
    assert blank.dtype == torch.uint8
    assert not blank.any()


def test_images_pass() -> None:
    images = torch.ones(2, 3, 4, 5)
    assert at_least_one(images) is images
