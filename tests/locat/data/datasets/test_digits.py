import numpy as np
import pytest

from locat.data.datasets.digits import BACKGROUND, CLASSES, MASK_CLASSES, DigitScenes, Split, bilinear, source_digits


def test_a_scene_depends_on_seed_split_and_index_alone() -> None:
    few, many = DigitScenes("val", 5, seed=3), DigitScenes("val", 500, seed=3)
    for index in (4, 0, 2):
        for one, other in zip(few[index], many[index], strict=True):
            assert np.array_equal(one, other)


@pytest.mark.parametrize(("split", "seed"), [("val", 0), ("train", 1), ("train", -1)])
def test_other_seed_or_split_give_other_scenes(split: Split, seed: int) -> None:
    assert not np.array_equal(DigitScenes("train", 9)[0][0], DigitScenes(split, 9, seed=seed)[0][0])


def test_train_and_val_share_no_source_digit() -> None:
    train, val = source_digits("train"), source_digits("val")
    assert not set(train) & set(val)
    assert len(train) + len(val) == 1797
    scenes = DigitScenes("val", 1)
    counts = np.bincount(scenes._labels[val], minlength=10)
    assert counts.min() >= 0.9 * counts.max()


@pytest.mark.parametrize("image_size", [32, 64, 100])
def test_mask_is_the_labels_digit_on_background(image_size: int) -> None:
    scenes = DigitScenes("train", 50, image_size)
    for image, label, mask in (scenes[index] for index in range(50)):
        assert image.shape == (image_size, image_size, 3) and image.dtype == np.uint8
        assert mask.shape == (image_size, image_size) and mask.dtype == np.uint8
        assert set(np.unique(mask)) == {label, BACKGROUND}
        share = (mask == label).mean()
        assert 0.01 < share < 0.35
        digit, around = image[mask == label].mean(axis=0), image[mask == BACKGROUND].mean(axis=0)
        assert np.linalg.norm(digit - around) > 40  # it can be seen


def test_every_class_comes_about_equally_often() -> None:
    scenes = DigitScenes("train", 2000, image_size=32)
    counts = np.bincount([scenes[index][1] for index in range(2000)], minlength=len(CLASSES))
    assert counts.min() > 130 and counts.max() < 270


def test_names() -> None:
    assert len(CLASSES) == 10 and len(MASK_CLASSES) == 11 and MASK_CLASSES[BACKGROUND] == "background"


def test_bilinear_weights_keep_constants_and_symmetry() -> None:
    weights = bilinear(8, 29)
    assert np.allclose(weights.sum(axis=1), 1)
    assert np.allclose(weights, weights[::-1, ::-1])


def test_a_digit_may_fill_the_scene() -> None:
    scenes = DigitScenes("train", 20, image_size=32, digit_size=(1.0, 1.0))
    for index in range(20):
        rows = (scenes[index].mask != BACKGROUND).any(axis=1).nonzero()[0]
        assert rows[0] <= 4 and rows[-1] >= 27, "its 8 rows of ink, stretched over all 32"
