import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from scipy.stats import ks_2samp
from torchvision import transforms

from locat.data.views import CentreCrop, RandomResizedCrop, Whole, cuts

DRAWS = 10_000


def test_boxes_are_distributed_as_torchvisions() -> None:
    torch.manual_seed(0)
    for height, width, scale in ((375, 500, (0.08, 1.0)), (500, 180, (0.4, 1.0)), (300, 300, (0.05, 0.4))):
        image = Image.new("RGB", (width, height))
        theirs = np.array([transforms.RandomResizedCrop.get_params(image, scale, (3 / 4, 4 / 3)) for _ in range(DRAWS)])
        sizes = np.full(DRAWS, height), np.full(DRAWS, width)
        ours = cuts([RandomResizedCrop(224, scale)], *sizes, np.arange(DRAWS), seed=0, epoch=0)[:, 0]
        for column, name in enumerate(("top", "left", "height", "width")):
            assert ks_2samp(ours[name], theirs[:, column]).pvalue > 1e-3, (name, height, width)


@settings(deadline=None)
@given(
    st.lists(st.tuples(st.integers(1, 600), st.integers(1, 600)), min_size=1, max_size=20),
    st.floats(0.01, 1.0),
    st.floats(0.01, 1.0),
    st.integers(0, 2**40),
)
def test_boxes_stay_in_their_images(sizes: list[tuple[int, int]], one: float, other: float, seed: int) -> None:
    height, width = np.array(sizes, np.int32).T
    crop = RandomResizedCrop(32, (min(one, other), max(one, other)))
    found = cuts([crop, crop], height, width, np.arange(len(sizes)), seed=seed, epoch=1)
    for name, start, side in (("height", "top", height), ("width", "left", width)):
        assert (found[name] >= 1).all() and (found[start] >= 0).all()
        assert (found[start] + found[name] <= side[:, None]).all()


def test_draws_are_of_the_seed_the_epoch_the_sample_and_the_view_alone() -> None:
    crops = [RandomResizedCrop(96, (0.05, 0.4)), CentreCrop(64), RandomResizedCrop(96, (0.05, 0.4))]
    side = np.full(100, 300)
    samples = np.arange(100)
    every = cuts(crops, side, side, samples, seed=1, epoch=2)
    some = cuts(crops, side[:3], side[:3], samples[[7, 3, 50]], seed=1, epoch=2)
    assert np.array_equal(some, every[[7, 3, 50]])
    assert (every[:, 0] != every[:, 2]).mean() > 0.99
    for seed, epoch in ((1, 3), (2, 2)):
        assert (cuts(crops, side, side, samples, seed=seed, epoch=epoch)[:, 0] != every[:, 0]).mean() > 0.99
    assert (
        abs(cuts(crops[:1], *[np.full(DRAWS, 300)] * 2, np.arange(DRAWS), seed=0, epoch=0)["flip"].mean() - 0.5) < 0.02
    )


@given(st.integers(20, 700), st.integers(20, 700), st.integers(8, 256), st.sampled_from([0.8, 0.875, 0.9, 0.95, 1.0]))
def test_a_centre_crop_is_where_torchvision_takes_it(height: int, width: int, size: int, crop_pct: float) -> None:
    (cut,) = cuts(
        [CentreCrop(size, crop_pct)], np.array([height]), np.array([width]), np.zeros(1, np.int64), seed=0, epoch=0
    )[0]
    resized = transforms.Resize(int(size / crop_pct))(Image.new("L", (width, height)))
    assert (cut["whole_width"], cut["whole_height"]) == resized.size
    ramp = np.add.outer(np.arange(resized.height) * 1000, np.arange(resized.width)).astype(np.int32)
    corner = transforms.CenterCrop(size)(Image.fromarray(ramp)).getpixel((0, 0))
    assert corner == cut["out_top"] * 1000 + cut["out_left"]


def test_an_image_is_halved_while_the_crop_stays_as_large_as_the_view() -> None:
    side = np.full(200, 2000)
    crops = [RandomResizedCrop(112, (0.001, 1.0), decode="scaled"), RandomResizedCrop(112, (0.1, 1.0)), CentreCrop(64)]
    found = cuts(crops, side, side, np.arange(200), seed=0, epoch=0)
    shorter = np.minimum(found["height"], found["width"])[:, 0]
    halvings = found["halvings"][:, 0]
    assert set(halvings) == {0, 1, 2, 3}
    assert (shorter[halvings > 0] >= 112 * 2 ** halvings[halvings > 0]).all()
    assert (shorter[halvings < 3] < 112 * 2 ** (halvings[halvings < 3] + 1)).all()
    assert not found["halvings"][:, 1:].any()


def test_an_image_of_the_size_wanted_stays_as_it_is() -> None:
    side = np.array([64])
    for view in (Whole(), CentreCrop(64, 1.0)):
        (cut,) = cuts([view], side, side, np.zeros(1, np.int64), seed=0, epoch=0)[0]
        assert cut["height"] == cut["whole_height"] == cut["out_height"] == cut["width"] == cut["whole_width"] == 64


def test_boxes_never_change() -> None:
    found = cuts(
        [RandomResizedCrop(224, (0.08, 1.0))] * 2, *[np.array([375, 500])] * 2, np.array([5, 9]), seed=42, epoch=3
    )
    columns = ("top", "left", "height", "width", "filter", "flip")
    assert [[tuple(int(cut[name]) for name in columns) for cut in row] for row in found] == GOLDEN


GOLDEN = [[(128, 58, 237, 252, 3, 0), (23, 15, 255, 290, 3, 0)], [(211, 76, 147, 150, 2, 0), (142, 64, 349, 426, 3, 0)]]
