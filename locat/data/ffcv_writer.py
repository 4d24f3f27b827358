"""Encoded samples into a file of FFCV's layout, with FFCV's writer; its own readers read it."""

import errno
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from ffcv.fields import BytesField, IntField, NDArrayField, RGBImageField
from ffcv.fields.rgb_image import IMAGE_MODES
from ffcv.memory_allocator import MemoryAllocator
from ffcv.writer import MIN_PAGE_SIZE, DatasetWriter, handle_sample

from locat.data.datasets.base import Contents
from locat.data.parts import Encoded, Summary

PAGE_SIZE = 4 * MIN_PAGE_SIZE
"""Bytes; larger only where one sample is larger."""


def write_samples(path: Path, samples: Iterable[Encoded], summary: Summary, contents: Contents) -> None:
    """Write the fields `image`, `label` and, where the contents have mask classes, `mask`.

    Images are JPEG files and masks PNG files, or both are pixels, as the contents say.
    """
    mode = IMAGE_MODES["jpg" if contents.storage == "files" else "raw"]
    fields = {"image": image_field(mode), "label": IntField()}
    if contents.mask_classes:
        shape = (contents.image_size, contents.image_size)
        fields["mask"] = BytesField() if contents.storage == "files" else NDArrayField(np.dtype("uint8"), shape)
    page_size = max(PAGE_SIZE, 1 << (summary.largest - 1).bit_length())  # a sample never spans two pages
    Writer(str(path), fields, page_size).write(samples, summary.samples)


class Writer(DatasetWriter):  # type: ignore[misc]
    """FFCV's writer in this process: the samples are encoded already, and their order decides every byte."""

    def write(self, samples: Iterable[Encoded], count: int) -> None:
        self.num_samples = count
        self.prepare()
        try:
            metadata = np.zeros(count, self.metadata_type)
            allocator = MemoryAllocator(self.fname, self.data_region_start, self.page_size)
            with allocator:
                for number, sample in enumerate(samples):
                    values = (sample, sample.label, sample.mask)[: len(self.fields)]
                    handle_sample(values, number, self.metadata_type.names, metadata, allocator, self.fields)
            self.metadata_sm.buf[: metadata.nbytes] = metadata.tobytes()
            self.finalize([allocator.allocations])
            if self.header["alloc_table_ptr"] != allocator.offset + (allocator.my_page + 1) * self.page_size:
                raise OSError(errno.ENOSPC, "a page was written in part")  # FFCV does not look
        finally:
            self.metadata_sm.close()
            self.metadata_sm.unlink()


def image_field(mode: int) -> Any:
    """FFCV's RGBImageField that takes samples whose image is encoded already."""

    def encode(destination: Any, sample: Encoded, malloc: Any) -> None:
        destination["mode"], destination["height"], destination["width"] = mode, sample.height, sample.width
        destination["data_ptr"], storage = malloc(sample.image.nbytes)
        storage[:] = sample.image

    field = RGBImageField()
    field.encode = encode  # a subclass would be marked as a field that FFCV's readers do not know
    return field
