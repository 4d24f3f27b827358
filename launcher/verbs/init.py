"""`launcher init`."""

import os
import re
import shlex
import string
from pathlib import Path
from typing import TextIO

import click

from launcher.compile.compiler import compile_pipeline
from launcher.language.load import validate
from launcher.verbs import init_example, init_masks
from launcher.verbs.init_masks import quoted
from locat.contract.errors import UserError
from locat.contract.system_files import is_system
from locat.contract.yaml_source import parse

PLACEHOLDER = "/path/to/images"


class Template(string.Template):
    """A pipeline with `@{words}` to fill in; `${...}` in it are the pipeline's own references."""

    delimiter = "@"


def _template(name: str) -> Template:
    return Template(Path(__file__).with_name(name).read_text())


@click.command("init")
@click.argument("file", default="pipeline.yaml", type=click.Path(path_type=Path))
@click.option(
    "--images",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="FOLDER",
    help="Folder with train/ and val/, each with one folder of images per class; with --masks, folder of images.",
)
@click.option(
    "--masks",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="FOLDER",
    help="Folder of masks, named like their images; both folders may have train/ and val/.",
)
@click.option(
    "--example",
    metavar="NAME",
    shell_complete=init_example.complete,
    help="Copy a pipeline that LocAt comes with, such as digits; an unknown name lists them all.",
)
def command(file: Path, images: Path | None, masks: Path | None, example: str | None) -> None:
    """Write a pipeline, with comments, that trains and compares models on your own images.

    With --masks the pipeline segments the images, otherwise it classifies them. With --example, copy a pipeline that
    LocAt comes with.

    FILE is the file to write, or a folder to write pipeline.yaml into. Never overwrites a file.
    """
    path = file / "pipeline.yaml" if file.is_dir() else file
    text = starter(path, images, masks, example)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("x") as written:
            _fill(written, text)
    except FileExistsError as error:
        raise UserError(f"{error.filename}: exists; name another file") from error
    except OSError as error:
        raise UserError(f"{path}: cannot be written: {error.strerror}") from error
    click.echo(f"wrote {path}; `launcher submit {shlex.quote(str(path))} --dry-run` shows what it would do")
    if masks is not None:
        click.echo("look at `classes` in it: the names there are what tables and figures will show")
    elif images is None and example is None:
        click.echo(f"say in it where your images are ({PLACEHOLDER}) and how many classes they have (num_classes)")


def _fill(file: TextIO, text: str) -> None:
    """Write a whole new file, or leave none."""
    try:
        file.write(text)
        file.flush()
    except OSError:
        os.unlink(file.name)
        raise


def starter(path: Path, images: Path | None, masks: Path | None = None, example: str | None = None) -> str:
    """The text of the pipeline to be written to `path`, valid.

    Raises:
        UserError: `images` or `masks` are not laid out as the pipeline needs it, or there is no such `example`.
    """
    if example is not None:
        if images or masks:
            raise UserError("an --example says itself which data it takes; leave --images and --masks out")
        text = init_example.text(example, shlex.quote(str(path)))
    else:
        text = _own(path, images, masks)
    if init_example.SCHEMA.exists():
        text = f"# yaml-language-server: $schema={init_example.SCHEMA}\n{text}"
    compile_pipeline(validate(parse(text, str(path))), "run", Path("/runs"))
    return text


def _own(path: Path, images: Path | None, masks: Path | None) -> str:
    """A template, filled in."""
    if masks is None:
        folder = Path(PLACEHOLDER) if images is None else images.resolve()
        words: dict[str, object] = {
            "train": quoted(folder / "train"),
            "val": quoted(folder / "val"),
            "classes": 10 if images is None else _classes(images),
        }
        template = _template("init_template.yaml")
    elif images is None:
        raise UserError("--masks needs --images, the folder of the images that they belong to")
    else:
        words, template = init_masks.words(images, masks), _template("init_masks_template.yaml")
    return template.substitute(words, file=shlex.quote(str(path)), name=_name(path.stem))


def _name(stem: str) -> str:
    """A pipeline's name, as near to the file's as it may be."""
    slug = re.sub("[^a-z0-9]+", "-", stem.lower()).strip("-")
    return (slug if slug[:1].isalpha() else f"own-{slug}")[:40].strip("-")


def _classes(images: Path) -> int:
    """How many there are."""
    counts = {}
    for split in ("train", "val"):
        folder = images / split
        if not folder.is_dir():
            raise UserError(
                f"{images}: holds no {split}/; train/ and val/ are needed, each with a folder of images per class"
            )
        counts[split] = sum(entry.is_dir() and not is_system(entry.name) for entry in os.scandir(folder))
    if not counts["train"] or counts["train"] != counts["val"]:
        raise UserError(
            f"{images}: {counts['train']} classes in train/ and {counts['val']} in val/; both need the same"
        )
    return counts["train"]
