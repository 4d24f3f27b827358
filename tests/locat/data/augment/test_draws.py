import torch

from locat.data import counter, views
from locat.data.augment.draws import Draws, change, to_normal
from locat.data.counter import STREAM, Key


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


def test_streams_and_several_draws_are_independent() -> None:
    draws = Draws(0, 0, torch.arange(20_000))
    several = draws.several(Key.ERASE_AREA, 3)
    columns = [*several.T, draws.uniform(Key.ERASE_AREA), draws.in_stream(1).uniform(Key.ERASE_AREA)]
    correlation = torch.corrcoef(torch.stack(columns[:3] + columns[4:]))
    assert (correlation - torch.eye(4)).abs().max() < 0.03
    assert not torch.equal(columns[3], columns[4])


def test_normal_numbers_are_finite_and_normal() -> None:
    assert torch.isfinite(to_normal(torch.tensor([0.0, 1 - 2**-53], dtype=torch.float64))).all()
    normal = Draws(0, 0, torch.arange(100_000)).normal(Key.RAND_MAGNITUDE)
    assert abs(normal.mean()) < 0.02 and abs(normal.std() - 1) < 0.02
    assert abs((normal.abs() < 1.96).double().mean() - 0.95) < 0.005


def test_keys_keep_their_values() -> None:
    expected = [*range(6), 42, 43, *range(64, 69), *range(80, 87), *range(96, 102), 112, 128, 129, 130, 131, 132]
    assert [key.value for key in Key] == expected, "seeded runs would come out otherwise"


def test_no_key_is_shared() -> None:
    crop = (Key.CROP_AREA, Key.CROP_ASPECT, Key.CROP_TOP, Key.CROP_LEFT)
    tries = {key + len(crop) * number for key in crop for number in range(views.ATTEMPTS)}
    keys = tries | {key.value for key in Key.__members__.values()}
    assert len(keys) == len(tries) + len(Key.__members__) - len(crop)
    assert max(keys) < STREAM


def test_change_touches_only_the_chosen_samples() -> None:
    images = torch.arange(4, dtype=torch.uint8).view(4, 1, 1, 1).repeat(1, 3, 2, 2)
    chosen = torch.tensor([True, False, True, False])
    change(images, chosen, lambda part, more: part + more.byte().view(-1, 1, 1, 1), torch.arange(4) * 10)
    assert images[:, 0, 0, 0].tolist() == [0, 1, 22, 3]
