"""What every source of weights gives, and where it is read: the one door by which weights enter a model."""

from pathlib import Path
from typing import Any

from locat.config.weights import REGISTERED, Init, job_weights, local_path, repository
from locat.contract.errors import ConfigError
from locat.weights import hub
from locat.weights.checkpoints import read_job
from locat.weights.files import Weights, read_file, read_folder


def read(init: Init, model: Any, name: str) -> Weights:
    """What `init` names, for a timm model that is called `name`.

    Raises:
        WeightsError: it is not there, or holds no weights.
        ConfigError: it asks for what cannot be.
        JobError: the Hub cannot be reached.
    """
    if init.source == REGISTERED:
        return read_file(registered(model.pretrained_cfg, name), init.weights)
    if (found := repository(init.source)) is not None:
        weights = read_file(hub.weights_file(found), init.weights)
        return weights._replace(statistics=hub.statistics_of(found))
    if (job := job_weights(init.source)) is not None:
        return read_job(job.folder, job.at, init.weights)
    path = local_path(init.source)
    assert path is not None, "checked with the config"
    if not path.is_dir():
        return read_file(path, init.weights)
    if init.weights is not None and path.name == "outputs" and (path.parent / "checkpoints").is_dir():
        return read_job(path.parent, "", init.weights)  # what a job leaves is one model alone
    return read_folder(path, init.weights)


def registered(pretrained: dict[str, Any], name: str) -> Path:
    """The file that timm has registered for a model.

    Raises:
        ConfigError: there is none on the Hub, or it is none of tensors by name.
    """
    if not pretrained.get("hf_hub_id") or pretrained.get("custom_load"):
        raise ConfigError(
            f"model.init: timm has no weights on the Hub for {name!r}; name a model and its tag, such as "
            "vit_tiny_patch16_224.augreg_in21k_ft_in1k, or another source"
        )
    return hub.weights_file(pretrained["hf_hub_id"], pretrained.get("hf_hub_filename"))
