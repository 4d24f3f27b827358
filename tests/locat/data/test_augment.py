import torch

from locat.data import counter
from locat.data.augment import normalize, random_shift, reflect


def test_draws_are_uniform_and_independent_of_their_neighbours() -> None:
    index = torch.arange(100_000)
    draws = counter.uniform(0, 0, index, 0)
    assert draws.dtype == torch.float64 and draws.min() >= 0 and draws.max() < 1
    assert torch.histc(draws, 10, 0, 1).sub(10_000).abs().max() < 500  # five standard deviations
    for other in (counter.uniform(1, 0, index, 0), counter.uniform(0, 1, index, 0), counter.uniform(0, 0, index, 1)):
        assert torch.corrcoef(torch.stack([draws, other]))[0, 1].abs() < 0.02
    assert torch.corrcoef(torch.stack([draws[1:], draws[:-1]]))[0, 1].abs() < 0.02


def test_draws_never_change() -> None:
    assert counter.integers(1, 2, torch.arange(8), 3, -4, 4).tolist() == [2, 2, 4, -2, -1, 2, 1, 1]


def test_integers_reach_both_ends() -> None:
    assert set(counter.integers(0, 0, torch.arange(1000), 0, -2, 2).tolist()) == {-2, -1, 0, 1, 2}


def test_mixing_is_that_of_splitmix64() -> None:
    words = torch.tensor([0, 1, -1, 2**62, -(2**63)])
    mixed = counter._mix_tensor(words)
    assert [word % 2**64 for word in mixed.tolist()] == [counter._mix(word % 2**64) for word in words.tolist()]
    assert counter._mix(0) == 0xE220A8397B1DCDAF  # first output of the published generator with seed 0


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


def test_normalize() -> None:
    images = torch.tensor([0, 255], dtype=torch.uint8).view(1, 2, 1, 1)
    assert torch.allclose(normalize(images, (0.5, 0.5), (0.5, 0.25)).flatten(), torch.tensor([-1.0, 2.0]))
