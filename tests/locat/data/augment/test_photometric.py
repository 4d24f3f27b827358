from functools import partial

import numpy as np
import pytest
import torch
from PIL import ImageFilter
from scipy.ndimage import gaussian_filter
from timm.data.auto_augment import NAME_TO_OP
from torchvision.transforms import functional as torchvision_pil
from torchvision.transforms.v2 import functional as torchvision_v2

from locat.data.augment import photometric
from locat.data.augment.rand_augment import PHOTOMETRIC
from support.pil_reference import apart, by_pil, every, pictures

FACTORS = (0.1, 0.19, 0.7, 1.0, 1.3, 1.81, 1.9)
ARGUMENTS = {
    "AutoContrast": (None,),
    "Equalize": (None,),
    "Invert": (None,),
    "PosterizeIncreasing": (1, 2, 4, 8),
    "SolarizeIncreasing": (0, 26, 128, 256),
    "SolarizeAdd": (0, 99, 110, 128),
    "ColorIncreasing": FACTORS,
    "ContrastIncreasing": FACTORS,
    "BrightnessIncreasing": FACTORS,
    "SharpnessIncreasing": FACTORS,
}


@pytest.mark.parametrize("name", PHOTOMETRIC)
def test_every_value_is_that_of_timm_and_pil(name: str) -> None:
    images = pictures()
    for argument in ARGUMENTS[name]:
        theirs = by_pil(images, lambda image, a=argument: NAME_TO_OP[name](image, *(() if a is None else (a,))))
        assert torch.equal(PHOTOMETRIC[name][1](images, every(images, argument or 0)), theirs), argument


@pytest.mark.parametrize("name", PHOTOMETRIC)
def test_each_image_has_its_own_argument(name: str) -> None:
    images = pictures()
    arguments = torch.tensor([(ARGUMENTS[name] * 5)[number] or 0 for number in range(5)], dtype=torch.float64)
    operation = PHOTOMETRIC[name][1]
    alone = [operation(images[n : n + 1], arguments[n : n + 1]) for n in range(5)]
    assert torch.equal(operation(images, arguments), torch.cat(alone))


def test_no_bits_leave_black() -> None:
    """What PIL did until it refused to; timm asks for it at the greatest magnitude."""
    assert not photometric.posterize(pictures(), every(pictures(), 0)).any()


def test_grey_is_that_of_pil() -> None:
    images = pictures()
    assert torch.equal(photometric.grey(images), by_pil(images, lambda image: image.convert("L").convert("RGB")))


def test_hue_is_that_of_torchvision() -> None:
    images = pictures()
    for turn in (-0.5, -0.1, -0.03, 0.0, 0.05, 0.1):
        ours = photometric.hue(images, every(images, turn))
        assert apart(ours, torchvision_v2.adjust_hue(images, turn)).max() <= 1
        of_pil = by_pil(images, partial(torchvision_pil.adjust_hue, hue_factor=turn))
        assert apart(ours, of_pil).double().mean() < 1.5  # PIL rounds the hue to 8 bits
    assert torch.equal(photometric.hue(images, every(images, 0.0)), images)


def test_blur_is_a_gaussian() -> None:
    images = pictures()
    for sigma in (0.1, 0.5, 1.0, 2.0):
        ours = photometric.gaussian_blur(images, every(images, sigma))
        exact = gaussian_filter(images.numpy().astype(np.float64), (0, 0, sigma, sigma), mode="nearest", radius=20)
        assert (ours - torch.from_numpy(exact)).abs().max() < 1
    photographs = images[:2]
    for sigma, levels in ((0.1, 0.1), (0.3, 2.0), (0.5, 1.0), (1.0, 1.0), (2.0, 1.0)):
        ours = photometric.gaussian_blur(photographs, every(photographs, sigma))
        theirs = by_pil(photographs, lambda image, s=sigma: image.filter(ImageFilter.GaussianBlur(s)))
        assert apart(ours, theirs).double().mean() < levels


def test_a_small_image_whose_histogram_leaves_no_step_stays_as_it_is() -> None:
    images = torch.randint(0, 256, (3, 3, 8, 8), dtype=torch.uint8)
    theirs = by_pil(images, lambda image: NAME_TO_OP["Equalize"](image))
    assert torch.equal(photometric.equalize(images), theirs)
