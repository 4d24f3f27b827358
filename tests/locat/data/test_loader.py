"""The loader on real FFCV files: what comes does not depend on threads, ranks or where it starts."""

import json
import threading
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from ffcv.fields import IntField, RGBImageField
from ffcv.writer import DatasetWriter
from PIL import Image

from locat.contract.errors import ConfigError, DataError, JobError
from locat.data import beton, order, producer
from locat.data.batch import Batch
from locat.data.datasets.digits import DigitScenes
from locat.data.loader import Loader, PendingViews
from locat.data.order import OrderKind
from locat.data.position import Position
from locat.data.reader import ReadSettings
from locat.data.views import CentreCrop, RandomResizedCrop

GOLDEN_SAMPLES = [6, 13, 1, 18, 11, 19]
GOLDEN_SUMS = [1387766, 333006, 944690]
SIZE = 12  # 50 samples: 4 whole batches and 2 samples


def equal(one: Batch, other: Batch) -> bool:
    return all(torch.equal(getattr(one, name), getattr(other, name)) for name in ("image", "target", "index"))


@pytest.mark.parametrize("target", ["label", "mask"])
def test_samples_come_as_they_were_written(scenes: DigitScenes, train_beton: Path, target: Any) -> None:
    for batch, _ in Loader(train_beton, ReadSettings(SIZE), train=True, target=target).batches():
        assert batch.image.shape == (SIZE, 3, 32, 32) and batch.image.dtype == torch.uint8
        for row, index in enumerate(batch.index.tolist()):
            image, label, mask = scenes[index]
            assert np.array_equal(batch.image[row].permute(1, 2, 0).numpy(), image)
            assert np.array_equal(batch.target[row].numpy(), label if target == "label" else mask)


def test_batches_are_owned(train_beton: Path) -> None:
    batches = [batch for batch, _ in Loader(train_beton, ReadSettings(SIZE)).batches()]
    images = [batch.image.clone() for batch in batches]
    assert len({image.data_ptr() for image in images}) == len(images)
    again = [batch.image for batch, _ in Loader(train_beton, ReadSettings(SIZE)).batches()]
    assert all(torch.equal(one, other) for one, other in zip(images, again, strict=True))


def test_threads_change_nothing(train_beton: Path) -> None:
    before = torch.get_num_threads()
    one, two = (
        list(Loader(train_beton, ReadSettings(SIZE, threads=threads), train=True).batches()) for threads in (1, 2)
    )
    assert len(one) == 4
    assert all(equal(a, b) and here == there for (a, here), (b, there) in zip(one, two, strict=True))
    assert torch.get_num_threads() == before


@pytest.mark.parametrize("world_size", [2, 3])
@pytest.mark.parametrize("train", [True, False])
def test_a_global_batch_is_the_same_samples_at_any_world_size(train_beton: Path, world_size: int, train: bool) -> None:
    whole = list(Loader(train_beton, ReadSettings(SIZE, seed=5), train=train).batches())
    parts = [
        list(Loader(train_beton, ReadSettings(SIZE, seed=5, rank=rank, world_size=world_size), train=train).batches())
        for rank in range(world_size)
    ]
    for (batch, place), *shares in zip(whole, *parts, strict=True):
        assert all(there == place for _, there in shares)
        index = torch.cat([share.index for share, _ in shares])
        image = torch.cat([share.image for share, _ in shares])
        assert torch.equal(index.sort().values, batch.index.sort().values)
        assert torch.equal(image[index.argsort()], batch.image[batch.index.argsort()])


def test_evaluation_covers_every_sample_once_with_as_many_batches_on_every_rank(train_beton: Path) -> None:
    ranks = [list(Loader(train_beton, ReadSettings(SIZE, rank=rank, world_size=3)).batches()) for rank in range(3)]
    assert [len(batches) for batches in ranks] == [5, 5, 5]
    assert [len(batches[-1][0]) for batches in ranks] == [2, 0, 0]  # 2 samples are left for 3 ranks of 4 each
    index = torch.cat([batch.index for batches in ranks for batch, _ in batches])
    assert sorted(index.tolist()) == list(range(50))
    empty = ranks[2][-1][0]
    assert empty.image.shape == (0, 3, 32, 32) and empty.image.dtype == torch.uint8
    assert empty.target.shape == (0,) and empty.target.dtype == torch.int64


def test_an_empty_share_of_masks(train_beton: Path) -> None:
    loader = Loader(train_beton, ReadSettings(SIZE, rank=2, world_size=3), target="mask")
    ((batch, after),) = loader.batches(Position(4, 0, 4))
    assert batch.target.shape == (0, 32, 32) and batch.target.dtype == torch.uint8
    assert after == Position(5, 1, 0)


@pytest.mark.parametrize("kind", list(OrderKind))
def test_started_anywhere_it_goes_on_as_if_never_stopped(
    train_beton: Path, kind: OrderKind, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(order, "LARGEST_SORTED", 50 if kind is OrderKind.SORTED else 49)
    loader = Loader(train_beton, ReadSettings(SIZE, seed=1), train=True)
    assert loader.start.order is kind
    stream = loader.stream()
    uninterrupted = [next(stream) for _ in range(3 * loader.batches_per_epoch)]
    stream.close()
    for done in range(1, 2 * loader.batches_per_epoch + 1):
        resumed = loader.stream(uninterrupted[done - 1][1])
        for batch, place in uninterrupted[done : done + 2]:
            other, there = next(resumed)
            assert equal(batch, other) and place == there
        resumed.close()
    epochs = [torch.cat([batch.index for batch, _ in uninterrupted[at : at + 4]]) for at in (0, 4)]
    assert not torch.equal(*epochs)


def test_training_and_evaluation_at_the_same_time(train_beton: Path) -> None:
    training = Loader(train_beton, ReadSettings(SIZE, threads=2), train=True).stream()
    evaluation = Loader(train_beton, ReadSettings(SIZE, threads=2))
    for _ in range(6):
        next(training)
        assert sum(len(batch) for batch, _ in evaluation.batches()) == 50
    training.close()


def test_leaving_early_ends_the_thread(train_beton: Path) -> None:
    others = set(threading.enumerate())
    stream = Loader(train_beton, ReadSettings(2), train=True).stream()
    next(stream)
    threads = set(threading.enumerate()) - others
    assert threads
    stream.close()
    assert not any(thread.is_alive() for thread in threads)


def test_what_a_user_can_get_wrong(train_beton: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="batch_size 10 cannot be shared evenly by 4 ranks"):
        Loader(train_beton, ReadSettings(10, world_size=4))
    with pytest.raises(ConfigError, match="batch_size 64 exceeds the 50 samples"):
        Loader(train_beton, ReadSettings(64), train=True)
    with pytest.raises(ConfigError, match="cannot start at batch 5 of 5"):
        next(Loader(train_beton, ReadSettings(SIZE)).stream(Position(0, 0, 5)))
    with pytest.raises(DataError, match="no such file"):
        Loader(tmp_path / "none.beton", ReadSettings(10))


def test_a_file_that_is_none_of_ffcvs_is_a_data_error(scenes: DigitScenes, tmp_path: Path) -> None:
    path = tmp_path / "odd.beton"
    beton.write(path, scenes, 1, lambda done: None)
    size = path.stat().st_size
    path.write_bytes(b"odd" + bytes(size - 3))
    with pytest.raises(DataError, match="FFCV cannot read it"):
        Loader(path, ReadSettings(10))


@pytest.mark.timeout(240)
def test_an_exception_in_the_pipeline_reaches_the_consumer(train_beton: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fill = PendingViews.fill

    def fail_at_second(self: PendingViews, first: int, last: int) -> None:
        if SIZE in self.samples:
            raise SystemExit("a broken thread")
        fill(self, first, last)

    monkeypatch.setattr(PendingViews, "fill", fail_at_second)
    batches = Loader(train_beton, ReadSettings(SIZE)).batches()
    next(batches)
    with pytest.raises(JobError, match="a broken thread"):
        next(batches)


@pytest.mark.timeout(240)
def test_a_producer_that_hangs_is_an_error(train_beton: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(producer, "STALL_LIMIT", 0.3)
    monkeypatch.setattr(PendingViews, "fill", lambda *_: threading.Event().wait())
    with pytest.raises(JobError, match="no batch was decoded"):
        next(Loader(train_beton, ReadSettings(SIZE)).batches())


VIEWS = (RandomResizedCrop(24, (0.3, 1.0)), RandomResizedCrop(12, (0.1, 0.4)), CentreCrop(20, 0.8))


class Photographs:
    """Smooth images of several sizes, some of them grey."""

    def __len__(self) -> int:
        return 20

    def __getitem__(self, index: int) -> tuple[np.ndarray[Any, Any], int]:
        random = np.random.default_rng(index)
        coarse = Image.fromarray(random.integers(0, 256, (6, 6, 3), np.uint8))
        image = coarse.resize((60 + 7 * index, 120 - 3 * index), Image.Resampling.BICUBIC)
        return np.asarray(image.convert("L").convert("RGB") if index % 5 == 0 else image), index


@pytest.fixture(scope="module")
def photographs(train_beton: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("photographs") / "photographs.beton"
    fields = {"image": RGBImageField(write_mode="jpg", jpeg_quality=90), "label": IntField()}
    DatasetWriter(str(path), fields, num_workers=1).from_indexed_dataset(Photographs())
    manifest = json.loads(beton.manifest_path(train_beton).read_text())
    manifest["contents"] |= {"samples": 20, "mask_classes": [], "image_size": None}
    manifest |= {"bytes": path.stat().st_size, "sha256": sha256(path.read_bytes()).hexdigest()}
    beton.manifest_path(path).write_text(json.dumps(manifest))
    return path


def pixels(loaders: list[Loader], epochs: int = 1) -> dict[tuple[int, int], list[bytes]]:
    """The views of each (epoch, sample)."""
    return {
        (epoch, index): [view[row].numpy().tobytes() for view in batch.views]
        for loader in loaders
        for epoch in range(epochs)
        for batch, _ in loader.batches(Position(epoch=epoch))
        for row, index in enumerate(batch.index.tolist())
    }


def test_views_do_not_depend_on_threads_ranks_or_batches(photographs: Path) -> None:
    def loader(size: int, train: bool = False, **settings: int) -> Loader:
        return Loader(photographs, ReadSettings(size, seed=3, **settings), views=VIEWS, train=train)

    expected = pixels([loader(6)], epochs=2)
    assert len(expected) == 40 and expected[0, 1] != expected[1, 1]
    assert pixels([loader(10, threads=2)], epochs=2) == expected
    for world in (2, 3):
        ranks = [loader(6, rank=rank, world_size=world) for rank in range(world)]
        assert pixels(ranks, epochs=2) == expected
    for batch, _ in loader(6, train=True).batches(Position(0, 1, 2)):
        assert [view[0].numpy().tobytes() for view in batch.views] == expected[1, int(batch.index[0])]


def test_random_views_never_change(photographs: Path) -> None:
    batch, _ = next(Loader(photographs, ReadSettings(6, seed=3), views=VIEWS, train=True).batches())
    assert [tuple(view.shape) for view in batch.views] == [(6, 3, 24, 24), (6, 3, 12, 12), (6, 3, 20, 20)]
    assert batch.index.tolist() == GOLDEN_SAMPLES
    assert [int(view.long().sum()) for view in batch.views] == GOLDEN_SUMS


SMALL = RandomResizedCrop(12, (0.5, 1.0), flip=0.0, decode="scaled")


def test_scaled_decoding_changes_little_and_depends_on_nothing_else(photographs: Path) -> None:
    def read(*views: RandomResizedCrop, size: int = 6, **settings: int) -> dict[tuple[int, int], list[bytes]]:
        return pixels([Loader(photographs, ReadSettings(size, seed=3, **settings), views=views)], epochs=2)

    full, scaled = read(replace(SMALL, decode="full")), read(SMALL)
    one, other = (
        np.frombuffer(b"".join(view for views in found.values() for view in views), np.uint8).astype(int)
        for found in (full, scaled)
    )
    assert 0 < abs(one - other).mean() < 2
    assert read(SMALL, size=10, threads=2) == scaled
    # An image is decoded once, as large as its largest view needs it.
    assert read(SMALL, replace(SMALL, size=60)) == read(
        replace(SMALL, decode="full"), replace(SMALL, size=60, decode="full")
    )


def test_images_of_several_sizes_cannot_be_taken_whole(photographs: Path) -> None:
    with pytest.raises(ConfigError, match="several sizes"):
        Loader(photographs, ReadSettings(6))


def damaged(photographs: Path, folder: Path, at: int, content: bytes) -> Path:
    path = folder / "damaged.beton"
    whole = photographs.read_bytes()
    path.write_bytes(whole[:at] + content + whole[at + len(content) :])
    beton.manifest_path(path).write_bytes(beton.manifest_path(photographs).read_bytes())
    return path


def test_a_corrupt_jpeg_is_named(photographs: Path, tmp_path: Path) -> None:
    place = Loader(photographs, ReadSettings(6), views=VIEWS).stored.images[7]
    middle = int(place["address"] + place["bytes"] // 2)
    path = damaged(photographs, tmp_path, middle, b"\xff\xd9" * 10)
    with pytest.raises(DataError, match="sample 7: its JPEG is corrupt"):
        pixels([Loader(path, ReadSettings(6), views=(CentreCrop(20, 1.0),))])


def test_a_file_cut_short_while_it_is_read_is_an_error(photographs: Path, tmp_path: Path) -> None:
    path = damaged(photographs, tmp_path, 0, b"")
    batches = Loader(path, ReadSettings(6), views=VIEWS).batches()
    next(batches)
    loader = Loader(path, ReadSettings(6), views=VIEWS)
    with path.open("r+b") as file:
        file.truncate(int(loader.stored.images["address"].max()) + 10)
    with pytest.raises(DataError, match="the file ends before it"):
        pixels([loader])
    batches.close()


def test_threads_are_at_most_the_cores(
    photographs: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("locat.data.reader.available_cores", lambda: 1)
    Loader(photographs, ReadSettings(6, threads=8), views=(VIEWS[0], CentreCrop(8)))
    assert "1 loader threads, not 8" in caplog.text
