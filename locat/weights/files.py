"""Files of weights, .safetensors or what torch has pickled; nothing that a file holds is run."""

import json
import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from timm.models._helpers import _torch_load, clean_state_dict
from torch import Tensor

from locat.config.weights import SUFFIXES
from locat.contract import durable
from locat.contract.errors import WeightsError

LEFT = "model.safetensors"
"""What a job leaves, and the first that is looked for in any folder."""
CHOICES: dict[str | None, tuple[str, ...]] = {
    "ema": ("state_dict_ema", "model_ema", "ema"),
    "teacher": ("teacher",),
    "student": ("student",),
    "model": ("state_dict", "model", "module"),
}
"""Under which keys a checkpoint of some program has its weights: timm's, DeiT's, MAE's, DINO's."""
CHOICES[None] = tuple(key for choice in ("ema", "teacher", "model", "student") for key in CHOICES[choice])

Statistics = dict[str, list[float]]
"""`mean` and `std`, of three channels each."""
_CODE = re.compile(r"GLOBAL ([\w.]+)")
"""What torch says of a pickle that wants more than tensors."""


class Weights(NamedTuple):
    """Tensors by name, and what is known of them."""

    tensors: dict[str, Tensor]
    origin: str
    """For people: a file, or a checkpoint."""
    sha256: str
    """Of the file, as `sha256sum` prints it; of a checkpoint, of the digests of its files."""
    statistics: Statistics
    """Of the images that they were trained on; empty where that is not known."""


def read_file(path: Path, choice: str | None = None) -> Weights:
    """The weights in a file; `choice`, a key of `CHOICES`, says which where it holds several.

    Raises:
        WeightsError: it cannot be read, would run code, or holds no weights.
    """
    held: Mapping[Any, Any]
    if path.name.endswith(".safetensors"):
        held = _safetensors(path)
        if choice is not None:
            raise WeightsError(f"{path} holds one model; leave out model.init.weights: {choice}")
    else:
        held = _chosen(unpickled(path), path, choice)
    tensors = {str(name): value for name, value in held.items() if torch.is_tensor(value)}
    if not tensors:
        raise WeightsError(f"{path} holds no weights: no tensors by name")
    return Weights(clean_state_dict(tensors), str(path), durable.sha256(path), {})


def unpickled(path: Path) -> Any:
    """What torch has saved in a file, if that is data.

    Raises:
        WeightsError: it is not, or cannot be read.
    """
    if not path.name.endswith(SUFFIXES):
        raise WeightsError(f"{path}: weights are in files that end with {', '.join(SUFFIXES)}")
    try:
        return _torch_load(str(path), map_location="cpu", weights_only=True)
    except OSError as error:  # which a file that was cut short is as well
        raise WeightsError(f"{path} cannot be read, or is cut short: {error.strerror or error}") from error
    except Exception as error:  # whatever a damaged or foreign file makes of the unpickler
        reason = str(error.__cause__ or error)
        if code := _CODE.findall(reason):
            raise WeightsError(
                f"{path} holds code beside its weights ({', '.join(code)}), which is not run; "
                "save its state dict alone, best as .safetensors"
            ) from error
        raise WeightsError(f"{path} is no file of weights: it is damaged, or of another format") from error


def read_folder(folder: Path, choice: str | None = None) -> Weights:
    """The weights in a folder, of its model.safetensors or of its only other file of weights.

    Raises:
        WeightsError: there are none, several, or they cannot be read.
    """
    others = sorted(path for path in folder.iterdir() if path.name.endswith(SUFFIXES))
    files = [folder / LEFT] if (folder / LEFT).exists() else others
    if len(files) != 1:
        several = f"several: {', '.join(file.name for file in files)}; name one" if files else "none"
        raise WeightsError(f"{folder} holds no {LEFT}, and of other files of weights {several}")
    return read_file(files[0], choice)._replace(statistics=statistics_in(folder))


def statistics_in(folder: Path) -> Statistics:
    """`statistics` of the config.json in a folder; empty without one."""
    return statistics(folder / "config.json") if (folder / "config.json").exists() else {}


def statistics(file: Path) -> Statistics:
    """`mean` and `std` of timm's config.json; empty if it is another program's.

    Raises:
        WeightsError: the file cannot be read, or they are not three numbers each.
    """
    try:
        values = json.loads(file.read_text())
    except (OSError, ValueError) as error:
        raise WeightsError(f"{file} cannot be read: {error}") from error
    values = values if isinstance(values, dict) else {}
    about = values.get("pretrained_cfg", values)
    found = {key: about[key] for key in ("mean", "std") if isinstance(about, dict) and about.get(key) is not None}
    for key, value in found.items():
        numbers = value if isinstance(value, list) else []
        if len(numbers) != 3 or not all(type(number) in (int, float) and math.isfinite(number) for number in numbers):
            raise WeightsError(f"{file}: {key} is to be three numbers")
        if key == "std" and min(numbers) <= 0:
            raise WeightsError(f"{file}: std is to be three positive numbers")
    return found


def _safetensors(path: Path) -> dict[str, Tensor]:
    try:
        return load_file(path)
    except (OSError, SafetensorError) as error:
        raise WeightsError(f"{path} cannot be read: {error}") from error


def _chosen(held: Any, path: Path, choice: str | None) -> Mapping[Any, Any]:
    if not isinstance(held, Mapping):
        raise WeightsError(f"{path} holds no weights: no tensors by name")
    found = _part(held, choice)
    if found is None and choice is not None:
        there = [str(each) for each in CHOICES if each and _part(held, each) is not None]
        remedy = f"it holds {', '.join(there)}" if there else "leave out model.init.weights"
        raise WeightsError(f"{path} holds no weights that are called {choice}; {remedy}")
    return held if found is None else found


def _part(held: Mapping[Any, Any], choice: str | None) -> Mapping[Any, Any] | None:
    """Of what a program wrote, the weights that `choice` names."""
    return next((held[key] for key in CHOICES[choice] if isinstance(held.get(key), Mapping)), None)
