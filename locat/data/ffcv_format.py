"""FFCV's file format, version 2, without FFCV: importing it compiles its decoders, which takes seconds.

A file is a header, a descriptor of each field, a record of each sample, pages with the samples' bytes, and a table of
what lies where in the pages. The constants are those of ffcv/types.py and ffcv/fields; the tests hold what is written
here against FFCV's own writer, and have FFCV's own reader and decoders read it.
"""

import json
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

VERSION = 2
SMALLEST_PAGE = 1 << 21  # bytes

HEADER = np.dtype(
    [
        ("version", "<u2"),
        ("num_fields", "<u2"),
        ("page_size", "<u4"),
        ("num_samples", "<u8"),
        ("alloc_table_ptr", "<u8"),
    ],
    align=True,
)
DESCRIPTOR = np.dtype([("type_id", "<u1"), ("name", ("<u1", 16)), ("arguments", ("<u1", 1024))], align=True)
ALLOCATION = np.dtype([("sample_id", "<u8"), ("ptr", "<u8"), ("size", "<u8")])
ARRAY = np.dtype([("shape", "<u8", 32), ("type_length", "<u8")])
"""How the arguments of an array begin; its type follows as JSON."""

INTEGER, IMAGE, BYTES, PIXELS = 1, 2, 3, 4
"""FFCV's numbers of its IntField, RGBImageField, BytesField and NDArrayField."""
RECORDS = {
    INTEGER: np.dtype("<i8"),
    IMAGE: np.dtype([("mode", "<u1"), ("width", "<u2"), ("height", "<u2"), ("data_ptr", "<u8")]),
    BYTES: np.dtype([("ptr", "<u8"), ("size", "<u8")]),
    PIXELS: np.dtype("<u8"),
}
"""What a sample's record holds of a field."""
JPEG, RAW = 0, 1
"""Modes of an image: how its bytes are to be read."""


class Field(NamedTuple):
    """A column of the samples."""

    name: str
    kind: int
    """A key of RECORDS."""
    shape: tuple[int, ...] = ()
    """Of PIXELS, which are uint8."""


class Tables(NamedTuple):
    """What a file says of its samples."""

    fields: tuple[Field, ...]
    samples: NDArray[np.void]
    """Records of `sample_type(fields)`."""
    allocations: NDArray[np.void]
    """Records of ALLOCATION."""

    def column(self, name: str) -> NDArray[np.void]:
        """What the samples' records hold of a field."""
        number = [field.name for field in self.fields].index(name)
        return self.samples[f"f{number}"]


def sample_type(fields: tuple[Field, ...]) -> np.dtype[np.void]:
    """A sample's record: columns f0, f1, ..."""
    return np.dtype([("", RECORDS[field.kind]) for field in fields], align=True)


def describe(fields: tuple[Field, ...]) -> NDArray[np.void]:
    """Records of DESCRIPTOR."""
    found = np.zeros(len(fields), DESCRIPTOR)
    for row, field in zip(found, fields, strict=True):
        row["type_id"] = field.kind
        row["name"][: len(field.name)] = np.frombuffer(field.name.encode("ascii"), np.uint8)
        if field.kind == PIXELS:
            kind = json.dumps(np.dtype(np.uint8).descr).encode("ascii")
            array = np.zeros(1, ARRAY)
            array["shape"][0, : len(field.shape)], array["type_length"] = field.shape, len(kind)
            arguments = array.tobytes() + kind
            row["arguments"][: len(arguments)] = np.frombuffer(arguments, np.uint8)
    return found


def read_tables(path: Path) -> Tables:
    """The tables of a file.

    Raises:
        IndexError, KeyError, OSError, OverflowError, ValueError: it is none of FFCV's, or has fields that `convert`
            does not write.
    """
    header = np.fromfile(path, HEADER, 1)[0]
    if header["version"] != VERSION:
        raise ValueError(f"the file has version {header['version']} of the format, {VERSION} is read")
    descriptors = np.fromfile(path, DESCRIPTOR, int(header["num_fields"]), offset=HEADER.itemsize)
    fields = tuple(map(_field, descriptors))
    start = HEADER.itemsize + descriptors.nbytes
    samples = np.fromfile(path, sample_type(fields), int(header["num_samples"]), offset=start)
    return Tables(fields, samples, np.fromfile(path, ALLOCATION, offset=int(header["alloc_table_ptr"])))


def _field(descriptor: np.void) -> Field:
    name = descriptor["name"].tobytes().split(b"\0")[0].decode("ascii")
    kind = int(descriptor["type_id"])
    if kind not in RECORDS:
        raise ValueError(f"the field {name!r} is of FFCV's type {kind}, which `convert` does not write")
    if kind != PIXELS:
        return Field(name, kind)
    shape = descriptor["arguments"][: ARRAY.itemsize].view(ARRAY)[0]["shape"]
    return Field(name, kind, tuple(int(side) for side in shape if side))
