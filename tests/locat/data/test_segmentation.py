"""The loaders of images and masks of any size: what comes depends on neither threads nor ranks nor the start."""

import threading
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from timm.data import IMAGENET_DEFAULT_MEAN, IMAGENET_DEFAULT_STD
from torchvision.transforms.v2 import functional as V

from locat.config.augmentation import SegmentationAugmentation
from locat.contract.errors import ConfigError, DataError, JobError
from locat.data import beton, producer
from locat.data.batch import Batch
from locat.data.datasets.ade20k import ade20k
from locat.data.joint import augment, draw, keep_ratio, resize_mask
from locat.data.pairs import Pairs
from locat.data.position import Position
from locat.data.reader import ReadSettings
from locat.data.segmentation import CroppedPairs, KeepRatio, Square, WholePairs, share_out
from support import segmentation_sets

CONFIG = SegmentationAugmentation(name="benchmark", resize=(160, 40), crop=36)
INTO = (160, 40)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pairs")
    segmentation_sets.ade20k(folder / "tree", train=14, val=11)
    for split, pairs in ade20k(folder / "tree", complete=False).items():
        beton.write(folder / f"{split}.beton", pairs, 1, lambda done: None)
    return folder


def train(folder: Path, settings: ReadSettings) -> CroppedPairs:
    return CroppedPairs(folder / "train.beton", settings, CONFIG)


def shares_of_three(batch_size: int) -> list[ReadSettings]:
    return [ReadSettings(batch_size, rank=rank, world_size=3) for rank in range(3)]


def equal(one: Batch, other: Batch) -> bool:
    return all(torch.equal(getattr(one, name), getattr(other, name)) for name in ("image", "target", "index"))


def test_crops_are_the_protocols_of_the_stored_files_and_padded_after_normalising(folder: Path) -> None:
    pairs = Pairs(folder / "train.beton")
    (batch, after), *_ = train(folder, ReadSettings(4, seed=3)).batches(Position(7, 2, 1))
    assert after == Position(8, 2, 2) and batch.image.shape == (4, 3, 36, 36) and batch.target.dtype == torch.uint8
    smaller = 0
    for row, sample in enumerate(batch.index.tolist()):
        image, mask = augment(*pairs[sample], CONFIG, draw(3, 2, sample))
        height, width = mask.shape
        smaller += min(height, width) < 36
        expected = V.normalize(image / 255, IMAGENET_DEFAULT_MEAN, IMAGENET_DEFAULT_STD)
        torch.testing.assert_close(batch.image[row, :, :height, :width], expected)
        assert torch.equal(batch.target[row, :height, :width], mask)
        assert not batch.image[row, :, height:].any() and not batch.image[row, :, :, width:].any()
        assert (batch.target[row, height:] == 255).all() and (batch.target[row, :, width:] == 255).all()
    assert smaller, "no crop was small enough to be padded"


@pytest.mark.parametrize("world_size", [2, 4])
def test_a_global_batch_is_the_same_at_any_number_of_ranks_and_threads(folder: Path, world_size: int) -> None:
    whole = list(train(folder, ReadSettings(4)).batches())
    shares = [ReadSettings(4, rank=rank, world_size=world_size, threads=2) for rank in range(world_size)]
    parts = [list(train(folder, share).batches()) for share in shares]
    assert len(whole) == 3
    for (batch, place), *shares in zip(whole, *parts, strict=True):
        assert all(there == place for _, there in shares)
        assert torch.equal(torch.cat([share.image for share, _ in shares]), batch.image)
        assert torch.equal(torch.cat([share.target for share, _ in shares]), batch.target)


def test_started_anywhere_it_goes_on_as_if_never_stopped(folder: Path) -> None:
    loader = train(folder, ReadSettings(4, threads=2))
    stream = loader.stream()
    uninterrupted = [next(stream) for _ in range(7)]
    stream.close()
    assert uninterrupted[2][1] == Position(3, 1, 0)
    for done in (1, 3, 5):
        resumed = loader.stream(uninterrupted[done - 1][1])
        assert equal(next(resumed)[0], uninterrupted[done][0])
        resumed.close()
    epochs = [torch.cat([batch.index for batch, _ in uninterrupted[at : at + 3]]) for at in (0, 3)]
    assert not torch.equal(*epochs)


def test_evaluation_gives_whole_images_once_with_masks_of_their_own_size(folder: Path) -> None:
    pairs = Pairs(folder / "val.beton")
    readers = [WholePairs(folder / "val.beton", share, KeepRatio(INTO)) for share in shares_of_three(6)]
    ranks = [list(reader.batches()) for reader in readers]
    assert len({len(batches) for batches in ranks}) == 1
    seen = []
    for batch, _ in (each for batches in ranks for each in batches):
        for row, sample in enumerate(batch.index.tolist()):
            image, mask = pairs[sample]
            small = V.resize(image, list(keep_ratio(tuple(mask.shape), INTO)))
            expected = V.normalize(small / 255, IMAGENET_DEFAULT_MEAN, IMAGENET_DEFAULT_STD)
            torch.testing.assert_close(batch.image[row], expected)
            assert torch.equal(batch.target[row], mask)
            seen.append(sample)
    assert sorted(seen) == list(range(11))


@given(
    sizes=st.lists(st.tuples(st.sampled_from([30, 40, 3000]), st.sampled_from([30, 50, 2900])), min_size=1),
    own=st.integers(1, 5),
    world_size=st.integers(1, 5),
)
def test_batches_are_of_one_size_and_shared_out_completely(
    sizes: list[tuple[int, int]], own: int, world_size: int
) -> None:
    shares = [ReadSettings(own * world_size, rank=rank, world_size=world_size) for rank in range(world_size)]
    ranks = [share_out(np.array(sizes), KeepRatio(INTO), share) for share in shares]
    assert len({len(batches) for batches in ranks}) == 1
    samples = [sample for batches in ranks for batch in batches for sample in batch.samples.tolist()]
    assert sorted(samples) == list(range(len(sizes)))
    for batch in (batch for batches in ranks for batch in batches):
        assert all(sizes[sample] == batch.mask_size for sample in batch.samples.tolist())
        assert len(batch.samples) <= own and batch.image_size == keep_ratio(batch.mask_size, INTO)


@pytest.mark.parametrize("likewise", [True, False])
def test_squares_give_whole_images_once_with_masks_of_that_size_or_their_own(folder: Path, likewise: bool) -> None:
    pairs = Pairs(folder / "val.beton")
    readers = [WholePairs(folder / "val.beton", share, Square(48, masks=likewise)) for share in shares_of_three(6)]
    ranks = [list(reader.batches()) for reader in readers]
    assert {len(batches) for batches in ranks} == {readers[0].batches_per_epoch}
    seen = []
    for batch, _ in (each for batches in ranks for each in batches):
        for row, sample in enumerate(batch.index.tolist()):
            image, mask = pairs[sample]
            expected = V.normalize(V.resize(image, [48, 48]) / 255, IMAGENET_DEFAULT_MEAN, IMAGENET_DEFAULT_STD)
            torch.testing.assert_close(batch.image[row], expected)
            assert torch.equal(batch.target[row], resize_mask(mask, (48, 48)) if likewise else mask)
            seen.append(sample)
    assert sorted(seen) == list(range(11))


def test_whole_images_go_on_from_any_batch(folder: Path) -> None:
    reader = WholePairs(folder / "val.beton", ReadSettings(4), KeepRatio(INTO))
    batches = list(reader.batches())
    assert batches[-1][1] == Position(reader.batches_per_epoch, 1, 0)
    for (_, after), (batch, _) in pairwise(batches):
        assert equal(next(reader.batches(after))[0], batch)


def test_examples_are_samples_as_stored_and_batches_of_one(folder: Path) -> None:
    pairs = Pairs(folder / "val.beton")
    reader = WholePairs(folder / "val.beton", ReadSettings(4), KeepRatio(INTO))
    whole = {int(sample): batch for batch, _ in reader.batches() for sample in batch.index}
    for (image, batch), sample in zip(reader.examples(3), (0, 5, 10), strict=True):
        assert batch.index.tolist() == [sample]
        assert torch.equal(image.permute(2, 0, 1), pairs[sample][0])
        row = whole[sample].index.tolist().index(sample)
        assert torch.equal(batch.image[0], whole[sample].image[row])
        assert torch.equal(batch.target[0], pairs[sample][1])


@pytest.mark.timeout(240)
def test_a_thread_that_hangs_is_an_error(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(producer, "STALL_LIMIT", 0.3)
    monkeypatch.setattr(Pairs, "in_epoch", lambda *_: threading.Event().wait())
    with pytest.raises(JobError, match=r"train.beton: no batch was decoded"):
        next(train(folder, ReadSettings(4)).batches())


@pytest.mark.timeout(240)
def test_an_exception_in_a_thread_reaches_the_consumer(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(self: Pairs, epoch: int, index: int) -> None:
        raise SystemExit("a broken thread")

    monkeypatch.setattr(Pairs, "in_epoch", fail)
    with pytest.raises(JobError, match="a broken thread"):
        next(train(folder, ReadSettings(4)).batches())


def test_the_consumers_own_threads_stay(folder: Path) -> None:
    before = torch.get_num_threads()
    list(train(folder, ReadSettings(4, threads=2)).batches())
    assert torch.get_num_threads() == before


def test_what_a_user_can_get_wrong(folder: Path, tmp_path: Path, train_beton: Path) -> None:
    with pytest.raises(ConfigError, match="batch_size 16 exceeds the 14 samples"):
        train(folder, ReadSettings(16))
    with pytest.raises(ConfigError, match="batch_size 5 cannot be shared evenly by 2 ranks"):
        next(train(folder, ReadSettings(5, world_size=2)).batches())
    with pytest.raises(DataError, match="no such file"):
        Pairs(tmp_path / "none.beton")
    with pytest.raises(DataError, match="holds no images of several sizes with masks"):
        Pairs(train_beton)


def test_a_damaged_picture_reaches_the_consumer(folder: Path, tmp_path: Path) -> None:
    path = tmp_path / "train.beton"
    content = (folder / "train.beton").read_bytes().replace(b"\xff\xd8\xff", b"odd")
    path.write_bytes(content)
    path.with_name("train.beton.json").write_bytes((folder / "train.beton.json").read_bytes())
    with pytest.raises(DataError, match=r"sample \d+ cannot be decoded .*; convert it again"):
        next(CroppedPairs(path, ReadSettings(4), CONFIG).batches())
