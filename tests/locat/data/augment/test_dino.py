import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from timm.data import IMAGENET_DEFAULT_MEAN, IMAGENET_DEFAULT_STD

from locat.config.augmentation import DinoCrops
from locat.data.augment import DinoTransform, dino, normalize
from support.pil_reference import pictures

CROPS = DinoCrops(global_size=32, local_size=16, local_crops=2)
INDEX = torch.tensor([5, 900, 3, 77, 1])
VIEWS = [pictures(32, 32), pictures(32, 32), pictures(16, 16), pictures(16, 16)]
WHOLE = DinoTransform(CROPS, 1)(VIEWS, INDEX, 2)


@given(st.lists(st.integers(0, 4), max_size=5, unique=True))
@settings(max_examples=20, deadline=None)
def test_pixels_depend_on_seed_epoch_sample_and_view_alone(rows: list[int]) -> None:
    part = torch.tensor(rows, dtype=torch.int64)
    for varied, whole in zip(DinoTransform(CROPS, 1)([v[part] for v in VIEWS], INDEX[part], 2), WHOLE, strict=True):
        assert torch.allclose(varied, whole[part], atol=0.021)  # one level: the blur's sums may be ordered otherwise


def test_views_of_one_image_differ() -> None:
    assert not torch.equal(WHOLE[0], WHOLE[1]) and not torch.equal(WHOLE[2], WHOLE[3])
    assert [view.shape[-1] for view in WHOLE] == [32, 32, 16, 16]


def test_each_operation_happens_as_often_as_in_the_paper(monkeypatch) -> None:
    """Seen in the pixels, one operation at a time, on 3,000 images of each view."""
    count = 3_000
    image = torch.tensor([200, 40, 90], dtype=torch.uint8).view(1, 3, 1, 1).repeat(count, 1, 8, 8)
    image[:, :, 4, 4] = 0
    views, index = [image] * 4, torch.arange(count)
    plain = normalize(image, IMAGENET_DEFAULT_MEAN, IMAGENET_DEFAULT_STD)
    off = {"JITTER_PROBABILITY": 0.0, "GREY_PROBABILITY": 0.0, "SOLARIZE_PROBABILITY": 0.0}
    off |= {"GLOBAL_BLUR_PROBABILITY": (0.0, 0.0), "LOCAL_BLUR_PROBABILITY": 0.0}
    cases = [
        ({"JITTER_PROBABILITY"}, [0.8] * 4),
        ({"GREY_PROBABILITY"}, [0.2] * 4),
        ({"SOLARIZE_PROBABILITY"}, [0.0, 0.2, 0.0, 0.0]),
        ({"GLOBAL_BLUR_PROBABILITY", "LOCAL_BLUR_PROBABILITY"}, [1.0, 0.1, 0.5, 0.5]),
    ]
    for on, expected in cases:
        with monkeypatch.context() as patch:
            for name, value in off.items():
                if name not in on:
                    patch.setattr(dino, name, value)
            patch.setattr(dino, "BLUR_SIGMA", (0.5, 2.0))  # the weakest blurs change no value
            varied = DinoTransform(CROPS, 0)(views, index, 0)
        changed = [int((view != plain).flatten(1).any(dim=1).sum()) for view in varied]
        for found, probability in zip(changed, expected, strict=True):
            if probability in (0.0, 1.0):
                assert found == probability * count
            else:
                assert stats.binomtest(found, count, probability).pvalue > 0.01, (on, changed)
