"""`python -m locat export`: a trained model as a program that runs elsewhere (docs/export.md)."""

from pathlib import Path
from typing import Any

import click

from locat.commands import options


@click.command
@options.model
@click.option("--out", type=Path, required=True, metavar="FOLDER", help="A new folder for the files.")
@click.option(
    "--format", type=click.Choice(["pt2", "onnx", "both"]), default="both", show_default=True, help="What to write."
)
@click.option(
    "--size",
    type=(click.IntRange(1), click.IntRange(1)),
    metavar="HEIGHT WIDTH",
    help="Of the images in pixels; by default those that the model was evaluated at.",
)
@click.option("--dynamic-size", is_flag=True, help="Take images of other sizes as well.")
@click.option(
    "--input",
    type=click.Choice(["normalised", "pixels"]),
    default="normalised",
    show_default=True,
    help="Whether images are normalised before, or are uint8 and normalised inside.",
)
@click.option(
    "--tolerance",
    type=click.FloatRange(0, min_open=True),
    default=1e-4,
    show_default=True,
    help="By which answers may differ from the model's, as a part of the largest of these, or of 1.",
)
def export(source: str, out: Path, size: tuple[int, int] | None, **chosen: Any) -> None:
    """Write a trained model as a program for torch.export, ONNX or both.

    Each file is read again and compared with the model on photographs. Where it differs by more than the tolerance,
    nothing is left, and the exit code is 1.
    """
    from locat.config.export import Export
    from locat.export.run import RECORD, export
    from locat.predict.model import Model

    record = export(Model.from_source(source), out, Export(size=list(size) if size else None, **chosen))
    for name, file in record["files"].items():
        most = max(compared["difference"] for compared in file["compared"])
        click.echo(f"{out / name}: {file['bytes'] / 1e6:.1f} MB, differs from the model by {most:.1e} at most")
    click.echo(out / RECORD)
    click.echo(f"each program computes {record['computes']}")
