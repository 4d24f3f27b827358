"""Encoded samples into a file of FFCV's format, byte for byte what FFCV's own writer makes of them in one process."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from locat.data.datasets.base import Contents
from locat.data.ffcv_format import (
    ALLOCATION,
    BYTES,
    DESCRIPTOR,
    HEADER,
    IMAGE,
    INTEGER,
    JPEG,
    PIXELS,
    RAW,
    SMALLEST_PAGE,
    VERSION,
    Field,
    describe,
    sample_type,
)
from locat.data.parts import Encoded, Summary

PAGE_SIZE = 4 * SMALLEST_PAGE
"""Bytes; larger only where one sample is larger."""


def write_samples(path: Path, samples: Iterable[Encoded], summary: Summary, contents: Contents) -> NDArray[np.void]:
    """Write the fields `image`, `label` and, where the contents have mask classes, `mask`; returns the samples'
    records.

    Images are JPEG files and masks PNG files, or both are pixels, as the contents say.
    """
    fields = fields_of(contents)
    has_masks, mode = len(fields) == 3, JPEG if contents.storage == "files" else RAW
    header, descriptors = np.zeros(1, HEADER), describe(fields)
    records = np.zeros(summary.samples, sample_type(fields))
    page_size = page_bytes(summary.largest)
    start = tables_bytes(fields, summary.samples, page_size)
    with path.open("wb") as file:
        pages = Pages(file, start, page_size)
        for number, sample in enumerate(samples):
            parts = (sample.image, sample.mask)[: 1 + has_masks]
            image, *mask = pages.put(number, parts)
            records[number]["f0"] = (mode, sample.width, sample.height, image)
            records[number]["f1"] = sample.label
            if has_masks:
                records[number]["f2"] = (mask[0], len(sample.mask)) if fields[2].kind == BYTES else mask[0]
        end = pages.finish()
        file.write(np.array(pages.allocations, ALLOCATION).tobytes())
        header[0] = (VERSION, len(fields), page_size, summary.samples, end)
        file.seek(0)
        for table in (header, descriptors, records):
            file.write(table.tobytes())
    return records


def page_bytes(largest: int) -> int:
    """Bytes of a page where the largest sample has so many: a sample never spans two."""
    return max(PAGE_SIZE, 1 << (largest - 1).bit_length())


def tables_bytes(fields: tuple[Field, ...], samples: int, page_size: int) -> int:
    """What the tables take before the pages, which begin at a whole page."""
    bytes_ = HEADER.itemsize + len(fields) * DESCRIPTOR.itemsize + samples * sample_type(fields).itemsize
    return -(-bytes_ // page_size) * page_size


def samples_within(sizes: Iterable[int], most: int, fields: tuple[Field, ...], page_size: int) -> Iterator[int]:
    """How many samples go into each of several files of at most `most` bytes, or of one sample where that has more.

    `sizes` are the bytes of each sample.
    """
    parts = len(fields) - 1  # of a sample, each of which has an allocation
    samples = pages = used = 0
    for size in sizes:
        grown = pages + (not pages or used + size > page_size)
        bytes_ = tables_bytes(fields, samples + 1, page_size) + grown * page_size
        if samples and bytes_ + (samples + 1) * parts * ALLOCATION.itemsize > most:
            yield samples
            samples, pages, used, grown = 0, 0, 0, 1
        used = size if grown > pages else used + size
        samples, pages = samples + 1, grown
    if samples:
        yield samples


def fields_of(contents: Contents) -> tuple[Field, ...]:
    """The fields of a file that is to hold `contents`."""
    fields = (Field("image", IMAGE), Field("label", INTEGER))
    if not contents.mask_classes:
        return fields
    if contents.image_size is None:
        return (*fields, Field("mask", BYTES))
    return (*fields, Field("mask", PIXELS, (contents.image_size, contents.image_size)))


class Pages:
    """The pages of `size` bytes, from the place `start` of a file on; one is in memory at a time."""

    def __init__(self, file: BinaryIO, start: int, size: int) -> None:
        self.allocations: list[tuple[int, int, int]] = []
        """Of each part of a sample the sample's number, its place in the file and its bytes."""
        self._file, self._address = file, start
        self._page, self._used = np.zeros(size, np.uint8), 0

    def put(self, sample: int, parts: Sequence[NDArray[np.uint8]]) -> list[int]:
        """Add a sample, of which all parts lie in one page, and say where in the file each of them is."""
        places: list[int] = []
        for part in parts:
            if len(part) > len(self._page) - self._used:
                self._turn()
                if places:  # what there is of it already stays behind in the page before, as in FFCV's files
                    return self.put(sample, parts)
            places.append(self._address + self._used)
            self._page[self._used : self._used + len(part)] = part
            self._used += len(part)
        self.allocations += [(sample, place, len(part)) for place, part in zip(places, parts, strict=True)]
        return places

    def finish(self) -> int:
        """Write the last page; where the next one would begin."""
        self._turn()
        return self._address

    def _turn(self) -> None:
        self._file.seek(self._address)
        self._file.write(self._page.data)
        self._page[:] = 0
        self._address += len(self._page)
        self._used = 0
