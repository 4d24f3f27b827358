"""`python -m locat predict`: a trained model's answers for pictures (docs/predict.md)."""

import json
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Literal

import click

from locat.commands import options
from locat.contract.text import printable


@click.command
@options.model
@click.argument("images", nargs=-1, required=True, metavar="IMAGES...")
@click.option("--masks", type=Path, metavar="FOLDER", help="Write a PNG of class numbers for each image.")
@click.option("--overlays", type=Path, metavar="FOLDER", help="Write the mask's colours over each image.")
@click.option("--embeddings", type=Path, metavar="FILE.npz", help="Write the names and embeddings of all images.")
@click.option("--top", type=click.IntRange(1), default=5, show_default=True, help="Labels told of an image.")
@click.option(
    "--batch-size", type=click.IntRange(1), default=32, show_default=True, help="Images of a forward pass, at most."
)
@click.option(
    "--device", default="auto", show_default=True, help="cpu, cuda or cuda:NUMBER; auto takes a GPU if there is one."
)
@click.option(
    "--precision", type=click.Choice(["fp32", "bf16"]), default="fp32", show_default=True, help="Of matrix products."
)
@click.option("--upright", is_flag=True, help="Turn images as their EXIF says; training does not.")
@click.pass_context
def predict(
    context: click.Context,
    source: str,
    images: tuple[str, ...],
    masks: Path | None,
    overlays: Path | None,
    embeddings: Path | None,
    top: int,
    batch_size: int,
    device: str,
    precision: Literal["fp32", "bf16"],
    upright: bool,
) -> None:
    """Print what a trained model says of IMAGES, a JSON line for each.

    IMAGES are files, folders, globs or .beton files of any sizes. A damaged image is named, and the others go on; the
    exit code is then 1.
    """
    from locat.predict.model import Model
    from locat.predict.outputs import Outputs
    from locat.predict.pictures import named
    from locat.predict.run import Prediction

    outputs = Outputs(masks, overlays, embeddings)
    pictures = named(images, outputs.folders)
    model = Model.from_source(source, device=device, precision=precision)
    prediction = Prediction(model, pictures, outputs, batch_size, top, upright)
    for record in watched(prediction.records(), len(pictures)):
        if "error" in record:
            click.echo(printable(f"{record['image']}: {record['error']}"), err=True)
        click.echo(json.dumps(record, allow_nan=False))
    if prediction.turned:
        many = "is turned by its" if prediction.turned == 1 else "are turned by their"
        told = f"{prediction.turned} of the images {many} EXIF, which is not applied, as in training: see --upright"
        click.echo(told, err=True)
    if prediction.broken:
        click.echo(f"{prediction.broken} of {len(pictures)} images could not be read", err=True)
        context.exit(1)


def watched(records: Iterable[dict[str, Any]], total: int) -> Iterator[dict[str, Any]]:
    """The records, with a progress bar where the lines go elsewhere than to the terminal."""
    from rich.console import Console
    from rich.progress import Progress

    hidden = sys.stdout.isatty() or not sys.stderr.isatty()
    with Progress(console=Console(stderr=True), disable=hidden, transient=True, redirect_stdout=False) as bar:
        yield from bar.track(records, total, description="predicting")
