"""CIFAR-100's pickles, as Python 2 wrote them, and pickles that want more than data."""

import io
import pickle
import struct
import tarfile
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest

from locat.contract.errors import DataError
from locat.data.datasets.cifar100 import cifar100
from support.hostile import Evil

CLASSES = ["apple", "aquarium_fish", "baby", "bear"]


class Python2Pickler(pickle._Pickler):
    """Protocol 2 with Python 2's strings, which are bytes, and its name of numpy's module."""

    dispatch: ClassVar = dict(pickle._Pickler.dispatch)

    def __init__(self, file: io.BytesIO) -> None:
        super().__init__(file, protocol=2)

    def save_string(self, value: str | bytes) -> None:
        content = value if isinstance(value, bytes) else value.encode("latin1")
        self.write(pickle.BINSTRING + struct.pack("<i", len(content)) + content)
        self.memoize(value)

    dispatch[str] = dispatch[bytes] = save_string

    def save_global(self, value: Any, name: str | None = None) -> None:
        module = {"numpy._core.multiarray": "numpy.core.multiarray"}.get(value.__module__, value.__module__)
        self.write(pickle.GLOBAL + f"{module}\n{name or value.__qualname__}\n".encode())
        self.memoize(value)


def pickled(values: Any) -> bytes:
    file = io.BytesIO()
    Python2Pickler(file).dump(values)
    return file.getvalue()


def pixels(count: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (count, 3072), dtype=np.uint8)


def split(count: int, seed: int, **changes: Any) -> dict[str, Any]:
    return {
        "filenames": [f"image_{number}.png" for number in range(count)],
        "batch_label": "training batch 1 of 1",
        "fine_labels": [(number * 3 + seed) % len(CLASSES) for number in range(count)],
        "coarse_labels": [0] * count,
        "data": pixels(count, seed),
        **changes,
    }


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "cifar-100-python"
    folder.mkdir()
    (folder / "train").write_bytes(pickled(split(20, 0)))
    (folder / "test").write_bytes(pickled(split(6, 1)))
    (folder / "meta").write_bytes(pickled({"fine_label_names": CLASSES, "coarse_label_names": ["fruit"]}))
    return folder


def test_images_are_those_of_torchvision(folder: Path) -> None:
    from torchvision.datasets import CIFAR100

    class Unchecked(CIFAR100):
        def _check_integrity(self) -> bool:
            return True

        def _load_meta(self) -> None:
            self.classes = CLASSES

    for name, ours in cifar100(folder).items():
        theirs = Unchecked(folder.parent, train=name == "train")
        assert len(ours) == len(theirs) == ours.contents.samples
        for index in range(len(ours)):
            image, label = theirs[index]
            assert np.array_equal(ours[index].image, np.asarray(image))
            assert (ours[index].label, ours[index].mask) == (label, None)
        assert ours.contents.classes == tuple(CLASSES) and ours.contents.image_size == 32


def test_the_tar_gz_holds_the_same(folder: Path, tmp_path: Path) -> None:
    archive = tmp_path / "cifar-100-python.tar.gz"
    with tarfile.open(archive, "w:gz") as tar:
        tar.add(folder, folder.name)
    for unpacked, packed in zip(cifar100(folder).values(), cifar100(archive).values(), strict=True):
        assert np.array_equal(unpacked.pixels, packed.pixels) and unpacked.labels == packed.labels
        assert unpacked.digest == packed.digest


@pytest.mark.parametrize("file", ["train", "test", "meta"])
def test_a_pickle_that_would_run_something_is_refused(folder: Path, tmp_path: Path, file: str) -> None:
    marker = tmp_path / "owned"
    content = pickle.dumps({"data": Evil(marker)}, protocol=2)
    (folder / file).write_bytes(content)
    with pytest.raises(DataError, match=rf"{file} is not a pickle of CIFAR-100 \(asks for posix.mkdir\)"):
        cifar100(folder)
    assert not marker.exists()
    pickle.loads(content)
    assert marker.exists()  # it would have


def test_an_array_of_pointers_is_refused_before_any_is_followed(folder: Path) -> None:
    class Pointers:
        def __reduce__(self) -> tuple[Any, ...]:
            return np.ndarray, ((1,), np.dtype("O"), b"ABCDEFGH")

    (folder / "train").write_bytes(pickle.dumps({"data": pixels(1, 0), "fine_labels": Pointers()}, protocol=2))
    with pytest.raises(DataError, match="train is not a pickle of CIFAR-100"):
        cifar100(folder)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "train is not a pickle"),
        (b"garbage", "train is not a pickle"),
        (pickled(split(20, 0))[:5000], "train is not a pickle"),
        (pickled([1, 2]), "train holds no dictionary"),
        (pickled(split(20, 0, data=pixels(19, 0))), "holds no fine_labels"),
        (pickled(split(20, 0, data=pixels(20, 0).astype(np.int16))), "holds an array of i2, not of bytes"),
        (pickled(split(20, 0, data=pixels(20, 0)[:, :3000])), "holds no data of 32 x 32"),
        (pickled(split(20, 0, data="x")), "holds no data of 32 x 32"),
        (pickled(split(20, 0, fine_labels=[100] * 20)), "holds no fine_labels"),
        (pickled(split(20, 0, fine_labels=[[0]] * 20)), "holds no fine_labels"),
        (pickled(split(0, 0)), "holds no fine_labels"),
        (pickled({"data": pixels(20, 0), "labels": [0] * 20}), "holds no fine_labels"),
    ],
)
def test_a_file_that_is_something_else_is_one_sentence(folder: Path, content: bytes, words: str) -> None:
    (folder / "train").write_bytes(content)
    with pytest.raises(DataError) as caught:
        cifar100(folder)
    message = str(caught.value)
    assert words in message and str(folder) in message and "download it again" in message and "\n" not in message


def test_a_missing_source_or_file_is_one_sentence(folder: Path, tmp_path: Path) -> None:
    (folder / "meta").unlink()
    (tmp_path / "cut.tar.gz").write_bytes(b"\x1f\x8b\x08")
    for source in (folder, tmp_path / "nowhere", tmp_path / "cut.tar.gz"):
        with pytest.raises(DataError, match=r"not the folder cifar-100-python with meta, train, test, or"):
            cifar100(source)
