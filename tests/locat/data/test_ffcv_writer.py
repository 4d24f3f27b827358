"""Files that FFCV's own reader and loader read."""

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ffcv.fields import BytesField, IntField, NDArrayField, RGBImageField
from ffcv.fields.basics import IntDecoder
from ffcv.fields.rgb_image import IMAGE_MODES, CenterCropRGBImageDecoder, RandomResizedCropRGBImageDecoder
from ffcv.loader import Loader
from ffcv.reader import Reader
from ffcv.types import TYPE_ID_HANDLER
from ffcv.writer import DatasetWriter
from PIL import Image

from locat.data import beton
from locat.data.datasets.base import Contents, Sample
from locat.data.ffcv_format import IMAGE, JPEG, RAW, RECORDS, read_tables
from locat.data.ffcv_writer import PAGE_SIZE
from support.pictures import encoded, jpeg


def silent(done: int) -> None:
    pass


class Files:
    """JPEG files in memory, of several sizes; with masks, PNG files."""

    def __init__(self, files: list[bytes], masks: list[bytes] | None = None) -> None:
        self.files, self.masks = files, masks

    @property
    def contents(self) -> Contents:
        mask_classes = ("sky", "sea") if self.masks else ()
        return Contents(len(self.files), ("a", "b", "c"), mask_classes, None, "memory", 0, {})

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, index: int) -> Sample:
        return Sample(self.files[index], index % 3, self.masks[index] if self.masks else None)

    def name(self, index: int) -> str:
        return str(index)


def stored(path: Path) -> list[list[bytes]]:
    """The bytes of each sample's allocations, in order."""
    reader, content = Reader(str(path)), path.read_bytes()
    samples: list[list[bytes]] = [[] for _ in range(reader.num_samples)]
    for sample, pointer, size in reader.alloc_table.tolist():
        samples[sample].append(content[pointer : pointer + size])
    return samples


def test_jpeg_files_are_stored_byte_for_byte_under_ffcvs_own_types(tmp_path: Path) -> None:
    files = [jpeg(seed, width=30 + seed, height=40 + 2 * seed) for seed in range(5)]
    beton.write(tmp_path / "x.beton", Files(files), 1, silent)
    reader = Reader(str(tmp_path / "x.beton"))
    assert reader.field_names == ["image", "label"]
    assert [type(handler) for handler in reader.handlers.values()] == [RGBImageField, IntField]
    assert stored(tmp_path / "x.beton") == [[file] for file in files]
    images, labels = (reader.metadata[name] for name in reader.metadata.dtype.names)
    assert images["width"].tolist() == [30, 31, 32, 33, 34]
    assert images["height"].tolist() == [40, 42, 44, 46, 48]
    assert set(images["mode"]) == {IMAGE_MODES["jpg"]}
    assert labels.tolist() == [0, 1, 2, 0, 1]


def test_masks_of_image_files_are_stored_as_the_png_files_they_are(tmp_path: Path) -> None:
    files = [jpeg(seed) for seed in range(3)]
    masks = [encoded(Image.fromarray(np.full((30, 40), seed, np.uint8)), "PNG") for seed in range(3)]
    beton.write(tmp_path / "x.beton", Files(files, masks), 1, silent)
    reader = Reader(str(tmp_path / "x.beton"))
    assert reader.field_names == ["image", "label", "mask"]
    assert type(reader.handlers["mask"]) is BytesField
    assert stored(tmp_path / "x.beton") == [list(pair) for pair in zip(files, masks, strict=True)]


def test_a_sample_larger_than_a_page_gets_larger_pages(tmp_path: Path) -> None:
    large = jpeg() + bytes(PAGE_SIZE)  # what stands behind the end of a JPEG is of no concern
    files = [jpeg(1), large, jpeg(2)]
    beton.write(tmp_path / "x.beton", Files(files), 1, silent)
    assert Reader(str(tmp_path / "x.beton")).page_size == 2 * PAGE_SIZE
    assert stored(tmp_path / "x.beton") == [[file] for file in files]


class Pixels:
    """Images of one size with masks; two of them fill a page, but for too little room for a third one's mask."""

    contents = Contents(5, ("a", "b", "c"), ("sky", "sea"), 1060, "memory", 0, {})

    def __len__(self) -> int:
        return 5

    def __getitem__(self, index: int) -> Sample:
        image = np.random.default_rng(index).integers(0, 256, (1060, 1060, 4), np.uint8)
        return Sample(np.ascontiguousarray(image[..., :3]), index % 3, np.ascontiguousarray(image[..., 3]))

    def name(self, index: int) -> str:
        return str(index)


def test_pixels_are_written_byte_for_byte_as_by_ffcvs_own_writer(tmp_path: Path) -> None:
    beton.write(tmp_path / "ours.beton", Pixels(), 1, silent)
    fields = {"image": RGBImageField(), "label": IntField(), "mask": NDArrayField(np.dtype("uint8"), (1060, 1060))}
    DatasetWriter(str(tmp_path / "ffcv.beton"), fields, num_workers=1).from_indexed_dataset(Pixels())
    assert (tmp_path / "ours.beton").read_bytes() == (tmp_path / "ffcv.beton").read_bytes()


class StoredImage(RGBImageField):
    """FFCV's field, of JPEG files that are there already."""

    def encode(self, destination: Any, image: tuple[bytes, int, int], malloc: Any) -> None:
        content, destination["height"], destination["width"] = image
        destination["mode"] = IMAGE_MODES["jpg"]
        destination["data_ptr"], storage = malloc(len(content))
        storage[:] = np.frombuffer(content, np.uint8)


def test_files_are_written_byte_for_byte_as_by_ffcvs_own_writer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # What stands behind the end of a file is of no concern: the third image fits into a page, its mask does not.
    files = [jpeg(seed) + bytes(PAGE_SIZE // 3 - 20_000) for seed in range(7)]
    masks = [encoded(Image.fromarray(np.full((30, 40), seed, np.uint8)), "PNG") + bytes(25_000) for seed in range(7)]
    beton.write(tmp_path / "ours.beton", Files(files, masks), 1, silent)
    monkeypatch.setitem(TYPE_ID_HANDLER, 2, StoredImage)
    samples = [
        ((file, 30, 40), index % 3, np.frombuffer(mask, np.uint8))
        for index, (file, mask) in enumerate(zip(files, masks, strict=True))
    ]
    fields = {"image": StoredImage(), "label": IntField(), "mask": BytesField()}
    DatasetWriter(str(tmp_path / "ffcv.beton"), fields, num_workers=1).from_indexed_dataset(samples)
    assert (tmp_path / "ours.beton").read_bytes() == (tmp_path / "ffcv.beton").read_bytes()


def test_the_tables_that_are_read_are_those_that_ffcv_reads(tmp_path: Path) -> None:
    beton.write(tmp_path / "x.beton", Pixels(), 1, silent)
    tables, reader = read_tables(tmp_path / "x.beton"), Reader(str(tmp_path / "x.beton"))
    assert [field.name for field in tables.fields] == reader.field_names
    assert [field.kind for field in tables.fields] == reader.field_descriptors["type_id"].tolist()
    assert [field.shape for field in tables.fields] == [(), (), reader.handlers["mask"].shape]
    assert tables.samples.dtype == reader.metadata.dtype
    assert np.array_equal(tables.samples, reader.metadata)
    assert np.array_equal(tables.allocations, reader.alloc_table)


def test_the_constants_of_the_format_are_ffcvs() -> None:
    assert {number: type_.__name__ for number, type_ in TYPE_ID_HANDLER.items() if number in RECORDS} == {
        1: "IntField",
        2: "RGBImageField",
        3: "BytesField",
        4: "NDArrayField",
    }
    assert RECORDS[IMAGE] == RGBImageField().metadata_type
    assert dict(IMAGE_MODES) == {"jpg": JPEG, "raw": RAW}


@pytest.mark.slow
@pytest.mark.parametrize("grey", [False, True])
def test_ffcvs_own_decoders_see_what_pil_sees(tmp_path: Path, grey: bool) -> None:
    files = [jpeg(seed, width=48, height=32) for seed in range(4)]
    if grey:
        files = [encoded(Image.open(io.BytesIO(file)).convert("L"), quality=90) for file in files]
    beton.write(tmp_path / "x.beton", Files(files), 1, silent)
    for decoder in (CenterCropRGBImageDecoder((32, 32), 1), RandomResizedCropRGBImageDecoder((32, 32), (1, 1), (1, 1))):
        pipelines = {"image": [decoder], "label": [IntDecoder()]}
        batches = list(Loader(str(tmp_path / "x.beton"), 2, 1, os_cache=True, pipelines=pipelines))
        images = np.concatenate([np.asarray(image) for image, _ in batches])
        labels = np.concatenate([np.asarray(label) for _, label in batches])
        assert labels.ravel().tolist() == [0, 1, 2, 0]
        for seen, file in zip(images, files, strict=True):
            whole = np.asarray(Image.open(io.BytesIO(file)).convert("RGB")).astype(int)
            # A crop of all rows: whichever columns it took, they are columns of the image.
            distances = [abs(seen - whole[:, left : left + 32]).mean() for left in range(17)]
            assert min(distances) < 2
