"""`python -m locat attention-maps`: what ViTs with and without LocAt look at, as a picture (paper, Fig. 1 and 4)."""

from pathlib import Path
from typing import Any

import click

from locat.contract.errors import ConfigError, DataError

PATCHES = ((0.3, 0.3), (0.5, 0.5), (0.7, 0.7))
"""Queries where none are chosen, as fractions of the grid."""


@click.command("attention-maps")
@click.option("--checkpoint", "folders", type=Path, multiple=True, required=True, help="A job's outputs; repeatable.")
@click.option("--image", "file", type=Path, required=True, help="The picture to look at.")
@click.option("--patch", "patches", type=(int, int), multiple=True, help="Row and column of a query; repeatable.")
@click.option("--block", type=int, default=-1, show_default=True, help="Which block attends.")
@click.option("--out", type=Path, default=Path("attention.png"), show_default=True, help="The PNG to write.")
@click.option("--mlflow-run", help="A run of MLFLOW_TRACKING_URI that takes the PNG as an artifact.")
def attention_maps(
    folders: tuple[Path, ...],
    file: Path,
    patches: tuple[tuple[int, int], ...],
    block: int,
    out: Path,
    mlflow_run: str | None,
) -> None:
    """Draw the attention of [CLS] and of patches, one row a model, and the width and height of LocAt's Gaussians."""
    from locat.commands.attention_figure import looks_figure
    from locat.tasks.figures import save

    save(looks_figure([look(folder, file, patches, block) for folder in folders]), out)
    click.echo(out)
    if mlflow_run is not None:
        from locat.engine.tracking.client import add_figure

        add_figure(mlflow_run, out)


def look(folder: Path, file: Path, patches: tuple[tuple[int, int], ...], block: int) -> Any:
    """What the model in `folder` looks at in the image, means over heads, as a `Look`."""
    from timm.models import Eva, VisionTransformer

    from locat.commands.attention_figure import Look
    from locat.models.attention_maps import attention_maps, gaussian_shapes
    from locat.models.create import load_backbone

    model, name = load_backbone(folder)
    if not isinstance(model, VisionTransformer | Eva):
        raise ConfigError(f"{folder} holds {name}; attention maps are drawn for ViTs, which attend over all patches")
    image, picture = open_image(file, model.eval())
    rows, columns = model.patch_embed.grid_size
    patches = patches or tuple((int(y * rows), int(x * columns)) for y, x in PATCHES)
    if not all(0 <= row < rows and 0 <= column < columns for row, column in patches):
        raise ConfigError(f"--patch must lie in the {rows} x {columns} grid of {folder}")
    if not -len(model.blocks) <= block < len(model.blocks):
        raise ConfigError(f"--block must be one of the {len(model.blocks)} blocks of {folder}")
    queries = [None, *patches] if model.num_prefix_tokens else list(patches)
    maps = [attention_maps(model, image, block, query).mean(0).numpy() for query in queries]
    shapes = gaussian_shapes(model, image, block)
    return Look(name, picture, queries, maps, None if shapes is None else shapes.mean(0).numpy())


def open_image(file: Path, model: Any) -> tuple[Any, Any]:
    """The middle of the image at the model's size: normalised (3, H, W), and as a picture (H, W, 3) in 0..1."""
    import torch
    from timm.data import create_transform, resolve_data_config

    from locat.data.intake.files import read
    from locat.data.intake.pictures import Undecodable, opened, to_rgb

    expected = resolve_data_config(model=model)
    size = (3, *model.patch_embed.img_size)
    try:
        with opened(read(file)) as picture:
            pixels = to_rgb(picture).image
    except Undecodable as error:
        raise DataError(f"{file} is no image that can be read: {error}") from error
    image = create_transform(**{**expected, "input_size": size, "crop_pct": 1.0})(pixels)
    mean, std = (torch.tensor(expected[key]).view(3, 1, 1) for key in ("mean", "std"))
    return image, (image * std + mean).clamp(0, 1).permute(1, 2, 0).numpy()
