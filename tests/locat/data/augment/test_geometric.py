import pytest
import torch
from PIL import Image
from timm.data.auto_augment import NAME_TO_OP

from locat.data.augment import geometric
from locat.data.augment.geometric import Interpolation
from locat.data.augment.rand_augment import GEOMETRIC
from support.pil_reference import apart, by_pil, every, pictures

FILL = (128, 124, 116)
RESAMPLING = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC}
ARGUMENTS = {"Rotate": (-30.0, -27.3, 0.0, 13.1, 30.0)}
SHARES = (-0.405, -0.271, 0.0, 0.013, 0.269, 0.45)


@pytest.mark.parametrize("interpolation", RESAMPLING)
@pytest.mark.parametrize("name", GEOMETRIC)
def test_values_are_those_of_timm_and_pil_but_for_the_last_level(name: str, interpolation: Interpolation) -> None:
    """Where PIL's double precision ends just below or on a whole number, ours may end on the other side."""
    images = pictures()
    for argument in ARGUMENTS.get(name, SHARES):
        theirs = by_pil(
            images,
            lambda image, a=argument: NAME_TO_OP[name](image, a, fillcolor=FILL, resample=RESAMPLING[interpolation]),
        )
        matrix = GEOMETRIC[name][1](every(images, argument), *images.shape[2:])
        difference = apart(geometric.affine(images, matrix, interpolation, FILL), theirs)
        assert difference.max() <= 1, argument
        assert (difference > 0).double().mean() < 0.06, argument
        assert difference[-1].max() == 0  # one value stays that value


def test_each_image_has_its_own_matrix() -> None:
    images = pictures()
    matrix = geometric.rotate(torch.linspace(-30, 30, 5, dtype=torch.float64), *images.shape[2:])
    together = geometric.affine(images, matrix, "bicubic", FILL)
    alone = [geometric.affine(images[n : n + 1], matrix[n : n + 1], "bicubic", FILL) for n in range(5)]
    assert torch.equal(together, torch.cat(alone))


def test_what_comes_from_outside_has_the_fill_colour() -> None:
    images = pictures()
    moved = geometric.affine(images, geometric.translate_x(every(images, -0.5), *images.shape[2:]), "bilinear", FILL)
    assert (moved[:, :, :, :42] == torch.tensor(FILL).view(3, 1, 1)).all()
    assert torch.equal(moved[:, :, :, 42:], images[:, :, :, :42])
