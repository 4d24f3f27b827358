"""Several datasets read as one: what a weight does, and that it stays the same however it is read."""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from locat.config import TASKS
from locat.config.branch import refusals
from locat.config.sets import WeightedSet
from locat.config.training import Data
from locat.contract.data_sets import named_sets
from locat.contract.errors import ConfigError
from locat.data import beton, order
from locat.data.counter import Key
from locat.data.datasets.digits import DigitScenes
from locat.data.datasets.image_folder import image_folder
from locat.data.loader import Loader
from locat.data.mixture import samples_at, taken
from locat.data.open_sets import Source, manifest_of
from locat.data.reader import ReadSettings
from locat.data.views import RandomResizedCrop
from support import pictures

SIZE = 6
CROPS = (RandomResizedCrop(8, (0.2, 0.8)),)


class Part(DigitScenes):
    """A stretch of the scenes."""

    def __init__(self, first: int, count: int) -> None:
        super().__init__("train", count, image_size=32)
        self._whole, self._first = DigitScenes("train", 50, image_size=32), first

    def __getitem__(self, index: int):
        return self._whole[self._first + index]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """50 scenes in one file, and 20 and 30 of them in two, of which the second has shards."""
    folder = tmp_path_factory.mktemp("mixed")
    beton.write(folder / "all.beton", DigitScenes("train", 50, image_size=32), 1, lambda done: None)
    beton.write(folder / "one.beton", Part(0, 20), 1, lambda done: None)
    beton.write(folder / "two.beton", Part(20, 30), 1, lambda done: None, shard_bytes=50_000_000)
    return folder


def weighted(folder: Path, one: float = 1.0, two: float = 1.0) -> Source:
    return Data.model_validate(
        {
            "train": [
                {"path": folder / "one.beton", "weight": one},
                {"path": folder / "two.beton", "weight": two},
            ],
            "val": folder / "all.beton",
        }
    ).train


def drawn(loader: Loader, batches: int, start=None) -> list[tuple[bytes, bytes, bytes]]:
    """Pixels, targets and index of the next batches."""
    stream = loader.stream(start)
    found = [next(stream)[0] for _ in range(batches)]
    stream.close()
    return [tuple(each.numpy().tobytes() for each in (b.image.contiguous(), b.target, b.index)) for b in found]


@pytest.mark.parametrize("target", ["label", "mask"])
@pytest.mark.parametrize("train", [True, False])
def test_sets_of_weight_one_give_the_batches_of_one_set(folder: Path, target, train: bool) -> None:
    reading = ReadSettings(SIZE, seed=2, threads=2)
    one, mixed = (
        Loader(source, reading, train=train, target=target) for source in (folder / "all.beton", weighted(folder))
    )
    assert one.batches_per_epoch == mixed.batches_per_epoch
    assert drawn(one, 8) == drawn(mixed, 8)


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 20), st.floats(0.01, 5), st.integers(0, 2**63 - 1), st.integers(0, 3))
def test_no_sample_comes_again_before_all_have_come(samples: int, weight: float, seed: int, first: int) -> None:
    count = taken(weight, samples)
    epochs = [
        samples_at(np.arange(count), samples, count, seed, epoch, Key.TAKEN) for epoch in range(first, first + samples)
    ]
    whole = np.concatenate([samples_at(np.arange(count), samples, count, seed, e, Key.TAKEN) for e in range(samples)])
    assert (np.bincount(whole, minlength=samples) == count).all()
    for epoch in epochs:
        often = np.bincount(epoch, minlength=samples)
        assert often.sum() == count and often.max() - often.min() <= 2
    places = np.arange(count)[::-1]
    assert (samples_at(places, samples, count, seed, first, Key.TAKEN) == epochs[0][::-1]).all()


def test_weights_say_how_often_an_epoch_takes_each_sample(folder: Path) -> None:
    """20 scenes twice, and 15 of 30: the others in the next epoch."""
    source = weighted(folder, 2.0, 0.5)
    loader = Loader(source, ReadSettings(5, seed=1), train=True, target="mask")
    assert manifest_of(source).contents.samples == 55 and loader.batches_per_epoch == 11
    scenes = DigitScenes("train", 50, image_size=32)
    numbers = {np.asarray(scenes[number].mask).tobytes(): number for number in range(50)}
    stream, epochs = loader.stream(), []
    for _ in range(2):
        batches = [next(stream)[0] for _ in range(11)]
        assert sorted(torch.cat([batch.index for batch in batches]).tolist()) == list(range(55))
        epochs.append(Counter(numbers[mask.numpy().tobytes()] for batch in batches for mask in batch.target))
    stream.close()
    for epoch in epochs:
        assert [epoch[number] for number in range(20)] == [2] * 20
    others = [{number for number in epoch if number >= 20} for epoch in epochs]
    assert [len(each) for each in others] == [15, 15] and others[0] | others[1] == set(range(20, 50))
    other_seed = Loader(source, ReadSettings(5, seed=2), train=True)
    assert drawn(other_seed, 11) != drawn(Loader(source, ReadSettings(5, seed=1), train=True), 11)


@pytest.mark.parametrize("kind", [order.OrderKind.SORTED, order.OrderKind.COMPUTED])
def test_a_mixture_goes_on_as_if_never_stopped_on_any_number_of_ranks(
    folder: Path, kind: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(order, "LARGEST_SORTED", 2**24 - 1 if kind == order.OrderKind.SORTED else 1)
    source = weighted(folder, 0.3, 1.4)
    loader = Loader(source, ReadSettings(SIZE, seed=3), views=CROPS, train=True)
    stream = loader.stream()
    whole = [next(stream) for _ in range(2 * loader.batches_per_epoch + 1)]
    stream.close()
    for done in (1, loader.batches_per_epoch, loader.batches_per_epoch + 3):
        resumed = loader.stream(whole[done - 1][1])
        batch, after = next(resumed)
        resumed.close()
        assert torch.equal(batch.image, whole[done][0].image) and after == whole[done][1]
    ranks = [Loader(source, ReadSettings(SIZE, 3, rank, 3), views=CROPS, train=True).stream() for rank in range(3)]
    for batch, after in whole:
        shares = [next(rank) for rank in ranks]
        assert all(there == after for _, there in shares)
        assert torch.equal(torch.cat([share.index for share, _ in shares]), batch.index)
        assert torch.equal(torch.cat([share.image for share, _ in shares]), batch.image)
    for rank in ranks:
        rank.close()


def test_a_sample_that_comes_twice_is_cropped_in_two_ways(tmp_path: Path) -> None:
    pictures.write_tree(tmp_path / "tree", ["x"], images=1)
    beton.write(tmp_path / "x.beton", image_folder(tmp_path / "tree"), 1, lambda done: None)
    source = [WeightedSet(path=tmp_path / "x.beton", weight=2.0)]
    batch, _ = next(Loader(source, ReadSettings(2), views=CROPS, train=True).batches())
    assert not torch.equal(batch.image[0], batch.image[1])


def test_what_does_not_go_together_is_refused(folder: Path, tmp_path: Path) -> None:
    def written(name: str, **changes: int) -> Path:
        beton.write(tmp_path / name, DigitScenes("train", 8, **{"image_size": 32, **changes}), 1, lambda done: None)
        return tmp_path / name

    def mixed(path: Path) -> Source:
        return [WeightedSet(path=folder / "one.beton"), WeightedSet(path=path)]

    with pytest.raises(ConfigError, match=r"large.beton: its images are of 48 pixels a side, those of .*one.beton"):
        manifest_of(mixed(written("large.beton", image_size=48)))
    pictures.write_tree(tmp_path / "tree", ["0", "cat"], images=1)
    beton.write(tmp_path / "x.beton", image_folder(tmp_path / "tree"), 1, lambda done: None)
    with pytest.raises(ConfigError, match=r"x.beton: its classes are not those of .*one.beton.*\(number 1 is cat, not"):
        Loader(mixed(tmp_path / "x.beton"), ReadSettings(2), train=True)
    with pytest.raises(ConfigError, match=r"one.beton \(weight 2\): only a training draws by weights"):
        Loader(weighted(folder, 2.0), ReadSettings(2))


def test_pixels_count_as_often_as_their_images(folder: Path) -> None:
    one, two = (np.array(manifest_of(folder / name).pixels) for name in ("one.beton", "two.beton"))
    assert manifest_of(weighted(folder, 3.0, 1.0)).pixels == tuple((3 * one + two).tolist())
    whole = manifest_of(weighted(folder))
    assert whole.pixels == manifest_of(folder / "all.beton").pixels and whole.contents.samples == 50


def test_a_config_says_one_set_as_it_always_did() -> None:
    data = Data.model_validate({"train": ["a.beton", {"path": "b.beton", "weight": 0.5}], "val": "c.beton"})
    plain = {"train": ["a.beton", {"path": "b.beton", "weight": 0.5}], "val": "c.beton"}
    assert data.model_dump(mode="json") == plain and Data.model_validate(plain) == data
    assert Data.model_validate({"train": ["a.beton"], "val": "c.beton"}).model_dump(mode="json")["train"] == "a.beton"
    assert dict(named_sets(plain)) == {"train.0": "a.beton", "train.1": "b.beton", "val": "c.beton"}


@pytest.mark.parametrize(
    "data, words",
    [
        ({"train": 5, "val": "v"}, "expected a path or a list of paths, got 5"),
        ({"train": [], "val": "v"}, "at least 1 item"),
        ({"train": [{"path": "a", "weight": 0}], "val": "v"}, "greater than 0"),
        ({"train": [{"path": "a", "weigth": 1.0}], "val": "v"}, "Extra inputs"),
        ({"train": "a", "val": [{"path": "a", "weight": 2.0}]}, "each evaluation image is looked at once"),
    ],
)
def test_data_that_cannot_be_meant(data, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        Data.model_validate(data)


def test_a_branch_is_refused_where_the_mixture_is_another(folder: Path) -> None:
    def config(train):
        return TASKS["supervised"].model_validate(
            {
                "task": "supervised",
                "model": {"name": "vit_tiny_patch16_224"},
                "data": {"train": train, "val": str(folder / "all.beton")},
                "epochs": 3,
                "batch_size": 2,
            }
        )

    one, two = str(folder / "one.beton"), str(folder / "two.beton")
    before, position = config([one, two]), {"step": 0, "epoch": 0, "batch": 0}
    assert not list(refusals(before.recorded(), config([one, {"path": two, "weight": 1.0}]), position))
    ((path, words),) = refusals(before.recorded(), config([one, {"path": two, "weight": 2.0}]), position)
    assert path == ("data", "train") and "two.beton (weight 2) holds other data than" in words
