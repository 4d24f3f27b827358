"""Plugins that travel within a plan, to jobs that see no folder of the machine that submits: an archive, as text."""

import base64
import io
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path, PurePosixPath

from launcher.plugins.named import BadPluginError
from launcher.plugins.staged import INFO
from launcher.snapshot import files, modules
from locat.contract.errors import ConfigError

MOST = 3_000_000
"""Bytes of an archive: whoever looks at the run reads its plan, and a cluster keeps it as ConfigMaps."""
MOST_UNPACKED = 50_000_000
LINE = 1200
"""Characters; a plan is cut between lines where one ConfigMap does not hold it."""
_EPOCH = (1980, 1, 1, 0, 0, 0)


def packed(places: Mapping[str, Path], notes: Mapping[str, Path]) -> tuple[str, ...]:
    """What `unpack` takes: the same for the same files.

    Args:
        places: top-level module -> the file or folder that it is.
        notes: path in the archive -> file, of what says what they bring.

    Raises:
        BadPluginError: they are too large, or cannot be read.
    """
    found = {**_files(places), **notes}
    held = io.BytesIO()
    try:
        with zipfile.ZipFile(held, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
            if (size := sum(path.stat().st_size for path in found.values())) > MOST_UNPACKED:
                raise _too_large(found, size)
            for name, path in sorted(found.items()):
                archive.writestr(zipfile.ZipInfo(name, _EPOCH), path.read_bytes(), zipfile.ZIP_DEFLATED)
    except OSError as error:
        raise BadPluginError(f"{error.filename}: cannot be read: {error.strerror}") from error
    except ValueError as error:  # a name that is no text
        raise BadPluginError(f"a name of a file cannot be packed: {error}") from error
    if len(data := held.getvalue()) > MOST:
        raise _too_large(found, len(data))
    text = base64.b64encode(data).decode()
    return tuple(text[start : start + LINE] for start in range(0, len(text), LINE))


def unpack(parcel: tuple[str, ...], folder: Path) -> None:
    """Write the files, read-only, into an empty folder.

    Raises:
        ConfigError: it is no such archive, or leads out of the folder.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(base64.b64decode("".join(parcel), validate=True))) as archive:
            if sum(each.file_size for each in archive.infolist()) > MOST_UNPACKED:
                raise ConfigError("the plan's plugins are larger than any that `submit` packs")
            for each in archive.infolist():
                place = folder / _checked(each.filename)
                place.parent.mkdir(parents=True, exist_ok=True)
                with place.open("xb") as file:
                    file.write(archive.read(each))
                place.chmod(0o444)
    except (ValueError, OSError, EOFError, RuntimeError, zipfile.BadZipFile, zlib.error) as error:
        raise ConfigError(f"the plan's plugins cannot be unpacked: {error}") from error
    for inner in (folder, *folder.rglob("*")):
        if inner.is_dir():
            inner.chmod(0o555)


def check_packages(plugins: tuple[str, ...], image: str) -> None:
    """See that plugins which are installed packages are in this image too.

    Raises:
        ConfigError: one is not.
    """
    for name in plugins:
        if not name.startswith("/") and not modules.places(name.partition(".")[0]):
            raise ConfigError(f"plugins: {name!r} is not installed in the image {image}; install it there")


def check_modules(folder: Path, image: str) -> None:
    """See that no module that was unpacked takes the place of another one of this image.

    Raises:
        ConfigError: one does.
    """
    for place in folder.iterdir():
        if not place.name.endswith(INFO) and (taken := modules.places(place.name.removesuffix(".py"))):
            raise ConfigError(
                f"plugins: {place.name} would take the place of {taken[0]} of the image {image}; rename it,"
                " or leave it out of `plugins`"
            )


def _files(places: Mapping[str, Path]) -> dict[str, Path]:
    """Path in the archive -> file, of all that belongs to modules."""
    return {
        name: place.parent / name for place in places.values() for name in files.find(place.parent, [place.name]).names
    }


def _checked(name: str) -> str:
    """A path that stays in the folder that it is put into."""
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or not path.parts or "\\" in name or "\0" in name:
        raise ValueError(f"no path of a plugin's file: {name[:100]!r}")
    return name


def _too_large(found: Mapping[str, Path], size: int) -> BadPluginError:
    largest = max(found, key=lambda name: found[name].stat().st_size)
    return BadPluginError(
        f"{size / 1e6:.1f} MB are too much to travel with the plan, as jobs see no folder of this machine (at most"
        f" {MOST / 1e6:g} MB compressed, {MOST_UNPACKED / 1e6:g} MB in all); the largest file is {found[largest]}: keep"
        " data out of plugins, or install them into the image and leave `plugins` out"
    )
