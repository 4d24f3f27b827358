"""The rules of resizing, cropping and distorting, each against a literal statement of docs/method.md section 5."""

import colorsys

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from locat.config.augmentation import SegmentationAugmentation
from locat.data import joint
from locat.data.joint import Draw, augment, choose_crop, draw, keep_ratio, resize_image

sides = st.integers(1, 3000)


@given(height=sides, width=sides, into=st.sampled_from([(2048, 512), (520, 520), (1024, 256), (4096, 1024)]))
def test_the_ratio_is_kept_and_the_image_as_large_as_fits(height: int, width: int, into: tuple[int, int]) -> None:
    new_height, new_width = keep_ratio((height, width), into)
    longer, shorter = max(height, width), min(height, width)
    scale = into[0] / longer if shorter * into[0] / longer <= into[1] else into[1] / shorter
    assert abs(new_height - height * scale) <= 0.5001 or new_height == 1
    assert abs(new_width - width * scale) <= 0.5001 or new_width == 1


def test_sizes_of_real_images() -> None:
    assert keep_ratio((512, 683), (2048, 512)) == (512, 683)
    assert keep_ratio((375, 500), (2048, 512)) == (512, 683)
    assert keep_ratio((300, 2400), (2048, 512)) == (256, 2048)
    assert keep_ratio((375, 500), (520, 520)) == (390, 520)


def literal_crop(mask: np.ndarray, crop: int, most: float, draws: list[float]) -> tuple[int, int]:
    """The crop of the first draw in which no class has more than its share, or of the last."""
    for number in range(11):
        down, right = draws[2 * number], draws[2 * number + 1]
        top = int(down * (max(mask.shape[0] - crop, 0) + 1))
        left = int(right * (max(mask.shape[1] - crop, 0) + 1))
        part = mask[top : top + crop, left : left + crop]
        known = part[part != 255]
        shares = [(known == label).sum() / known.size for label in np.unique(known)]
        if shares and max(shares) <= most:
            break
    return top, left


@settings(deadline=None)
@given(seed=st.integers(0, 10_000), most=st.sampled_from([0.3, 0.75, 1.0]), ignored=st.booleans())
def test_a_crop_that_one_class_fills_is_drawn_again(seed: int, most: float, ignored: bool) -> None:
    random = np.random.default_rng(seed)
    labels = [0, 1, 255] if ignored else [0, 1, 2]
    mask = np.kron(random.choice(labels, (4, 5)), np.ones((7, 7), int)).astype(np.uint8)
    draws = draw(seed, 0, 0)[Draw.CROPS :]
    assert choose_crop(torch.from_numpy(mask), 9, most, draws) == literal_crop(mask, 9, most, draws)


CONFIG = SegmentationAugmentation(name="benchmark", resize=(160, 40), crop=48, photometric=False)


@settings(deadline=None)
@given(sample=st.integers(0, 10_000), height=st.integers(20, 90), width=st.integers(20, 90))
def test_image_and_mask_stay_together(sample: int, height: int, width: int) -> None:
    mask = torch.zeros((height, width), dtype=torch.uint8)
    mask[: height // 2, width // 3 :] = 200
    image, mask = augment(mask.expand(3, -1, -1), mask, CONFIG, draw(0, 0, sample))
    assert image.shape[1:] == mask.shape and max(mask.shape) <= 48
    assert set(mask.unique().tolist()) <= {0, 200}
    # They differ only where bilinear and nearest resizing do: at the edges.
    assert ((image[0] > 100) != (mask > 100)).float().mean() < 0.15


def test_draws_are_of_seed_epoch_and_sample_alone_and_uniform() -> None:
    assert draw(1, 2, 3) == draw(1, 2, 3)
    others = [draw(1, 2, 4), draw(1, 3, 3), draw(2, 2, 3)]
    assert all(set(other).isdisjoint(draw(1, 2, 3)) for other in others)
    values = torch.tensor([draw(0, 0, sample) for sample in range(2000)])
    assert (values.mean(0) - 0.5).abs().max() < 0.03
    assert (values < 0.5).float().mean(0).sub(0.5).abs().max() < 0.05


def test_flip_and_resize_ratio_are_as_often_and_as_large_as_asked() -> None:
    mask = torch.arange(40, dtype=torch.uint8).expand(40, -1)
    image = mask.expand(3, -1, -1)
    flips, sizes = [], []
    config = SegmentationAugmentation(name="benchmark", resize=(160, 40), crop=200, photometric=False)
    for sample in range(300):
        _, found = augment(image, mask, config, draw(0, 0, sample))
        flips.append(bool(found[0, 0] > found[0, -1]))
        sizes.append(found.shape[0])
    assert 0.4 < np.mean(flips) < 0.6
    assert min(sizes) in (20, 21) and max(sizes) in (79, 80)


def literal_distortion(pixel: tuple[int, int, int], draws: list[float]) -> tuple[float, ...]:
    values = np.array(pixel, float)
    contrast = 0.5 + draws[Draw.CONTRAST] if draws[Draw.CONTRAST_APPLIED] < 0.5 else 1.0
    if draws[Draw.BRIGHTNESS_APPLIED] < 0.5:
        values = np.clip(np.round(values - 32 + 64 * draws[Draw.BRIGHTNESS]), 0, 255)
    if draws[Draw.CONTRAST_LAST] >= 0.5:
        values = np.clip(np.round(values * contrast), 0, 255)
    hue, saturation, value = colorsys.rgb_to_hsv(*(values / 255))
    if draws[Draw.SATURATION_APPLIED] < 0.5:
        saturation = min(1.0, saturation * (0.5 + draws[Draw.SATURATION]))
    if draws[Draw.HUE_APPLIED] < 0.5:
        hue = (hue - 0.1 + 0.2 * draws[Draw.HUE]) % 1  # 18 of OpenCV's 180 steps either way
    values = 255 * np.array(colorsys.hsv_to_rgb(hue, saturation, value))
    if draws[Draw.CONTRAST_LAST] < 0.5:
        values = np.clip(np.round(np.round(values) * contrast), 0, 255)
    return tuple(values)


@settings(deadline=None)
@given(sample=st.integers(0, 10_000), pixel=st.tuples(*[st.integers(0, 255)] * 3))
def test_distortion_is_the_literal_one(sample: int, pixel: tuple[int, int, int]) -> None:
    draws = draw(0, 0, sample)
    image = torch.tensor(pixel, dtype=torch.uint8).view(3, 1, 1).expand(3, 4, 5)
    found = joint.distort(image, draws)
    assert found.shape == (3, 4, 5) and (found == found[:, :1, :1]).all()
    # Between saturation and hue it is rounded to whole levels, and the contrast may enlarge that.
    assert found[:, 0, 0].tolist() == pytest.approx(literal_distortion(pixel, draws), abs=3.1)


@pytest.mark.parametrize("size", [(12, 16), (20, 40), (37, 30), (60, 90)])
def test_without_antialiasing_a_pixel_lies_between_its_four_nearest_as_in_opencv(size: tuple[int, int]) -> None:
    """Literal: centres at half pixels, clamped at the border, rounded along rows and again along columns."""
    image = torch.randint(256, (3, 24, 32), generator=torch.Generator().manual_seed(0)).byte()
    found = resize_image(image, size, antialias=False)
    values = image.double().numpy()

    def nearest(place: int, source: int, target: int) -> tuple[int, int, float]:
        centre = min(max((place + 0.5) * source / target - 0.5, 0), source - 1)
        return int(centre), min(int(centre) + 1, source - 1), centre - int(centre)

    for row in range(size[0]):
        top, bottom, down = nearest(row, 24, size[0])
        for column in range(size[1]):
            left, right, across = nearest(column, 32, size[1])
            upper = values[:, top, left] * (1 - across) + values[:, top, right] * across
            lower = values[:, bottom, left] * (1 - across) + values[:, bottom, right] * across
            expected = upper * (1 - down) + lower * down
            assert np.abs(found[:, row, column].numpy() - expected).max() <= 1.01
    if size == (12, 16):
        assert (resize_image(image, size).int() - found.int()).abs().float().mean() > 5
