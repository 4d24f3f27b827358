"""Tars read in place: nothing in them is ever unpacked to the disk."""

import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from locat.contract.errors import DataError
from locat.data.intake.stalls import asking


@contextmanager
def opened(path: Path, piece: IO[bytes] | None = None) -> Iterator[tarfile.TarFile]:
    """The tar `path`, not compressed, or the one that is a `piece` of it.

    Raises:
        DataError: it is no tar, or damaged or cut short as far as the body reads it.
    """
    try:
        with asking(path, lambda: tarfile.open(path, "r:", fileobj=piece)) as archive:
            yield archive
    except (OSError, tarfile.TarError) as error:
        raise DataError(f"{path}: not a complete tar ({error}); download it again") from error


def regular(archive: tarfile.TarFile) -> Iterator[tarfile.TarInfo]:
    """The files in a tar, without folders and links; tarfile.ReadError where it is damaged or cut short."""
    last = "its beginning"
    members = iter(archive)
    while (member := asking(str(archive.name), lambda: next(members, None))) is not None:
        last = member.name
        if member.isreg():
            yield member
    # tarfile takes a damaged header for the end, which is a block of zeros.
    assert archive.fileobj is not None
    archive.fileobj.seek(archive.offset)
    if archive.fileobj.read(tarfile.BLOCKSIZE) != bytes(tarfile.BLOCKSIZE):
        raise tarfile.ReadError(f"damaged behind {last}")


def read_member(archive: tarfile.TarFile, name: str) -> bytes:
    """Content of a file in `archive`; KeyError where there is none."""
    file = archive.extractfile(name)
    if file is None:
        raise KeyError(f"{name} is not a file")
    return file.read()
