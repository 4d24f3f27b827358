"""Pictures of README.md and docs/results.md: what ViT and LocAtViT make of the same scenes, and their numbers.

Each is drawn at twice the size that it is shown at. Blue and orange are told apart with any kind of colour blindness.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import timm
import torch
from numpy.typing import NDArray

import launcher
import locat
import locat.models
from locat.config import ConvertConfig, load_job
from locat.config.datasets import DigitsScenes
from locat.data.augment import normalize
from locat.data.datasets.base import Sample
from locat.data.datasets.digits import digits
from locat.models.attention_maps import attention_maps
from locat.tasks.figures import pyplot, subplots

IMAGES = Path(__file__).parents[1] / "docs" / "images"
SHARES = (0.05, 0.2, 0.35, 0.5, 0.65, 0.8, 0.95)
"""Scenes are drawn that stand at these parts of all of them, in the order of LocAtViT's lead."""
BLUE, ORANGE, GREY = (0.0, 0.447, 0.698), (0.902, 0.624, 0.0), (0.35, 0.35, 0.35)
WIDTH, DPI = 8.3, 200
"""Of a picture that is shown 830 pixels wide: in inches, and pixels per inch."""


class Scene(NamedTuple):
    """A scene, what each model makes of it, and how well: IoU of its digit in percent, in the order of the models."""

    sample: Sample
    predictions: list[NDArray[np.uint8]]
    iou: list[float]

    @property
    def lead(self) -> float:
        """Of the second model."""
        return self.iou[1] - self.iou[0]


def draw(run: launcher.Run, models: Mapping[str, str], record: Mapping[str, Any]) -> dict[str, int]:
    """Draw both; returns how many scenes there are, and how many each model leads in."""
    scenes = looked_at(run, list(models))
    save(scenes_figure(drawn(scenes), list(models.values())), "scenes.png")
    names = list(models.values())
    save(attention_figure(drawn(scenes), [classifier(run, model) for model in models], names), "attention-maps.png")
    save(seeds_figure(record, models), "comparison.png")
    ahead = [sum(sign * scene.lead > 0 for scene in scenes) for sign in (-1, 1)]
    return {"scenes": len(scenes), **dict(zip(models.values(), ahead, strict=True))}


def looked_at(run: launcher.Run, models: Sequence[str]) -> list[Scene]:
    """Every scene of the run's validation set, the one in which the second model is furthest behind first."""
    config = load_job(run.path / "jobs" / "convert" / "config.yaml")
    assert isinstance(config, ConvertConfig) and isinstance(config.dataset, DigitsScenes)
    val = digits(config.dataset)["val"]
    samples = [val[index] for index in range(len(val))]
    segmenters = [locat.Model.from_folder(run.outputs(f"segment-{model}")) for model in models]
    masks = [segmenter.segment(sample.image for sample in samples) for segmenter in segmenters]
    scenes = [
        Scene(sample, list(predictions), [digit_iou(sample, prediction) for prediction in predictions])
        for sample, *predictions in zip(samples, *masks, strict=True)
    ]
    return sorted(scenes, key=lambda scene: scene.lead)


def digit_iou(sample: Sample, prediction: NDArray[np.uint8]) -> float:
    """IoU of the scene's digit, in percent."""
    true, predicted = sample.mask == sample.label, prediction == sample.label
    return 100 * float((true & predicted).sum() / (true | predicted).sum())


def drawn(scenes: Sequence[Scene]) -> list[Scene]:
    """Those at `SHARES` of all."""
    return [scenes[int(share * len(scenes))] for share in SHARES]


def scenes_figure(scenes: Sequence[Scene], models: Sequence[str]) -> Any:
    """A column per scene, a row of the scenes and one per model, with the digits' true outline."""
    figure, axes = grid(1 + len(models), len(scenes), ["scene", *models])
    for column, scene in zip(axes.T, scenes, strict=True):
        column[0].imshow(scene.sample.image)
        column[0].set_title(signed(scene.lead), fontsize=10)
        for axis, prediction, iou in zip(column[1:], scene.predictions, scene.iou, strict=True):
            axis.imshow(judged(scene.sample, prediction))
            axis.contour(scene.sample.mask == scene.sample.label, [0.5], colors="white", linewidths=1.2)
            axis.set_xlabel(f"IoU {iou:.0f}", fontsize=8, labelpad=2)
    figure.suptitle(f"lead of {models[1]}, in points of the digit's IoU", fontsize=10)
    return figure


def signed(points: float) -> str:
    """Rounded, with a sign unless that gives 0."""
    return f"{points:+.0f}".replace("-", "\N{MINUS SIGN}") if round(points) else "0"


def classifier(run: launcher.Run, model: str) -> Any:
    """What the run's job `pretrain` has trained, in eval mode."""
    return timm.create_model(f"local-dir:{run.outputs(f'pretrain-{model}')}", pretrained=True).eval()


def attention_figure(scenes: Sequence[Scene], models: Sequence[Any], names: Sequence[str]) -> Any:
    """A column per scene: where a patch of its digit, the cross, looks in each model's first block, mean of heads."""
    figure, axes = grid(1 + len(models), len(scenes), ["scene", *names])
    for column, scene in zip(axes.T, scenes, strict=True):
        row, place = centre(scene.sample)
        column[0].imshow(scene.sample.image)
        for axis, model in zip(column[1:], models, strict=True):
            about = model.pretrained_cfg
            image = normalize(torch.from_numpy(scene.sample.image).permute(2, 0, 1), about["mean"], about["std"])
            side = model.patch_embed.patch_size[0]
            maps = attention_maps(model, image, block=0, query=(row // side, place // side))
            axis.imshow(maps.mean(0).numpy(), cmap="viridis")
            axis.plot(place // side, row // side, "+", color="white", markersize=9, markeredgewidth=2)
    return figure


def centre(sample: Sample) -> tuple[int, int]:
    """Row and column of the digit's pixel that is nearest to the mean of them all."""
    pixels = np.argwhere(sample.mask == sample.label)
    row, column = pixels[np.linalg.norm(pixels - pixels.mean(0), axis=1).argmin()]
    return int(row), int(column)


def grid(rows: int, columns: int, names: Sequence[str]) -> tuple[Any, Any]:
    """A figure of small pictures without ticks, each row under its name."""
    figure, axes = subplots(rows, columns, figsize=(WIDTH, 0.2 + 1.33 * rows), layout="constrained")
    figure.get_layout_engine().set(w_pad=0.02, h_pad=0.01, wspace=0.02, hspace=0.02)
    for axis, name in zip(axes[:, 0], names, strict=True):
        axis.set_ylabel(name, fontsize=11)
    for axis in axes.flat:
        axis.set(xticks=[], yticks=[])
        axis.spines[:].set_visible(False)
    return figure, axes


def judged(sample: Sample, prediction: NDArray[np.uint8]) -> NDArray[np.float64]:
    """The scene in dark grey; where a digit is predicted in blue if it is the scene's, in orange if it is another."""
    image: NDArray[np.float64] = np.repeat(sample.image.mean(axis=2, keepdims=True) / 255 * 0.6, 3, axis=2)
    image[prediction == sample.label] = BLUE
    image[(prediction != sample.label) & (prediction < 10)] = ORANGE
    return image


def seeds_figure(record: Mapping[str, Any], models: Mapping[str, str]) -> Any:
    """A panel per metric: a dot per seed, the dots of one seed joined, and a bar at each model's mean."""
    metrics = {"top1": "top-1 on 2,000 new scenes, %", "miou": "mIoU of a head on the frozen patches, %"}
    figure, axes = subplots(1, len(metrics), figsize=(WIDTH, 3.2), layout="constrained")
    for axis, (metric, title) in zip(axes, metrics.items(), strict=True):
        for run in record["runs"]:
            values = [run["metrics"][model][metric] for model in models]
            axis.plot(range(len(models)), values, color="0.7", linewidth=1, zorder=1)
            axis.annotate(f"seed {run['seed']}", (1.06, values[-1]), fontsize=8, va="center")
        for place, (model, colour) in enumerate(zip(models, (GREY, BLUE), strict=True)):
            values = [run["metrics"][model][metric] for run in record["runs"]]
            axis.scatter([place] * len(values), values, color=[colour], s=40, zorder=2)
            axis.hlines(np.mean(values), place - 0.16, place - 0.05, color=colour, linewidth=3)
            axis.annotate(f"{np.mean(values):.1f}", (place - 0.19, np.mean(values)), ha="right", va="center")
        axis.set_xticks(range(len(models)), list(models.values()), fontsize=11)
        axis.set_xlim(-0.5, 1.5)
        axis.set_title(title, fontsize=10)
        axis.spines[["top", "right"]].set_visible(False)
    return figure


def save(figure: Any, name: str) -> None:
    figure.savefig(IMAGES / name, dpi=DPI)
    pyplot().close(figure)
