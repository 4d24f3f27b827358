import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from timm.data.mixup import mixup_target
from timm.data.transforms_factory import transforms_imagenet_train

from locat.config.augmentation import ImageNetAugmentation
from locat.data.augment import ImageNetTransform, normalize
from locat.data.batch import Batch
from support.pil_reference import pictures

MEAN, STD = (0.5, 0.4, 0.3), (0.5, 0.25, 0.2)
INDEX = torch.tensor([5, 900, 3, 77, 1, 0, 42, 8, 1_281_166, 6])
IMAGES = pictures(24, 32).repeat(2, 1, 1, 1)
LABELS = INDEX % 7


JITTERED = ImageNetAugmentation(colour_jitter=0.4)


def transform(config: ImageNetAugmentation | None = None, seed: int = 1) -> ImageNetTransform:
    return ImageNetTransform(config or JITTERED, 7, 0.1, MEAN, STD, seed)


WHOLE = transform().vary(IMAGES, INDEX, 2)


@given(st.lists(st.integers(0, 9), max_size=10, unique=True), st.booleans())
@settings(max_examples=40, deadline=None)
def test_pixels_before_mixup_depend_on_seed_epoch_and_sample_alone(rows: list[int], channels_last: bool) -> None:
    part = torch.tensor(rows, dtype=torch.int64)
    layout = torch.channels_last if channels_last else torch.contiguous_format
    varied = transform().vary(IMAGES[part].contiguous(memory_format=layout), INDEX[part], 2)
    assert torch.equal(varied, WHOLE[part])


@pytest.mark.parametrize("other", [{"seed": 2}, {"epoch": 3}, {"index": INDEX + 1}])
def test_another_seed_epoch_or_sample_gives_other_pixels(other: dict[str, int]) -> None:
    varied = transform(seed=other.get("seed", 1)).vary(IMAGES, other.get("index", INDEX), other.get("epoch", 2))
    assert (varied != WHOLE).flatten(1).any(dim=1).all()


@given(st.sampled_from([2, 4, 6, 8]), st.integers(0, 20), st.sampled_from([None, 2, 4, 6]))
@settings(max_examples=25, deadline=None)
def test_even_pieces_of_a_batch_give_what_the_whole_gives(size: int, batch: int, group: int | None) -> None:
    varying = transform(ImageNetAugmentation(mixup_group=group))
    images, target = varying(IMAGES, LABELS, INDEX, 2, batch)
    whole = Batch((IMAGES,), LABELS, INDEX)
    pieces = [varying(part.image, part.target, part.index, 2, batch, part.start) for part in whole.split(size)]
    assert torch.equal(torch.cat([piece[0] for piece in pieces]), images)
    assert torch.equal(torch.cat([piece[1] for piece in pieces]), target)


def test_a_group_has_a_coefficient_of_its_own_as_a_gpu_of_the_release() -> None:
    """Targets of a batch cut into 4, 4 and 2 images, each mixed by timm with that group's own draw."""
    varying = transform(ImageNetAugmentation(mixup_group=4))
    _, target = varying(IMAGES, LABELS, INDEX, 2, 0)
    shares = [varying.draw_mix(2, 0, 24, 32, group).share for group in range(3)]
    assert len(set(shares)) == 3
    for place in range(0, 10, 2):
        pair = slice(place, place + 2)
        assert torch.equal(target[pair], mixup_target(LABELS[pair], 7, shares[place // 4], 0.1))


def test_images_and_targets_are_mixed_alike() -> None:
    images, target = transform()(IMAGES, LABELS, INDEX, 2, 0)
    mix = transform().draw_mix(2, 0, 24, 32)
    assert images.dtype == target.dtype == torch.float32
    assert images.shape == IMAGES.shape and target.shape == (10, 7)
    assert torch.equal(target[:2], mixup_target(LABELS[:2], 7, mix.share, 0.1))
    assert not torch.equal(images, WHOLE)


def test_noise_is_put_on_the_mixed_normalised_image_as_in_timms_prefetcher() -> None:
    """A literal statement: mix the bytes of the pair, normalise, then erase a rectangle of what came out."""
    plain = {"rand_augment": None, "cutmix": 0.0}
    mixed, _ = transform(ImageNetAugmentation(erasing=0, **plain))(IMAGES, LABELS, INDEX, 2, 0)
    share = transform(ImageNetAugmentation(**plain)).draw_mix(2, 0, 24, 32).share
    partner = IMAGES.unflatten(0, (5, 2)).flip(1).flatten(0, 1)
    bytes_mixed = IMAGES.double() * share + partner.double() * (1 - share)
    mean, std = (torch.tensor(values, dtype=torch.float64).view(3, 1, 1) for values in (MEAN, STD))
    torch.testing.assert_close(mixed.double(), (bytes_mixed / 255 - mean) / std, rtol=0, atol=1e-5)
    erased, _ = transform(ImageNetAugmentation(erasing=1, **plain))(IMAGES, LABELS, INDEX, 2, 0)
    changed = (erased != mixed).any(dim=1)
    for where in changed:  # one whole rectangle of each image, and of it alone: no partner's shows through
        rows, columns = where.any(dim=1).nonzero(), where.any(dim=0).nonzero()
        assert where[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1].all()
    noise = erased[changed[:, None].expand_as(erased)]
    assert abs(noise.mean()) < 0.1 and abs(noise.std() - 1) < 0.1


def test_a_quarter_of_the_mixed_images_show_noise() -> None:
    images, index = IMAGES[:2].repeat(600, 1, 1, 1), torch.arange(1200)
    plain = {"rand_augment": None, "cutmix": 0.0}
    parts = [
        transform(ImageNetAugmentation(erasing=erasing, **plain))(images, index % 7, index, 0, 0)[0]
        for erasing in (0, 0.25)
    ]
    assert 0.21 < (parts[0] != parts[1]).flatten(1).any(dim=1).double().mean() < 0.29


def test_with_everything_off_images_are_only_normalised() -> None:
    config = ImageNetAugmentation(rand_augment=None, colour_jitter=0, erasing=0, mixup=0, cutmix=0)
    images, target = transform(config)(IMAGES, LABELS, INDEX, 0, 0)
    assert torch.equal(images, normalize(IMAGES, MEAN, STD))
    assert torch.equal(target, mixup_target(LABELS, 7, 1.0, 0.1))


def test_a_quarter_of_the_images_pass_randaugment_unchanged_as_in_timm_which_jitters_none_beside_it() -> None:
    config = ImageNetAugmentation(erasing=0)
    arguments = {"auto_augment": "rand-m9-mstd0.5-inc1", "color_jitter": 0.4}
    theirs = transforms_imagenet_train(32, **arguments)
    assert not [step for step in theirs.transforms if "Jitter" in type(step).__name__]
    images, index = IMAGES[:1].expand(600, -1, -1, -1), torch.arange(600)
    varied = transform(config).vary(images, index, 0)
    unchanged = (varied == normalize(images, MEAN, STD)).flatten(1).all(dim=1).double().mean()
    assert 0.2 < unchanged < 0.35
    assert (transform(JITTERED).vary(images, index, 0) != varied).flatten(1).any(dim=1).double().mean() > 0.95


def test_the_loaders_images_stay_as_they_are() -> None:
    images = IMAGES.clone()
    transform()(images, LABELS, INDEX, 0, 0)
    assert torch.equal(images, IMAGES)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU: run on a machine that has one")
def test_a_gpu_gives_the_same_images() -> None:
    images, target = transform()(IMAGES, LABELS, INDEX, 2, 0)
    on_gpu = transform()(IMAGES.cuda(), LABELS.cuda(), INDEX, 2, 0)
    difference = (on_gpu[0].cpu() - images).abs()
    assert difference.max() <= 1.01 / 255 / min(STD) * 10 and (difference > 1e-4).double().mean() < 0.001
    assert torch.allclose(on_gpu[1].cpu(), target)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU: run on a machine that has one")
def test_a_gpu_is_not_waited_for() -> None:
    images, labels, recipe = IMAGES.cuda(), LABELS.cuda(), transform()
    recipe(images, labels, INDEX, 2, 0)  # keeps mean and deviation there
    torch.cuda.set_sync_debug_mode("error")
    try:
        recipe(images, labels, INDEX, 2, 0)
    finally:
        torch.cuda.set_sync_debug_mode("default")
