"""Models as job configs name them, and models that a job left behind; the user's mistakes as UserError."""

# mypy: warn-return-any=False

import json
from collections.abc import Callable, Mapping, Sequence
from difflib import get_close_matches
from functools import partial, wraps
from pathlib import Path
from typing import Any

import timm
import torch
from safetensors.torch import save_model as save_weights
from timm.models._hub import save_config_for_hf
from torch import nn

from locat.config import Model
from locat.config.attach import ATTACHED
from locat.contract import plugins
from locat.contract.errors import ConfigError, WeightsError
from locat.contract.fence import Fence
from locat.models.any_size import accept_any_size, size_arguments
from locat.models.attach import AttachError
from locat.weights.files import read_folder
from locat.weights.fit import fit, refuse


def create_model(config: Model) -> nn.Module:
    """A new model, `timm.create_model(config.name, **config.args)`, with LocAt where `config.attach` says so.

    Raises ConfigError for an unknown name, for arguments that the model does not take, and where it takes no LocAt.
    """
    if not is_known(config.name):
        close = get_close_matches(config.name, [*timm.list_models(), *plugins.names(plugins.MODELS)], n=1)
        raise ConfigError(f"no model is called {config.name!r}" + (f"; did you mean {close[0]!r}?" if close else ""))
    try:
        name, args = _for_timm(config)
        model = timm.create_model(name, **args)
        _check_can_be_saved(model)
        return model
    except (TypeError, ValueError, AssertionError) as error:
        if config.attach is not None and isinstance(error, AttachError):
            raise ConfigError(f"model.attach: {config.name!r} does not take it: {error}") from error
        raise ConfigError(f"model {config.name!r} cannot be built with {config.args}: {error}") from error


def is_known(name: str) -> bool:
    """Whether timm knows a model, its own or that of a plugin, which is imported for that.

    Raises PluginError where a plugin offers the name, and registers no such model.
    """
    architecture = name.partition(".")[0]
    if not timm.is_model(name) and architecture in plugins.names(plugins.MODELS):
        plugins.load(plugins.MODELS, architecture, partial(_registered, architecture))
    return bool(timm.is_model(name))


def _registered(name: str, found: object) -> None:
    """See that timm knows the model of a plugin, which was imported."""
    if not timm.is_model(name) and callable(found):
        timm.models.register_model(_named(name, found))
    if not timm.is_model(name):
        raise TypeError(f"registers no model {name!r} with timm, nor is it a function of that name")


def _named(name: str, build: Callable[..., nn.Module]) -> Callable[..., nn.Module]:
    """A function that makes a model, which an export then calls by this name and not by that of what it is made of."""

    @wraps(build)
    def made(**kwargs: Any) -> nn.Module:
        model: Any = build(**kwargs)
        _check_can_be_saved(model)
        model.pretrained_cfg["architecture"] = name
        return model

    made.__name__ = name
    return made


def _check_can_be_saved(model: nn.Module) -> None:
    """Raise TypeError for a module that was not made as timm makes them: nobody wants to know after the training."""
    missing = [name for name in ("pretrained_cfg", "num_classes", "num_features") if not hasattr(model, name)]
    if missing:
        raise TypeError(f"it has no {', '.join(missing)}, by which timm saves a model; make it of timm's parts")


def title(config: Model) -> str:
    """A model's name for people, with what makes it another method: `locatvit_tiny, prr=False`.

    Of a plain one with LocAt attached it says how that began: `vit_tiny_patch16_224, attach=identity`.
    """
    return _title(*_for_timm(config))


def _for_timm(config: Model) -> tuple[str, dict[str, Any]]:
    """Name and arguments of `timm.create_model`."""
    if config.attach is None:
        return config.name, config.args
    return ATTACHED, dict(base=config.name, **config.attach.model_dump(), **config.args)


def _title(name: str, args: Mapping[str, Any]) -> str:
    plain = _plain(name, args)
    with torch.device("meta"):
        pool = getattr(timm.create_model(plain), "global_pool", None)  # an export names it always
    usual = {"gaug": True, "prr": True, "global_pool": pool, "class_token": True}
    other = (f"{key}={args[key]}" for key, value in usual.items() if args.get(key, value) != value)
    begun = [f"attach={args.get('init', 'paper')}"] if name == ATTACHED else []
    return ", ".join([plain, *begun, *other])


def _plain(name: str, args: Mapping[str, Any]) -> str:
    """The model that LocAt is attached to, or the model itself."""
    base: str = args["base"] if name == ATTACHED else name
    return base


def load_backbone(folder: Path) -> tuple[nn.Module, str]:
    """The model in `folder` with its weights, for images of any size, and its title.

    The folder holds model.safetensors and timm's config.json, as `timm.models.save_for_hf`
    writes them. Raises WeightsError; where the weights do not fit the model, it lists
    missing and unknown names and wrong shapes.
    """
    try:
        config = json.loads((folder / "config.json").read_text())
        architecture, args = config["architecture"], config.get("model_args", {})
        is_known(_plain(architecture, args))
        name = _title(architecture, args)
        with torch.device("meta"):
            arguments = size_arguments(timm.create_model(f"local-dir:{folder}"))
        model = accept_any_size(timm.create_model(f"local-dir:{folder}", **arguments))
        weights = read_folder(folder)
        refuse(fit(model, weights), model, weights.origin, strict=True)
    except (OSError, ValueError, LookupError, AttributeError, TypeError, RuntimeError, WeightsError) as error:
        raise WeightsError(f"{folder} holds no model that can be loaded: {error}") from error
    return model, name


def save_model(model: nn.Module, folder: Path, about: Mapping[str, Any] | None = None, /, **model_args: Any) -> None:
    """Write model.safetensors and timm's config.json into `folder`; `timm.create_model('local-dir:FOLDER')` reads both.

    As timm's save_for_hf, but a tensor that a model shares (Jumbo's MLP) is written once. `about` is what else
    config.json says (see `evaluated_as`). `model_args` replace arguments of `timm.create_model` that JSON cannot hold.
    """
    folder.mkdir(parents=True, exist_ok=True)
    fence = Fence.here()
    with fence.replacing(folder / "model.safetensors") as file:
        save_weights(model, str(file))
    with fence.replacing(folder / "config.json") as file:
        save_config_for_hf(model, str(file), model_config=dict(about or {}), model_args=model_args)


def evaluated_as(classes: Sequence[str], image_size: int, crop_pct: float) -> dict[str, Any]:
    """What config.json says of a classifier: its classes by number, and how images were cut to evaluate it.

    timm's words: `resolve_data_config(model=model, use_test_size=True)` gives this preprocessing. Size and crop are
    those of tests, since the others also decide how timm builds a model.
    """
    cut = {
        "test_input_size": [3, image_size, image_size],
        "test_crop_pct": crop_pct,
        "crop_mode": "center",
        "interpolation": "bicubic",
    }
    return {"label_names": list(classes), "pretrained_cfg": cut}
