"""Models as job configs name them, and models that a job left behind; the user's mistakes as UserError."""

# mypy: warn-return-any=False

import json
from collections.abc import Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import timm
import torch
from safetensors.torch import save_model as save_weights
from timm.models._hub import save_config_for_hf
from torch import nn

from locat.config import Model
from locat.contract.errors import ConfigError, WeightsError
from locat.contract.fence import Fence
from locat.models.any_size import accept_any_size, size_arguments
from locat.weights.files import read_folder
from locat.weights.fit import fit, refuse


def create_model(config: Model) -> nn.Module:
    """A new model, `timm.create_model(config.name, **config.args)`.

    Raises ConfigError for an unknown name and for arguments that the model does not take.
    """
    if not timm.is_model(config.name):
        close = get_close_matches(config.name, timm.list_models(), n=1)
        raise ConfigError(f"no model is called {config.name!r}" + (f"; did you mean {close[0]!r}?" if close else ""))
    try:
        return timm.create_model(config.name, **config.args)
    except (TypeError, ValueError, AssertionError) as error:
        raise ConfigError(f"model {config.name!r} cannot be built with {config.args}: {error}") from error


def title(name: str, args: Mapping[str, Any]) -> str:
    """A model's name for people, with the arguments that make it another method: `locatvit_tiny, prr=False`."""
    with torch.device("meta"):
        pool = getattr(timm.create_model(name), "global_pool", None)  # an export names it always
    usual = {"gaug": True, "prr": True, "global_pool": pool, "class_token": True}
    other = (f"{key}={args[key]}" for key, value in usual.items() if args.get(key, value) != value)
    return ", ".join([name, *other])


def load_backbone(folder: Path) -> tuple[nn.Module, str]:
    """The model in `folder` with its weights, for images of any size, and its title.

    The folder holds model.safetensors and timm's config.json, as `timm.models.save_for_hf`
    writes them. Raises WeightsError; where the weights do not fit the model, it lists
    missing and unknown names and wrong shapes.
    """
    try:
        config = json.loads((folder / "config.json").read_text())
        name = title(config["architecture"], config.get("model_args", {}))
        with torch.device("meta"):
            arguments = size_arguments(timm.create_model(f"local-dir:{folder}"))
        model = accept_any_size(timm.create_model(f"local-dir:{folder}", **arguments))
        weights = read_folder(folder)
        refuse(fit(model, weights), model, weights.origin, strict=True)
    except (OSError, ValueError, KeyError, TypeError, RuntimeError, WeightsError) as error:
        raise WeightsError(f"{folder} holds no model that can be loaded: {error}") from error
    return model, name


def save_model(model: nn.Module, folder: Path, **model_args: Any) -> None:
    """Write model.safetensors and timm's config.json into `folder`; `timm.create_model('local-dir:FOLDER')` reads both.

    As timm's save_for_hf, but a tensor that a model shares (Jumbo's MLP) is written once.
    `model_args` replace arguments of `timm.create_model` that JSON cannot hold.
    """
    folder.mkdir(parents=True, exist_ok=True)
    fence = Fence.here()
    with fence.replacing(folder / "model.safetensors") as file:
        save_weights(model, str(file))
    with fence.replacing(folder / "config.json") as file:
        save_config_for_hf(model, str(file), model_args=model_args)
