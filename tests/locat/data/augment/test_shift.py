import torch

from locat.config.augmentation import Shift
from locat.data import counter
from locat.data.augment.normalise import normalize
from locat.data.augment.shift import ShiftTransform, random_shift, reflect


def test_reflect() -> None:
    assert reflect(torch.arange(-3, 8), 5).tolist() == [3, 2, 1, 0, 1, 2, 3, 4, 3, 2, 1]


def test_a_shift_is_a_crop_of_the_mirrored_image() -> None:
    images = torch.randint(0, 256, (20, 3, 16, 12), dtype=torch.uint8)
    index = torch.arange(20)
    shifted = random_shift(images, index, seed=0, epoch=0, pixels=3)
    padded = torch.nn.functional.pad(images.float(), (3, 3, 3, 3), mode="reflect").byte()
    down = counter.integers(0, 0, index, 0, -3, 3)
    right = counter.integers(0, 0, index, 1, -3, 3)
    for row in range(20):
        top, left = 3 - int(down[row]), 3 - int(right[row])
        assert torch.equal(shifted[row], padded[row, :, top : top + 16, left : left + 12])
    assert torch.equal(random_shift(images, index, seed=0, epoch=0, pixels=0), images)


def test_pixels_of_a_sample_depend_on_seed_epoch_and_sample_alone() -> None:
    images = torch.randint(0, 256, (8, 3, 16, 16), dtype=torch.uint8)
    index = torch.tensor([5, 900, 3, 77, 1, 0, 42, 8])
    whole = random_shift(images, index, seed=1, epoch=2, pixels=4)
    order = torch.tensor([6, 2, 7])
    assert torch.equal(random_shift(images[order], index[order], seed=1, epoch=2, pixels=4), whole[order])
    assert not torch.equal(random_shift(images, index, seed=1, epoch=3, pixels=4), whole)
    assert torch.equal(random_shift(images[:0], index[:0], seed=1, epoch=2, pixels=4), whole[:0])


def test_the_recipe_shifts_normalises_and_smooths() -> None:
    images = torch.randint(256, (3, 3, 8, 8), generator=torch.Generator().manual_seed(0)).byte()
    mean, std, index = (0.5, 0.4, 0.3), (0.2, 0.3, 0.4), torch.arange(3)
    transform = ShiftTransform(Shift(name="shift", pixels=2), 4, 0.1, mean, std, seed=5)
    varied, targets = transform(images, torch.tensor([0, 3, 1]), index, epoch=6, batch=0)
    shifted = random_shift(images, index, seed=5, epoch=6, pixels=2)
    assert torch.equal(varied, normalize(shifted, mean, std)) and not torch.equal(shifted, images)
    torch.testing.assert_close(targets.sum(dim=1), torch.ones(3))
    torch.testing.assert_close(targets[1], torch.tensor([0.025, 0.025, 0.025, 0.925]))
