"""Export: written under another name, compared with the model, and only then called done."""

import logging
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from locat.config.export import Export
from locat.contract import durable
from locat.contract.errors import ConfigError, JobError
from locat.contract.fence import UNFINISHED, Fence
from locat.export import formats
from locat.export.check import Check, Difference
from locat.export.describe import described
from locat.export.program import program_of
from locat.predict.model import Model

logger = logging.getLogger(__name__)

RECORD = "export.json"
FORMAT = 1
"""Of the record."""
Record = dict[str, Any]


def export(model: Model, folder: Path, options: Export) -> Record:
    """Write model.pt2, model.onnx or both into a new `folder`, and export.json, which says what they are; returns that.

    `model` is on the CPU, and of no use afterwards.

    Raises:
        ConfigError: the model cannot be exported so, a package is missing, or the folder is not new.
        JobError: a program's answers are not the model's, or nothing more can be written; the folder is then not there.
    """
    wanted = ("pt2", "onnx") if options.format == "both" else (options.format,)
    for format in wanted:
        formats.refuse_without_packages(format)
    program = program_of(model, options)
    about = described(model, program, options)
    logger.info("each program computes: %s", about["computes"])
    with replacing(folder) as temporary:
        check = Check(program)
        exported = formats.traced(program)
        written = {}
        for format in wanted:
            file = temporary / f"model.{format}"
            formats.write(exported, program, file)
            differences = check.differences(file)
            refuse_different(differences, file.name, options.tolerance)
            written[file.name] = {
                "bytes": file.stat().st_size,
                "sha256": durable.sha256(file),
                "versions": formats.versions(file),
                "compared": [each._asdict() for each in differences],
            }
            logger.info("%s: %s", file.name, told(differences))
        record = {"format": FORMAT, **about, "files": written}
        durable.write_json(temporary / RECORD, record)
    return record


def refuse_different(differences: list[Difference], name: str, tolerance: float) -> None:
    """Raise JobError where a program does not say what its model says."""
    for each in differences:
        if each.exceeds(tolerance):
            raise JobError(
                f"{name}: its {each.output} differ from the model's by {each.difference:.2g} for images of shape "
                f"{each.images}, where these reach {each.largest:.2g}; the tolerance is {tolerance:g}; nothing is left"
            )


def told(differences: list[Difference]) -> str:
    """For people: by how much, and for which images."""
    shapes = dict.fromkeys("{} of {} x {}".format(*(each.images[index] for index in (0, 2, 3))) for each in differences)
    most = max(each.difference for each in differences)
    return f"differs from the model by {most:.1e} at most, on photographs: {', '.join(shapes)}"


@contextmanager
def replacing(folder: Path) -> Iterator[Path]:
    """Where to write a folder that becomes `folder` once it is complete, and is deleted where it does not.

    Raises:
        ConfigError: something is there already, or nothing can be written there.
        JobError: nothing more can be written.
        Superseded: a newer attempt of the job has begun.
    """
    fence = Fence.here()
    fence.check()
    if folder.is_symlink() or (folder.exists() and not (folder.is_dir() and not any(folder.iterdir()))):
        raise ConfigError(f"{folder}: is there already; name a folder that is not")
    temporary = folder.with_name(f".{folder.name}{fence.mark}{UNFINISHED}")
    shutil.rmtree(temporary, ignore_errors=True)
    try:
        durable.make_folder(temporary)
    except OSError as error:
        raise ConfigError(f"{folder}: cannot be written ({error.strerror})") from error
    try:
        yield temporary
        durable.sync_tree(temporary)
        fence.check()
        temporary.replace(folder)
        durable.sync_folder(folder.parent)
    except OSError as error:
        raise JobError(f"{folder}: cannot be written ({error.strerror})") from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
