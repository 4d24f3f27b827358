"""What whoever runs a program must know of it: how pictures are prepared, and what its answers mean."""

from typing import Any

from locat.config.export import Export
from locat.export.formats import INPUT
from locat.export.program import Program
from locat.predict.classification import Classifier
from locat.predict.model import Model
from locat.predict.segmentation import SegmentationPredictor

DECODE = "decode to 8-bit RGB as it is stored: the rotation in EXIF is not applied"
MEANINGS = {
    "embeddings": "what a classifier would read",
    "logits": "of the classes: softmax gives probabilities",
    "pixel logits": "of each pixel's classes: the largest is the pixel's class",
}


def described(model: Model, program: Program, options: Export) -> dict[str, Any]:
    """The part of export.json that is of all formats, in values that JSON has."""
    shape = ["batch", 3, *(["height", "width"] if program.step else program.size)]
    return {
        "model": model.origin,
        "input": {
            "name": INPUT,
            "dtype": "uint8" if program.takes_pixels else "float32",
            "shape": shape,
            **({"multiples_of": program.step} if program.step else {}),
        },
        "preprocessing": {**_resized(model), "mean": list(program.mean), "std": list(program.std)},
        "steps": _steps(model, program),
        "computes": computes(model),
        "outputs": [_output(name, model, shape) for name in program.outputs],
        "classes": list(model.classes),
        "tolerance": options.tolerance,
    }


def computes(model: Model) -> str:
    """Which part of `predict` the program does, in words."""
    if isinstance(model, Classifier):
        return "what predict computes from the cropped image" + (", without the softmax" if model.classes else "")
    assert isinstance(model, SegmentationPredictor), "program_of refuses others"
    evaluation = model.model.described.evaluation
    means = []
    if evaluation.window is not None:
        side, step = evaluation.window, evaluation.step
        means.append(f"the mean logits of windows of {side} x {side} pixels, {step} apart")
    if evaluation.flip:
        means.append("the mean probabilities of the image and its mirror image")
    one = "one forward pass on the whole image"
    return f"{one}; predict takes {', and '.join(means)}, so its masks differ" if means else one


def _resized(model: Model) -> dict[str, Any]:
    """How a picture is brought to the size that the model sees, as in the model's evaluation."""
    if isinstance(model, Classifier):
        return {
            "resize": {"shorter_side": model.shorter, "interpolation": model.cut["interpolation"]},
            "crop": {"size": list(model.size), "mode": model.cut["crop_mode"]},
        }
    assert isinstance(model, SegmentationPredictor), "program_of refuses others"
    kept = model.model.described
    return {
        "resize": {"into": list(kept.resize), "antialias": kept.protocol == "exact"} if kept.resize else None,
        "evaluated_by": kept.evaluation.called or "one look at the whole image",
        "brightness": kept.brightness,
    }


def _steps(model: Model, program: Program) -> list[str]:
    """From a picture's file to the program, and from there to the answer, in words."""
    normalise = "divide by 255, subtract mean, divide by std, each channel its own"
    if program.takes_pixels:
        normalise = "leave the values at 0 to 255: the program divides by 255 and takes mean and std out"
    prepare = [normalise, "put channels first"]
    resized = _resized(model)
    if isinstance(model, Classifier):
        shorter, (height, width) = resized["resize"]["shorter_side"], model.size
        return [
            DECODE,
            f"resize the shorter side to {shorter} pixels, the ratio kept ({resized['resize']['interpolation']})",
            f"cut out {height} x {width} pixels ({resized['crop']['mode']})",
            *prepare,
        ]
    bring = []
    if resized["resize"] is not None:
        longer, shorter = resized["resize"]["into"]
        smooth = "antialiased" if resized["resize"]["antialias"] else "not antialiased"
        bring = [f"resize into {longer} x {shorter} pixels, the ratio kept (bilinear, {smooth})"]
    colour = [round(255 * each) for each in program.mean] if program.takes_pixels else "zeros"
    to = f"a multiple of {program.step}" if program.step else "the program's size"
    return [
        DECODE,
        *bring,
        *prepare,
        f"pad with {colour} on the right and below up to {to}, and cut the logits there",
        "resize the logits to the picture's size (bilinear); the class of a pixel is the largest",
    ]


def _output(name: str, model: Model, shape: list[Any]) -> dict[str, Any]:
    if name == "embeddings":
        return {"name": name, "shape": ["batch", "dim"], "meaning": MEANINGS["embeddings"]}
    if isinstance(model, SegmentationPredictor):
        whole = ["batch", len(model.classes), *shape[2:]]
        return {"name": name, "shape": whole, "meaning": MEANINGS["pixel logits"]}
    return {"name": name, "shape": ["batch", len(model.classes)], "meaning": MEANINGS["logits"]}
