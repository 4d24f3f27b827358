import numpy as np
import pytest
import torch
from scipy import stats
from timm.data.mixup import Mixup, mixup_target

from locat.data.augment.mixup import Box, Mix, draw_mix, groups, mix_images, mix_targets, neighbours

SIZE = 32
BATCHES = 5_000


def draw(batch: int, mixup: float = 0.8, cutmix: float = 1.0) -> Mix:
    return draw_mix(mixup=mixup, cutmix=cutmix, height=SIZE, width=SIZE, seed=0, epoch=0, batch=batch)


def drawn_by_timm(mixup: float, cutmix: float) -> tuple[list[float], list[tuple[float, float, float]]]:
    """The shares of mixup; of cutmix the share, and the first row and column of the box."""
    mixing = Mixup(mixup_alpha=mixup, cutmix_alpha=cutmix, prob=1.0, switch_prob=0.5, mode="batch", correct_lam=True)
    mixed, cut = [], []
    state = np.random.get_state()
    np.random.seed(0)
    for _ in range(BATCHES):
        images = torch.stack([torch.zeros(1, SIZE, SIZE), torch.ones(1, SIZE, SIZE)])
        share = mixing._mix_batch(images)
        if set(images[0].flatten().tolist()) <= {0.0, 1.0}:
            rows, columns = images[0, 0].nonzero(as_tuple=True)
            cut.append((share, float(rows.min()), float(columns.min())) if len(rows) else (share, -1.0, -1.0))
        else:
            mixed.append(share)
    np.random.set_state(state)
    return mixed, cut


def test_shares_and_boxes_are_distributed_as_timms() -> None:
    mixed, cut = drawn_by_timm(0.8, 1.0)
    ours = [draw(batch) for batch in range(BATCHES)]
    shares = [mix.share for mix in ours if mix.box is None]
    boxes = [mix for mix in ours if mix.box is not None]
    assert stats.chi2_contingency([[len(shares), len(boxes)], [len(mixed), len(cut)]]).pvalue > 0.01
    assert stats.ks_2samp(shares, mixed).pvalue > 0.01
    other_alpha = [draw(batch, mixup=1.2, cutmix=0.0).share for batch in range(BATCHES)]
    assert stats.ks_2samp(other_alpha, mixed).pvalue < 1e-3
    theirs = np.array(cut)
    assert stats.ks_2samp([mix.share for mix in boxes], theirs[:, 0]).pvalue > 0.01
    seen = [mix.box for mix in boxes if mix.share < 1]
    for place, column in (("top", 1), ("left", 2)):
        starts = [getattr(box, place) for box in seen]
        assert stats.ks_2samp(starts, theirs[theirs[:, 1] >= 0, column]).pvalue > 0.01


def test_one_alpha_alone_is_always_taken() -> None:
    assert all(draw(batch, cutmix=0).box is None for batch in range(50))
    assert all(draw(batch, mixup=0).box is not None for batch in range(50))
    assert draw(0, mixup=0, cutmix=0) == Mix(1.0, None)


def test_the_share_is_that_of_the_pixels() -> None:
    images = torch.stack([torch.zeros(3, SIZE, SIZE), torch.ones(3, SIZE, SIZE)])
    for batch in range(50):
        mix = draw(batch)
        assert torch.allclose(mix_images(images, mix)[1].mean(), torch.tensor(mix.share), atol=1e-5)


@pytest.mark.parametrize("mix", [Mix(0.3, None), Mix(0.75, Box(0, 16, 8, 24))])
def test_a_pair_is_mixed_as_timm_mixes_a_batch_of_two(mix: Mix) -> None:
    images, labels = torch.rand(6, 3, SIZE, SIZE), torch.tensor([3, 1, 4, 1, 0, 2])
    mixed, targets = mix_images(images, mix), mix_targets(labels, mix, 5, 0.1)
    for start in (0, 2, 4):
        pair = images[start : start + 2]
        if mix.box is None:
            expected = pair * mix.share + pair.flip(0) * (1 - mix.share)
        else:
            expected = pair.clone()
            expected[:, :, 0:16, 8:24] = pair.flip(0)[:, :, 0:16, 8:24]
        assert torch.allclose(mixed[start : start + 2], expected, atol=1e-6)
        theirs = mixup_target(labels[start : start + 2], 5, mix.share, 0.1)
        assert torch.equal(targets[start : start + 2], theirs)
    assert torch.allclose(targets.sum(dim=1), torch.ones(6))


def test_even_pieces_are_mixed_as_the_whole() -> None:
    images, labels = torch.rand(8, 3, SIZE, SIZE), torch.arange(8)
    for mix in (Mix(0.3, None), draw(0, mixup=0)):
        whole = mix_images(images, mix), mix_targets(labels, mix, 8, 0.1)
        for size in (2, 4, 6):
            assert torch.equal(torch.cat([mix_images(part, mix) for part in images.split(size)]), whole[0])
            assert torch.equal(torch.cat([mix_targets(part, mix, 8, 0.1) for part in labels.split(size)]), whole[1])


def test_the_last_of_an_odd_batch_stays_as_it_is() -> None:
    assert neighbours(5, torch.device("cpu")).tolist() == [1, 0, 3, 2, 4]
    images = torch.rand(3, 3, SIZE, SIZE)
    assert torch.allclose(mix_images(images, Mix(0.3, None))[2], images[2])


def test_draws_depend_on_seed_epoch_and_batch() -> None:
    keys = [{"seed": 0, "epoch": 0, "batch": 0}, {"seed": 1, "epoch": 0, "batch": 0}]
    keys += [{"seed": 0, "epoch": 1, "batch": 0}, {"seed": 0, "epoch": 0, "batch": 1}]
    drawn = [draw_mix(mixup=0.8, cutmix=0, height=SIZE, width=SIZE, **key).share for key in keys]
    assert len(set(drawn)) == 4
    assert drawn[0] == draw_mix(mixup=0.8, cutmix=0, height=SIZE, width=SIZE, **keys[0]).share


@pytest.mark.parametrize(("start", "count", "size"), [(0, 12, None), (0, 12, 4), (2, 6, 4), (6, 2, 4), (4, 6, 512)])
def test_a_sample_is_in_the_group_of_its_place_in_the_batch(start: int, count: int, size: int | None) -> None:
    numbers = [number for number, many in groups(start, count, size) for _ in range(many)]
    assert numbers == [place // size if size else 0 for place in range(start, start + count)]


def test_groups_are_drawn_apart_and_the_first_as_the_whole_batch() -> None:
    key = {"seed": 0, "epoch": 0, "batch": 3, "height": SIZE, "width": SIZE}
    shares = [draw_mix(mixup=0.8, cutmix=0, **key, group=group).share for group in range(4)]
    assert len(set(shares)) == 4 and shares[0] == draw_mix(mixup=0.8, cutmix=0, **key).share
